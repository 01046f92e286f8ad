"""Table 2: the state of the art on ImageNet, the literature's networks and ours, single crop."""

from typing import NamedTuple

from fixres.graph.api import Accuracy, JobGraph, Line, Page, Reported, grid, line
from fixres.graph.asking import fine_tuning, finetune, obtain_published, scaled, train
from fixres.models.catalogue.zoo import ZOO
from fixres.paper.subjects import subject

REPORTED, TRAINED_HERE = None, ""


class Model(NamedTuple):
    """A row of Table 2."""

    title: str
    network: str | None  # a published network; TRAINED_HERE (§5); REPORTED: the paper quotes it
    k_train: int  # the paper's, pixels
    k_test: int
    augmentation: str = ""  # that it is fine-tuned with; "": it is not fine-tuned
    layers: str = "cls+bn"


MODELS = [
    Model("ResNet-50 Pytorch", "resnet50", 224, 224),
    Model("ResNet-50 mix up", REPORTED, 224, 224),
    Model("ResNet-50 CutMix", "resnet50_cutmix", 224, 224),
    Model("ResNet-50-D", "resnet50d", 224, 224),
    Model("MultiGrain R50-AA-500", REPORTED, 224, 500),
    Model("ResNet-50 Billion-scale", "resnet50_billion_224", 224, 224),
    Model("Our ResNet-50", TRAINED_HERE, 224, 384, "test DA2"),
    Model("Our ResNet-50 CutMix", "resnet50_cutmix", 224, 320, "test DA2"),
    Model("Our ResNet-50 Billion-scale@160", "resnet50_billion_160", 160, 224, "test DA2"),
    Model("Our ResNet-50 Billion-scale@224", "resnet50_billion_224", 224, 320, "test DA2"),
    Model("PNASNet-5 (N = 4, F = 216)", "pnasnet5large", 331, 331),
    Model("MultiGrain PNASNet @ 500px", REPORTED, 331, 500),
    Model("AmoebaNet-B (6,512)", REPORTED, 480, 480),
    Model("EfficientNet-B7", "efficientnet_b7", 600, 600),
    Model("Our PNASNet-5", "pnasnet5large", 331, 480, "test DA", "cls+bn+cells"),
    Model("ResNeXt-101 32x8d", "resnext101_32x8d_wsl", 224, 224),
    Model("ResNeXt-101 32x16d", "resnext101_32x16d_wsl", 224, 224),
    Model("ResNeXt-101 32x32d", "resnext101_32x32d_wsl", 224, 224),
    Model("ResNeXt-101 32x48d", "resnext101_32x48d_wsl", 224, 224),
    Model("Our ResNeXt-101 32x48d", "resnext101_32x48d_wsl", 224, 320, "test DA2"),
]


def table2(plan: JobGraph) -> Page:
    def measure(model: Model, _: None) -> Accuracy | Reported:
        if model.network is REPORTED:
            return Reported()
        if model.network == TRAINED_HERE:
            run = train(plan, scaled(plan, model.k_train))
        else:
            run = obtain_published(plan, model.network)
        k_test = scaled(plan, model.k_test)
        if model.augmentation:
            over = {"layers": model.layers, "augmentation": model.augmentation}
            run = finetune(plan, run, k_test, fine_tuning(plan, model.network or None, **over))
        return Accuracy(run, k_test)

    def row(model: Model) -> Line:
        extra_data = "✓" if model.network and ZOO[model.network].extra_data else "–"
        k_train, k_test = model.k_train, model.k_test
        if model.network is REPORTED:  # the paper's own resolutions, at every scale
            k_train, k_test = str(k_train), str(k_test)
        return line(plan, model.title, model.title, extra_data, k_train, k_test, value=model)

    columns = [
        line(plan, "# Parameters", "# Parameters", metric="parameters"),
        line(plan, "Top-1 (%)", "Top-1 (%)", metric="top1"),
        line(plan, "Top-5 (%)", "Top-5 (%)", metric="top5"),
    ]
    heads = ["Models", "Extra training data", "Train", "Test"]
    rows = [row(model) for model in MODELS]
    names = dict.fromkeys(model.network for model in MODELS if model.network)
    return Page(
        "table2",
        "Table 2",
        "State of the art on ImageNet with various architectures (single crop evaluation).",
        subject(plan, "the networks named", *names),
        [grid(plan, "table2", "Top-1 and top-5 accuracy", heads, rows, columns, measure)],
        notes=(
            "Our rows are fine-tuned with test DA2 (§5), PNASNet's with test DA, as the authors' "
            "released weights.",
            "The paper's Table 8 has ResNet-50 at 320 and CutMix at 384, the other way round; the "
            "released weights agree with this table.",
        ),
    )
