"""What the declarations of pages are written with (paper/, docs/tables.md)."""

from fixres.graph.adaptation import fine_tuning, finetune, match
from fixres.graph.graph import JobGraph, Missing
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
from fixres.graph.measurements import (
    cut_crops,
    measure_activations,
    measure_memory,
    measure_sizes,
    measure_transfer_sizes,
    sweep,
    time_evaluation,
    time_step,
)
from fixres.graph.networks import (
    obtain_published,
    obtain_released,
    train,
    train_on_fixed_crops,
    train_with_copies,
    transfer,
)
from fixres.graph.pages import Block, Cell, Figure, Label, Page, Row, Section
from fixres.graph.scale import architecture, resolution_label, scaled

__all__ = [
    "Accuracy",
    "Block",
    "Cell",
    "Figure",
    "JobGraph",
    "Label",
    "Line",
    "Missing",
    "Page",
    "Reported",
    "Row",
    "Sample",
    "Section",
    "Time",
    "architecture",
    "cut_crops",
    "fine_tuning",
    "finetune",
    "grid",
    "line",
    "match",
    "measure_activations",
    "measure_memory",
    "measure_sizes",
    "measure_transfer_sizes",
    "obtain_published",
    "obtain_released",
    "resolution_label",
    "resolutions",
    "scaled",
    "sweep",
    "ticks",
    "time_evaluation",
    "time_step",
    "train",
    "train_on_fixed_crops",
    "train_with_copies",
    "transfer",
]
