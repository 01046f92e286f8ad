"""Table 1: larger networks. PNASNet with three depths of fine-tuning, and ResNeXt-101."""

from fixres.graph.api import Accuracy, Block, JobGraph, Line, Page, grid, line, resolutions, ticks
from fixres.graph.asking import fine_tuning, finetune, obtain_published
from fixres.models.catalogue.zoo import ZOO
from fixres.paper.subjects import subject

PNASNET, RESNEXT = "pnasnet5large", "resnext101_32x48d_wsl"
HEADS = ["Model", "Train resolution", "Class.", "BN", "3 cells"]


def table1(plan: JobGraph) -> Page:
    def adapted(name: str, layers: str | None, k_test: int, augmentation: str) -> Accuracy:
        run = obtain_published(plan, name)
        if layers:
            settings = fine_tuning(plan, name, layers=layers, augmentation=augmentation)
            run = finetune(plan, run, k_test, settings)
        return Accuracy(run, k_test)

    def row(name: str, key: str, layers: str | None) -> Line:
        entry = ZOO[name]
        trained = ticks(*(part in (layers or "") for part in ("cls", "bn", "cells")))
        return line(plan, key, entry.title, entry.native, *trained, value=layers)

    def block(name: str, rows: list[Line], k_test: list[int], augmentation: str) -> Block:
        return grid(
            plan,
            "table1",
            f"{ZOO[name].title}: top-1 at test resolution",
            HEADS,
            rows,
            resolutions(plan, k_test),
            lambda layers, k: adapted(name, layers, k, augmentation),
        )

    pnasnet = [
        row(PNASNET, "PNASNet-5-Large", None),
        row(PNASNET, "PNASNet-5-Large cls+bn", "cls+bn"),
        row(PNASNET, "PNASNet-5-Large cls+bn+cells", "cls+bn+cells"),
    ]
    resnext = [row(RESNEXT, "ResNeXt-101 32x48d cls+bn", "cls+bn")]
    ten_crops = grid(
        plan,
        "table1",
        "With ten crops an image at test time (text of §5.1)",
        HEADS,
        [row(PNASNET, "PNASNet-5-Large cls+bn+cells 10 crops", "cls+bn+cells")],
        [column._replace(metric="top1_10crops") for column in resolutions(plan, [480])],
        lambda layers, k: adapted(PNASNET, layers, k, "test DA"),
    )
    return Page(
        "table1",
        "Table 1",
        "Application to larger networks: resulting top-1 accuracy (%).",
        subject(plan, "PNASNet-5-Large and ResNeXt-101 32x48d", PNASNET, RESNEXT),
        [
            block(PNASNET, pnasnet, [331, 384, 395, 416, 448, 480], "test DA"),
            ten_crops,
            block(RESNEXT, resnext, [224, 288, 320], "test DA2"),
        ],
        notes=(
            "PNASNet has no single last batch-norm, so all batch-norms of its last cell that feed "
            "the output are adapted.",
            "The ResNeXt row is fine-tuned with test DA2, like all of the paper's results with "
            "that network (§5).",
        ),
    )
