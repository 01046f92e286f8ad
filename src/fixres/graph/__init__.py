"""Configuration -> runs -> cells and pages. Pure data: planning imports no torch."""

from fixres.graph.grid import (
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
from fixres.graph.outputs import (
    benchmark_of,
    manifest_of,
    metrics_of,
    parent_of,
    parent_weights,
    per_image_of,
)
from fixres.graph.pages import (
    Block,
    Cell,
    Figure,
    Label,
    Measurement,
    Page,
    Row,
    Section,
    failed,
)
from fixres.graph.plan import Plan
from fixres.graph.registry import VERSIONS, Missing
from fixres.graph.runs import Runs

__all__ = [
    "VERSIONS",
    "Accuracy",
    "Block",
    "Cell",
    "Figure",
    "Label",
    "Line",
    "Measurement",
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
