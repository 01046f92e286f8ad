"""The claims of the paper: sentences that numbers decide. One function a claim (docs/claims.md).

Resolutions are the paper's. Each function returns what is above 0 if its claim holds.
"""

from collections.abc import Callable
from itertools import pairwise
from math import log

from fixres.graph.claims import Claim
from fixres.graph.values import Cells, Value, largest, mean, slope

CLAIMS: list[Claim] = []

Decides = Callable[[Cells], Value | dict[str, Value]]


def claim(name: str, where: str, unit: str = "points") -> Callable[[Decides], None]:
    """Add a claim. The function below decides it, and the function's docstring is its sentence."""

    def add(above_0: Decides) -> None:
        CLAIMS.append(Claim(name, where, " ".join(above_0.__doc__.split()), above_0, unit))

    return add


def peak_above(column: dict[int, Value], k_train: int) -> Value:
    """By how much the best k_test above k_train is better than the best of the others."""
    above = [q for k, q in column.items() if k > k_train]
    return largest(above) - largest([q for k, q in column.items() if k <= k_train])


# --- §1 to §4: the discrepancy, and what repairs it -----------------------------------------------


@claim("peak-above", "§3.3, §5")
def _(cells: Cells) -> dict[str, Value]:
    """A network is best tested above the resolution it was trained at."""
    k_train = [c for c in cells.columns("table5") if c.isdecimal()]
    return {f"k_train {k}": peak_above(cells.column("table5", k), int(k)) for k in k_train}


@claim("recover", "§4.1")
def _(cells: Cells) -> Value:
    """Trained at 128, a network is better tested at 224 than at 128."""
    return cells("table5", 224, "128") - cells("table5", 128, "128")


@claim("low-beats-native", "abstract, §1")
def _(cells: Cells) -> Value:
    """Trained at 128 and fine-tuned at 224, a network beats one that was trained at 224."""
    return cells("table5", 224, "128 adapted") - cells("table5", 224, "224")


@claim("low-beats-native-2", "§1")
def _(cells: Cells) -> Value:
    """Trained at 160 and tested at 224 as it is, a network beats one that was trained at 224."""
    return cells("table5", 224, "160") - cells("table5", 224, "224")


@claim("memory", "§1, Table 7", unit="MB")
def _(cells: Cells) -> dict[str, Value]:
    """A lower resolution saves memory, and fine-tuning needs less than training."""
    more, k = {}, list(map(int, cells.rows("memory")))
    for step in ("training", "fine-tuning"):
        for low, high in pairwise(k):
            gap = cells("memory", high, step) - cells("memory", low, step)
            more[f"{step}: {high} over {low}"] = gap
    gaps = {f: cells("memory", f, "training") - cells("memory", f, "fine-tuning") for f in k}
    return more | {f"at {f}: training over fine-tuning": gap for f, gap in gaps.items()}


# --- §5.1: ImageNet -------------------------------------------------------------------------------


@claim("best-224", "§5.1")
def _(cells: Cells) -> Value:
    """Trained at 224 and fine-tuned, a network is best above 224."""
    return peak_above(cells.column("table5", "224 adapted"), 224)


@claim("high-for-less", "§5.1")
def _(cells: Cells) -> Value:
    """Trained at 224 and fine-tuned at 384, a network beats one that was trained at 384."""
    return cells("table5", 384, "224 adapted") - cells("table5", 384, "384")


@claim("adapt-always", "Figure 5")
def _(cells: Cells) -> dict[str, Value]:
    """Fine-tuning gains wherever k_test is larger than k_train."""
    gains = {}
    for column in cells.columns("table5"):
        k_train, _, adapted = column.partition(" ")
        if adapted:
            before, after = cells.column("table5", k_train), cells.column("table5", column)
            above = [k for k in after if k > int(k_train)]
            gains |= {f"{k_train} at {k}": after[k] - before[k] for k in above}
    return gains


