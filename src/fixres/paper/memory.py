"""Peak memory of a step: training against fine-tuning, over the resolution (§1, Appendix C)."""

from fixres.graph.api import JobGraph, Page, Time, grid, line
from fixres.graph.asking import measure_memory, scaled
from fixres.paper.subjects import main_subject

RESOLUTIONS = (128, 224, 384)  # of Table 7
BATCH = 32  # images; of both, since the claim is about equal batches
LAYERS = {"training": None, "fine-tuning": "cls+bn"}


def memory(plan: JobGraph) -> Page:
    def measure(k: int, layers: str | None) -> Time:
        return Time(measure_memory(plan, scaled(plan, k), layers, BATCH))

    rows = [line(plan, f"{k}", k, value=k) for k in RESOLUTIONS]
    columns = [line(plan, c, c, value=x, metric="megabytes") for c, x in LAYERS.items()]
    title, heads = "Peak memory of a step (MB)", ["resolution"]
    return Page(
        "memory",
        "Peak memory of a step",
        f"Peak memory of one step on a batch of {BATCH} images, megabytes (10⁶ bytes): weights, "
        "gradients, momenta, the batch and what the backward pass needs.",
        main_subject(plan),
        [grid(plan, "memory", title, heads, rows, columns, measure)],
        notes=(
            "Fine-tuned: classifier and last batch-norm, the trunk without gradients. The paper "
            "prints no number. It fine-tunes on batches of 64 and trains on batches of 32, because "
            "fine-tuning needs less memory (Table 7).",
        ),
    )
