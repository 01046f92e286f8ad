"""Several processes (gloo, on the CPU) beside one: same images, same bits, one message, resumption with another number of them."""

import copy
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import EVALUATE, FINETUNE, RECIPE, TRAIN, Bench, same
from fixres.data import manifest, sampling
from fixres.jobs import JobError, processes
from fixres.jobs.device import ALONE, Device, pick
from fixres.jobs.ranks import Ranks
from fixres.models.checkpoints import Checkpoints
from fixres.stages import sgd
from shared import ENVIRONMENT, alive, children, fixres, told

SMALL = {"micro_batch": 3}  # four micro-batches of three images
TRAINING = TRAIN | {"recipe": TRAIN["recipe"] | SMALL | {"cutmix": 0.5, "epochs": 6}}
FINETUNING = FINETUNE | {"recipe": FINETUNE["recipe"] | SMALL}
TWO = (
    "--processes",
    2,
    "--threads",
    2,
)  # a thread each: on the CPU, the number of threads shapes the last bits
CPU = Device(torch.device("cpu"), "fp32")


@pytest.fixture(scope="module")
def one(tmp_path_factory, tiny) -> Bench:
    """Trained, fine-tuned and evaluated by one process."""
    made = Bench(tmp_path_factory.mktemp("one"), tiny)
    made.run(TRAINING, out="trained.safetensors")
    made.run(FINETUNING, "--weights", made.folder / "trained.safetensors", out="tuned.safetensors")
    made.run(EVALUATE, "--weights", made.folder / "tuned.safetensors", out="metrics.json")
    return made


@pytest.fixture
def bench(tmp_path, tiny) -> Bench:
    return Bench(tmp_path, tiny)


# --- jobs --------------------------------------------------------------------------------------------------------------------


def test_two_processes_compute_the_bits_of_one(one, bench):
    log = bench.run(TRAINING, *TWO, out="trained.safetensors").stderr
    assert log.count("4 × 3") == 1  # process 0 logs, and no other
    assert "2 processes of CPU, 1 thread(s)" in log
    assert same(bench.read("trained.safetensors"), one.read("trained.safetensors"))
    bench.run(
        FINETUNING, *TWO, "--weights", one.folder / "trained.safetensors", out="tuned.safetensors"
    )
    assert same(bench.read("tuned.safetensors"), one.read("tuned.safetensors"))


def test_torchrun_evaluates_each_image_once(one, bench):
    """Started from outside; 48 images in batches of 10, so that the shares are not even: the very files that one process writes."""
    script = bench.folder / "smaller.py"
    script.write_text(
        "import sys; from fixres.stages import evaluate; evaluate.BATCH = 10; evaluate.main(sys.argv[2:])"
    )
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, launcher, threads in (("alone", [], 1), ("shared", torchrun, 2)):
        options = ["--weights", one.folder / "tuned.safetensors", "--threads", threads]
        command = map(
            str,
            [
                sys.executable,
                *launcher,
                script,
                *bench.command(EVALUATE, *options, out=f"{name}/metrics.json"),
            ],
        )
        result = subprocess.run(
            list(command), capture_output=True, text=True, env=ENVIRONMENT, timeout=120, check=False
        )
        assert result.returncode == 0, result.stderr
    for file in ("metrics.json", "predictions/k24.npz", "predictions/k32.npz"):
        assert (bench.folder / "alone" / file).read_bytes() == (
            bench.folder / "shared" / file
        ).read_bytes()


def start(bench: Bench, *options: object) -> subprocess.Popen:
    """Two processes in training; returns once a new checkpoint stands."""
    seen = (
        set(os.listdir(bench.folder / "checkpoints"))
        if (bench.folder / "checkpoints").exists()
        else set()
    )
    command = [
        sys.executable,
        "-m",
        "fixres",
        *map(str, bench.command(TRAINING, *TWO, "--checkpoint-seconds", 0)),
    ]
    # What a launcher that is killed leaves in the temporary folder goes with the test's.
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT | {"TMPDIR": str(bench.folder)}
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if any(
            f.startswith("step-")
            for f in set(os.listdir(bench.folder / "checkpoints")) - seen
            if (bench.folder / "checkpoints").exists()
        ):
            return process
        time.sleep(0.01)
    raise AssertionError(process.communicate()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_killed_and_resumed_with_another_number_of_processes(one, bench):
    """The one that watches is killed: nobody trains on. One of the two is killed: all end, with one message. One process finishes."""
    (bench.folder / "checkpoints").mkdir()
    process = start(bench)
    workers = children(process.pid)
    assert len(workers) == 2
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers))

    process = start(bench)
    os.kill(children(process.pid)[1], signal.SIGKILL)
    log = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert log.count("error in train: process 1 of 2 was ended by SIGKILL") == 1
    assert "Traceback" not in log
    assert log.count("resuming after step") == 1

    assert "resuming after step" in bench.run(TRAINING).stderr
    assert same(bench.read(), one.read("trained.safetensors"))


