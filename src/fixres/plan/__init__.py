"""Configuration -> runs -> cells and pages. Pure data: planning imports no torch."""

from fixres.plan.grid import (
    Accuracy,
    Line,
    Reported,
    Sample,
    Time,
    grid,
    line,
    resolutions,
    ticks,
)
from fixres.plan.outputs import (
    benchmark_of,
    failed,
    manifest_of,
    metrics_of,
    parent_of,
    parent_weights,
    per_image_of,
)
from fixres.plan.pages import Block, Cell, Figure, Label, Page, Row
from fixres.plan.plan import Plan
from fixres.plan.registry import VERSIONS, Missing
from fixres.plan.report import Section
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
    "Sample",
    "Section",
    "Time",
    "benchmark_of",
    "failed",
    "grid",
    "line",
    "manifest_of",
    "metrics_of",
    "parent_of",
    "parent_weights",
    "per_image_of",
    "resolutions",
    "ticks",
]
