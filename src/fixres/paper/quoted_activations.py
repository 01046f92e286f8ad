"""Numbers of the text on the statistics of activations (§3.2, A.1). They belong to quoted.py."""

from collections.abc import Callable

from fixres.graph.claims import Quoted
from fixres.graph.values import Cells, Value


def _cell(page: str, k_test: int, column: str) -> Callable[[Cells], Value]:
    return lambda cells: cells(page, k_test, column)


SHARES = {  # column -> (the sentence, what the text says at each k_test)
    "zeros": (
        "zeros among the activations after the average pooling, k_train 224",
        {224: "0.5", 64: "29.8", 448: "less sparse"},
    ),
    "above 2": (
        "those above 2 (of another network: above the bound that as many exceed at 224)",
        {224: "1.2", 64: "11.9", 448: "less spread out"},
    ),
}
MAPS = {64: "2×2", 224: "7×7", 448: "14×14"}

OF_ACTIVATIONS = [
    *(
        Quoted(
            f"{column.partition(' ')[0]}-{k}",
            "§3.2",
            f"{sentence}, at {k}",
            says,
            _cell("figure3", k, column),
            "%",
        )
        for column, (sentence, at) in SHARES.items()
        for k, says in at.items()
    ),
    *(
        Quoted(
            f"map-{k}",
            "§3.2",
            f"side of the map that is pooled, at {k}",
            says,
            _cell("figure3", k, "map"),
            "px",
            0,
        )
        for k, says in MAPS.items()
    ),
    Quoted(
        "relu",
        "A.1",
        "activations below 0 before the last ReLU, at 224",
        "an equal mixture: about half",
        _cell("figure6", 224, "negative before ReLU"),
        "%",
    ),
    *(
        Quoted(
            f"xi-{k}",
            "A.1",
            f"ξ of the Fréchet distribution, fitted with the others, at {k}",
            "can be kept at 0.3",
            _cell("figure6", k, "free ξ"),
            "",
            2,
        )
        for k in (64, 128, 224, 448)
    ),
    Quoted(
        "frechet-gap",
        "A.1",
        "largest gap between the measured CDF and the one fitted with ξ = 0.3, at 224",
        "barely visible",
        _cell("figure6", 224, "largest gap"),
        "points",
    ),
]
