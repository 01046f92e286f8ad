"""The activations of all training images, computed once and kept: what fine-tuning reads.

    cache = compute_once(run_trunk, probe, rows, batch, 64e9, device, ranks)
    activations = cache.read(images)  # of some of the rows, on the device

`where_kept` says where the activations are kept. With a GPU that is

1. the GPU's memory, where they take at most 70% of what the model leaves free. Example: ResNet-50
   with cls+bn at 64 px takes 42 GB of an H100's 80;
2. else the host's memory, within --cache-mb. It is pinned: rows go to the GPU during the
   computation;
3. else nowhere: every epoch computes them again.

On a processor it is the host's memory or nowhere. All three give the same numbers.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from fixres import jobs
from fixres.hardware.device import send
from fixres.hardware.memory import free_bytes, pin
from fixres.hardware.ranks import Ranks

Activations = tuple[torch.Tensor, ...]  # of a batch of images: what the head reads from the trunk
Wanted = Iterable[tuple[np.ndarray, int]]  # batches: (rows of the manifest, epoch)
# Yields (rows, their activations). A second argument: keep the decoded images for later epochs.
RunTrunk = Callable[..., Iterator[tuple[np.ndarray, Activations]]]

# Of the free memory of a GPU. The rest is for the trunk's and the head's own computations.
SHARE_OF_DEVICE = 0.7


class Room(NamedTuple):
    """The bytes that one process may keep activations in."""

    device: float | None  # free in its GPU; None: it computes on a processor
    host: float  # its part of --cache-mb


def where_kept(need: float, room: Room) -> str | None:
    """Where activations of `need` bytes are kept: "device", "host", or nowhere (None)."""
    if not room.host:
        return None  # --cache-mb 0 asks for no cache at all
    if room.device is not None and need <= SHARE_OF_DEVICE * room.device:
        return "device"
    return "host" if need <= room.host else None


def room_of(device: torch.device, budget: float, ranks: Ranks) -> Room:
    """The room that every process of the job has.

    Each process keeps all activations. So the processes of a machine share `budget`, and the
    fullest GPU decides for all: they must fill their caches together.
    """
    mine = Room(free_bytes(device), budget / ranks.on_machine)
    rooms = ranks.gather(mine)
    free = [room.device for room in rooms if room.device is not None]
    return Room(min(free, default=None), min(room.host for room in rooms))


class Cache(NamedTuple):
    """The kept activations: tensors with a row for each image, in the order of the images."""

    stores: Activations
    device: torch.device  # that computes

    def read(self, images: np.ndarray) -> Activations:
        """The activations of some images, on the device. `images`: (n,) numbers of rows."""
        if self.device.type == "cuda" and not self.stores[0].is_cuda:
            return tuple(self._copied(store, images) for store in self.stores)
        chosen = send(torch.from_numpy(images), self.device)
        # Indexing, `store[chosen]`, takes three times as long on a processor.
        return tuple(store.index_select(0, chosen) for store in self.stores)

    def _copied(self, store: torch.Tensor, images: np.ndarray) -> torch.Tensor:
        """Rows of the host's memory on the GPU: a copy for each row, none of which is waited for.

        To gather the rows on the host first would keep a core busy: 64 rows of 401 kB are 26 MB.
        """
        rows = torch.empty((len(images), *store.shape[1:]), dtype=store.dtype, device=self.device)
        for row, image in zip(rows, images.tolist(), strict=True):
            row.copy_(store[image], non_blocking=True)
        return rows


def compute_once(
    run_trunk: RunTrunk,
    probe: Activations,
    rows: np.ndarray,
    batch: int,
    budget: float,
    device: torch.device,
    ranks: Ranks,
) -> Cache | None:
    """The activations of all training images, in the order of `rows`.

    Each process computes those of its share of the images. In the end every process holds all.

    Parameters
    ----------
    probe : the activations of one image. They tell how much memory all will take.
    rows : (n,) of the manifest.
    batch : images that the trunk sees at a time.
    budget : --cache-mb in bytes.

    Returns
    -------
    None where the activations fit nowhere.
    """
    need = sum(a[0].numel() * a.element_size() for a in probe) * len(rows)
    room = room_of(device, budget, ranks)
    where = where_kept(need, room)
    shapes = ", ".join("×".join(map(str, a.shape[1:])) for a in probe)
    take = f"activations ({shapes}) take {need / 1e9:.2f} GB"
    if where is None:
        jobs.log(f"{take}, more than {described(room)}: streamed")
        return None
    jobs.log(f"{take}: computed once, kept in the memory of the {where}")

    at_home = device if where == "device" else torch.device("cpu")
    stores = tuple(
        torch.empty((len(rows), *a.shape[1:]), dtype=a.dtype, device=at_home) for a in probe
    )
    if device.type == "cuda" and where == "host":
        for store in stores:
            pin(store)
    share = ranks.share(len(rows), batch)
    starts = range(share.start, share.stop, batch)
    wanted = ((rows[start : min(start + batch, share.stop)], 0) for start in starts)
    at = share.start
    with jobs.progress("activations", share.stop - share.start, "images") as bar:
        for images, activations in run_trunk(wanted):
            for store, a in zip(stores, activations, strict=True):
                store[at : at + len(images)].copy_(a, non_blocking=True)
            at += len(images)
            bar.update(len(images))
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # before the host reads what the copies have written
    for store in stores:
        ranks.all_gather_rows(store, batch)
    return Cache(stores, device)


def described(room: Room) -> str:
    """What was too little."""
    host = f"--cache-mb allows a process ({room.host / 1e9:.2f} GB)"
    if room.device is None or not room.host:
        return host
    free = SHARE_OF_DEVICE * room.device / 1e9
    return f"{SHARE_OF_DEVICE:.0%} of the free memory of the device ({free:.2f} GB) and than {host}"
