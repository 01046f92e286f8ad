"""The trial: how fast a network is on this machine, whoever else is at work there.

A round is a few forward passes. Rounds go on until the fastest of them agree. Where the machine is
busy, the time on the clock says more of the others' work than of the network's, and the processor
time of the network's own threads counts instead.
"""

import os
import time
from collections.abc import Callable
from typing import NamedTuple

from fixres.jobs import JobError
from fixres.recommend import words

PRECISION = "fp32"
BATCH = 32  # images; also of the throughput that is measured
FEWEST, MOST = 3, 9  # rounds
APART = 1.1  # rounds agree where the slowest of the FEWEST fastest takes at most so many times
# The machine is busy where a round takes so many times the processor time of its threads.
BUSY = 1.25


class Round(NamedTuple):
    """What one round took."""

    clock: float  # seconds
    processor: float  # seconds of one thread, were all equally at work; 0: a GPU computes


class Pace(NamedTuple):
    """What the rounds say together."""

    seconds: float  # of one forward pass on an idle machine
    busy: bool  # whether others were at work
    agree: bool  # whether the fastest rounds agree
    rounds: int


def trial(custom: dict) -> float:
    """Multiply-adds a second of the network's forward pass on this machine, by a short trial."""
    import torch

    from fixres.hardware.device import open_device
    from fixres.models import construct
    from fixres.models.catalogue import zoo
    from fixres.stages.speed import crops, peak_of

    network, largest = custom["network"], max(custom["k_test"])
    device = open_device(precision=PRECISION, threads=threads())
    kind = device.device.type
    words.check_room("--k-test", BATCH, largest, kind)
    entry, k = zoo.entry_of({"network": custom["name"], "entry": network}), network["native"]
    try:
        model = construct.build(entry, network["outputs"], 0).to(device.device).eval()
        x = crops(BATCH, k, device)

        def once() -> Round:
            started, spent = device.clock(), time.process_time()
            with torch.no_grad(), device.autocast():
                model(x)
            busy = (time.process_time() - spent) / threads() if kind == "cpu" else 0.0
            return Round(device.clock() - started, busy)

        once()  # the first pass prepares
        found = pace(once)
        peak = peak_of(model, crops(BATCH, largest, device), device)
    except RuntimeError as error:  # torch's of no memory, on a GPU or not, and of the network
        problem = f"a forward pass of {BATCH} images fails here ({str(error).splitlines()[0]})"
        raise JobError(f"--k-test {largest}: {problem}. Take smaller test resolutions") from None
    rate = BATCH * network["multiply_adds"] / found.seconds
    where = f"cpu, {threads()} threads" if kind == "cpu" else "GPU"
    print(
        f"trial ({where}): {BATCH / found.seconds:.3g} images/s at {k} px; "
        f"{peak / 1e6:,.0f} MB for {BATCH} images at {largest} px"
    )
    if remark := described(found):
        print(f"note: {remark}")
    return float(f"{rate:.3g}")


def pace(once: Callable[[], Round]) -> Pace:
    """Take rounds until the fastest agree, or MOST of them."""
    rounds: list[Round] = []
    agree = False
    while not agree and len(rounds) < MOST:
        rounds.append(once())
        times = sorted(r.processor or r.clock for r in rounds)
        agree = len(rounds) >= FEWEST and times[FEWEST - 1] <= APART * times[0]
    clock = min(r.clock for r in rounds)
    processor = min(r.processor for r in rounds)
    busy = 0 < processor * BUSY < clock
    return Pace(processor if busy else clock, busy, agree, len(rounds))


def described(found: Pace) -> str:
    """What to know of a trial that others have disturbed; "": nothing."""
    parts = []
    if found.busy:
        parts.append(
            "other programs are using the processor, so the speed is computed from processor time "
            "and the plan's minutes hold for an idle machine"
        )
    if not found.agree:
        parts.append(f"the times of {found.rounds} rounds differ, so the plan's minutes are rough")
    return "; ".join(parts)


def threads() -> int:
    """Threads of a job of such a plan: all, within reason."""
    return min(os.cpu_count() or 1, 16)
