"""What each page would cost before anything expensive starts: jobs, device hours, disk.

    python -m fixres cost --config results/pages/plan/config.json --results results --out results/plan.md

The work of a job is counted: multiply-adds of its network, traced without memory on torch's meta device, times its images. What a
multiply-add takes is measured where finished jobs of the same stage and network left their times, else it is the estimate that the page
states.
"""

import csv
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from fixres import jobs
from fixres.data import manifest, sources
from fixres.models import zoo

# Images a second of a training step, at the resolution k, of a network on a device: what is not measured is estimated from these.
REFERENCES = {
    "resnet50": (
        32 / 0.0502,
        224,
        "the paper's V100: ResNet-50 at 224 px, 32 images forward and backward in 50.2 ms (Table 7)",
    ),
    "resnet10q": (
        1200,
        56,
        "one core of a Xeon with AMX: the quarter-scale ResNet-10 at 56 px, 1,200 images/s in training (docs/speed.md)",
    ),
}
BYTES = 4  # of a kept weight
GB = 1e9


class Work(NamedTuple):
    """What one image costs a network, at one resolution."""

    network: float  # multiply-adds forward
    trunk: float
    head: float
    frontier: float  # bytes of activations between them, in bf16


def main(arguments: list[str]) -> None:
    p = jobs.parser("cost", __doc__, "out", threads=False)
    p.add_argument("--results", type=Path, required=True, help="the folder with the runs")
    args = p.parse_args(arguments)
    config = jobs.read_config(args.config, "cost", args.ancestry_digest)
    counter = Counting(config, args.results)
    with jobs.atomic(args.out) as temporary:
        temporary.write_text(page(config, counter), encoding="utf-8")


class Counting:
    """Multiply-adds, times and sizes of a plan's jobs."""

    def __init__(self, config: dict, results: Path):
        self.config, self.results, self.jobs = config, results, config["jobs"]
        self.known: dict[tuple, Work] = {}
        self.sizes = {
            name: images_of(name, dataset, results) for name, dataset in config["datasets"].items()
        }
        self.done = {
            name: seconds for name in self.jobs if (seconds := self._seconds(name)) is not None
        }
        rate, k, self.reference = REFERENCES["resnet10q" if config["twins"] else "resnet50"]
        network = "resnet10q" if config["twins"] else "resnet50"
        self.estimate = rate * 3 * self.work(network, ("classifier",), k).network
        spent: Counter[tuple] = Counter()
        computed: Counter[tuple] = Counter()
        for name, seconds in self.done.items():
            key = (self.jobs[name]["stage"], self.jobs[name].get("network"))
            spent[key] += seconds
            computed[key] += self.computation(name)
        self.measured = {key: computed[key] / spent[key] for key in spent if computed[key]}

    def work(self, network: str, layers: tuple[str, ...], k: int) -> Work:
        """Counted once for each network and split, at its native size; all grow with the number of pixels."""
        if (network, layers) not in self.known:
            self.known[network, layers] = count(network, list(layers))
        scale = (k / zoo.ZOO[network].native) ** 2
        return Work(*(value * scale for value in self.known[network, layers]))

    def computation(self, name: str) -> float:
        """Multiply-adds of a whole job (a backward pass counts as two forward passes)."""
        content = self.jobs[name]
        if content["stage"] not in ("train", "finetune", "match", "evaluate"):
            return 0.0
        train, val = self.sizes[name.split("/")[1]]
        network = content["network"]
        if content["stage"] == "evaluate":
            return val * sum(
                self.work(network, ("classifier",), k).network for k in content["k_test"]
            )
        if (
            content["stage"] == "match"
        ):  # measured at both resolutions, then once more with the map in place
            passes = (content["k_train"], content["k_test"], content["k_test"])
            return min(content["images"] or train, train) * sum(
                self.work(network, ("classifier",), k).network for k in passes
            )
        recipe = content["recipe"]
        if content["stage"] == "train":
            samples = recipe["epochs"] * (recipe["samples_per_epoch"] or train)
            return 3 * samples * self.work(network, ("classifier",), content["k_train"]).network
        images = min(recipe["images"] or train, train)
        work = self.work(network, tuple(content["layers"]), content["k_test"])
        once = (
            content["augmentation"]["name"] == "test DA"
            and images * work.frontier <= self.config["cache_gb"] * GB
        )
        return images * (
            work.trunk * (1 if once else recipe["epochs"]) + 3 * work.head * recipe["epochs"]
        )

    def seconds(self, name: str) -> float:
        """What a job takes on one device; 0 where it is done."""
        if name in self.done:
            return 0.0
        content = self.jobs[name]
        rate = self.measured.get((content["stage"], content.get("network")), self.estimate)
        return self.computation(name) / rate

    def is_measured(self, name: str) -> bool:
        return (self.jobs[name]["stage"], self.jobs[name].get("network")) in self.measured

    def bytes(self, name: str) -> float:
        """What a job leaves on disk."""
        content = self.jobs[name]
        if content["stage"] in ("train", "match", "finetune", "pretrained"):
            return BYTES * parameters(content["network"])
        if content["stage"] == "evaluate":
            return (
                len(content["k_test"]) * self.sizes[name.split("/")[1]][1] * 100
            )  # top 5, label and path of an image
        return 0.0

    def _seconds(self, name: str) -> float | None:
        """Wall-clock seconds of a finished job, from Snakemake's benchmark."""
        stage = self.jobs[name]["stage"]
        file = (
            self.results
            / name
            / (
                "benchmark.tsv"
                if stage in ("evaluate", "render", "manifest")
                else f"{stage}.benchmark.tsv"
            )
        )
        try:
            with open(file, newline="", encoding="utf-8") as f:
                return (
                    float(next(csv.DictReader(f, delimiter="\t"))["s"]) * self.config["processes"]
                )
        except (OSError, KeyError, ValueError, StopIteration):
            return None


