"""What pages are declared with (paper/, docs/tables.md). What their cells ask for: asking.py."""

from fixres.graph.graph import JobGraph, Missing
from fixres.graph.grid import Accuracy, Line, Reported, Sample, Time, grid, line, resolutions, ticks
from fixres.graph.pages import Block, Cell, Figure, Label, Page, Row, Section
from fixres.graph.scale import resolution_label
