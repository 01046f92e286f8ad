"""The undisturbed run, small disks, and the table of docs/reliability.md.

Each test records what it did and what happened. The records become the table.
"""

from collections.abc import Callable, Iterator

import pytest
from tabulate import tabulate

from faults.helpers import Disk, fresh_workflow
from shared import PAGES, ROOT, Workflow

PAGE = ROOT / "docs" / "reliability.md"
BEGIN = "<!-- figures: begin (pytest tests/faults --write-docs writes what stands here) -->"
END = "<!-- figures: end -->"
HEADS = ["fault", "where", "times", "what happened"]
Row = tuple[str, str, int, str]  # as HEADS
ROWS = pytest.StashKey[list[Row]]()


# --- the table ------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-docs",
        action="store_true",
        help="write the figures into docs/reliability.md, if every test passes",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


@pytest.fixture
def happened(request) -> Callable[[str, str, int, str], None]:
    """Record a row of the table: the fault, where or of which kind, how often, what happened."""
    return lambda *row: request.config.stash[ROWS].append(row)


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
    rows = config.stash[ROWS]
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
    workflow = fresh_workflow(tmp_path_factory.mktemp("undisturbed"))
    workflow.run(*PAGES)
    return workflow


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
