"""The plan of a small report: some tables of the embedded scale, and two figures."""

from fixres import paper
from fixres.config import load
from fixres.paper.figure5 import figure5
from fixres.paper.figure8 import figure8
from fixres.paper.released import released
from fixres.paper.section3_3 import section3_3
from shared import ROOT

# Measured, reported and missing cells, times, sizes; a section with a table and a figure.
TABLES = tuple(t for t in paper.PAGES if t.__name__ in ("table2", "table5", "table7", "table9"))
TABLES += (section3_3, released)
FIGURES = (figure5, figure8)
REPLICAS = 200
EMBEDDED = load(ROOT / "config.yaml")
PLAN = paper.plan_of(EMBEDDED, TABLES, FIGURES)