def test_an_error_in_one_process_ends_all_and_is_told_once(one, tmp_path, tiny):
    """The last image is gone, which the second process has to load: the first cannot know."""
    import shutil

    shutil.copytree(tiny.folder, tmp_path / "set")
    data = manifest.load(one.folder / "manifest.npz")
    data = manifest.Manifest(**{**vars(data), "folder": tmp_path / "set"})
    bench = Bench(tmp_path, data)
    [victim] = data.files(data.rows("val")[-1:])
    os.unlink(victim)
    result = fixres(
        *bench.command(
            EVALUATE, *TWO, "--weights", one.folder / "tuned.safetensors", out="metrics.json"
        )
    )
    assert result.returncode == 1
    assert result.stderr.count("error in evaluate") == 1
    assert victim in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("recipe", "processes", "parts"),
    [
        ({"batch_size": 12, "micro_batch": 5}, 1, ("base_training.micro_batch 5", "divides 12")),
        ({"batch_size": 12, "micro_batch": 3}, 3, ("4 micro-batch(es)", "--processes 1 or 2 or 4")),
        (
            {"batch_size": 12, "micro_batch": 64},
            2,
            ("1 micro-batch(es)", "base_training.batch_size 12"),
        ),
    ],
)
def test_micro_batches_that_cannot_be_shared_are_told(recipe, processes, parts):
    with pytest.raises(JobError) as error:
        sgd.batching(recipe, Ranks(0, processes), "base_training")
    assert all(part in str(error.value) for part in parts)


@pytest.mark.parametrize("name", ["processes", "workers", "threads", "nodes"])
def test_none_of_what_a_job_needs_is_told(name):
    with pytest.raises(JobError, match=f"--{name}: found 0, expected 1 or more"):
        processes.run(lambda *_: None, told(**{name: 0}), [])


def test_by_default_the_jobs_threads_cut_the_images():
    args = told(threads=3)
    processes.run(lambda *_: None, args, [])
    assert args.workers == 3


