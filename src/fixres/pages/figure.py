"""Figures, from the numbers that jobs have measured.

A figure is written as SVG and PNG, with a CSV of the numbers that are drawn. The same numbers give
the same bytes. pages/figures/ has one module per kind of drawing.
"""

import importlib

from fixres.graph.pages import Figure
from fixres.pages import command
from fixres.pages.figures import style
from fixres.pages.numbers import csv
from fixres.pages.view import View


def main(arguments: list[str]) -> None:
    page, args = command.read(arguments, "figure", __doc__, Figure)
    module = importlib.import_module(f"fixres.pages.figures.{page.draw}")
    with style.plt.rc_context(style.RC):
        figure, numbers = module.draw(View(page, args.results))
        command.write(args.out, {".csv": csv(numbers)})
        style.save(figure, args.out)
