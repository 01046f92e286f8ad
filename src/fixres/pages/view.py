"""A page with its numbers: what Markdown, CSV, HTML, figures and the report are made from."""

import contextlib
import operator
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from fixres import jobs
from fixres.artifacts import metrics, per_image
from fixres.artifacts.per_image import PerImage
from fixres.graph.pages import Cell, Page, Place, failed
from fixres.pages import intervals, trends
from fixres.pages.numbers import COLUMNS, OF_CELL, OF_NUMBER, Number, best, is_accuracy, number_of


class Measured(NamedTuple):
    """The results of a page's runs."""

    metrics: dict[str, dict]  # run -> its metrics.json
    per_image: dict[str, PerImage]  # run -> its hits.npz or samples.npz; a time has none


class View:
    """A page with its numbers. Each part is made when it is first asked for.

    Cells of failed runs are shown as missing. A file that is missing or damaged raises JobError,
    which names the cell and the file.

    Parameters
    ----------
    over_seeds : how the seeds' share of the intervals is drawn (`intervals.resample`).
    """

    def __init__(
        self,
        page: Page,
        results: Path,
        over_seeds: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        self.page, self.results = without_failed(page, results), results
        self.over_seeds = over_seeds

    @cached_property
    def measured(self) -> Measured:
        """The results of the runs."""
        measured = Measured({}, {})
        for cell, found in [(c, found) for c in self.page.cells() for found in c.measurements()]:
            if found.run not in measured.metrics:
                with self._named(cell, found.metrics) as file:
                    of_run = measured.metrics[found.run] = metrics.read(file)
                if found.per_image:
                    with self._named(cell, found.per_image) as file:
                        measured.per_image[found.run] = metrics.read_each_image(file, of_run)
        return measured

    @contextlib.contextmanager
    def _named(self, cell: Cell, name: str = "") -> Iterator[Path]:
        """A file below results/ (the first metrics of a cell). An error of the block names both."""
        name = name or (cell.runs[0].metrics if cell.runs else "")
        where = f"{self.page.title}, row {cell.row}, column {cell.column}: {self.results / name}"
        try:
            yield self.results / name
        except OSError as error:
            raise jobs.JobError(
                f"{where}: cannot be read ({error.strerror}). {jobs.REMAKE}"
            ) from None
        except ValueError as error:
            raise jobs.JobError(f"{where}: damaged ({error}). {jobs.REMAKE}") from None
        except (KeyError, TypeError) as error:
            raise jobs.JobError(f"{where}: damaged, or lacks {error}. {jobs.REMAKE}") from None

    @cached_property
    def replicas(self) -> dict[Place, np.ndarray]:
        """The bootstrap replicas of every number that is a mean over images (intervals.py).

        Accuracies are in per cent, other numbers as their job gives them.
        """
        by_images: dict[str, dict[Place, np.ndarray]] = {}
        for cell in self.page.cells():
            left = self.measured.per_image
            of_runs = [left[found.run] for found in cell.runs if found.run in left]
            name = per_image.name(cell.metric, cell.k_test)
            varies = all(name in found.values for found in of_runs)
            if of_runs and (is_accuracy(cell.metric) or varies):
                with self._named(cell):
                    values = np.stack([found.values[name] for found in of_runs])
                by_images.setdefault(of_runs[0].image_set, {})[cell.place] = values
        replicas: dict[Place, np.ndarray] = {}
        for image_set, values in by_images.items():
            replicas |= intervals.resample(values, image_set, self.over_seeds)
        return replicas

    @cached_property
    def numbers(self) -> dict[Place, Number]:
        """The number of every cell."""
        numbers, metrics = {}, self.measured.metrics
        for cell in self.page.cells():
            with self._named(cell):
                number = number_of(cell, metrics)
            replicas = self.replicas.get(cell.place)
            if replicas is not None and replicas.ndim == 1:
                low, high = intervals.interval(replicas)
                number = number._replace(low=low, high=high)
            numbers[cell.place] = number
        return numbers

    @cached_property
    def trends(self) -> list[trends.Pair]:
        """Every trend of the page (trends.py)."""
        return trends.pairs(self.page.cells(), self.numbers, self.replicas)

    @cached_property
    def turned(self) -> set[Place]:
        """The cells whose trends are not the paper's."""
        return trends.turned_cells(self.trends)

    @cached_property
    def bold(self) -> set[Place]:
        """The bold cells: the best of their columns, if the page marks them."""
        blocks = self.page.blocks if self.page.bold else ()
        cells = [[cell for line in block.cells for cell in line if cell] for block in blocks]
        return set().union(*(best(x, self.numbers, self.page.decimals) for x in cells))

    @cached_property
    def reasons(self) -> list[str]:
        """Why cells are missing, in order of appearance: footnote i + 1 is the i-th."""
        return list(dict.fromkeys(c.note for c in self.page.cells() if c.source == "missing"))

    @cached_property
    def notes(self) -> list[str]:
        """The notes below the page: its own notes, then the notes on its images."""
        metrics = self.measured.metrics.values()
        of_images = [note for of_run in metrics for note in of_run.get("notes", [])]
        return [*self.page.notes, *dict.fromkeys(of_images)]

    def frame(self) -> pd.DataFrame:
        """One line per cell, in full precision; columns: `COLUMNS`."""
        of_cell, of_number = operator.attrgetter(*OF_CELL), operator.attrgetter(*OF_NUMBER)
        lines = [
            [self.page.name, *of_cell(cell), *of_number(self.numbers[cell.place]), cell.source]
            for cell in self.page.cells()
        ]
        return pd.DataFrame(lines, columns=COLUMNS)


def without_failed(page: Page, results: Path) -> Page:
    """The page with the cells of failed runs shown as missing, with the run and its log.

    Only pages.allow_failed plans pages with such runs.
    """

    def shown(cell: Cell) -> Cell:
        for found in cell.measurements():
            log = failed(page.may_have_failed.get(found.run, {}), results)
            if log:  # even if metrics of a former run are still there
                lost = {"runs": (), "plus": None, "source": "missing"}
                return cell.model_copy(update=lost | {"note": f"{found.run} failed; see {log}"})
        return cell

    return page.with_cells(shown) if page.may_have_failed else page
