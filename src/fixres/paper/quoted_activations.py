"""Numbers of the text on the statistics of activations (§3.2, A.1). They belong to quoted.py."""

from fixres.graph.claims import Quoted
from fixres.graph.values import Cells, Value
from fixres.paper.quoted import PX, QUOTED, quoted

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


def _add(name: str, where: str, sentence: str, says: str, cell: tuple, *shown: str | int) -> None:
    """Add the number of one cell."""
    QUOTED.append(Quoted(name, where, sentence, says, lambda cells: cells(*cell), *shown))


for column, (sentence, at) in SHARES.items():
    for k, says in at.items():
        name = f"{column.partition(' ')[0]}-{k}"
        _add(name, "§3.2", f"{sentence}, at {k}", says, ("figure3", k, column), "%")
for k, says in MAPS.items():
    what = f"side of the map that is pooled, at {k}"
    _add(f"map-{k}", "§3.2", what, says, ("figure3", k, "map"), PX, 0)


@quoted("relu", "A.1", "an equal mixture: about half", "%")
def _(cells: Cells) -> Value:
    """activations below 0 before the last ReLU, at 224"""
    return cells("figure6", 224, "negative before ReLU")


for k in (64, 128, 224, 448):
    what = f"ξ of the Fréchet distribution, fitted with the others, at {k}"
    _add(f"xi-{k}", "A.1", what, "can be kept at 0.3", ("figure6", k, "free ξ"), "", 2)


@quoted("frechet-gap", "A.1", "barely visible")
def _(cells: Cells) -> Value:
    """largest gap between the measured CDF and the one fitted with ξ = 0.3, at 224"""
    return cells("figure6", 224, "largest gap")
