"""Where fine-tuning keeps the activations of the trunk. The placement needs no GPU to be tested."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fixres.hardware.ranks import ALONE, Ranks
from fixres.stages import activation_cache
from fixres.stages.activation_cache import Cache, Room, compute_once, room_of, where_kept

GB = 1e9
CPU = torch.device("cpu")
CUDA = torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("need", "device", "host", "expected"),
    [
        (42, 78, 64, "device"),  # ResNet-50, cls+bn at 64 px, on an H100
        (42, 40, 64, "host"),  # on a smaller GPU: 42 is more than 70% of 40
        (42, 40, 64 / 8, None),  # eight processes share the host's 64
        (514, 141, 64, None),  # at 224 px
        (1, 78, 0, None),  # --cache-mb 0
        (2, None, 2, "host"),  # on a processor, as much as it may take
        (2.1, None, 2, None),
    ],
)
def test_the_device_comes_first_then_the_host(need, device, host, expected):
    free = None if device is None else device * GB
    assert where_kept(need * GB, Room(free, host * GB)) == expected


@given(
    need=st.floats(0, 1e12),
    device=st.none() | st.floats(0, 1e12),
    host=st.floats(0, 1e12),
    more=st.floats(1, 10),
)
def test_more_room_never_moves_activations_farther_away(need, device, host, more):
    near = ["device", "host", None]
    wider = Room(device and device * more, host * more)
    before, after = where_kept(need, Room(device, host)), where_kept(need, wider)
    assert near.index(after) <= near.index(before)
    assert before != "device" or need <= 0.7 * device
    assert before != "host" or need <= host


class Shared(Ranks):
    """One of several processes; `theirs` is the room of the others."""

    theirs: Room

    def gather(self, mine):
        return [mine, *[self.theirs] * (self.size - 1)]


def test_the_fullest_device_decides_for_all_processes(monkeypatch):
    ranks = Shared(0, 4, 0, 2)  # four processes on two machines
    monkeypatch.setattr(activation_cache, "free_bytes", lambda device: 30 * GB)
    for theirs, device in ((20, 20), (50, 30)):
        ranks.theirs = Room(theirs * GB, 32 * GB)
        assert room_of(CUDA, 64 * GB, ranks) == Room(device * GB, 32 * GB)
    monkeypatch.undo()
    assert room_of(CPU, 64 * GB, ALONE) == Room(None, 64 * GB)


def trunk(wanted):
    """Two activations of an image, which are functions of its row."""
    for rows, _ in wanted:
        x = torch.from_numpy(rows).float()
        yield rows, (x[:, None] * torch.ones(3), x.view(-1, 1, 1, 1) + torch.ones(2, 2, 2))


def test_a_cache_gives_what_the_trunk_gives(capsys):
    rows, batch = np.arange(100, 123), 5
    [(_, probe)] = trunk([(rows[:1], 0)])
    need = len(rows) * 4 * (3 + 8)
    cache = compute_once(trunk, probe, rows, batch, need, CPU, ALONE)
    assert "computed once, kept in the memory of the host" in capsys.readouterr().err
    images = np.array([22, 0, 7, 7])
    [(_, expected)] = trunk([(rows[images], 0)])
    assert all(map(torch.equal, cache.read(images), expected))
    # As a GPU reads from pinned memory, row by row.
    one_by_one = [cache._copied(store, images) for store in cache.stores]
    assert all(map(torch.equal, one_by_one, expected))

    assert compute_once(trunk, probe, rows, batch, need - 1, CPU, ALONE) is None
    assert "streamed" in capsys.readouterr().err


def test_rows_that_lie_on_the_host_go_to_the_gpu_one_by_one(monkeypatch):
    """And those in the memory of the GPU are gathered there."""
    used = []
    monkeypatch.setattr(Cache, "_copied", lambda self, store, images: used.append(images))
    Cache((torch.ones(3, 2),), CUDA).read(np.array([1, 2]))
    assert [images.tolist() for images in used] == [[1, 2]]


def test_too_little_room_is_described():
    both = activation_cache.described(Room(40 * GB, 64 * GB))
    assert both == (
        "70% of the free memory of the device (28.00 GB) and than "
        "--cache-mb allows a process (64.00 GB)"
    )
    assert "device" not in activation_cache.described(Room(None, GB))
