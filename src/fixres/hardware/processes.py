"""One job on several devices, with one process per device.

    python -m fixres train … --gpus 8              leases 8 devices, starts and watches 8 processes
    python -m fixres train … --gpus 8 --nodes 2    in a SLURM allocation: see `torchrun_on_nodes`
    torchrun --nnodes 2 --nproc-per-node 8 … -m fixres train …   the same code, started by torchrun

Every process builds the same network and takes the same steps. The processes share the images of a
step evenly (`sampling.rank_slice`). An explicit all_reduce sums gradients and batch-norm statistics
(`sgd.fit`). Only process 0 logs and writes. DistributedDataParallel is not used, so that sums are
computed in one place, in an order that is visible there.
"""

import argparse
import contextlib
import logging
import os
import pickle
import shlex
import signal
import socket
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import torch

from fixres.hardware import leases
from fixres.hardware.device import pick_device
from fixres.hardware.ranks import ALONE, Ranks
from fixres.jobs.errors import JobError
from fixres.jobs.logs import log
from fixres.jobs.stopping import Stopped, when_parent_ends

# Environment variable, set by `_launch`: folder where a failing process leaves its exception.
ERRORS = "FIXRES_ERRORS"
SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"  # torch's launcher forwards these
FIRST_PORT = 20000  # of 10000 ports, on one of which the processes of several nodes meet
# For one collective operation, in which the other processes wait while one loads.
COLLECTIVE_TIMEOUT = timedelta(hours=2)

Stage = Callable[[argparse.Namespace, Ranks], None]


def run(stage: Stage, args: argparse.Namespace, command: list[str]) -> None:
    """Run a stage in this process, or in several (by default one per device).

    `command` has the options of `args` as words, to start processes with `python -m fixres`. Raises
    JobError if an option is out of range, or if devices or the allocation are missing.
    """
    _check_counts(args)
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        _run_as_rank(stage, args)
        return
    if args.nodes > 1:
        processes = args.processes or args.gpus // args.nodes or 1
        words = torchrun_on_nodes(args.nodes, processes, args.threads, command)
        log(shlex.join(words))
        os.execvp(words[0], words)
    leased = leases.lease_devices(args.gpus, args.device)
    if leased and args.device == "auto":
        args.device = "cuda"  # a driver failure is an error, with no fallback to the processor
        command = [*command, "--device", "cuda"]
    processes = args.processes or max(1, len(leased))
    if processes > 1:
        _launch(processes, command)
    else:
        stage(with_workers(args, ALONE), ALONE)


def with_workers(args: argparse.Namespace, ranks: Ranks) -> argparse.Namespace:
    """The options, with this process's number of workers; default: its share of the threads."""
    args.workers = args.workers or ranks.portion(args.threads)
    return args


def _check_counts(args: argparse.Namespace) -> None:
    least = {"gpus": 0, "nodes": 1, "processes": 1, "threads": 1, "workers": 1}
    for name, smallest in least.items():
        value = getattr(args, name)
        if value is not None and value < smallest:
            raise JobError(f"--{name}: too small (got {value}, expected {smallest} or more).")


# --- several machines ------------------------------------------------------------------------


