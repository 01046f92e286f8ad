"""What the jobs of a plan compute, and how long that takes on one device.

The work of a job is counted: the multiply-adds of its network (models/catalogue/work.py) times its
images. The rate is measured where finished jobs of the same stage and network left their times.
Otherwise it is estimated from a reference device.
"""

import csv
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from fixres.artifacts import manifest
from fixres.data import sources
from fixres.data.regions import TEN
from fixres.graph.outputs import LOGS, benchmark_of
from fixres.hardware.leases import seconds_waited
from fixres.models.catalogue import zoo
from fixres.models.catalogue.work import Work
from fixres.models.counting import parameters_of, work_of

BYTES_PER_WEIGHT = 4
BYTES_PER_PREDICTION = 100  # top 5, label and path of one image at one resolution
BYTES_PER_HISTOGRAM = 100  # of the activations of one image at one resolution, compressed
GB = 1e9
WHOLE = ("classifier",)  # a split whose sum is the whole network


class Reference(NamedTuple):
    """A training speed that somebody measured."""

    network: str
    k: int  # pixels
    images_per_second: float  # forward and backward
    about: str


PAPER = Reference(
    "resnet50",
    224,
    32 / 0.0502,
    "the paper's V100: ResNet-50 at 224 px, 32 images forward and backward in 50.2 ms (Table 7)",
)
EMBEDDED = Reference(
    "resnet10q",
    56,
    1200,
    "one core of a Xeon with AMX: the quarter-scale ResNet-10 at 56 px, 1,200 images/s in training "
    "(docs/speed.md)",
)


class Costs:
    """Multiply-adds, times and sizes of a plan's jobs.

    Parameters
    ----------
    config : the resolved configuration of results/plan.md (`Plan._costs`).
    results : the folder with what finished jobs left.

    Attributes
    ----------
    done : job -> seconds that it took.
    measured : (stage, network) -> multiply-adds a second.
    sizes : dataset -> its training and validation images, of every dataset that a job reads. None:
        nobody can tell yet; such images are not counted.
    """

    def __init__(self, config: dict, results: Path):
        self.config, self.results, self.jobs = config, results, config["jobs"]
        read = {name.split("/")[1] for name in self.jobs}
        self.sizes = {
            name: images_of(name, dataset, results)
            for name, dataset in config["datasets"].items()
            if name in read
        }
        self.reference = EMBEDDED if config["twins"] else PAPER
        work = self._work(self.reference.network, WHOLE, self.reference.k)
        self.estimate = self.reference.images_per_second * 3 * work.network
        if "multiply_adds_per_second" in config:
            about = "a trial of its forward pass on this machine"
            self.reference = self.reference._replace(about=about)
            self.estimate = config["multiply_adds_per_second"]
        times = {name: self._seconds_spent(name) for name in self.jobs}
        self.done = {name: seconds for name, seconds in times.items() if seconds is not None}
        self.measured = self._rates()

    def computation(self, name: str, cache_gb: float | None = None) -> float:
        """Multiply-adds of a whole job. A backward pass counts as two forward passes.

        Parameters
        ----------
        cache_gb : in place of hardware.cache_gb.
        """
        content = self.jobs[name]
        stage = content["stage"]
        if stage not in ("train", "finetune", "match", "statistics", "evaluate", "activations"):
            return 0.0
        train, val = self._images(name)
        network = content["network"]
        if stage == "evaluate":
            ratios = len(content.get("crop_pct", [None]))
            crops = [(k, ratios) for k in content["k_test"]]
            crops += [(k, TEN) for k in content["ten_crops"]]
            return val * sum(n * self._work(network, WHOLE, k).network for k, n in crops)
        if stage == "activations":  # all images together, then each by itself
            return 2 * val * sum(self._work(network, WHOLE, k).network for k in content["k_test"])
        if stage == "statistics":
            images = min(content["images"] or train, train)
            return images * self._work(network, WHOLE, content["k_test"]).network
        if stage == "match":  # measured at both resolutions, then again with the map in place
            passes = (content["k_train"], content["k_test"], content["k_test"])
            images = min(content["images"] or train, train)
            return images * sum(self._work(network, WHOLE, k).network for k in passes)
        recipe = content["recipe"]
        if stage == "train":
            samples = recipe["epochs"] * (recipe["samples_per_epoch"] or train)
            return 3 * samples * self._work(network, WHOLE, content["k_train"]).network
        images = min(recipe["images"] or train, train)
        work = self._work(network, tuple(content["layers"]), content["k_test"])
        given, epochs = self.config["cache_gb"] if cache_gb is None else cache_gb, recipe["epochs"]
        passes = 1 if 0 < self.cache_needed(name) <= given else epochs
        return images * (work.trunk * passes + 3 * work.head * epochs)

    def cache_needed(self, name: str) -> float:
        """The cache_gb with which a fine-tuning runs its trunk once; 0 where none would do.

        Each process keeps all activations. Those of other augmentations than test DA change in
        every epoch.
        """
        content = self.jobs[name]
        if content["stage"] != "finetune" or content["augmentation"]["name"] != "test DA":
            return 0.0
        train, _ = self._images(name)
        images = min(content["recipe"]["images"] or train, train)
        work = self._work(content["network"], tuple(content["layers"]), content["k_test"])
        return images * work.frontier * self.config["processes"] / GB

    def duration(self, name: str, cache_gb: float | None = None) -> float:
        """The seconds that a job takes on one device, whether it is done or not."""
        return self.computation(name, cache_gb) / self.measured.get(self._kind(name), self.estimate)

    def seconds(self, name: str, cache_gb: float | None = None) -> float:
        """The seconds that a job still needs: 0 where it is done."""
        return 0.0 if name in self.done else self.duration(name, cache_gb)

    def is_measured(self, name: str) -> bool:
        """Whether the rate of a job was measured here."""
        return self._kind(name) in self.measured

    def bytes(self, name: str) -> float:
        """The bytes that a job leaves on disk."""
        content = self.jobs[name]
        if content["stage"] in ("train", "match", "statistics", "finetune", "pretrained"):
            custom = self.config.get("custom", {}).get(content["network"])
            parameters = custom["parameters"] if custom else parameters_of(content["network"])
            return BYTES_PER_WEIGHT * parameters
        if content["stage"] == "evaluate":
            files = len(content["k_test"]) + len(content["ten_crops"])
            return files * self._images(name)[1] * BYTES_PER_PREDICTION
        if content["stage"] == "activations":
            return len(content["k_test"]) * self._images(name)[1] * BYTES_PER_HISTOGRAM
        return 0.0

    def _work(self, network: str, layers: tuple[str, ...], k: int) -> Work:
        custom = self.config.get("custom", {}).get(network)
        if custom:
            return _custom_work(custom, layers).at(k, custom["native"], pooled=layers == WHOLE)
        return work_of(network, layers).at(k, zoo.ZOO[network].native, pooled=layers == WHOLE)

    def _images(self, name: str) -> tuple[int, int]:
        """Training and validation images of a job's dataset; none where nobody can tell."""
        return self.sizes[name.split("/")[1]] or (0, 0)

    def _kind(self, name: str) -> tuple[str, str | None]:
        return self.jobs[name]["stage"], self.jobs[name].get("network")

    def _rates(self) -> dict[tuple, float]:
        spent: Counter[tuple] = Counter()
        computed: Counter[tuple] = Counter()
        for name, seconds in self.done.items():
            spent[self._kind(name)] += seconds
            computed[self._kind(name)] += self.computation(name)
        return {k: computed[k] / spent[k] for k in spent if computed[k] and spent[k]}

    def _seconds_spent(self, name: str) -> float | None:
        """Seconds on one device of a finished job.

        They are those of Snakemake's benchmark, without the time that the job waited for a device.
        """
        stage = self.jobs[name]["stage"]
        file = self.results / benchmark_of(name, stage)
        try:
            with open(file, newline="", encoding="utf-8") as f:
                first = next(csv.DictReader(f, delimiter="\t"))
            seconds = float(first["s"])
        except (OSError, KeyError, ValueError, StopIteration):
            return None
        waited = seconds_waited(self.results / name / LOGS[stage]) if stage in LOGS else 0.0
        return max(seconds - waited, 0.0) * self.config["processes"]


