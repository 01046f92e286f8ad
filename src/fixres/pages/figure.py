"""Figures, from the numbers that jobs have measured.

    python -m fixres figure --config results/pages/figure5/config.json --results results \\
        --out results/figure5.svg

Beside the SVG lie a PNG, and a CSV with the numbers that are drawn. The same numbers give the same
bytes. pages/figures/ has a module for each way to draw.
"""

import importlib

from fixres.graph.pages import Figure
from fixres.pages.command import page_parser, write
from fixres.pages.figures import style
from fixres.pages.numbers import csv
from fixres.pages.view import View


def main(arguments: list[str]) -> None:
    args = page_parser("figure", __doc__).parse_args(arguments)
    page = Figure.read(args.config, "figure", args.ancestry_digest)
    module = importlib.import_module(f"fixres.pages.figures.{page.draw}")
    with style.plt.rc_context(style.RC):
        figure, numbers = module.draw(View(page, args.results))
        write(args.out, {".csv": csv(numbers)})
        style.save(figure, args.out)
