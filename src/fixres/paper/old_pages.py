"""The paper's pages: each table once, as rows, columns and cells. The DAG and the renderer both follow from it.

To add a table, write a function like `table5` and its reference/<name>.csv, and name it in PAGES; no rule and no stage changes.
"""

from collections.abc import Callable
from typing import NamedTuple

from fixres.config import Config
from fixres.models.released import RELEASED
from fixres.models.zoo import ZOO
from fixres.plan import Block, Cell, Figure, Label, Page, Plan, Row, printed
from fixres.plan.runs import Missing


def same(*texts: str) -> list[Label]:
    """Labels that read alike at every scale."""
    return [(text, text) for text in texts]


def table1(plan: Plan) -> Page:
    """Table 1: larger networks; PNASNet with three depths of fine-tuning, ResNeXt-101 with classifier and batch-norm."""

    def block(
        name: str, rows: list[tuple[str | None, str]], k_test: list[int], augmentation: str
    ) -> Block:
        entry, columns = ZOO[name], [(str(plan.scaled(k)), str(k)) for k in k_test]
        lines, keys = [], []
        for layers, paper_row in rows:
            key = (paper_row, paper_row)
            line = []
            for k, column in zip(k_test, columns, strict=True):

                def run(layers=layers, k=k) -> str:
                    start = plan.published(name)
                    settings = (
                        plan.fine_tuning(name, layers=layers, augmentation=augmentation)
                        if layers
                        else None
                    )
                    return plan.adapted(start, plan.scaled(k), settings) if settings else start

                line.append(plan.cell("table1", key, column, "top1", plan.scaled(k), run))
            lines.append(line)
            ticks = [("✓" if part in (layers or "") else "–") for part in ("cls", "bn", "cells")]
            k_train = (str(plan.scaled(entry.native)), str(entry.native))
            keys.append(Row(key, [*same(entry.title), k_train, *same(*ticks)]))
        heads = ["Model", "Train resolution", "Class.", "BN", "3 cells"]
        return Block(f"{entry.title}: top-1 at test resolution", heads, columns, keys, lines)

    def on_ten_crops() -> str:
        settings = plan.fine_tuning("pnasnet5large", layers="cls+bn+cells", augmentation="test DA")
        return plan.adapted(plan.published("pnasnet5large"), plan.scaled(480), settings)

    key, column = ("PNASNet-5-Large cls+bn+cells 10 crops",) * 2, (str(plan.scaled(480)), "480")
    labels = [*same("PNASNet-5-Large"), (str(plan.scaled(331)), "331"), *same("✓", "✓", "✓")]
    cell = plan.cell("table1", key, column, "top1_10crops", plan.scaled(480), on_ten_crops)
    heads = ["Model", "Train resolution", "Class.", "BN", "3 cells"]
    ten_crops = Block(
        "With ten crops an image at test time (text of §5.1)",
        heads,
        [column],
        [Row(key, labels)],
        [[cell]],
    )
    pnasnet = [
        (None, "PNASNet-5-Large"),
        ("cls+bn", "PNASNet-5-Large cls+bn"),
        ("cls+bn+cells", "PNASNet-5-Large cls+bn+cells"),
    ]
    return Page(
        "table1",
        "Table 1",
        "Application to larger networks: resulting top-1 accuracy (%).",
        subject(
            plan, "PNASNet-5-Large and ResNeXt-101 32x48d", "pnasnet5large", "resnext101_32x48d_wsl"
        ),
        [
            block("pnasnet5large", pnasnet, [331, 384, 395, 416, 448, 480], "test DA"),
            ten_crops,
            block(
                "resnext101_32x48d_wsl",
                [("cls+bn", "ResNeXt-101 32x48d cls+bn")],
                [224, 288, 320],
                "test DA2",
            ),
        ],
        notes=(
            "PNASNet has no single last batch-norm: those of its last cell that feed its output are adapted.",
            "The ResNeXt row is fine-tuned with test DA2, as all of the paper's results with that network (§5).",
        ),
    )


class Model(NamedTuple):
    """A row of Table 2."""

    title: str
    network: (
        str | None
    )  # a published one; "": trained here (§5); None: a literature row that the paper quotes
    k_train: int
    k_test: int
    ours: str = (
        ""  # "": the published network as it is; else the augmentation that it is fine-tuned with
    )
    layers: str = "cls+bn"