def torchrun_on_nodes(nodes: int, processes: int, threads: int, command: list[str]) -> list[str]:
    """The command that runs a job on all nodes of a SLURM allocation; JobError if there is none.

    srun starts one torchrun per node, which starts `processes` with `threads` in total. They meet
    on the node of this process.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        raise JobError(
            f"--nodes {nodes}: not in a SLURM allocation (SLURM_JOB_ID is not set). "
            "Use 1, or start torchrun yourself."
        )
    srun = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    srun += [f"--cpus-per-task={threads}", "--kill-on-bad-exit=1"]
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    shape = [f"--nnodes={nodes}", f"--nproc-per-node={processes}", "--max-restarts=0"]
    place = f"{socket.gethostname()}:{FIRST_PORT + int(job) % 10000}"
    meeting = ["--rdzv-backend=c10d", f"--rdzv-id={job}", f"--rdzv-endpoint={place}"]
    options = [*shape, f"--signals-to-handle={SIGNALS}", *meeting]
    return [*srun, *torchrun, *options, "-m", "fixres", *command]


# --- one of several processes ----------------------------------------------------------------


def _run_as_rank(stage: Stage, args: argparse.Namespace) -> None:
    """Run a stage as one of several processes: connect to the others, do a share, disconnect."""
    defaults = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}
    ranks = Ranks(*(int(os.environ.get(name, default)) for name, default in defaults.items()))
    launched = os.environ.get(ERRORS)
    if launched:
        # If the watching process is killed, its processes must not continue to train.
        when_parent_ends(signal.SIGKILL)
    silence = contextlib.nullcontext()
    if not ranks.first:
        nowhere = open(os.devnull, "w")  # noqa: SIM115 (stays open, as a logger may keep it)
        silence = contextlib.redirect_stderr(nowhere)
    try:
        with silence, _process_group(pick_device(args.device, ranks)):
            stage(with_workers(args, ranks), ranks)
    except BaseException as error:
        if not launched:  # torchrun reports the error
            raise
        _leave_exception(error, Path(launched), ranks)
        os._exit(1)  # at once, because an orderly end could wait for the stopped processes


@contextlib.contextmanager
def _process_group(device: torch.device) -> Iterator[None]:
    """Connect the processes within the block."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # CUDA needs both: gradients travel between devices, predictions and checkpoints between CPUs.
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=COLLECTIVE_TIMEOUT
    )
    yield
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def _leave_exception(error: BaseException, folder: Path, ranks: Ranks) -> None:
    """Write the exception into `folder`, for the parent process (`_raise_cause`)."""
    lines = "".join(traceback.format_exception(error))
    error.add_note(f"in process {ranks.rank} of {ranks.size}:\n{lines}")
    try:
        content = pickle.dumps(error)
        pickle.loads(content)  # some exceptions can be pickled, but not unpickled
    except Exception:
        content = pickle.dumps(RuntimeError("\n".join(error.__notes__)))
    temporary = folder / f".{ranks.rank}"
    temporary.write_bytes(content)
    temporary.rename(folder / f"{time.time_ns():020d}-{ranks.rank}")


# --- the process that starts and watches the others ------------------------------------------


def _launch(processes: int, command: list[str]) -> None:
    """Start the processes with torch's launcher (as torchrun does), watch them, and end as they do.

    The first process that fails ends all. Its exception is raised here, so that a person gets one
    message, as from a job with one process.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # torch's launcher stays silent, because its error is raised below as one message.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="fixres-") as folder:
        os.environ[ERRORS] = folder
        shape = {"min_nodes": 1, "max_nodes": 1, "nproc_per_node": processes, "max_restarts": 0}
        meet = {"run_id": uuid.uuid4().hex, "rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0"}
        watched = {"logs_specs": DefaultLogsSpecs(log_dir=folder), "signals_to_handle": SIGNALS}
        config = LaunchConfig(local_addr="localhost", **shape, **meet, **watched)
        try:
            elastic_launch(config, sys.executable)("-m", "fixres", *command)
        except ChildFailedError as error:
            _raise_cause(error.failures, processes, Path(folder))
        except SignalException as stopped:
            if stopped.sigval == signal.SIGINT:
                raise KeyboardInterrupt from None
            raise Stopped(stopped.sigval.name) from None


def _raise_cause(failures: dict, processes: int, folder: Path) -> NoReturn:
    """Raise the one error that explains why the processes failed.

    `failures`: rank -> torch's ProcessFailure. `folder`: contains the exceptions of the processes.
    """
    killed = {rank: failure for rank, failure in failures.items() if failure.exitcode < 0}
    if killed:  # checked first: the others have failed because they lost the killed process
        rank, failure = killed.popitem()
        raise JobError(
            f"process {rank} of {processes}: ended by {failure.signal_name()}, which stopped the "
            "others too (after SIGKILL, memory may have run out). "
            "Run the same command again to resume from the newest checkpoint."
        ) from None
    left = sorted(folder.glob("[0-9]*-*"))
    if left:
        raise pickle.loads(left[0].read_bytes()) from None
    raise JobError(
        f"{processes} processes: one failed without a reported exception. See the lines above."
    ) from None