def images_of(name: str, dataset: dict, results: Path) -> tuple[int, int]:
    """(train, val) images of a dataset: of its manifest, or as it will be rendered, or as published."""
    file = results / "data" / name / "manifest.npz"
    if file.is_file():
        data = manifest.load(file)
        return len(data.rows("train")), len(data.rows("val"))
    if dataset["images"]:
        return tuple(dataset["images"])
    published = sources.load(dataset["source"]).published or sources.load("imagenet").published
    return published[0], published[1]


def parameters(network: str) -> int:
    """Parameters of a network for 1000 classes."""
    return sum(p.numel() for p in zoo.outline(network, 1000).parameters())


def count(network: str, layers: list[str]) -> Work:
    """Multiply-adds and frontier of one image at the network's native resolution, for 1000 classes."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from fixres.models.split import freeze

    entry = zoo.ZOO[network]
    with torch.device("meta"):
        built = entry.build(1000)
        parts = freeze(built, layers, entry, "statistics")
        built.eval()
        x = torch.empty(1, 3, entry.native, entry.native)
        with torch.no_grad():
            with FlopCounterMode(display=False) as trunk:
                frontier = parts.trunk(x)
            with FlopCounterMode(display=False) as head:
                parts.head(*frontier)
    flops = [counter.get_total_flops() / 2 for counter in (trunk, head)]
    return Work(sum(flops), *flops, sum(2 * a.numel() for a in frontier))


# --- the page ----------------------------------------------------------------------------------------------------------------


def page(config: dict, counter: Counting) -> str:
    """Markdown: a row a page, one for all together, the longest jobs, and what is assumed."""
    everything = sorted(set().union(*config["pages"].values()))
    pages = sorted(
        config["pages"].items(), key=lambda page: (not page[0].startswith("table"), page[0])
    )
    rows = [line(name, jobs, counter) for name, jobs in [*pages, ("all together", everything)]]
    heads = [
        "page",
        "jobs",
        "done",
        "trainings",
        "fine-tunings",
        "evaluations",
        "device hours to go",
        "disk (GB)",
    ]
    longest = sorted(
        (name for name in everything if counter.seconds(name)),
        key=lambda name: (-counter.seconds(name), name),
    )[:10]
    to_go = [
        [
            f"`{name}`",
            hours(counter.seconds(name)),
            "measured" if counter.is_measured(name) else "estimated",
        ]
        for name in longest
    ]
    shared = "Jobs that several pages need are counted for each of them, and once in the last row."
    parts = [
        "# What it costs",
        f"The plan of the {config['scale']} scale. {shared}",
        tabulate(
            rows, heads, tablefmt="pipe", disable_numparse=True, colalign=["left"] + ["right"] * 7
        ),
        "**The longest jobs to go**",
        tabulate(to_go, ["job", "device hours", "rate"], tablefmt="pipe", disable_numparse=True)
        if to_go
        else "None.",
        "\n".join(f"- {remark}" for remark in remarks(config, counter)),
    ]
    return "\n\n".join(parts) + "\n"


def remarks(config: dict, counter: Counting) -> list[str]:
    """What the numbers rest on."""
    measured = ", ".join(
        f"{stage} of {network}" for stage, network in sorted(counter.measured, key=str)
    )
    return [
        f"Rates measured by finished jobs: {measured or 'none yet'}.",
        f"All others are estimated from {counter.reference}, in proportion to the multiply-adds of network, resolution and images; a "
        "backward pass counts as two forward passes. Small crops and small networks use a device worse than that.",
        f"A fine-tuning with test DA whose activations fit hardware.cache_gb ({config['cache_gb']:g}) runs its trunk once, not each epoch.",
        "Decoding is not counted: a device that computes faster than its processors decode will wait for them.",
        "Disk: weights and predictions that stay. While it runs, a training also keeps two checkpoints of twice its weights. Archives "
        "unpack to about their own size (ImageNet 2012: 155 GB); rendered sets are small.",
    ]


def line(name: str, jobs: list[str], counter: Counting) -> list[str]:
    stages = Counter(counter.jobs[j]["stage"] for j in jobs)
    done = sum(j in counter.done for j in jobs)
    disk = sum(counter.bytes(j) for j in jobs) / GB
    seconds = sum(counter.seconds(j) for j in jobs)
    return [
        name,
        str(len(jobs)),
        str(done),
        *(str(stages[s]) for s in ("train", "finetune", "evaluate")),
        hours(seconds),
        f"{disk:.1f}",
    ]


def hours(seconds: float) -> str:
    """Hours with three digits, so that minutes of the embedded scale and weeks of ImageNet both read."""
    value = seconds / 3600
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
