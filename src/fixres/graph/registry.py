"""The jobs of a plan: id -> resolved configuration, and what names and sizes mean at its scale."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from fixres.config import Config, ConfigError
from fixres.config.custom import CustomNetwork
from fixres.config.datasets import Dataset
from fixres.graph.checks import check, expanded
from fixres.graph.pages import Label
from fixres.jobs import digest
from fixres.models.catalogue.zoo import ZOO
from fixres.nearest import closest

# A change of the code that changes results is declared here. Raise the number of a stage: its jobs
# run again, and all that depends on them. A change of one network alone is declared in its entry of
# the zoo (`revision`).
VERSIONS = {
    "render": 2,
    "manifest": 2,
    "pretrained": 1,
    "train": 2,
    "match": 1,
    "finetune": 2,
    "time": 1,
    "memory": 1,
    "evaluate": 3,
    "activations": 1,
    "sizes": 1,
    "crops": 1,
    "table": 3,
    "figure": 4,
    "summary": 2,
    "claims": 2,
    "text": 1,
    "cost": 1,
    "report": 1,
    "speed": 1,
    "statistics": 1,
    "choose": 1,
    "export": 1,
    "answer": 1,
}

Asked = TypeVar("Asked")


def _version(stage: str, network: object) -> int | str:
    """The version of a job: of its stage, and of its network where that has a revision.

    Published weights are the same for every revision: they are not fetched again.
    """
    entry = ZOO.get(network) if stage != "pretrained" else None
    version = VERSIONS[stage]
    return f"{version}.{entry.revision}" if entry and entry.revision else version


def custom_entry(network: CustomNetwork) -> dict:
    """What the jobs of a custom network must know of it, in place of an entry of the zoo.

    Of a constructor of the user's, a digest of its file is part of it: an edit runs its jobs again.
    """
    entry = network.model_dump(exclude={"multiply_adds", "parameters", "has_statistics"})
    # Its title stands on the page alone: another one runs nothing again.
    entry |= {
        "path": expanded(entry["path"]),
        "weights": custom_weights(entry["weights"]),
        "title": "",
    }
    kind, module, *_ = entry["source"].split(":")
    if kind == "python":
        file = code_file(entry["path"], module)
        if not file.is_file():
            expected = f"expected {file}"
            raise ConfigError(
                f"custom.network.source: found '{entry['source']}' with path '{network.path}'; "
                f"{expected}; custom.network.path is the folder that holds the package or module"
            )
        entry["code"] = digest(file.read_bytes())
    return entry


def custom_weights(weights: str) -> str:
    """The weights of such a network: "pretrained", "none", or the path of their file."""
    return weights if weights in ("pretrained", "none") else expanded(weights)


def code_file(path: str, module: str) -> Path:
    """The file of a Python module below the folder `path`, or where Python finds it without one."""
    if not path:
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:  # of the package that should hold it
            found = None
        return Path(found.origin) if found and found.origin else Path(f"{module}.py")
    file = Path(path, *module.split("."))
    package = file / "__init__.py"
    return package if package.is_file() else file.with_suffix(".py")


def wanted_of(dataset: Dataset, key: str) -> dict:
    """What of a dataset is wanted: the keys classes, split and limit, where they are given.

    Raises
    ------
    ConfigError : no such file of classes. `key` names the dataset.
    """
    wanted: dict = {"split": dataset.split} if dataset.split else {}
    wanted |= {"limit": dict(dataset.limit)} if dataset.limit else {}
    if dataset.classes == "imagenet":
        wanted["classes"] = "imagenet"
    elif dataset.classes:
        file = Path(expanded(dataset.classes))
        if not file.is_file():
            raise ConfigError(
                f"{key}.classes: found '{dataset.classes}'; expected imagenet, or a file with a "
                "class a line, in the network's order"
            )
        lines = file.read_text(encoding="utf-8").split("\n")
        wanted["classes"] = [line.strip() for line in lines if line.strip()]
    return wanted


class Missing(Exception):  # noqa: N818 (it is no error: a page shows the cell as missing)
    """A number needs what was not given. The message says what, and which key gives it."""


class Jobs:
    """The jobs that were asked for so far.

    Attributes
    ----------
    jobs : id -> resolved configuration.
    seed : of the jobs that are asked for. `at_every_seed` sets it.
    absent : datasets that were asked for, and whose folder is not there.
    """

    def __init__(self, config: Config):
        check(config)
        self.config = config
        self.seed = config.seeds[0]
        self.jobs: dict[str, dict] = {}
        self.absent: set[str] = set()

    def _add(self, stage: str, job: str, **content: object) -> str:
        """Add a job and return its id. Raises ConfigError where another job has that id."""
        version = _version(stage, content.get("network"))
        custom = self.config.custom
        if custom and content.get("network") == custom.name:
            content["entry"] = custom_entry(custom.network)
        wanted = {"stage": stage, "version": version, "run": job, **content}
        if self.jobs.setdefault(job, wanted) != wanted:
            differ = ", ".join(key for key in wanted if self.jobs[job].get(key) != wanted[key])
            raise ConfigError(
                f"two different jobs would share results/{job}: they differ in {differ}; make them "
                "alike under `networks`"
            )
        return job

    def _list_images(self, name: str) -> None:
        """Add the manifest of a dataset. Raises Missing where its folder is not there."""
        dataset, folder = self.config.datasets[name], f"data/{name}"
        if dataset.rendered:
            pinhole = dataset.rendered.model_dump()
            self._add("render", f"{folder}/render", source=dataset.source, pinhole=pinhole)
        else:
            root = expanded(dataset.root)
            if not Path(root).is_dir():
                self.absent.add(name)
                unset = "; is the variable set?" if "$" in root else ""
                found = f"datasets.{name}.root is no folder: {root}{unset}"
                raise Missing(f"the images of {name}: {found} (docs/datasets.md)")
        self._add(
            "manifest",
            f"{folder}/manifest",
            source=dataset.source,
            on_bad=dataset.on_bad,
            # The archives of a twin are not the published ones.
            checksums="listed" if dataset.rendered else dataset.checksums,
            **wanted_of(dataset, f"datasets.{name}"),
        )

    # --- names and sizes at this scale -----------------------------------------------------------

    def architecture(self, name: str) -> str:
        """The network that stands for the paper's `name` at this scale."""
        return (self.config.twins and ZOO[name].twin) or name

    def scaled(self, resolution: int) -> int:
        """A resolution of the paper at this scale, pixels.

        It is divided by the divisor, rounded to a multiple of it, and no larger than k_largest.
        """
        divisor = self.config.resolution_divisor
        if divisor == 1:
            return resolution
        return min(divisor * round(resolution / divisor**2), self.config.k_largest)

    def resolution_label(self, resolution: int) -> Label:
        """A resolution of the paper as labels: this scale's, and the paper's."""
        return str(self.scaled(resolution)), str(resolution)

    def at_every_seed(self, ask: Callable[[], Asked]) -> list[Asked]:
        """What `ask` returns at each seed of the configuration, in their order."""
        answers = []
        try:
            for seed in self.config.seeds:
                self.seed = seed
                answers.append(ask())
        finally:
            self.seed = self.config.seeds[0]
        return answers

    @property
    def _protocol(self) -> str:
        return f"-{self.config.protocol}" if self.config.protocol else ""

    def _seed_name(self, made_of: str | None = None) -> str:
        """What ends the id of a job that has a seed: `-s1` for seed 1, nothing for seed 0.

        Parameters
        ----------
        made_of : the run that is adapted. Its folder holds the job's, so a seed that stands in its
            name does not stand in the job's.
        """
        known = made_of is not None and "seed" in self.jobs[made_of]
        return f"-s{self.seed}" if self.seed and not known else ""

    # --- what the rules ask ----------------------------------------------------------------------

    def resolved(self, job: str) -> dict:
        """The resolved configuration of a job.

        Raises
        ------
        ConfigError : there is no such job; the message names the nearest one.
        """
        if job not in self.jobs:
            [close] = closest(job, self.jobs, cutoff=0)
            raise ConfigError(
                f"results/{job}: no such run in this configuration; nearest: results/{close}"
            )
        return self.jobs[job]

    def images(self, dataset: str) -> str:
        """The folder with a dataset's files: below results/ if rendered, else the user's."""
        settings = self.config.datasets[dataset]
        return f"results/data/{dataset}/rendered" if settings.rendered else expanded(settings.root)

    def resolution(self, job: str) -> int:
        """The crop side of a training or fine-tuning, pixels. Larger ones take longer."""
        content = self.resolved(job)
        return content.get("k_train") or content["k_test"]