@claim("gap-grows", "§5.1", unit="points for each factor e")
def _(cells: Cells) -> dict[str, Value]:
    """The further k_test lies from k_train, the more the batch-norm adds to the classifier."""
    slopes = {}
    for k_train in (128, 224):
        classifier = cells.row("table6", f"{k_train} cls test DA")
        with_bn = cells.row("table6", f"{k_train} cls+bn test DA")
        added = {log(k / k_train): with_bn[k] - classifier[k] for k in with_bn if k >= k_train}
        slopes[f"k_train {k_train}"] = slope(added)
    return slopes


@claim("da-order", "§5.1")
def _(cells: Cells) -> Value:
    """Above k_train, test DA is a better augmentation for fine-tuning than train DA, on average."""
    better = []
    for k_train in (128, 224):
        for layers in ("cls", "cls+bn"):
            way = f"{k_train} {layers}"
            test, train = (cells.row("table6", f"{way} {da}") for da in ("test DA", "train DA"))
            better += [test[k] - train[k] for k in test if k > k_train]
    return mean(better)


@claim("da2", "§5")
def _(cells: Cells) -> Value:
    """Test DA2 is slightly better than test DA, on average."""
    rows = cells.rows("table8")
    return mean([cells("table8", r, "test DA2") - cells("table8", r, "test DA") for r in rows])


@claim("cells-more", "§5.1")
def _(cells: Cells) -> Value:
    """For PNASNet at 480, the last cells add to classifier and batch-norm."""
    name = "PNASNet-5-Large cls+bn"
    return cells("table1", f"{name}+cells", "480") - cells("table1", name, "480")


# --- §5.2, §5.3: the state of the art, transfer ---------------------------------------------------


@claim("rank-resnet", "§5.2")
def _(cells: Cells) -> dict[str, Value]:
    """Ours with CutMix is the best ResNet-50 without extra data."""
    rows = (row for row in cells.rows("table2") if "Billion-scale" not in row)
    others = [r for r in rows if r.startswith(("ResNet-50", "MultiGrain R50", "Our ResNet-50"))]
    return _ahead(cells, "Our ResNet-50 CutMix", others)


@claim("rank-all", "§5.2")
def _(cells: Cells) -> dict[str, Value]:
    """Our ResNeXt-101 32x48d is the best of all."""
    return _ahead(cells, "Our ResNeXt-101 32x48d", cells.rows("table2"))


def _ahead(cells: Cells, ours: str, others: list[str]) -> dict[str, Value]:
    """By how much one row of Table 2 is better than others."""
    column = "Top-1 (%)"
    best = cells("table2", ours, column)
    return {f"{row}": best - cells("table2", row, column) for row in others if row != ours}


@claim("transfer-all", "§5.3")
def _(cells: Cells) -> dict[str, Value]:
    """The method gains on all five fine-grained datasets."""
    return {
        name: cells("table3", name, "+our method") - cells("table3", name, "Baseline")
        for name in cells.rows("table3")
    }


# --- §4.2, Appendices A and D ---------------------------------------------------------------------


@claim("parametric", "§4.2, A.1")
def _(cells: Cells) -> dict[str, Value]:
    """Fréchet matching above k_train gains less than fine-tuning."""
    matched = cells.row("appendixA.1", "accuracy")
    tuned = cells.row("table6", "224 cls+bn test DA")
    return {f"at {k}": tuned[k] - matched[k] for k in matched if k > 224 and k in tuned}


@claim("gaussian-small", "A.2")
def _(cells: Cells) -> Value:
    """Far below k_train, at 64, Gaussian matching gains."""
    return cells("table4", "adapted", "64") - cells("table4", "none", "64")


@claim("bn-better", "A.2")
def _(cells: Cells) -> Value:
    """Fine-tuning classifier and batch-norm is better than matching and the classifier, on
    average.
    """
    matched, tuned = (cells.row("table4", row) for row in ("adapted+cls", "cls+bn"))
    return mean([tuned[k] - matched[k] for k in tuned if k != 224])


@claim("rrc-cause", "Appendix D")
def _(cells: Cells) -> dict[str, Value]:
    """Trained without the random resized crop, a network gains less from a larger k_test."""
    less = {}
    for k in ("64", "128", "224"):
        with_resize, without = cells.column("table5", k), cells.column("table9", k)
        less[f"k_train {k}"] = peak_above(with_resize, int(k)) - peak_above(without, int(k))
    return less
