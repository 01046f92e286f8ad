"""§1: what evaluation costs at half the resolution."""

from fixres.graph.api import JobGraph, Page, Time, grid, line
from fixres.graph.asking import scaled, time_evaluation
from fixres.paper.subjects import main_subject

RESOLUTIONS = (112, 224)
BATCH = 64  # images


def section1(plan: JobGraph) -> Page:
    def measure(k: int, _: None) -> Time:
        return Time(time_evaluation(plan, scaled(plan, k), BATCH))

    rows = [line(plan, f"{k}", k, value=k) for k in RESOLUTIONS]
    columns = [line(plan, "evaluation", "forward pass", metric="forward_ms")]
    title, heads = "Time per batch (ms)", ["test resolution"]
    return Page(
        "section1",
        "Section 1",
        "Evaluation at half the resolution: milliseconds of the forward pass of a batch of "
        f"{BATCH} in eval mode, without gradients.",
        main_subject(plan),
        [grid(plan, "section1", title, heads, rows, columns, measure)],
        notes=(
            "The paper says that half the resolution makes evaluation three times faster. Half the "
            "resolution has a quarter of the pixels.",
        ),
    )