TABLE2 = [
    Model("ResNet-50 Pytorch", "resnet50", 224, 224),
    Model("ResNet-50 mix up", None, 224, 224),
    Model("ResNet-50 CutMix", "resnet50_cutmix", 224, 224),
    Model("ResNet-50-D", "resnet50d", 224, 224),
    Model("MultiGrain R50-AA-500", None, 224, 500),
    Model("ResNet-50 Billion-scale", "resnet50_billion_224", 224, 224),
    Model("Our ResNet-50", "", 224, 384, "test DA2"),
    Model("Our ResNet-50 CutMix", "resnet50_cutmix", 224, 320, "test DA2"),
    Model("Our ResNet-50 Billion-scale@160", "resnet50_billion_160", 160, 224, "test DA2"),
    Model("Our ResNet-50 Billion-scale@224", "resnet50_billion_224", 224, 320, "test DA2"),
    Model("PNASNet-5 (N = 4, F = 216)", "pnasnet5large", 331, 331),
    Model("MultiGrain PNASNet @ 500px", None, 331, 500),
    Model("AmoebaNet-B (6,512)", None, 480, 480),
    Model("EfficientNet-B7", "efficientnet_b7", 600, 600),
    Model("Our PNASNet-5", "pnasnet5large", 331, 480, "test DA", "cls+bn+cells"),
    Model("ResNeXt-101 32x8d", "resnext101_32x8d_wsl", 224, 224),
    Model("ResNeXt-101 32x16d", "resnext101_32x16d_wsl", 224, 224),
    Model("ResNeXt-101 32x32d", "resnext101_32x32d_wsl", 224, 224),
    Model("ResNeXt-101 32x48d", "resnext101_32x48d_wsl", 224, 224),
    Model("Our ResNeXt-101 32x48d", "resnext101_32x48d_wsl", 224, 320, "test DA2"),
]


def table2(plan: Plan) -> Page:
    """Table 2: the literature and ours on ImageNet, single crop."""
    rows, cells = [], []
    columns = same("# Parameters", "Top-1 (%)", "Top-5 (%)")
    for model in TABLE2:
        key = (model.title, model.title)
        k_train, k_test = plan.scaled(model.k_train), plan.scaled(model.k_test)
        extra = "✓" if model.network and ZOO[model.network].extra_data else "–"
        ours = model.network is not None
        resolutions = [
            (str(ours_k) if ours else str(k), str(k))
            for ours_k, k in ((k_train, model.k_train), (k_test, model.k_test))
        ]
        rows.append(Row(key, [*same(model.title, extra), *resolutions]))

        def run(model=model, k_test=k_test) -> str:
            start = (
                plan.published(model.network)
                if model.network
                else plan.base(plan.scaled(model.k_train))
            )
            if not model.ours:
                return start
            return plan.adapted(
                start,
                k_test,
                plan.fine_tuning(
                    model.network or None, layers=model.layers, augmentation=model.ours
                ),
            )

        metrics = zip(columns, ("parameters", "top1", "top5"), strict=True)
        if ours:
            cells.append(
                [
                    plan.cell("table2", key, column, metric, k_test, run)
                    for column, metric in metrics
                ]
            )
        else:
            cells.append([reported("table2", key, column, metric) for column, metric in metrics])
    names = dict.fromkeys(model.network for model in TABLE2 if model.network)
    return Page(
        "table2",
        "Table 2",
        "State of the art on ImageNet with various architectures (single crop evaluation).",
        subject(plan, "the networks named", *names),
        [
            Block(
                "Top-1 and top-5 accuracy",
                ["Models", "Extra training data", "Train", "Test"],
                columns,
                rows,
                cells,
            )
        ],
        notes=(
            "Our rows are fine-tuned with test DA2 (§5), PNASNet's with test DA, as the authors' released weights.",
            "The paper's Table 8 has ResNet-50 at 320 and CutMix at 384, the other way round; the released weights agree with this table.",
        ),
    )


class Transferred(NamedTuple):
    """A row of Table 3."""

    title: str
    dataset: str
    network: str
    other: str  # the state of the art that the paper quotes


TABLE3 = [
    Transferred("Stanford Cars", "cars", "senet154", "EfficientNet-B7"),
    Transferred("CUB-200-2011", "cub", "senet154", "MPN-COV"),
    Transferred("Oxford 102 Flowers", "flowers", "inception_resnet_v2", "EfficientNet-B7"),
    Transferred("Oxford-IIIT Pets", "pets", "senet154", "AmoebaNet-B (6,512)"),
    Transferred("Birdsnap", "birdsnap", "senet154", "EfficientNet-B7"),
]


