"""The undisturbed run, small disks, and the table of docs/reliability.md.

Each test records what it did and what happened. The records become the table.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tabulate import tabulate

from faults.helpers import Disk, fresh_workflow
from shared import PAGES, ROOT, Workflow, made_once

PAGE = ROOT / "docs" / "reliability.md"
BEGIN = "<!-- figures: begin (pytest tests/faults --write-docs writes what stands here) -->"
END = "<!-- figures: end -->"
HEADS = ["fault", "where", "times", "what happened"]
Row = tuple[str, str, int, str]  # as HEADS
ROW = "row of docs/reliability.md"
ROWS = pytest.StashKey[dict[tuple[str, int], list[Row]]]()  # file, line of a test -> its rows


# --- the table ------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-docs",
        action="store_true",
        help="write the figures into docs/reliability.md, if every test passes",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = {}
    config.pluginmanager.register(Rows(config.stash[ROWS]))


@pytest.fixture
def happened(request) -> Callable[[str, str, int, str], None]:
    """Record a row of the table: the fault, where or of which kind, how often, what happened.

    The row goes with the report of the test, so that it also comes from a worker of pytest-xdist.
    """
    return lambda *row: request.node.user_properties.append((ROW, row))


class Rows:
    """Collects the rows of all tests. Tests of one file report in their order."""

    def __init__(self, rows: dict[tuple[str, int], list[Row]]):
        self.rows = rows

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            new = [tuple(row) for name, row in report.user_properties if name == ROW]
            self.rows.setdefault(report.location[:2], []).extend(new)


def merged(rows: list[Row]) -> list[Row]:
    """Join the rows with the same fault and the same outcome: their places stand in one cell."""
    lines: dict[tuple[str, str], dict[str, int]] = {}
    for fault, where, times, what in rows:
        lines.setdefault((fault, what), {})[where] = times
    return [
        (fault, _listed(places), sum(places.values()), what)
        for (fault, what), places in lines.items()
    ]


def _listed(places: dict[str, int]) -> str:
    """The places of a row. Where they are several, each says how often, if more than once."""
    if len(places) == 1:
        return next(iter(places))
    return ", ".join(f"{where} ({n})" if n > 1 else where for where, n in places.items())


def pytest_terminal_summary(terminalreporter, exitstatus: int, config: pytest.Config) -> None:
    rows = [row for _, found in sorted(config.stash[ROWS].items()) for row in found]
    if not rows:
        return
    sides = ["left", "left", "right", "left"]
    table = tabulate(merged(rows), HEADS, tablefmt="pipe", colalign=sides)
    say = terminalreporter.write_line
    say(f"\n{table}\n")
    if not config.option.write_docs:
        return
    if exitstatus or terminalreporter.stats.get("skipped"):
        say(f"{PAGE.name} was not written: some tests failed or were skipped")
        return
    before, _, after = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    page = f"{before}{BEGIN}\n\n{table}\n\n{END}{after.partition(END)[2]}"
    PAGE.write_text(page, encoding="utf-8")
    say(f"written to {PAGE.relative_to(ROOT)}")


# --- fixtures -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Workflow:
    """Table 5 and Figure 5 at the smoke scale, executed in peace. Tests change only copies."""

    def make(folder: Path) -> None:
        fresh_workflow(folder).run(*PAGES)

    return Workflow(made_once(tmp_path_factory, "undisturbed", make))


@pytest.fixture
def disk(tmp_path) -> Iterator[Callable[[str, int], Disk]]:
    """Make small file systems below the test's folder: disk(name, bytes). They go with the test."""
    made: list[Disk] = []

    def make(name: str, size: int) -> Disk:
        made.append(Disk(tmp_path / name, size))
        return made[-1]

    yield make
    for one in reversed(made):
        one.close()
