"""Newer starting weights than the paper's: does fixing still gain? The paper has no such table.

Our numbers are compared with published ones: for weights as they are, the numbers of their makers,
where we could look them up; for fixed EfficientNets, the numbers of the paper's authors
(README_FixEfficientNet.md of facebookresearch/FixRes).
"""

from typing import NamedTuple

from fixres.graph.api import Accuracy, Block, JobGraph, Line, Page, grid, line, resolutions
from fixres.graph.asking import fine_tuning, finetune, obtain_published
from fixres.models.catalogue.zoo import ZOO

RESNETS = ("resnet50_v2", "resnet50_a1", "resnet50_a2", "resnet50_a3")
# The resolution that each size was fixed at, pixels: for AdvProp, for Noisy Student.
FIXED_AT = {
    "b0": (320, 320),
    "b1": (384, 384),
    "b2": (420, 420),
    "b3": (472, 472),
    "b4": (512, 472),
    "b5": (576, 576),
    "b6": (576, 680),
    "b7": (632, 632),
    "b8": (800, None),
    "l2": (None, 600),
}
KINDS = ("advprop", "noisy_student")


class Tested(NamedTuple):
    """A column: a network as it is or fixed, at its native resolution or at the one above."""

    fixed: bool
    native: bool


def modern(plan: JobGraph) -> Page:
    def accuracy(name: str, k_test: int, fixed: bool) -> Accuracy:
        run = obtain_published(plan, name)
        if fixed:
            run = finetune(plan, run, k_test, fine_tuning(plan, name))
        return Accuracy(run, k_test)

    def of_efficientnet(row: tuple[str, int], how: Tested) -> Accuracy:
        name, k = row
        return accuracy(name, ZOO[name].native if how.native else k, how.fixed)

    def of_resnet(row: tuple[str, bool], k_test: int) -> Accuracy:
        name, fixed = row
        return accuracy(name, k_test, fixed)

    def resnet(name: str, fixed: bool) -> Line:
        key = ZOO[name].title + (" fixed" if fixed else "")
        native = ZOO[name].native
        return line(plan, key, ZOO[name].title, native, "✓" if fixed else "–", value=(name, fixed))

    def efficientnets(kind: int) -> Block:
        sizes = {size: k[kind] for size, k in FIXED_AT.items() if k[kind]}
        names = {f"efficientnet_{size}_{KINDS[kind]}": k for size, k in sizes.items()}
        rows = [
            line(plan, ZOO[n].title, ZOO[n].title, ZOO[n].native, k, value=(n, k))
            for n, k in names.items()
        ]
        title = f"EfficientNets, {'with' if kind else 'without'} images beyond ImageNet"
        heads = ["Network", "Train", "Fixed at"]
        return grid(plan, "modern", title, heads, rows, _columns(plan), of_efficientnet)

    rows = [resnet(name, fixed) for name in RESNETS for fixed in (False, True)]
    columns = resolutions(plan, [160, 224, 256, 288, 320, 384])
    title, heads = "ResNet-50: top-1 at test resolution", ["Network", "Train", "Fixed"]
    resnets = grid(plan, "modern", title, heads, rows, columns, of_resnet)
    return Page(
        "modern",
        "Newer weights",
        "Networks that were trained with newer procedures than the paper's, as they are and with "
        "classifier and last batch-norm fine-tuned: top-1 accuracy (%).",
        (f"published weights on {plan.config.dataset}", "published by others, on ImageNet"),
        [resnets, efficientnets(0), efficientnets(1)],
        notes=(
            "Test transform: the paper's, which crops 224 of 256 pixels. Some of the published "
            "numbers are for a larger part of the image.",
            "EfficientNets pad their inputs, so a resolution need not be a multiple of 32. The "
            "resolutions are the ones that the authors published.",
        ),
    )


def _columns(plan: JobGraph) -> list[Line]:
    """As it is at the native resolution, as it is at the higher one, fixed at the higher one."""
    fixed = Tested(fixed=True, native=False)
    return [
        line(plan, "native", "as it is, at Train", value=Tested(fixed=False, native=True)),
        line(plan, "higher", "as it is, at Fixed at", value=Tested(fixed=False, native=False)),
        line(plan, "fixed", "fixed", value=fixed),
        line(plan, "fixed top-5", "fixed, top-5", value=fixed, metric="top5"),
    ]