def test_devices_that_are_not_there_are_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [pick("auto", Ranks(r, 2, r, 2)) for r in range(2)] == [
        torch.device("cuda", 0),
        torch.device("cuda", 1),
    ]
    assert pick("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(JobError, match=r"--processes 4: torch finds 2 CUDA device"):
        pick("auto", Ranks(2, 4, 2, 4))
    with pytest.raises(JobError, match="use --device cuda"):
        pick("cuda:1", Ranks(0, 2, 0, 2))
    with pytest.raises(JobError, match="expected auto, cpu, cuda"):
        pick("gpu0")


# --- pieces ------------------------------------------------------------------------------------------------------------------


@given(n=st.integers(0, 300), chunk=st.integers(1, 40), size=st.integers(1, 9))
def test_shares_are_contiguous_and_cover_everything_once(n, chunk, size):
    parts = [Ranks(rank, size).share(n, chunk) for rank in range(size)]
    assert [i for part in parts for i in range(n)[part]] == list(range(n))
    assert all(part.start % chunk == 0 or part.start == n for part in parts)
    assert max(p.stop - p.start for p in parts) <= -(-n // size) + chunk


@settings(deadline=None)
@given(
    seed=st.integers(0, 5),
    micro=st.sampled_from([2, 4, 8, 16]),
    repeats=st.integers(1, 3),
    first=st.integers(0, 5),
)
def test_ranks_see_the_same_micro_batches_whatever_their_number(seed, micro, repeats, first):
    """Two epochs of 40 images, batches of 16: the micro-batches of one process, dealt out."""

    def seen(rank, world):
        drawn = sampling.stream(
            seed, 40, 40 * repeats, 16, first, 2 * (40 * repeats // 16), repeats, micro, rank, world
        )
        return [(epoch, tuple(image), tuple(repeat)) for epoch, image, repeat in drawn]

    alone = seen(0, 1)
    assert all(len(image) == micro for _, image, _ in alone)
    for world in (2, 4, 8):
        here = 16 // micro // world
        if here:
            dealt = zip(
                *(zip(*[iter(seen(rank, world))] * here, strict=True) for rank in range(world)),
                strict=True,
            )
            assert [m for step in dealt for share in step for m in share] == alone
    within = [
        pair
        for epoch, image, repeat in alone
        if epoch == 1
        for pair in zip(image, repeat, strict=True)
    ]
    assert len(set(within)) == len(within)


@settings(deadline=None)
@given(n=st.integers(1, 33), values=st.randoms(use_true_random=False))
def test_the_tree_of_the_halves_is_the_tree(n, values):
    """Bit for bit in float32, where the order of additions shows; and leaves are called in order."""
    leaves = [
        torch.tensor([values.uniform(-1, 1) * 10 ** values.randint(-6, 6)]) for _ in range(2 * n)
    ]
    called = []

    def leaf(i):
        called.append(i)
        return [leaves[i]]

    [whole] = sgd.tree_sum(leaf, 0, 2 * n)
    assert called == list(range(2 * n))
    assert torch.equal(whole, sgd.tree_sum(leaf, 0, n)[0] + sgd.tree_sum(leaf, n, n)[0])
    torch.testing.assert_close(
        whole.double(), torch.stack(leaves).double().sum(0), rtol=1e-4, atol=1e-1
    )


def test_a_step_is_the_mean_over_micro_batches(tmp_path):
    """Against copies of the network, one a micro-batch, as eight devices would hold them: gradients and running statistics averaged."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.Flatten(),
        torch.nn.LazyLinear(5),
    )
    network(torch.zeros(2, 3, 6, 6))
    reference = copy.deepcopy(network)
    recipe = RECIPE | {"epochs": 1, "batch_size": 12, "micro_batch": 2, "warmup": 0.0}
    batches = [(torch.randn(2, 3, 6, 6), torch.randint(5, (2,))) for _ in range(6 * 3)]
    optimiser = torch.optim.SGD(
        reference.parameters(), lr=1, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    for step in range(3):
        copies = [copy.deepcopy(reference) for _ in range(6)]
        for one, (x, y) in zip(copies, batches[6 * step : 6 * step + 6], strict=True):
            torch.nn.functional.cross_entropy(one(x), y).backward()
        optimiser.param_groups[0]["lr"] = sgd.learning_rate(recipe, step, 3)
        for p, *theirs in zip(
            reference.parameters(), *(c.parameters() for c in copies), strict=True
        ):
            p.grad = torch.stack([q.grad for q in theirs]).mean(0)
        for b, *theirs in zip(reference.buffers(), *(c.buffers() for c in copies), strict=True):
            b.copy_(torch.stack(theirs).double().mean(0))
        optimiser.step()

    def stream(first):
        return (((x,), y) for x, y in batches[6 * first :])

    sgd.fit(
        network,
        network,
        stream,
        recipe,
        3,
        Checkpoints(tmp_path, "k"),
        100,
        CPU,
        sgd.batching(recipe, ALONE, "base_training"),
    )
    for (name, ours), theirs in zip(
        network.state_dict().items(), reference.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, msg=lambda m, name=name: f"{name}: {m}")
    assert network[1].num_batches_tracked == 4  # one from the first pass above, one a step


def test_dropout_depends_on_its_coordinates_alone(tmp_path):
    """Interrupted after four steps, or undisturbed: the same bits."""
    recipe = RECIPE | {"epochs": 2, "batch_size": 8, "micro_batch": 4}
    data = [(torch.randn(4, 6), torch.randint(3, (4,))) for _ in range(2 * 8)]
    batch = sgd.batching(recipe, ALONE, "base_training")

    def trained(folder, seed, stop=None):
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(6, 3))

        def stream(first):
            for i, (x, y) in enumerate(data[2 * first :], 2 * first):
                if i == stop:
                    raise InterruptedError
                yield (x,), y

        sgd.fit(
            network,
            network,
            stream,
            recipe,
            4,
            Checkpoints(tmp_path / folder, "k"),
            0,
            CPU,
            batch,
            seed=seed,
        )
        return network.state_dict()

    undisturbed = trained("a", 1)
    with pytest.raises(InterruptedError):
        trained("b", 1, stop=9)
    assert same(trained("b", 1), undisturbed)
    assert not same(trained("c", 2), undisturbed)
