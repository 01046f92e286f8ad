"""The undisturbed run, small disks, and the record of what was done and what happened, which becomes the table of docs/reliability.md."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tabulate import tabulate

from faults.helpers import PAGES, Disk, Workflow, prepared
from shared import ROOT

PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = (
    "<!-- figures: begin (pytest tests/faults --write-docs writes what stands here) -->",
    "<!-- figures: end -->",
)
HEADS = ["fault", "where", "times", "what happened"]
ROWS = pytest.StashKey[list[tuple[str, str, int, str]]]()


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
    """Record for the table: the fault, where (or of which kind), how often it was done, what happened."""
    return lambda *row: request.config.stash[ROWS].append(row)


def merged(rows: list[tuple[str, str, int, str]]) -> list[tuple[str, str, int, str]]:
    """The lines of the table: one for each fault and what happened, with all the places where that was so."""
    lines: dict[tuple[str, str], dict[str, int]] = {}
    for fault, where, times, what in rows:
        lines.setdefault((fault, what), {})[where] = times
    return [
        (
            fault,
            ", ".join(
                f"{where} ({n})" if n > 1 < len(places) else where for where, n in places.items()
            ),
            sum(places.values()),
            what,
        )
        for (fault, what), places in lines.items()
    ]


def pytest_terminal_summary(terminalreporter, exitstatus: int, config: pytest.Config) -> None:
    rows = config.stash[ROWS]
    if not rows:
        return
    table = tabulate(
        merged(rows), HEADS, tablefmt="pipe", colalign=["left", "left", "right", "left"]
    )
    terminalreporter.write_line(f"\n{table}\n")
    if not config.option.write_docs:
        return
    if exitstatus or terminalreporter.stats.get("skipped"):
        terminalreporter.write_line(
            f"{PAGE.name} was not written: some tests failed or were skipped"
        )
        return
    before, _, after = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(
        f"{before}{BEGIN}\n\n{table}\n\n{END}{after.partition(END)[2]}", encoding="utf-8"
    )
    terminalreporter.write_line(f"written to {PAGE.relative_to(ROOT)}")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Workflow:
    """Table 5 and Figure 5 at the smoke scale, executed in peace. Never changed: tests work on copies."""
    workflow = prepared(tmp_path_factory.mktemp("undisturbed"))
    workflow.run(*PAGES)
    return workflow


@pytest.fixture
def disk(tmp_path) -> Iterator[Callable[[str, int], Disk]]:
    """Make file systems of some bytes below the test's folder; they are gone afterwards."""
    made: list[Disk] = []

    def make(name: str, size: int) -> Disk:
        made.append(Disk(tmp_path / name, size))
        return made[-1]

    yield make
    for one in reversed(made):
        one.close()


@pytest.fixture
def bench(tmp_path, tiny):
    """A folder with a manifest of 144 images, in which stages are run by hand."""
    from bench import Bench

    return Bench(Path(tmp_path), tiny)
