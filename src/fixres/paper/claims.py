"""The claims of the paper: sentences that numbers decide, one function per claim (docs/claims.md).

Resolutions are the paper's. Each function returns a value that is above 0 if its claim holds.
"""

from collections.abc import Callable
from contextlib import suppress
from itertools import combinations, pairwise
from math import log

from fixres.graph.api import Missing
from fixres.graph.claims import Claim
from fixres.graph.values import Cells, Value, largest, mean, slope, smallest, where_largest

CLAIMS: list[Claim] = []
SLIGHTLY = 1.0  # points: less than this is "slightly better" or "slightly worse"
COUNTS = 0.5  # points: a smaller improvement does not count

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
    above = {}
    for k in (c for c in cells.columns("table5") if c.isdecimal()):
        column = cells.column("table5", k)
        with suppress(Missing):  # Table 5 does not test 160 at 160; Table 7 does
            column.setdefault(int(k), cells("table7", f"{k} {k}", "accuracy"))
        known = int(k) in column  # without its own k_train, a column shows less than the claim says
        above[f"k_train {k}"] = peak_above(column, int(k)) if known else Value()
    return above


@claim("recover", "§3.3, Figure 5")
def _(cells: Cells) -> Value:
    """Trained at 128, a network is better tested at 224 than at 128."""
    return cells("table5", 224, "128") - cells("table5", 128, "128")


@claim("low-beats-native", "abstract, §5.1")
def _(cells: Cells) -> Value:
    """Trained at 128 and fine-tuned at 224, a network beats one that was trained at 224."""
    return cells("table5", 224, "128 adapted") - cells("table5", 224, "224")


@claim("low-beats-native-2", "§1")
def _(cells: Cells) -> Value:
    """Trained at 160 and tested at 224 as it is, a network beats one that was trained at 224."""
    return cells("table5", 224, "160") - cells("table5", 224, "224")


@claim("cheaper", "§1, §5.1", unit="hours")
def _(cells: Cells) -> dict[str, Value]:
    """Trained low and tested high, fine-tuned or not, a network costs less training time than one
    that was trained high.
    """

    def saved(high: str, low: str) -> Value:
        return cells("table7", high, "total time") - cells("table7", low, "total time")

    return {
        "160 tested at 224 against 224": saved("224 224", "160 224"),
        "128 fine-tuned at 224 against 224": saved("224 224", "128 224 fine-tuned"),
        "224 fine-tuned at 384 against 384": saved("384 384", "224 384 fine-tuned"),
    }


@claim("enlarge-both", "§4.1")
def _(cells: Cells) -> Value:
    """A larger k_test_image is better with a larger k_test than alone."""
    both, alone = (
        cells("section4.1", "accuracy", c) for c in ("with k_test", "k_test_image alone")
    )
    return both - alone


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


# --- §5, §5.1: ImageNet ---------------------------------------------------------------------------


@claim("ra-gains", "§5")
def _(cells: Cells) -> Value:
    """Repeated augmentation improves the baseline, on the same number of crops."""
    return cells("section5", "RA 3", "224") - cells("section5", "RA 1", "224")


@claim("best-224", "§5.1")
def _(cells: Cells) -> Value:
    """Trained at 224 and fine-tuned, a network is best above 224."""
    return peak_above(cells.column("table5", "224 adapted"), 224)


@claim("best-of-all", "§5.1")
def _(cells: Cells) -> dict[str, Value]:
    """With fine-tuning, k_train 224 gives the best result of all."""
    tuned = {c: largest(list(cells.column("table5", c).values())) for c in _adapted(cells)}
    best = tuned.pop("224 adapted", Value())
    return {f"over {column}": best - other for column, other in tuned.items()}


@claim("peak-moves", "§5.1", unit="px")
def _(cells: Cells) -> Value:
    """Fine-tuned, a network that was trained at 224 is best at a larger k_test than before."""
    before, after = (where_largest(cells.column("table5", c)) for c in ("224", "224 adapted"))
    return after - before


