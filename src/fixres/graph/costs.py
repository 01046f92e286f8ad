"""What the jobs of a plan compute, and how long that takes on one device.

The work of a job is counted: the multiply-adds of its network (models/catalogue/work.py) times its
images. The rate is measured where finished jobs of the same stage and network left their times.
Otherwise it is estimated from a reference device.

The record of a stage names the functions here that count its work and what it leaves on disk.
"""

import csv
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from fixres.artifacts import manifest
from fixres.data import sources
from fixres.data.regions import TEN
from fixres.graph.pages import Cost, Images
from fixres.graph.stages import STAGES, Stage
from fixres.hardware.leases import seconds_waited
from fixres.jobs import JobError
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
    plan : the resolved configuration of results/plan.md.
    results : the folder with what finished jobs left.

    Attributes
    ----------
    jobs : id -> what is known of the job.
    done : job -> seconds that it took.
    measured : (stage, network) -> multiply-adds a second.
    sizes : dataset -> its training and validation images, of every dataset that a job reads. None:
        nobody can tell yet; such images are not counted.
    leaders : (custom network, k_test, seed) -> the fine-tuning that runs the trunk for the other
        adaptations there, and predicts for all (stages/ahead.py).
    """

    def __init__(self, plan: Cost, results: Path):
        self.plan, self.results, self.jobs = plan, results, plan.jobs
        read = {job.dataset for job in self.jobs.values()}
        self.sizes = {
            name: images_of(name, dataset, results)
            for name, dataset in plan.datasets.items()
            if name in read
        }
        self.reference = EMBEDDED if plan.twins else PAPER
        work = self.work(self.reference.network, WHOLE, self.reference.k)
        self.estimate = self.reference.images_per_second * 3 * work.network
        if plan.multiply_adds_per_second:
            about = "a trial of its forward pass on this machine"
            self.reference = self.reference._replace(about=about)
            self.estimate = plan.multiply_adds_per_second
        self.leaders = self._leaders()
        times = {name: self._seconds_spent(name) for name in self.jobs}
        self.done = {name: seconds for name, seconds in times.items() if seconds is not None}
        self.measured = self._rates()

    def computation(self, name: str, cache_gb: float | None = None) -> float:
        """Multiply-adds of a whole job. A backward pass counts as two forward passes.

        `cache_gb` takes the place of hardware.cache_gb, here and below.
        """
        count = self.stage(name).cost
        return globals()[count](self, name, cache_gb) if count else 0.0

    def cache_needed(self, name: str) -> float:
        """The cache_gb with which a fine-tuning runs its trunk once; 0 where none would do.

        Each process keeps all activations. With another augmentation than test DA, they change in
        every epoch.
        """
        config = self.jobs[name].config
        if self.stage(name).cost != "fine_tuning" or config["augmentation"]["name"] != "test DA":
            return 0.0
        work = self.work(config["network"], tuple(config["layers"]), config["k_test"])
        return self.images_trained_on(name) * work.frontier * self.plan.processes / GB

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
        count = self.stage(name).disk
        return globals()[count](self, name) if count else 0.0

    # --- what they are counted from --------------------------------------------------------------

    def stage(self, name: str) -> Stage:
        """The stage of a job."""
        return STAGES[self.jobs[name].config["stage"]]

    def work(self, network: str, layers: tuple[str, ...], k: int) -> Work:
        """What one image costs at `k` pixels, where `layers` train."""
        custom = self.plan.custom.get(network)
        if custom:
            return _custom_work(custom, layers).at(k, custom["native"], pooled=layers == WHOLE)
        return work_of(network, layers).at(k, zoo.ZOO[network].native, pooled=layers == WHOLE)

    def forward(self, network: str, k: int) -> float:
        """Multiply-adds of one image's forward pass."""
        return self.work(network, WHOLE, k).network

    def images(self, name: str) -> tuple[int, int]:
        """Training and validation images of a job's dataset; none where nobody can tell."""
        return self.sizes[self.jobs[name].dataset] or (0, 0)

    def images_trained_on(self, name: str) -> int:
        """The training images that an adaptation sees."""
        config, (train, _) = self.jobs[name].config, self.images(name)
        return min(config.get("recipe", config)["images"] or train, train)

    def follows(self, name: str, cache_gb: float | None = None) -> bool:
        """Whether an adaptation finds what it needs of its trunk, because another one leaves it."""
        config = self.jobs[name].config
        leader = self.leaders.get((config["network"], config["k_test"], config["seed"]), name)
        given = self.plan.cache_gb if cache_gb is None else cache_gb
        return leader != name and self.cache_needed(leader) <= given

    def _leaders(self) -> dict[tuple[str, int, int], str]:
        found: dict[tuple[str, int, int], str] = {}
        for name, job in self.jobs.items():
            config = job.config
            if config["stage"] == "finetune" and config["network"] in self.plan.custom:
                key = (config["network"], config["k_test"], config["seed"])
                if "batch-norm" in config["layers"] or key not in found:
                    found[key] = name
        return found

    def _kind(self, name: str) -> tuple[str, str | None]:
        return self.stage(name).name, self.jobs[name].config.get("network")

    def _rates(self) -> dict[tuple, float]:
        spent: Counter[tuple] = Counter()
        computed: Counter[tuple] = Counter()
        for name, seconds in self.done.items():
            spent[self._kind(name)] += seconds
            computed[self._kind(name)] += self.computation(name)
        return {k: computed[k] / spent[k] for k in spent if computed[k] and spent[k]}

    def _seconds_spent(self, name: str) -> float | None:
        """Seconds on one device of a finished job.

        They come from Snakemake's benchmark, without the time that the job waited for a device.
        """
        job = self.jobs[name]
        try:
            with open(self.results / job.benchmark, newline="", encoding="utf-8") as f:
                seconds = float(next(csv.DictReader(f, delimiter="\t"))["s"])
        except (OSError, KeyError, ValueError, StopIteration):
            return None
        waited = seconds_waited(self.results / job.log)
        return max(seconds - waited, 0.0) * self.plan.processes


