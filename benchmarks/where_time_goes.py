"""Where the time of the last `snakemake results/table5.md` went: processor seconds of each stage.

    make bench          (after `make table5`)

Each stage is divided into start-up (the interpreter and its imports), network (training and forward
passes) and images (decoding and cutting them).

Nothing is run. Everything is read from two files that every job leaves behind: its benchmark file,
which Snakemake writes, and the last line of its log.
"""

import re
import sys
from pathlib import Path

import pandas as pd
from tabulate import tabulate

RESULTS = Path(__file__).parent.parent / "results"
LINE = re.compile(r"cpu: total ([\d.]+) s, start-up ([\d.]+) s, main thread ([\d.]+) s")
NAMES = {
    "train": "base training",
    "finetune": "fine-tuning",
    "match": "matching",
    "evaluation": "evaluation",
}


def jobs(results: Path = RESULTS) -> pd.DataFrame:
    """One row for each job that trains or runs a network: stage, log, and seconds by purpose."""
    rows = []
    for log in [*results.glob("runs/**/*.log"), *results.glob("runs/**/evaluation/log.txt")]:
        if log.name == "log.txt":
            stage, benchmark = "evaluation", log.with_name("benchmark.tsv")
        else:
            stage, benchmark = log.stem, log.with_suffix(".benchmark.tsv")
        found = LINE.search(log.read_text(encoding="utf-8"))
        if not found or not benchmark.is_file():
            continue
        total, start, main = map(float, found.groups())
        row = {
            "stage": NAMES[stage],
            "log": log,
            "jobs": 1,
            "wall": pd.read_csv(benchmark, sep="\t")["s"].iloc[0],
            "cpu": total,
            "start-up": start,
            # The main thread computes. The other threads decode and cut images, and with more than
            # one thread of the job they compute too.
            "network": main - start,
            "images": total - main,
        }
        rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    table = jobs()
    if table.empty:
        sys.exit("nothing to read yet: run `make table5` first")
    stages = table.drop(columns="log").groupby("stage", sort=False).sum()
    stages.loc["all"] = stages.sum()
    stages["start-up %"] = 100 * stages["start-up"] / stages["cpu"]
    stages["passes %"] = 100 - stages["start-up %"]
    print("Seconds, summed over jobs (wall: as if one after another; passes: network + images)\n")
    print(tabulate(stages, headers="keys", floatfmt=".1f"))


if __name__ == "__main__":
    main()
