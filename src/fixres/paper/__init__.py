"""What the paper consists of, as declarations only.

Each table and each figure is one file. The claims are in claims.py and claims_*.py, the numbers of
the text in quoted.py and quoted_*.py, what the paper printed in reference/*.csv, and its order in
sections.py.

To add a table, write a file like table5.py and name its function in `PAGES` (docs/tables.md).
To add a figure, write a file like figure5.py and name its function in `FIGURES`.
To add a claim, write a function into claims.py (docs/claims.md). No rule and no stage changes.
"""

from collections.abc import Callable, Iterable

from fixres.config import Config, ConfigError
from fixres.graph.api import Figure, JobGraph, Page
from fixres.graph.declare import declare
from fixres.paper import claims_activations, claims_sizes, quoted_activations, quoted_sizes
from fixres.paper.appendix_a1 import appendix_a1
from fixres.paper.claims import CLAIMS
from fixres.paper.curves import curves
from fixres.paper.figure1 import figure1
from fixres.paper.figure2 import figure2
from fixres.paper.figure3 import figure3
from fixres.paper.figure4 import figure4
from fixres.paper.figure5 import figure5
from fixres.paper.figure6 import figure6
from fixres.paper.figure7 import figure7
from fixres.paper.figure8 import figure8
from fixres.paper.memory import memory
from fixres.paper.modern import modern
from fixres.paper.printed import printed
from fixres.paper.quoted import QUOTED
from fixres.paper.released import released
from fixres.paper.section1 import section1
from fixres.paper.section3_1 import section3_1
from fixres.paper.section3_3 import section3_3
from fixres.paper.section4_1 import section4_1
from fixres.paper.section5 import section5
from fixres.paper.sections import SECTIONS
from fixres.paper.table1 import table1
from fixres.paper.table2 import table2
from fixres.paper.table3 import table3
from fixres.paper.table4 import table4
from fixres.paper.table5 import table5
from fixres.paper.table6 import table6
from fixres.paper.table7 import table7
from fixres.paper.table8 import table8
from fixres.paper.table9 import table9

TABLES = (table1, table2, table3, table4, table5, table6, table7, table8, table9)
PAGES = (*TABLES, section1, section3_1, section3_3, section4_1, section5, memory, appendix_a1)
PAGES += (released, modern)
FULL_SIZE = (modern,)  # of networks without an embedded twin: only if `twins` is off
FIGURES = (figure1, figure2, figure3, figure4, figure5, figure6, figure7, figure8, curves)


def plan_of(
    config: Config,
    pages: Iterable[Callable[[JobGraph], Page]] = PAGES,
    figures: Iterable[Callable[[JobGraph], Figure]] = FIGURES,
) -> JobGraph:
    """The plan of some tables and figures for a configuration: by default all of the paper's.

    The configuration key `pages.only` may select some of them. A figure may draw the cells of a
    table, which must then be selected, too. With `recommend` there are none, because it answers a
    different question.

    Raises
    ------
    ConfigError : `pages.only`, `pages.captions` or `pages.seeds` names an unknown page.
    """
    if config.custom:
        return declare(JobGraph(config, printed), [])
    pages, figures = list(pages), list(figures)
    all_names = [*map(name_of, (*pages, *figures))]
    for key in ("captions", "seeds"):  # also of pages that `only` leaves out
        for name in getattr(config.pages, key):
            if name not in all_names:
                problem = f"no such page (got {name}, expected one of {', '.join(all_names)})"
                raise ConfigError(f"pages.{key}.{name}: {problem}. Correct the name.")
    if config.twins:
        pages = [page for page in pages if page not in FULL_SIZE]
    if config.pages.only is not None:
        known = [*map(name_of, (*pages, *figures))]
        for name in config.pages.only:
            if name not in known:
                found = f"got '{name}', expected some of {', '.join(known)}"
                raise ConfigError(f"pages.only: unknown page ({found}). Correct the name.")
        pages, figures = (
            [page for page in all_ if name_of(page) in config.pages.only]
            for all_ in (pages, figures)
        )
    return declare(JobGraph(config, printed), pages, figures, CLAIMS, QUOTED, SECTIONS)


def name_of(declare: Callable[[JobGraph], Page | Figure]) -> str:
    """The name of the page that a function declares."""
    names = {section3_1: "section3.1", section3_3: "section3.3", section4_1: "section4.1"}
    names[appendix_a1] = "appendixA.1"
    return names.get(declare, declare.__name__)


__all__ = ["CLAIMS", "FIGURES", "PAGES", "QUOTED", "SECTIONS", "name_of", "plan_of", "printed"]