def table3(plan: Plan) -> Page:
    """Table 3: five fine-grained datasets; trained entirely at one resolution, then the last layers at a higher one."""
    transfer, rows, cells = plan.config.transfer, [], []
    networks = dict.fromkeys(row.network for row in TABLE3)
    columns = same("Baseline", "+our method", "State of the art")
    for row in TABLE3:
        key = (row.title, row.title)
        rows.append(Row(key, same(row.title, ZOO[row.network].title, row.other)))

        def run(adapt: bool, row=row) -> str:
            if row.dataset not in transfer.datasets:
                raise Missing(
                    f"the images of {row.title}: give transfer.datasets.{row.dataset} (docs/datasets.md)"
                )
            base = plan.transferred(row.network, transfer.datasets[row.dataset])
            own = {**transfer.fine_tuning, "layers": "cls+bn"}
            return (
                plan.adapted(base, transfer.k_test, plan.fine_tuning(None, **own))
                if adapt
                else base
            )

        baseline = plan.cell(
            "table3", key, columns[0], "top1", transfer.k_train, lambda run=run: run(False)
        )
        adapted = plan.cell(
            "table3", key, columns[1], "top1", transfer.k_test, lambda run=run: run(True)
        )
        cells.append([baseline, adapted, reported("table3", key, columns[2], "top1")])
    return Page(
        "table3",
        "Table 3",
        "Transfer learning with our method, and the state of the art: top-1 accuracy (%).",
        subject(
            plan, "the networks named", *networks, images=", ".join(transfer.datasets.values())
        ),
        [
            Block(
                "Top-1 accuracy",
                ["Dataset", "Model", "State-of-the-art model"],
                columns,
                rows,
                cells,
            )
        ],
        notes=(
            f"Trained at {transfer.k_train}, last layers fine-tuned at {transfer.k_test}; the paper does not print its resolutions.",
        ),
    )


def table5(plan: Plan) -> Page:
    """Table 5: top-1 for combinations of train and test resolution; left unadapted, right fine-tuned."""
    c, divisor = plan.config.table5, plan.config.resolution_divisor
    rows = [Row(key, [key]) for key in ((str(k), str(k * divisor)) for k in c.k_test)]

    def half(title: str, k_trains: list[int], suffix: str, run: Callable[[int, int], str]) -> Block:
        columns = [(str(k), str(k * divisor)) for k in k_trains]
        keys = [(f"{ours}{suffix}", f"{paper}{suffix}") for ours, paper in columns]
        cells = [
            [
                plan.cell(
                    "table5", row.key, key, "top1", k_test, lambda a=k_train, b=k_test: run(a, b)
                )
                for key, k_train in zip(keys, k_trains, strict=True)
            ]
            for row, k_test in zip(rows, c.k_test, strict=True)
        ]
        return Block(title, ["test \\ train"], columns, rows, cells)

    layers = {
        "cls": "classifier",
        "cls+bn": "classifier and last batch-norm",
        "cls+bn+cells": "classifier, last batch-norm and last three cells",
    }
    left = half(
        "Left: standard training, no adaptation",
        c.k_train,
        "",
        lambda k_train, _: plan.base(k_train),
    )
    right = half(
        f"Right: {layers[plan.config.fine_tuning.layers]} fine-tuned",
        c.k_train_adapted,
        " adapted",
        lambda k_train, k_test: plan.adapted(plan.base(k_train), k_test, plan.config.fine_tuning),
    )
    return Page(
        "table5",
        "Table 5",
        "Top-1 validation accuracy (%) for different combinations of training and testing resolution.",
        main_subject(plan),
        [left, right] if c.k_train_adapted else [left],
        Figure(
            "figure5",
            "Top-1 accuracy according to the test resolution, without and with resolution adaptation.",
        ),
        bold="column",
    )


