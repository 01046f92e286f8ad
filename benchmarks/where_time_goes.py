"""Where the time of the last `snakemake results/table5.md` went: processor seconds by stage, and how much of them was start-up.

    make bench          (after `make table5`)

Start-up is the interpreter and its imports; a training or forward pass is what its network takes and what decoding and cutting its
images take.
Read from what every job leaves behind: its benchmark file (Snakemake's) and the last line of its log. Nothing is run.
"""

import re
import sys
from pathlib import Path

import pandas as pd
from tabulate import tabulate

RESULTS = Path(__file__).parent.parent / "results"
LINE = re.compile(r"cpu: total ([\d.]+) s, start-up ([\d.]+) s, main thread ([\d.]+) s")
NAMES = {"train": "base training", "finetune": "fine-tuning", "evaluation": "evaluation"}


def jobs() -> pd.DataFrame:
    """One row a job that trains or runs a network: stage, run, wall and processor seconds."""
    rows = []
    for log in [*RESULTS.glob("runs/**/*.log"), *RESULTS.glob("runs/**/evaluation/log.txt")]:
        found = LINE.search(log.read_text(encoding="utf-8"))
        benchmark = (
            log.with_name("benchmark.tsv")
            if log.name == "log.txt"
            else log.with_suffix(".benchmark.tsv")
        )
        if not found or not benchmark.is_file():
            continue
        total, start, main = map(float, found.groups())
        stage = NAMES["evaluation" if log.name == "log.txt" else log.stem]
        wall = pd.read_csv(benchmark, sep="\t")["s"].iloc[0]
        # The main thread computes; what the process used beyond it decoded and cut images (and computed, with more than one thread).
        rows.append(
            {
                "stage": stage,
                "jobs": 1,
                "wall": wall,
                "cpu": total,
                "start-up": start,
                "network": main - start,
                "images": total - main,
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    table = jobs()
    if table.empty:
        sys.exit("nothing to read yet: run `make table5` first")
    stages = table.groupby("stage", sort=False).sum()
    stages.loc["all"] = stages.sum()
    stages["start-up %"] = 100 * stages["start-up"] / stages["cpu"]
    stages["passes %"] = 100 - stages["start-up %"]
    print("Seconds, summed over jobs (wall: as if one after another; passes: network + images)\n")
    print(tabulate(stages, headers="keys", floatfmt=".1f"))


if __name__ == "__main__":
    main()
