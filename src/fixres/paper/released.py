"""The weights that the paper's authors released: our measurements and the published numbers."""

from fixres.graph.api import Accuracy, JobGraph, Page, grid, line
from fixres.graph.asking import obtain_released
from fixres.models.catalogue.released import RELEASED

RESIZE = {
    "released": "the image's height scaled to k_test_image",
    "paper": "the image's shorter side scaled to k_test_image",
}


def released(plan: JobGraph) -> Page:
    def measure(name: str, _: None) -> Accuracy:
        return Accuracy(obtain_released(plan, name), RELEASED[name].k_test)

    rows = [
        line(plan, name, x.title, str(x.k_test), x.augmentation or "–", value=name)
        for name, x in RELEASED.items()
    ]
    columns = [
        line(plan, "# Parameters", "# Parameters", metric="parameters"),
        line(plan, "Top-1 (%)", "Top-1 (%)", metric="top1"),
        line(plan, "Top-5 (%)", "Top-5 (%)", metric="top5"),
    ]
    heads, resize = ["Network", "Test", "Fine-tuned with"], plan.config.released.test_resize
    return Page(
        "released",
        "Released weights",
        "The weights released by the paper's authors: accuracy as published and as measured by "
        "this suite.",
        (f"the authors' weights on {plan.config.dataset}", "published by the authors, on ImageNet"),
        [grid(plan, "released", "Single centre crop", heads, rows, columns, measure)],
        notes=(f"Test transform: {RESIZE[resize]} (released.test_resize: {resize}).",),
    )
