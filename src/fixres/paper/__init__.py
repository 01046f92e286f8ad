"""What the paper consists of, as declarations only.

Each table and each figure is one file. The claims are in claims.py and claims_*.py, the numbers of
the text in quoted.py and quoted_*.py, and what the paper printed in reference/*.csv.

To add a table, write a file like table5.py and name its function in `PAGES` (docs/tables.md).
To add a figure, write a file like figure5.py and name its function in `FIGURES`.
To add a claim, write a function into claims.py (docs/claims.md). No rule and no stage changes.
"""

from collections.abc import Callable, Iterable

from fixres.config import Config
from fixres.paper import claims_sizes  # noqa: F401  (it adds its claims to CLAIMS)
from fixres.paper.appendix_a1 import appendix_a1
from fixres.paper.claims import CLAIMS
from fixres.paper.figure1 import figure1
from fixres.paper.figure2 import figure2
from fixres.paper.figure5 import figure5
from fixres.paper.figure7 import figure7
from fixres.paper.figure8 import figure8
from fixres.paper.printed import printed
from fixres.paper.quoted import QUOTED as QUOTED_OF_TABLES
from fixres.paper.quoted_sizes import QUOTED_SIZES
from fixres.paper.released import released
from fixres.paper.section3_3 import section3_3
from fixres.paper.table1 import table1
from fixres.paper.table2 import table2
from fixres.paper.table3 import table3
from fixres.paper.table4 import table4
from fixres.paper.table5 import table5
from fixres.paper.table6 import table6
from fixres.paper.table7 import table7
from fixres.paper.table8 import table8
from fixres.paper.table9 import table9
from fixres.plan import Figure, Page, Plan

PAGES = (
    table1,
    table2,
    table3,
    table4,
    table5,
    table6,
    table7,
    table8,
    table9,
    section3_3,
    appendix_a1,
    released,
)
QUOTED = [*QUOTED_OF_TABLES, *QUOTED_SIZES]
FIGURES = (figure1, figure2, figure5, figure7, figure8)


def plan_of(
    config: Config,
    pages: Iterable[Callable[[Plan], Page]] = PAGES,
    figures: Iterable[Callable[[Plan], Figure]] = FIGURES,
) -> Plan:
    """The plan of some tables and figures, by default all, at one configuration.

    A figure may draw the cells of a table, which must then be one of `pages`.
    """
    return Plan(config, pages, printed, CLAIMS, QUOTED, figures)


__all__ = ["CLAIMS", "FIGURES", "PAGES", "QUOTED", "plan_of", "printed"]
