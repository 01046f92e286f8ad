"""Print the resolved configuration of a job: all that affects its result, without hardware.

    python -m fixres resolve runs/pinhole/resnet10q-k56
    python -m fixres resolve runs/imagenet/resnet50-k224 \\
        --configfile config.yaml configs/imagenet.yaml

Snakemake writes the same to results/<id>/config.json before it runs the job. To run a job by hand,
pass such a file as --config.
"""

import argparse
from pathlib import Path

from fixres import config, jobs, paper


def main(arguments: list[str]) -> None:
    p = argparse.ArgumentParser(
        prog="python -m fixres resolve",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("job", help="the job's id, its folder below results/")
    about = "configuration files, each merged into the previous ones (default: config.yaml)"
    p.add_argument("--configfile", type=Path, nargs="+", action="extend", help=about)
    args = p.parse_args(arguments)
    plan = paper.plan_of(config.load(*(args.configfile or ["config.yaml"])))
    name = args.job.removeprefix("results/").removesuffix("/config.json")
    print(jobs.canonical(plan.resolved(name)))