@claim("high-for-less", "§5.1")
def _(cells: Cells) -> Value:
    """Trained at 224 and fine-tuned at 384, a network beats one that was trained at 384."""
    return cells("table5", 384, "224 adapted") - cells("table5", 384, "384")


@claim("adapt-always", "Figure 5")
def _(cells: Cells) -> dict[str, Value]:
    """Fine-tuning gains wherever k_test is larger than k_train."""
    gains = {}
    for column in _adapted(cells):
        k_train = column.split()[0]
        before, after = cells.column("table5", k_train), cells.column("table5", column)
        above = [k for k in after if k > int(k_train)]
        gains |= {f"{k_train} at {k}": after[k] - before[k] for k in above}
    return gains


def _adapted(cells: Cells) -> list[str]:
    """The fine-tuned columns of Table 5."""
    return [column for column in cells.columns("table5") if column.endswith(" adapted")]


@claim("cls-then-bn", "§5.1")
def _(cells: Cells) -> dict[str, Value]:
    """For k_train 224 at 384, fine-tuning only the classifier gains, and the batch-norm adds to
    the gain.
    """
    rows = ("224 none", "224 cls test DA", "224 cls+bn test DA")
    none, classifier, with_bn = (cells("table6", row, 384) for row in rows)
    return {"classifier": classifier - none, "batch-norm": with_bn - classifier}


@claim("gap-grows", "§5.1", unit="points for each factor e")
def _(cells: Cells) -> dict[str, Value]:
    """The further k_test is from k_train, above or below, the more the batch-norm adds to the
    classifier.
    """
    slopes = {}
    for k_train in (128, 224):
        classifier = cells.row("table6", f"{k_train} cls test DA")
        with_bn = cells.row("table6", f"{k_train} cls+bn test DA")
        for side, sign in (("below", -1), ("above", 1)):
            far = {k: sign * log(k / k_train) for k in with_bn}
            added = {far[k]: with_bn[k] - classifier[k] for k in with_bn if far[k] >= 0}
            slopes[f"{side} k_train {k_train}"] = slope(added)
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
def _(cells: Cells) -> dict[str, Value]:
    """Test DA2 is slightly better than test DA, on average: better, by less than a point."""
    rows = cells.rows("table8")
    gains = [cells("table8", r, "test DA2") - cells("table8", r, "test DA") for r in rows]
    return _slightly("better", mean(gains))


def _slightly(how: str, difference: Value) -> dict[str, Value]:
    """A difference that is above 0, and small."""
    return {how: difference, f"{how} by less than a point": SLIGHTLY - difference}


@claim("larger-networks", "§5.1")
def _(cells: Cells) -> dict[str, Value]:
    """A larger k_test with fine-tuning also gains for PNASNet and ResNeXt."""
    pnasnet, resnext = "PNASNet-5-Large", "ResNeXt-101 32x48d cls+bn"
    gain = cells("table1", f"{pnasnet} cls+bn+cells", 480) - cells("table1", pnasnet, 331)
    return {
        "PNASNet at 480": gain,
        "ResNeXt at 320": cells("table1", resnext, 320) - cells("table1", resnext, 224),
    }


@claim("cells-more", "§5.1")
def _(cells: Cells) -> Value:
    """For PNASNet at 480, the last cells add to classifier and batch-norm."""
    name = "PNASNet-5-Large cls+bn"
    return cells("table1", f"{name}+cells", "480") - cells("table1", name, "480")


@claim("ten-crops-gain", "§5.1")
def _(cells: Cells) -> Value:
    """For PNASNet fine-tuned at 480, ten crops per image are better than one."""
    name = "PNASNet-5-Large cls+bn+cells"
    return cells("table1", f"{name} 10 crops", 480) - cells("table1", name, 480)


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


@claim("rank-slightly-below", "§5.2")
def _(cells: Cells) -> dict[str, Value]:
    """Our ResNet-50 is slightly worse than ResNet-50-D and MultiGrain: by less than a point."""
    below = {}
    for other in ("ResNet-50-D", "MultiGrain R50-AA-500"):
        [behind] = _ahead(cells, other, ["Our ResNet-50"]).values()
        below |= _slightly(f"worse than {other}", behind)
    return below