def network_table(
    plan: Plan,
    name: str,
    title: str,
    caption: str,
    heads: list[str],
    k_tests: list[int],
    rows: list[tuple],
    notes: tuple[str, ...] = (),
) -> Page:
    """A table of the ResNet-50: rows that are run differently, over test resolutions.

    Parameters
    ----------
    k_tests : the paper's.
    rows : (the paper's row, labels, k_test -> run) each.
    """
    columns = [(str(plan.scaled(k)), str(k)) for k in k_tests]
    cells = [
        [
            plan.cell(
                name,
                (key, key),
                column,
                "top1",
                plan.scaled(k),
                lambda run=run, k=k: run(plan.scaled(k)),
            )
            for k, column in zip(k_tests, columns, strict=True)
        ]
        for key, _, run in rows
    ]
    block = Block(
        "Top-1 accuracy at test resolution",
        heads,
        columns,
        [Row((key, key), labels) for key, labels, _ in rows],
        cells,
    )
    return Page(name, title, caption, main_subject(plan), [block], notes=notes)


def main_subject(plan: Plan) -> Label:
    """The ResNet-50 of this scale, and the paper's."""
    return f"{ZOO[plan.config.network].title} on {plan.config.dataset}", "ResNet-50 on ImageNet"


def table4(plan: Plan) -> Page:
    """Table 4: Gaussian matching before the last ReLU (A.2), crossed with fine-tuning; k_train 224."""
    k_train = plan.scaled(224)

    def row(key: str, match: bool, layers: str | None) -> tuple:
        def run(k_test: int) -> str:
            start = plan.base(k_train)
            start = plan.matched(start, k_test, "gaussian") if match else start
            return (
                plan.adapted(start, k_test, plan.fine_tuning(layers=layers, augmentation="test DA"))
                if layers
                else start
            )

        ticks = ["✓" if on else "–" for on in (match, layers, layers == "cls+bn")]
        return key, [(str(k_train), "224"), *same(*ticks)], run

    rows = [
        row("none", False, None),
        row("adapted", True, None),
        row("cls", False, "cls"),
        row("cls+bn", False, "cls+bn"),
        row("adapted+cls", True, "cls"),
    ]
    return network_table(
        plan,
        "table4",
        "Table 4",
        "Matching the distribution before the last ReLU: resulting top-1 accuracy (%).",
        [
            "Train resolution",
            "Distribution adapted",
            "Classifier fine-tuned",
            "Batch-norm fine-tuned",
        ],
        [64, 224, 288, 352, 384],
        rows,
        notes=(
            "Two column heads are lost in the paper's text; its five columns are 64, 224, 288, 352 and 384 (the last equals Table 6's).",
        ),
    )


def table6(plan: Plan) -> Page:
    """Table 6: the ablation; what is fine-tuned, and on which augmentation."""

    def row(k: int, layers: str | None, augmentation: str) -> tuple:
        def run(k_test: int) -> str:
            base = plan.base(plan.scaled(k))
            return (
                plan.adapted(
                    base, k_test, plan.fine_tuning(layers=layers, augmentation=augmentation)
                )
                if layers
                else base
            )

        key = f"{k} {layers} {augmentation}" if layers else f"{k} none"
        ticks = ["✓" if on else "–" for on in (layers, layers == "cls+bn")]
        return (
            key,
            [(str(plan.scaled(k)), str(k)), *same(*ticks, augmentation if layers else "n/a")],
            run,
        )

    ways = [
        (None, ""),
        *(
            (layers, augmentation)
            for layers in ("cls", "cls+bn")
            for augmentation in ("train DA", "test DA")
        ),
    ]
    return network_table(
        plan,
        "table6",
        "Table 6",
        "Ablation study: accuracy (%) when enabling or disabling some components of the fine-tuning.",
        ["Train resolution", "Classifier", "Batch-norm", "Data aug."],
        [64, 128, 224, 288, 384, 448],
        [row(k, *way) for k in (128, 224) for way in ways],
    )


TABLE7 = [
    (128, 128, 0),
    (160, 160, 0),
    (224, 224, 0),
    (384, 384, 0),
    (160, 224, 0),
    (224, 288, 0),
    (128, 224, 1),
    (160, 224, 1),
    (224, 384, 1),
]


