"""Several processes (gloo, on the CPU) do the work of one.

They see the same images, compute the same bits and end with one message. A job resumes with
another number of processes.
"""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench import EVALUATE, FINETUNE, TRAIN, TWO_PROCESSES, Bench, same, wait_for
from fixres.artifacts import manifest
from fixres.hardware import processes
from fixres.hardware.device import pick_device
from fixres.hardware.ranks import Ranks
from fixres.jobs import JobError
from shared import ENVIRONMENT, alive, children, fixres, machine_options

SMALL = {"micro_batch": 3}  # four micro-batches of three images
OWN = {"cutmix": 0.5, "epochs": 6, "repeats": "spread"}
TRAINING = TRAIN | {"recipe": TRAIN["recipe"] | SMALL | OWN}
FINETUNING = FINETUNE | {"recipe": FINETUNE["recipe"] | SMALL}


@pytest.fixture(scope="module")
def one(tmp_path_factory, tiny) -> Bench:
    """Trained, fine-tuned and evaluated by one process."""
    bench = Bench(tmp_path_factory.mktemp("one"), tiny)
    trained, tuned = (bench.folder / name for name in ("trained.safetensors", "tuned.safetensors"))
    bench.run(TRAINING, out=trained.name)
    bench.run(FINETUNING, "--weights", trained, out=tuned.name)
    bench.run(EVALUATE, "--weights", tuned, out="metrics.json")
    return bench


# --- jobs ------------------------------------------------------------------------------------


def test_two_processes_compute_the_bits_of_one(one, bench):
    log = bench.run(TRAINING, *TWO_PROCESSES, out="trained.safetensors").stderr
    assert log.count("4 × 3") == 1  # process 0 logs, and no other
    assert "2 processes of CPU, 1 thread(s)" in log
    assert same(bench.read("trained.safetensors"), one.read("trained.safetensors"))
    trained = one.folder / "trained.safetensors"
    bench.run(FINETUNING, *TWO_PROCESSES, "--weights", trained, out="tuned.safetensors")
    assert same(bench.read("tuned.safetensors"), one.read("tuned.safetensors"))


def test_torchrun_evaluates_each_image_once(one, bench):
    """Started from outside, the job writes the very files that one process writes.

    It has 48 images in batches of 10, so that the shares are not even.
    """
    script = bench.folder / "smaller.py"
    script.write_text(
        "import sys; from fixres.data import requests; from fixres.stages import evaluate; "
        "requests.BATCH = 10; evaluate.main(sys.argv[2:])"
    )
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, launcher, threads in (("alone", [], 1), ("shared", torchrun, 2)):
        options = ["--weights", one.folder / "tuned.safetensors", "--threads", threads]
        job = bench.command(EVALUATE, *options, out=f"{name}/metrics.json")
        command = list(map(str, [sys.executable, *launcher, script, *job]))
        result = subprocess.run(
            command, capture_output=True, text=True, env=ENVIRONMENT, timeout=120, check=False
        )
        assert result.returncode == 0, result.stderr
    for file in ("metrics.json", "hits.npz", "predictions/k24.npz", "predictions/k32.npz"):
        alone, shared = (bench.folder / name / file for name in ("alone", "shared"))
        assert alone.read_bytes() == shared.read_bytes()


def start_two(bench: Bench) -> subprocess.Popen:
    """Two processes in training; returns once a new checkpoint is there."""
    before = bench.checkpoints()
    process = bench.start(TRAINING, *TWO_PROCESSES, "--checkpoint-seconds", 0)
    wait_for(lambda: bench.checkpoints() - before, process)
    return process


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_killed_and_resumed_with_another_number_of_processes(one, bench):
    """Three starts of one training.

    The process that watches is killed: its processes do not train on. One of the two is killed: all
    end, with one message. A job of one process finishes.
    """
    process = start_two(bench)
    workers = children(process.pid)
    assert len(workers) == 2
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 20
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, workers))

    process = start_two(bench)
    os.kill(children(process.pid)[1], signal.SIGKILL)
    log = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert log.count("error in train: process 1 of 2: ended by SIGKILL") == 1
    assert "Traceback" not in log
    assert log.count("resuming after step") == 1

    assert "resuming after step" in bench.run(TRAINING).stderr
    assert same(bench.read(), one.read("trained.safetensors"))


def test_an_error_in_one_process_ends_all_and_is_told_once(one, tmp_path, tiny):
    """The last image is gone. The second process has to load it, so the first cannot know."""
    shutil.copytree(tiny.folder, tmp_path / "set")
    data = manifest.load(one.folder / "manifest.npz")
    data = manifest.Manifest(**{**vars(data), "folder": tmp_path / "set"})
    bench = Bench(tmp_path, data)
    [victim] = data.files(data.rows("val")[-1:])
    os.unlink(victim)
    options = [*TWO_PROCESSES, "--weights", one.folder / "tuned.safetensors"]
    result = fixres(*bench.command(EVALUATE, *options, out="metrics.json"))
    assert result.returncode == 1
    assert result.stderr.count("error in evaluate") == 1
    assert victim in result.stderr
    assert "Traceback" not in result.stderr


# --- options of the machine ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["processes", "workers", "threads", "nodes"])
def test_none_of_what_a_job_needs_is_told(name):
    """0 of something that a job needs is an error."""
    with pytest.raises(JobError, match=f"--{name}: too small .got 0, expected 1 or more"):
        processes.run(lambda *_: None, machine_options(**{name: 0}), [])


def test_by_default_the_jobs_threads_cut_the_images():
    args = machine_options(threads=3)
    processes.run(lambda *_: None, args, [])
    assert args.workers == 3


@pytest.mark.parametrize(("workers", "of_each"), [(None, 2), (6, 6)])
def test_workers_belong_to_each_process(workers, of_each):
    """Two of four processes on this machine: the threads are shared, given workers are not."""
    args = machine_options(threads=4, workers=workers)
    assert processes.with_workers(args, Ranks(3, 4, 1, 2)).workers == of_each


def test_devices_that_are_not_there_are_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    picked = [pick_device("auto", Ranks(r, 2, r, 2)) for r in range(2)]
    assert picked == [torch.device("cuda", 0), torch.device("cuda", 1)]
    assert pick_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(JobError, match=r"--processes 4: too few CUDA devices \(torch finds 2\)"):
        pick_device("auto", Ranks(2, 4, 2, 4))
    with pytest.raises(JobError, match="Use --device cuda"):
        pick_device("cuda:1", Ranks(0, 2, 0, 2))
    with pytest.raises(JobError, match="expected auto, cpu, cuda"):
        pick_device("gpu0")


# --- shares ----------------------------------------------------------------------------------


@given(n=st.integers(0, 300), chunk=st.integers(1, 40), size=st.integers(1, 9))
def test_shares_are_contiguous_and_cover_everything_once(n, chunk, size):
    parts = [Ranks(rank, size).share(n, chunk) for rank in range(size)]
    assert [i for part in parts for i in range(n)[part]] == list(range(n))
    assert all(part.start % chunk == 0 or part.start == n for part in parts)
    assert max(p.stop - p.start for p in parts) <= -(-n // size) + chunk
