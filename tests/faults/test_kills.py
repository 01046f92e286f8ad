"""kill -9 at random moments of a smoke run of Table 5.

After each kill the same command is given again. In the end the bytes are the undisturbed ones.
"""

import random
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faults.helpers import (
    ADAPTED,
    LARGE_BASE,
    PATIENCE,
    SMALL_BASE,
    different_results,
    fresh_workflow,
    jobs_in,
    kill,
    processes_in,
    said_by,
    start,
    wait_until,
)
from shared import PAGES, Workflow

# How often each of three workers kills each victim: 30 kills in all. The workers run side by side,
# each in folders of its own.
VICTIMS = ("render", "manifest", "train", "finetune", "evaluate", "table", "figure", "snakemake")
WANTED = [
    dict(zip(VICTIMS, numbers, strict=True))
    for numbers in ((1, 1, 2, 2, 2, 1, 0, 1), (1, 1, 2, 1, 2, 0, 1, 2), (1, 1, 2, 2, 1, 1, 0, 2))
]
ORDER = (  # of the kills in one run
    "render",
    "manifest",
    "train",
    "snakemake",
    "finetune",
    "evaluate",
    "snakemake",
    "table",
    "figure",
)
# At most so many runs from empty results. One or two are enough, unless too many processes end
# before they are killed.
ROUNDS = 8
LATEST = 0.7  # share of a job's life in which it is killed; later, most would have ended
SOONER = 0.7  # by how much lives are taken to be shorter after a process that ended too early
PAGE_SECONDS = 0.6  # life of a page's job on a fast machine; it leaves no benchmark


def test_kill_9_thirty_times(undisturbed, tmp_path, happened):
    seconds = shortest_lives(undisturbed.folder)
    workers = [
        Worker(tmp_path / str(seed), seed, wanted, seconds, undisturbed)
        for seed, wanted in enumerate(WANTED)
    ]
    with ThreadPoolExecutor(len(workers)) as pool:
        for finished in [pool.submit(worker.work) for worker in workers]:
            finished.result()
    kills = sum((worker.kills for worker in workers), Counter())
    assert kills == sum(map(Counter, WANTED), Counter())
    happened_to = {"snakemake": "Snakemake itself", "render": "rendering the images"}
    for victim, n in kills.items():
        after = "`--unlock`, then the same command" if victim == "snakemake" else "the same command"
        happened(
            "kill -9 at a random moment",
            happened_to.get(victim, victim),
            n,
            f"{after}: the undisturbed run's bytes",
        )
    rounds = sum(worker.rounds for worker in workers)
    resumable = sum(worker.resumable for worker in workers)
    print(
        f"\n{kills.total()} kills in {rounds} runs; "
        f"{resumable} times a checkpoint was there to go on from"
    )


def shortest_lives(folder: Path) -> dict[str, float]:
    """Stage -> seconds of its shortest job, from Snakemake's benchmarks."""
    files = {
        "render": "results/data/pinhole-smoke/render/benchmark.tsv",
        "manifest": "results/data/pinhole-smoke/manifest/benchmark.tsv",
        "train": f"{SMALL_BASE}/train.benchmark.tsv",
        "finetune": f"{ADAPTED}/finetune.benchmark.tsv",
        "evaluate": f"{LARGE_BASE}/evaluation/benchmark.tsv",
    }
    seconds = {
        stage: float((folder / file).read_text().splitlines()[1].split("\t")[0])
        for stage, file in files.items()
    }
    return seconds | {"table": PAGE_SECONDS, "figure": PAGE_SECONDS}


def checkpoints(workflow: Workflow) -> set[Path]:
    return set(workflow.folder.glob("results/runs/**/checkpoints/step-*"))


class Worker:
    """Starts Snakemake, kills, and starts again until everything wanted has been killed.

    Parameters
    ----------
    wanted : victim -> how often to kill it.
    seconds : stage -> length of its shortest job.

    Attributes
    ----------
    kills : victim -> how often it was killed.
    resumable : kills after which a checkpoint was there to go on from.
    rounds : runs from empty results.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        wanted: dict[str, int],
        seconds: dict[str, float],
        undisturbed: Workflow,
    ):
        self.folder, self.random = folder, random.Random(seed)
        self.wanted, self.seconds, self.undisturbed = Counter(wanted), dict(seconds), undisturbed
        self.kills, self.resumable, self.rounds = Counter(), 0, 0

    def work(self) -> None:
        while self.wanted - self.kills and self.rounds < ROUNDS:
            self.rounds += 1
            self.round(fresh_workflow(self.folder / str(self.rounds)))

    def round(self, workflow: Workflow) -> None:
        """One run from empty results to Table 5, with kills on the way."""
        for victim in (victim for victim in ORDER for _ in range(2)):
            if self.kills[victim] < self.wanted[victim] and not self.disturb(workflow, victim):
                break
        workflow.run(*PAGES)
        assert different_results(workflow, self.undisturbed) == []

    def disturb(self, workflow: Workflow, victim: str) -> bool:
        """Give the command, and kill the first process of a kind some time into its life.

        A process that ends before it can be killed is not counted.

        Returns
        -------
        Whether something was killed, so that there is something left to do.
        """
        process = start(workflow, *PAGES)
        hit = self.strike(workflow, victim, process)
        failed = process.wait(PATIENCE) != 0
        assert hit or not failed, said_by(workflow)
        if failed:
            self.kills[victim] += 1
            self.resumable += bool(checkpoints(workflow))
            ended = f"the end of all that Snakemake had started, {victim} killed"
            wait_until(lambda: not processes_in(process.pid), ended)
            if victim == "snakemake":
                workflow.run("--unlock")
        else:  # too late: the machine is faster now than when lives were measured
            for stage in self.seconds:
                self.seconds[stage] *= SOONER
        return failed

    def strike(self, workflow: Workflow, victim: str, process: subprocess.Popen) -> bool:
        """Wait for the victim and kill it. Returns False if Snakemake ended before."""
        watched = victim  # Snakemake is killed while a job of a random stage runs
        if victim == "snakemake":
            watched = self.random.choice(["train", "finetune", "evaluate"])
        hit, seen = False, set()
        while not hit and process.poll() is None:
            running = jobs_in(process.pid).items()
            new = [pid for pid, stage in running if stage == watched and pid not in seen]
            if new:
                seen.add(new[0])
                self.wait(workflow, watched, process)
                hit = kill(process.pid if victim == "snakemake" else new[0])
            time.sleep(0.02)
        return hit

    def wait(self, workflow: Workflow, stage: str, process: subprocess.Popen) -> None:
        """Wait for some part of a job's life.

        For half of the trainings: until they have written a checkpoint. Without that, most of them
        would die while they start.
        """
        if stage in ("train", "finetune") and self.random.random() < 0.5:
            before = checkpoints(workflow)
            wait_until(
                lambda: process.poll() is not None or checkpoints(workflow) - before, "a checkpoint"
            )
        else:
            time.sleep(self.random.uniform(0, LATEST * self.seconds[stage]))
