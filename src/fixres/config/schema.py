"""The whole configuration: every name, type, range, default and explanation.

Each section is a class, and `Config` contains them all. The JSON schema for editors
(configs/schema.json) is generated from these classes: `python -m fixres schema`.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from fixres.config.crate import Crate
from fixres.config.custom import Custom
from fixres.config.datasets import Dataset, Pinhole
from fixres.config.fields import Count, Distinct, Name, Pixels, Section, Seed, Several
from fixres.config.hardware import Hardware
from fixres.config.training import (
    BaseTraining,
    FineTuning,
    Matching,
    NetworkSettings,
    Transfer,
    WeakSupervision,
)

SCHEMA_FILE = Path("configs/schema.json")


class Evaluation(Section):
    """How accuracy is measured (§5)."""

    folds: int = Field(10, ge=2)
    """number of folds for the standard deviation; each is left out in turn (§5)"""
    test_resize: Literal["paper", "released"] = "paper"
    """the side of an image that the test transform scales to k_test_image. paper: the shorter side
    (§5); released: the height, as in the released code. It applies wherever crops are cut as at
    test time: evaluation, matching, fine-tuning with test DA or test DA2. The authors' weights have
    a separate key, released.test_resize"""


class Table5(Section):
    """Table 5 and Figure 5: top-1 over k_train × k_test, without and with adaptation."""

    k_train: Several[Pixels] = Field([16, 32, 40, 56, 96])
    """left half"""
    k_train_adapted: Distinct[Pixels] = Field([16, 32, 56, 96])
    """right half: fine-tuned at every k_test"""
    k_test: Several[Pixels] = Field([16, 32, 56, 72, 96, 112, 120])


class Figure7(Section):
    """Figure 7: the network of k_train 224 (of this scale), unadapted, over k_test."""

    k_test: Several[Pixels] = Field([k + more for k in range(40, 97, 8) for more in (0, 1)])
    """any resolutions, not only multiples of the network's stride; they are measured in one
    separate job"""


class Released(Section):
    """results/released.md: the weights released by the paper's authors, on the main dataset."""

    test_resize: Literal["released", "paper"] = "released"
    """the side of the image that is scaled to k_test_image. released: the height, as when these
    weights were tuned; paper: the shorter side"""
    files: dict[Name, str] = Field({})
    """name of a released network -> its file; the page lists the names"""


class Pages(Section):
    """How the pages look. A change reruns only pages."""

    decimals: int = Field(1, ge=0, le=4)
    """decimal places of an accuracy in per cent"""
    captions: dict[Name, str] = Field({})
    """page (table5, figure5 …) -> the text that replaces its caption"""
    only: Several[Name] | None = None
    """the tables and figures to make, such as [table5, figure5]. Claims and numbers of the text
    that need others are missing. null: all"""
    seeds: dict[Name, Count] = Field({})
    """page -> number of seeds, the first of `seeds`, for pages where all would cost too much; other
    pages use all. A claim uses the seeds that all its pages share"""
    allow_missing: bool = False
    """true: a cell whose weights or images are not configured is shown as missing, with the reason;
    false: it is an error"""
    allow_failed: bool = False
    """true: a cell whose run failed at the last attempt is shown as missing, with run and log, and
    the run is not tried again"""


class Config(Section):
    """The whole suite at one scale."""

    scale: Name = "embedded"
    """name of the scale, printed on every page with the numbers"""
    seeds: Several[Seed] = Field([0])
    """everything is trained once from each seed, and a page shows the mean. All random numbers of a
    run follow from its seed"""
    resolution_divisor: Count = 4
    """the paper's resolution divided by the resolution that stands for it here"""
    k_largest: Pixels = Field(
        120, description="largest crop; larger resolutions of Tables 1 and 2 are reduced to it"
    )
    dataset: Name = Field("pinhole", description="the entry of `datasets` that stands for ImageNet")
    datasets: dict[Name, Dataset] = Field({"pinhole": Dataset(rendered=Pinhole())})
    """datasets by name"""
    protocol: Annotated[str, Field(pattern=r"^[A-Za-z0-9]*$", max_length=64)] = ""
    """name of these training settings; part of the names of runs, so that runs of several protocols
    can be compared side by side"""
    network: Name = "resnet10q"
    """the ResNet-50 of this scale: a name from models/catalogue/zoo.py"""
    twins: bool = True
    """small networks of the same classes stand for the paper's other networks (docs/networks.md)"""
    networks: dict[Name, NetworkSettings] = Field({})
    """network (a network of the paper, its twin, or `network`) -> settings that differ for it"""
    base_training: BaseTraining = BaseTraining()
    fine_tuning: FineTuning = FineTuning()
    matching: Matching = Matching()
    weak_supervision: WeakSupervision = WeakSupervision()
    transfer: Transfer = Transfer()
    released: Released = Released()
    evaluation: Evaluation = Evaluation()
    custom: Custom | None = None
    """a custom network and images (docs/recommend.md), instead of the pages of the paper"""
    table5: Table5 = Table5()
    figure7: Figure7 = Figure7()
    pages: Pages = Pages()
    crate: Crate = Crate()
    hardware: Hardware = Hardware()