@claim("rank-pnasnet", "§5.2")
def _(cells: Cells) -> Value:
    """Our PNASNet-5 is better than the PNASNet of MultiGrain."""
    [ahead] = _ahead(cells, "Our PNASNet-5", ["MultiGrain PNASNet @ 500px"]).values()
    return ahead


def _ahead(cells: Cells, ours: str, others: list[str]) -> dict[str, Value]:
    """By how much one row of Table 2 is better than others."""
    column = "Top-1 (%)"
    best = cells("table2", ours, column)
    return {row: best - cells("table2", row, column) for row in others if row != ours}


@claim("transfer-all", "§5.3")
def _(cells: Cells) -> dict[str, Value]:
    """The method gains on all five fine-grained datasets."""
    return {
        name: cells("table3", name, "+our method") - cells("table3", name, "Baseline")
        for name in cells.rows("table3")
    }


@claim("transfer-sota", "§5.3")
def _(cells: Cells) -> Value:
    """The method leads to a new state of the art on several of the five datasets, that is, on at
    least two.
    """
    columns = ("+our method", "State of the art")
    pairs = ([cells("table3", row, c) for c in columns] for row in cells.rows("table3", columns[0]))
    ahead = [ours - best for ours, best in pairs]
    return largest([smallest(list(pair)) for pair in combinations(ahead, 2)])


# --- §4.2, Appendices A and D ---------------------------------------------------------------------


@claim("parametric", "§4.2")
def _(cells: Cells) -> dict[str, Value]:
    """Above k_train, Fréchet matching improves on no adaptation, but less than fine-tuning does."""
    matched, gains = _matched(cells)
    tuned = cells.row("table6", "224 cls+bn test DA")
    limited = {f"at {k}: fine-tuning over it": tuned[k] - matched[k] for k in tuned if k in matched}
    measurable = {f"at {k}: over no adaptation": gains[k] for k in gains}
    return {k: v for k, v in (measurable | limited).items() if int(k.split(":")[0][3:]) > 224}


@claim("parametric-none", "A.1")
def _(cells: Cells) -> dict[str, Value]:
    """Fréchet matching does not improve on no adaptation by as much as half a point."""
    _, gains = _matched(cells)
    return {f"at {k}": COUNTS - gain for k, gain in gains.items() if k != 224}


def _matched(cells: Cells) -> tuple[dict[int, Value], dict[int, Value]]:
    """k_test -> accuracy with Fréchet matching, and its gain over no matching."""
    matched, before = cells.row("appendixA.1", "accuracy"), cells.row("section3.3", "accuracy")
    return matched, {k: matched[k] - before[k] for k in matched}


@claim("gaussian-small", "A.2")
def _(cells: Cells) -> dict[str, Value]:
    """Gaussian matching is effective especially at small resolutions: it gains at 64, and more
    than above k_train.
    """
    matched, before = (cells.row("table4", row) for row in ("adapted", "none"))
    gain = {k: matched[k] - before[k] for k in matched}
    more = {f"at 64, more than at {k}": gain[64] - gain[k] for k in gain if k > 224}
    return {"at 64": gain[64]} | more


@claim("bn-better", "A.2")
def _(cells: Cells) -> Value:
    """Fine-tuning classifier and batch-norm is better than matching and the classifier, on
    average.
    """
    matched, tuned = (cells.row("table4", row) for row in ("adapted+cls", "cls+bn"))
    return mean([tuned[k] - matched[k] for k in tuned if k != 224])


@claim("rrc-cause", "Appendix D")
def _(cells: Cells) -> dict[str, Value]:
    """The gain from a larger k_test is mainly due to the random resized crop: without it, less
    than half of the gain remains.
    """
    less = {}
    for k in (64, 128, 224, 384):
        with_resize, without = (peak_above(cells.column(t, k), k) for t in ("table5", "table9"))
        less[f"k_train {k}"] = 0.5 * with_resize - without
    return less