def table7(plan: Plan) -> Page:
    """Table 7: time of forward and backward passes, of the whole schedule, and the accuracy that it buys."""
    columns = same(
        "train backward",
        "train forward",
        "fine-tuning backward",
        "fine-tuning forward",
        "total time",
        "accuracy",
    )
    rows, cells = [], []
    for train, test, tuned in TABLE7:
        k_train, k_test = plan.scaled(train), plan.scaled(test)
        key = (f"{train} {test}{' fine-tuned' if tuned else ''}",) * 2
        rows.append(Row(key, [(str(k_train), str(train)), (str(k_test), str(test))]))

        def training(k=k_train) -> str:
            return plan.timed(k, None, 32)

        def tuning(k=k_test) -> str:
            return plan.timed(k, "cls+bn", 64)

        def run(a=k_train, b=k_test, tuned=tuned) -> str:
            return (
                plan.adapted(
                    plan.base(a), b, plan.fine_tuning(layers="cls+bn", augmentation="test DA")
                )
                if tuned
                else plan.base(a)
            )

        line: list[Cell | None] = [
            plan.timing("table7", key, c, f"{c[0].split()[1]}_ms", training) for c in columns[:2]
        ]
        line += [
            plan.timing("table7", key, c, f"{c[0].split()[1]}_ms", tuning) if tuned else None
            for c in columns[2:4]
        ]
        line.append(
            plan.timing("table7", key, columns[4], "hours", training, tuning if tuned else None)
        )
        line.append(plan.cell("table7", key, columns[5], "top1", k_test, run))
        cells.append(line)
    return Page(
        "table7",
        "Table 7",
        "Execution time: milliseconds per batch of 32 in training and 64 in fine-tuning, total hours on one device, top-1 accuracy (%).",
        main_subject(plan),
        [
            Block(
                "Time per batch (ms), total time (h), accuracy",
                ["train", "test"],
                columns,
                rows,
                cells,
            )
        ],
        notes=(
            "Fine-tuned: classifier and last batch-norm. Loading is not counted; results/timing/*/metrics.json has it.",
            "Total time: the schedule's images at these speeds, as if no activations were cached.",
        ),
    )


TABLE8 = [
    ("ResNext-101 32x48d 288", "resnext101_32x48d_wsl", 288),
    ("ResNext-101 32x48d 320", "resnext101_32x48d_wsl", 320),
    ("ResNet-50 320", "", 384),
    ("ResNet-50 CutMix 384", "resnet50_cutmix", 320),
]


def table8(plan: Plan) -> Page:
    """Table 8: test DA against test DA2 in fine-tuning classifier and batch-norm."""
    rows, cells, columns = [], [], same("test DA", "test DA2")
    for key, name, k_test in TABLE8:
        title, printed_k = key.rsplit(" ", 1)
        k = plan.scaled(k_test)

        def run(augmentation: str, name=name, k=k) -> str:
            start = plan.published(name) if name else plan.base(plan.scaled(224))
            return plan.adapted(
                start, k, plan.fine_tuning(name or None, layers="cls+bn", augmentation=augmentation)
            )

        test = (
            str(k_test) if k == k_test else str(k),
            printed_k if k_test == int(printed_k) else f"{k_test}; printed: {printed_k}",
        )
        rows.append(Row((key, key), [*same(title), (str(plan.scaled(224)), "224"), test]))
        cells.append(
            [
                plan.cell("table8", (key, key), c, "top1", k, lambda a=c[0], run=run: run(a))
                for c in columns
            ]
        )
    return Page(
        "table8",
        "Table 8",
        "Comparison of test DA and test DA2 in fine-tuning batch-norm and classifier: top-1 accuracy (%).",
        subject(plan, "ResNeXt-101 32x48d and ResNet-50", "resnext101_32x48d_wsl", "resnet50"),
        [Block("Top-1 accuracy", ["Model", "Train", "Test"], columns, rows, cells)],
        notes=(
            "The paper prints ResNet-50 at 320 and CutMix at 384 here; its Table 2 and the released weights have 384 and 320 for the same "
            "numbers. Those are measured.",
        ),
    )


def table9(plan: Plan) -> Page:
    """Table 9: base training with resize + random crop of fixed size (Appendix D), unadapted."""
    k_trains, k_tests = (64, 128, 224, 384), (64, 96, 128, 160, 224, 256, 384, 440)
    columns = [(str(plan.scaled(k)), str(k)) for k in k_trains]
    keys = [(str(plan.scaled(k)), str(k)) for k in k_tests]
    cells = [
        [
            plan.cell(
                "table9",
                key,
                column,
                "top1",
                plan.scaled(k),
                lambda t=k_train: plan.fixed_crop(plan.scaled(t)),
            )
            for k_train, column in zip(k_trains, columns, strict=True)
        ]
        for k, key in zip(k_tests, keys, strict=True)
    ]
    return Page(
        "table9",
        "Table 9",
        "Top-1 validation accuracy (%) for different combinations of training and testing resolution; trained with resize and random crop "
        "of a fixed size in place of the random resized crop.",
        main_subject(plan),
        [
            Block(
                "No adaptation",
                ["test \\ train"],
                columns,
                [Row(key, [key]) for key in keys],
                cells,
            )
        ],
        bold="column",
    )