# --- multiply-adds of a job (Stage.cost) ----------------------------------------------------------


def training(costs: Costs, name: str, _: float | None) -> float:
    config, (train, _) = costs.jobs[name].config, costs.images(name)
    recipe = config["recipe"]
    samples = recipe["epochs"] * (recipe["samples_per_epoch"] or train)
    return 3 * samples * costs.forward(config["network"], config["k_train"])


def fine_tuning(costs: Costs, name: str, cache_gb: float | None) -> float:
    config, epochs = costs.jobs[name].config, costs.jobs[name].config["recipe"]["epochs"]
    work = costs.work(config["network"], tuple(config["layers"]), config["k_test"])
    given = costs.plan.cache_gb if cache_gb is None else cache_gb
    passes = 1 if 0 < costs.cache_needed(name) <= given else epochs
    passes = 0 if costs.follows(name, cache_gb) else passes
    trained = costs.images_trained_on(name) * (work.trunk * passes + 3 * work.head * epochs)
    if name not in costs.leaders.values():
        return trained
    evaluations = (job.config for job in costs.jobs.values() if job.config["stage"] == "evaluate")
    ratios = max((len(of.get("crop_pct", [None])) for of in evaluations), default=0)
    predicted = costs.images(name)[1] * ratios * costs.forward(config["network"], config["k_test"])
    return trained + predicted


def matching(costs: Costs, name: str, _: float | None) -> float:
    """Measured at both resolutions, then again with the map in place."""
    config = costs.jobs[name].config
    passes = (config["k_train"], config["k_test"], config["k_test"])
    each = sum(costs.forward(config["network"], k) for k in passes)
    return costs.images_trained_on(name) * each


