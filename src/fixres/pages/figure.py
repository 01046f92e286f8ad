"""Figures, from the numbers that jobs have measured.

    python -m fixres figure --config results/pages/figure5/config.json --results results \\
        --out results/figure5.svg

Beside the SVG lie a PNG, and a CSV with the numbers that are drawn. The same numbers give the same
bytes. pages/figures/ has a module for each way to draw.
"""

import importlib

from fixres import jobs
from fixres.pages.command import page_parser, write
from fixres.pages.figures import style
from fixres.pages.numbers import csv, read, without_failed


def main(arguments: list[str]) -> None:
    args = page_parser("figure", __doc__).parse_args(arguments)
    config = jobs.read_config(args.config, "figure", args.ancestry_digest)
    config = without_failed(config, args.results)
    module = importlib.import_module(f"fixres.pages.figures.{config['draw']}")
    style.plt.rcParams.update(style.RC)
    figure, numbers = module.draw(config, read(config, args.results), args.results)
    write(args.out, {".csv": csv(numbers)})
    for suffix, metadata in style.METADATA.items():
        with jobs.atomic(args.out.with_suffix(suffix)) as temporary:
            figure.savefig(temporary, metadata=metadata, dpi=style.DPI)
