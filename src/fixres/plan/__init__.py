"""Configuration -> runs -> cells and pages. Pure data: planning imports no torch."""

from fixres.plan.grid import (
    Accuracy,
    Line,
    Reported,
    Time,
    grid,
    line,
    resolutions,
    ticks,
)
from fixres.plan.outputs import failed, hits_of, manifest_of, metrics_of, parent_of, parent_weights
from fixres.plan.pages import Block, Cell, Figure, Label, Page, Row
from fixres.plan.plan import Plan
from fixres.plan.registry import VERSIONS, Missing
from fixres.plan.runs import Runs

__all__ = [
    "VERSIONS",
    "Accuracy",
    "Block",
    "Cell",
    "Figure",
    "Label",
    "Line",
    "Missing",
    "Page",
    "Plan",
    "Reported",
    "Row",
    "Runs",
    "Time",
    "failed",
    "grid",
    "hits_of",
    "line",
    "manifest_of",
    "metrics_of",
    "parent_of",
    "parent_weights",
    "resolutions",
    "ticks",
]
