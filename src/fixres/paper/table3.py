"""Table 3: transfer to five fine-grained datasets (§5.3)."""

from typing import NamedTuple

from fixres.config import laid_over
from fixres.graph.api import Accuracy, JobGraph, Missing, Page, Reported, Sample, grid, line
from fixres.graph.asking import finetune, measure_transfer_sizes, transfer
from fixres.models.catalogue.zoo import ZOO
from fixres.paper.subjects import subject


class Transfer(NamedTuple):
    """A row of Table 3."""

    title: str
    dataset: str  # a key of transfer.datasets
    network: str
    state_of_the_art: str  # the network that the paper quotes


ROWS = [
    Transfer("Stanford Cars", "cars", "senet154", "EfficientNet-B7"),
    Transfer("CUB-200-2011", "cub", "senet154", "MPN-COV"),
    Transfer("Oxford 102 Flowers", "flowers", "inception_resnet_v2", "EfficientNet-B7"),
    Transfer("Oxford-IIIT Pets", "pets", "senet154", "AmoebaNet-B (6,512)"),
    Transfer("Birdsnap", "birdsnap", "senet154", "EfficientNet-B7"),
]
BASELINE, OURS, QUOTED, SIZE = "Baseline", "+our method", "State of the art", "Image size"


def table3(plan: JobGraph) -> Page:
    """Declare the page: trained entirely at one resolution, then adapted to a higher one."""
    given = plan.config.transfer

    def images_of(row: Transfer) -> str:
        if row.dataset not in given.datasets:
            key = f"transfer.datasets.{row.dataset}"
            raise Missing(f"the images of {row.title} ({key}, docs/datasets.md)")
        return given.datasets[row.dataset]

    def image_size(row: Transfer, _: None) -> Sample:
        return Sample(measure_transfer_sizes(plan, images_of(row)))

    def measure(row: Transfer, column: str) -> Accuracy | Reported:
        if column == QUOTED:
            return Reported()
        run = transfer(plan, row.network, images_of(row))
        if column == BASELINE:
            return Accuracy(run, given.k_train)
        over = given.fine_tuning | {"layers": "cls+bn"}
        settings = laid_over(plan.config.fine_tuning, over, "transfer.fine_tuning")
        return Accuracy(finetune(plan, run, given.k_test, settings), given.k_test)

    rows = [
        line(plan, x.title, x.title, ZOO[x.network].title, x.state_of_the_art, value=x)
        for x in ROWS
    ]
    columns = [line(plan, key, key, value=key) for key in (BASELINE, OURS, QUOTED)]
    heads = ["Dataset", "Model", "State-of-the-art model"]
    sets_alone = [line(plan, x.title, x.title, value=x) for x in ROWS]
    size, title = [line(plan, SIZE, SIZE, metric="image_size")], "Training images: sqrt(HW), pixels"
    networks, sets = dict.fromkeys(x.network for x in ROWS), given.datasets.values()
    return Page(
        "table3",
        "Table 3",
        "Transfer learning with our method, and the state of the art: top-1 accuracy (%).",
        subject(plan, "the networks named", *networks, images=", ".join(sets)),
        [
            grid(plan, "table3", "Top-1 accuracy", heads, rows, columns, measure),
            grid(plan, "table3", title, heads[:1], sets_alone, size, image_size),
        ],
        notes=(
            f"Trained at {given.k_train}, last layers fine-tuned at {given.k_test}; the "
            "paper does not print its resolutions.",
            "The paper's table has no sizes of images; §5.3 says that the gain depends on them.",
        ),
    )