def _custom_work(network: dict, layers: tuple[str, ...]) -> Work:
    """The work of a custom network at its native resolution: about, that of its kind.

    Its head is taken to compute nothing beside its trunk. The frontier is a ResNet-50's: 2048
    channels, of two maps where the last normalisation trains.
    """
    side = network["native"] / network["stride"] if "batch-norm" in layers else 1
    maps = 2 if "batch-norm" in layers else 1
    frontier = 2 * 2048 * maps * side**2
    return Work(network["multiply_adds"], network["multiply_adds"], 0.0, frontier)


def images_of(name: str, dataset: dict, results: Path) -> tuple[int, int] | None:
    """Training and validation images of a dataset.

    They are counted in its manifest, else as it will be rendered, else as published. Those of an
    image folder are counted on disk. None: there are none that can be counted.
    """
    file = results / "data" / name / "manifest.npz"
    if file.is_file():
        data = manifest.load(file)
        return len(data.rows("train")), len(data.rows("val"))
    if dataset["images"]:
        return tuple(dataset["images"])
    found = _given(dataset)
    limits = (dataset.get("limit", {}).get(split) for split in ("train", "val"))
    return found and tuple(min(n, limit or n) for n, limit in zip(found, limits, strict=True))


def _given(dataset: dict) -> tuple[int, int] | None:
    """Training and validation images that a user gives; None: none can be counted."""
    if dataset["source"] != "imagefolder":
        published = sources.load(dataset["source"]).published or sources.load("imagenet").published
        return published[0], published[1]
    folder = Path(dataset["folder"])
    if "split" in dataset:
        n = len(sources.images_below(folder, "."))
        val = round(n * dataset["split"])
        train = n - val
    else:
        train, val = (len(sources.images_below(folder, split)) for split in ("train", "val"))
    return (train, val) if train and val else None
