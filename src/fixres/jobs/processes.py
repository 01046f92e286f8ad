"""One job on several devices: one process a device, started here or by torchrun, that agree on everything but their share of the work.

    python -m fixres train … --gpus 8                                        # leases eight devices, starts and watches a process for each
    python -m fixres train … --gpus 8 --nodes 2                              # in a SLURM allocation: `across` prints what it becomes
    torchrun --nnodes 2 --nproc-per-node 8 … -m fixres train …              # the same code, started from outside

Every process builds the same network and walks through the same steps; a step's images are shared evenly (`sampling.rank_slice`), gradients and
batch-norm statistics are summed with an explicit all_reduce (`sgd.fit`), and process 0 alone logs and writes. There is no
DistributedDataParallel: one place sums, in one order, and what it computes is written down there.
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

import torch

from fixres.jobs import leases
from fixres.jobs.errors import JobError
from fixres.jobs.logs import log
from fixres.jobs.ranks import Ranks
from fixres.jobs.stopping import Stopped, when_parent_ends

ERRORS = "FIXRES_ERRORS"  # the folder in which a process leaves the exception that ended it; set by `_launch` alone
SIGNALS = (
    "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"  # which torch's launcher passes on to the processes
)
PORT = 20000  # the first of 10000 ports on which the processes of several nodes meet
PATIENCE = timedelta(
    hours=2
)  # for one collective: processes may drift apart by as much as one of them has to load


def run(
    stage: Callable[[argparse.Namespace, Ranks], None], args: argparse.Namespace, command: list[str]
) -> None:
    """Run a stage in this process, or in as many as the job's devices, --processes or torchrun ask for.

    Parameters
    ----------
    args : with `gpus`, `nodes`, `processes`, `device`, `threads` and `workers`.
    command : the same as words, behind `python -m fixres`, to start the processes with.
    """
    for name, least in (
        ("gpus", 0),
        ("nodes", 1),
        ("processes", 1),
        ("threads", 1),
        ("workers", 1),
    ):
        if getattr(args, name) is not None and getattr(args, name) < least:
            raise JobError(f"--{name}: found {getattr(args, name)}, expected {least} or more")
    args.workers = args.workers or args.threads
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        _join(stage, args)
        return
    if args.nodes > 1:
        words = across(
            args.nodes, args.processes or args.gpus // args.nodes or 1, args.threads, command
        )
        log(shlex.join(words))
        os.execvp(words[0], words)
    held = leases.take(args.gpus, args.device)
    if held and args.device == "auto":
        args.device, command = (
            "cuda",
            [*command, "--device", "cuda"],
        )  # not the processor, if the driver fails
    processes = args.processes or max(1, len(held))
    if processes > 1:
        _launch(processes, command)
    else:
        stage(args, Ranks())


def across(nodes: int, processes: int, threads: int, command: list[str]) -> list[str]:
    """The command that runs a job on all nodes of a SLURM allocation: one torchrun on each, which meet on the first, where this runs.

    Parameters
    ----------
    processes, threads : on each node.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        raise JobError(
            f"--nodes {nodes}: this is no SLURM allocation (SLURM_JOB_ID is not set); take 1, or start torchrun yourself"
        )
    step = [
        "srun",
        f"--nodes={nodes}",
        f"--ntasks={nodes}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={threads}",
        "--kill-on-bad-exit=1",
    ]
    meeting = [
        "--rdzv-backend=c10d",
        f"--rdzv-id={job}",
        f"--rdzv-endpoint={socket.gethostname()}:{PORT + int(job) % 10000}",
    ]
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        f"--nnodes={nodes}",
        f"--nproc-per-node={processes}",
        "--max-restarts=0",
    ]
    return [*step, *torchrun, f"--signals-to-handle={SIGNALS}", *meeting, "-m", "fixres", *command]


def _join(stage: Callable[[argparse.Namespace, Ranks], None], args: argparse.Namespace) -> None:
    """This is one of several processes: meet the others, do the share, leave."""
    from fixres.jobs.device import pick

    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    ranks = Ranks(
        *(
            int(os.environ.get(name, default))
            for name, default in zip(names, (0, 1, 0, 1), strict=True)
        )
    )
    launched = os.environ.get(ERRORS)
    if launched:
        when_parent_ends(signal.SIGKILL)  # nobody trains on when the process that watches is killed
    silence = (
        contextlib.nullcontext()
        if ranks.first
        else contextlib.redirect_stderr(open(os.devnull, "w"))
    )  # noqa: SIM115
    try:
        with silence, _group(pick(args.device, ranks)):
            stage(args, ranks)
    except BaseException as error:
        if not launched:  # torchrun reports
            raise
        _leave(error, Path(launched), ranks)
        os._exit(1)  # at once: the others are stopped; an orderly end could wait for them


@contextlib.contextmanager
def _group(device: torch.device) -> Iterator[None]:
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # Both: gradients travel between the devices, predictions and checkpoints between the processors.
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE
    )
    yield
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def _leave(error: BaseException, folder: Path, ranks: Ranks) -> None:
    """Leave the exception for the process that started this one."""
    error.add_note(
        f"in process {ranks.rank} of {ranks.size}:\n{''.join(traceback.format_exception(error))}"
    )
    try:
        content = pickle.dumps(error)
        pickle.loads(content)  # some exceptions can be written, but not read
    except Exception:
        content = pickle.dumps(RuntimeError("\n".join(error.__notes__)))
    temporary = folder / f".{ranks.rank}"
    temporary.write_bytes(content)
    temporary.rename(folder / f"{time.time_ns():020d}-{ranks.rank}")


def _launch(processes: int, command: list[str]) -> None:
    """Start the processes with torch's launcher (torchrun's), watch them, and end as they do.

    The first that fails ends all; its exception is raised here, so that a person reads it once, as from a job of one process.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(
        logging.CRITICAL
    )  # what it would say is raised below, as one message
    with tempfile.TemporaryDirectory(prefix="fixres-") as folder:
        os.environ[ERRORS] = folder
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            signals_to_handle=SIGNALS,
        )
        try:
            elastic_launch(config, sys.executable)("-m", "fixres", *command)
        except ChildFailedError as error:
            killed = {rank: f for rank, f in error.failures.items() if f.exitcode < 0}
            left = sorted(Path(folder).glob("[0-9]*-*"))
            if killed:  # before `left`: the others then fail because they lost it
                rank, failure = killed.popitem()
                raise JobError(
                    f"process {rank} of {processes} was ended by {failure.signal_name()}, and the others with it (SIGKILL: perhaps the "
                    "memory ran out). The same command resumes from the newest checkpoint"
                ) from None
            if left:
                raise pickle.loads(left[0].read_bytes()) from None
            raise JobError(
                f"{processes} processes: one ended with an error of its own; see the lines above"
            ) from None
        except SignalException as stopped:
            if stopped.sigval == signal.SIGINT:
                raise KeyboardInterrupt from None
            raise Stopped(stopped.sigval.name) from None
