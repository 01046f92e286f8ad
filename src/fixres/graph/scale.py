"""What the paper's names and sizes mean at the scale of a configuration."""

from fixres.config import ConfigError
from fixres.graph.graph import JobGraph
from fixres.graph.pages import Label
from fixres.models.catalogue.zoo import ZOO


def architecture(graph: JobGraph, name: str) -> str:
    """The network that stands for the paper's `name` at this scale."""
    return (graph.config.twins and ZOO[name].twin) or name


def scaled(graph: JobGraph, resolution: int) -> int:
    """A resolution of the paper at this scale, pixels.

    It is divided by the divisor, rounded to a multiple of it, and no larger than k_largest.
    """
    divisor = graph.config.resolution_divisor
    if divisor == 1:
        return resolution
    here = min(divisor * round(resolution / divisor**2), graph.config.k_largest)
    if not here:
        raise ConfigError(
            f"resolution_divisor: too large for the paper's {resolution} px (got {divisor}). Give "
            "a smaller divisor."
        )
    return here


def resolution_label(graph: JobGraph, resolution: int) -> Label:
    """A resolution of the paper as labels: this scale's, and the paper's."""
    return str(scaled(graph, resolution)), str(resolution)