def statistics(costs: Costs, name: str, cache_gb: float | None) -> float:
    config = costs.jobs[name].config
    if costs.follows(name, cache_gb):
        return 0.0
    return costs.images_trained_on(name) * costs.forward(config["network"], config["k_test"])


def evaluation(costs: Costs, name: str, _: float | None) -> float:
    config, (_, val) = costs.jobs[name].config, costs.images(name)
    ratios = len(config.get("crop_pct", [None]))
    ahead = {k for network, k, _ in costs.leaders if network == config["network"]}
    crops = [(k, ratios) for k in config["k_test"] if k not in ahead]
    crops += [(k, TEN) for k in config["ten_crops"]]
    return val * sum(n * costs.forward(config["network"], k) for k, n in crops)


def activations(costs: Costs, name: str, _: float | None) -> float:
    """All images together, then each by itself."""
    config, (_, val) = costs.jobs[name].config, costs.images(name)
    return 2 * val * sum(costs.forward(config["network"], k) for k in config["k_test"])


# --- bytes that a job leaves on disk (Stage.disk) -------------------------------------------------


def weights(costs: Costs, name: str) -> float:
    network = costs.jobs[name].config["network"]
    custom = costs.plan.custom.get(network)
    return BYTES_PER_WEIGHT * (custom["parameters"] if custom else parameters_of(network))


def predictions(costs: Costs, name: str) -> float:
    config = costs.jobs[name].config
    files = len(config["k_test"]) + len(config["ten_crops"])
    return files * costs.images(name)[1] * BYTES_PER_PREDICTION


def histograms(costs: Costs, name: str) -> float:
    return len(costs.jobs[name].config["k_test"]) * costs.images(name)[1] * BYTES_PER_HISTOGRAM


# --- custom networks, and images of the user's ----------------------------------------------------


def _custom_work(network: dict, layers: tuple[str, ...]) -> Work:
    """The work of a custom network at its native resolution: about, that of its kind.

    Its head is taken to compute nothing compared with its trunk. The frontier is a ResNet-50's:
    2048 channels, of two maps where the last normalisation trains.
    """
    side = network["native"] / network["stride"] if "batch-norm" in layers else 1
    maps = 2 if "batch-norm" in layers else 1
    frontier = 2 * 2048 * maps * side**2
    return Work(network["multiply_adds"], 0.0, frontier)


def images_of(name: str, dataset: Images, results: Path) -> tuple[int, int] | None:
    """Training and validation images of a dataset.

    They are counted in its manifest, else as it will be rendered, else as published. Images of an
    image folder are counted on disk. None: they cannot be counted.
    """
    file = results / "data" / name / "manifest.npz"
    if file.is_file():
        data = manifest.load(file)
        return len(data.rows("train")), len(data.rows("val"))
    if dataset.rendered:
        return dataset.rendered
    found = _given(dataset)
    limits = (dataset.limit.get(split) for split in ("train", "val"))
    return found and tuple(min(n, limit or n) for n, limit in zip(found, limits, strict=True))


def _given(dataset: Images) -> tuple[int, int] | None:
    """Training and validation images that a user gives; None: none can be counted."""
    if dataset.source != "imagefolder":
        published = sources.load(dataset.source).published or sources.load("imagenet").published
        return 0 if dataset.only else published[0], published[1]
    wanted = {"split": dataset.split} if dataset.split else {}
    wanted |= {"only": dataset.only} if dataset.only else {}
    wanted |= {"labels": {"file": dataset.labels, "sha256": ""}} if dataset.labels else {}
    try:
        listing = sources.picked(sources.load("imagefolder"), wanted).read(Path(dataset.folder))
    except JobError:
        return None  # the job that lists the images says why
    train, val = (int((listing.split == number).sum()) for number in (0, 1))
    return (train, val) if all((train, val)[number] for number in listing.splits) else None