def section3_3(plan: Plan) -> Page:
    """§3.3: the ResNet-50 trained at 224, unadapted, over test resolutions."""
    k_train = plan.scaled(224)
    return network_table(
        plan,
        "section3.3",
        "Section 3.3",
        "Larger test crops result in better accuracy: top-1 accuracy (%) as k_test is changed.",
        ["Train resolution"],
        [64, 128, 224, 256, 288, 320, 384, 448],
        [("accuracy", [(str(k_train), "224")], lambda _: plan.base(k_train))],
    )


def appendix_a_1(plan: Plan) -> Page:
    """Appendix A.1: Fréchet matching after the average pooling."""
    k_train = plan.scaled(224)
    return network_table(
        plan,
        "appendixA.1",
        "Appendix A.1",
        "Fréchet model of the activations after average pooling, matched at test time: top-1 accuracy (%).",
        ["Train resolution"],
        [64, 128, 224, 256, 288, 448],
        [
            (
                "accuracy",
                [(str(k_train), "224")],
                lambda k_test: plan.matched(plan.base(k_train), k_test, "frechet"),
            )
        ],
        notes=(
            "The paper heads these columns k_test_image; its column 224 is the unadapted accuracy at k_test 224, so they are read so.",
        ),
    )


def released(plan: Plan) -> Page:
    """The weights that the paper's authors released, measured by this suite beside what they published."""
    rows, cells = [], []
    columns = same("# Parameters", "Top-1 (%)", "Top-5 (%)")
    for name, entry in RELEASED.items():
        rows.append(
            Row((name, name), same(entry.title, str(entry.k_test), entry.augmentation or "–"))
        )
        published = zip(
            columns,
            ("parameters", "top1", "top5"),
            (ZOO[entry.network].parameters, entry.top1, entry.top5),
            strict=True,
        )
        cells.append(
            [
                plan.cell(
                    value,
                    (name, name),
                    column,
                    metric,
                    entry.k_test,
                    lambda name=name: plan.released(name),
                )
                for column, metric, value in published
            ]
        )
    resize = {
        "released": "the image's height scaled to k_test_image",
        "paper": "the image's shorter side scaled to k_test_image",
    }
    return Page(
        "released",
        "Released weights",
        "The weights released by the paper's authors: accuracy as they published it, and as this suite measures it.",
        (f"the authors' weights on {plan.config.dataset}", "published by the authors, on ImageNet"),
        [Block("Single centre crop", ["Network", "Test", "Fine-tuned with"], columns, rows, cells)],
        notes=(
            f"Test transform: {resize[plan.config.released.test_resize]} (released.test_resize: {plan.config.released.test_resize}).",
        ),
    )


def reported(page: str, row: Label, column: Label, metric: str) -> Cell:
    """A number that the paper quotes from the literature."""
    return Cell(
        row[0],
        column[0],
        row[1],
        column[1],
        metric,
        printed(page)[row[1], column[1], metric],
        None,
        None,
        "reported",
    )


def subject(plan: Plan, paper: str, *names: str, images: str | None = None) -> Label:
    """What the numbers of a page are of: our networks and images (ImageNet's, unless others are named), the paper's."""
    titles = dict.fromkeys(ZOO[plan.architecture(name)].title for name in names)
    ours = (
        ", ".join(titles)
        if len(titles) < 4
        else "quarter-scale networks of the same classes"
        if plan.config.twins
        else paper
    )
    return (
        f"{ours} on {images or plan.config.dataset}",
        f"{paper} on {'the sets named' if images is not None else 'ImageNet'}",
    )


PAGES = (
    table1,
    table2,
    table3,
    table4,
    table5,
    table6,
    table7,
    table8,
    table9,
    section3_3,
    appendix_a_1,
    released,
)


def plan_of(config: Config) -> Plan:
    """The plan of every page, at one configuration."""
    return Plan(config, PAGES)
