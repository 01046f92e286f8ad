"""Configuration -> runs -> cells and pages. Pure data: planning imports no torch."""

from fixres.plan.outputs import failed, manifest_of, metrics_of
from fixres.plan.pages import Block, Cell, Figure, Label, Page, Row, printed
from fixres.plan.plan import Plan
from fixres.plan.runs import Missing

__all__ = [
    "Block",
    "Cell",
    "Figure",
    "Label",
    "Missing",
    "Page",
    "Plan",
    "Row",
    "failed",
    "manifest_of",
    "metrics_of",
    "printed",
]
