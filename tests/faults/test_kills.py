"""kill -9 at random moments of a smoke run of Table 5, each followed by the same command again: the same bytes in the end."""

import random
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faults.helpers import (
    ADAPTED,
    LARGE_BASE,
    PAGES,
    PATIENCE,
    SMALL_BASE,
    Workflow,
    differing,
    final,
    jobs,
    killed,
    members,
    prepared,
    started,
    until,
)

WANTED = [  # what three workers kill in folders of their own, side by side: 30 in all
    {
        "render": 1,
        "manifest": 1,
        "train": 2,
        "finetune": 2,
        "evaluate": 2,
        "table": 1,
        "snakemake": 1,
    },
    {
        "render": 1,
        "manifest": 1,
        "train": 2,
        "finetune": 1,
        "evaluate": 2,
        "figure": 1,
        "snakemake": 2,
    },
    {
        "render": 1,
        "manifest": 1,
        "train": 2,
        "finetune": 2,
        "evaluate": 1,
        "table": 1,
        "snakemake": 2,
    },
]
ORDER = (
    "render",
    "manifest",
    "train",
    "snakemake",
    "finetune",
    "evaluate",
    "snakemake",
    "table",
    "figure",
)  # as they come in a run
ROUNDS = (
    6  # from empty results; one or two do, unless processes end too often before they are killed
)
LATEST = 0.7  # of a job's life: behind that, most would have ended
PAGE_SECONDS = 1.0  # pages leave no benchmark


def test_kill_9_thirty_times(undisturbed, tmp_path, happened):
    expected, lives = final(undisturbed.folder), lifetimes(undisturbed.folder)
    workers = [
        Worker(tmp_path / str(i), i, wanted, lives, expected) for i, wanted in enumerate(WANTED)
    ]
    with ThreadPoolExecutor(len(workers)) as pool:
        for finished in [pool.submit(worker.work) for worker in workers]:
            finished.result()
    kills = sum((worker.kills for worker in workers), Counter())
    assert kills == sum(map(Counter, WANTED), Counter())
    rounds, resumable = (
        sum(getattr(worker, name) for worker in workers) for name in ("rounds", "resumable")
    )
    happened_to = {"snakemake": "Snakemake itself", "render": "rendering the images"}
    for victim, n in kills.items():
        after = "`--unlock`, then the same command" if victim == "snakemake" else "the same command"
        happened(
            "kill -9 at a random moment",
            happened_to.get(victim, victim),
            n,
            f"{after}: the undisturbed run's bytes",
        )
    print(
        f"\n{kills.total()} kills in {rounds} runs; {resumable} times a checkpoint was there to go on from"
    )


def lifetimes(folder: Path) -> dict[str, float]:
    """stage -> seconds that its shortest job took, out of Snakemake's benchmarks."""
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
    """Starts, kills and starts again until everything that it was told to kill has been killed."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        wanted: dict[str, int],
        lives: dict[str, float],
        expected: dict[str, bytes],
    ):
        self.folder, self.random, self.wanted, self.lives, self.expected = (
            folder,
            random.Random(seed),
            Counter(wanted),
            lives,
            expected,
        )
        self.kills, self.resumable, self.rounds = Counter(), 0, 0

    def work(self) -> None:
        while self.wanted - self.kills and self.rounds < ROUNDS:
            self.rounds += 1
            self.round(prepared(self.folder / str(self.rounds)))

    def round(self, workflow: Workflow) -> None:
        """From empty results to Table 5, killing on the way."""
        for victim in (victim for victim in ORDER for _ in range(2)):
            if self.kills[victim] < self.wanted[victim] and not self.disturb(workflow, victim):
                break
        workflow.run(*PAGES)
        assert differing(final(workflow.folder), self.expected) == []

    def disturb(self, workflow: Workflow, victim: str) -> bool:
        """Give the command, and kill the first process of a kind some time into its life; whether there is something left to do.

        What ends before it can be killed is not counted.
        """
        process = started(workflow, *PAGES)
        watched = (
            self.random.choice(["train", "finetune", "evaluate"])
            if victim == "snakemake"
            else victim
        )
        hit, seen = False, set()
        while not hit and process.poll() is None:
            new = [
                pid
                for pid, stage in jobs(process.pid).items()
                if stage == watched and pid not in seen
            ]
            if new:
                seen.add(new[0])
                self.wait(workflow, watched, process)
                hit = killed(process.pid if victim == "snakemake" else new[0])
            time.sleep(0.02)
        failed = process.wait(PATIENCE) != 0
        assert hit or not failed, (workflow.folder / "said").read_text()
        if failed:
            self.kills[victim] += 1
            self.resumable += bool(checkpoints(workflow))
            until(
                lambda: not members(process.pid),
                f"the end of all that Snakemake had started, {victim} killed",
            )
            if victim == "snakemake":
                workflow.run("--unlock")
        return failed

    def wait(self, workflow: Workflow, stage: str, process: subprocess.Popen) -> None:
        """Some time of a job's life; half of the trainings until they have written a checkpoint, for most would die while they start."""
        if stage in ("train", "finetune") and self.random.random() < 0.5:
            before = checkpoints(workflow)
            until(
                lambda: process.poll() is not None or checkpoints(workflow) - before, "a checkpoint"
            )
        else:
            time.sleep(self.random.uniform(0, LATEST * self.lives[stage]))
