"""From one configuration to runs: every job of the DAG with its resolved configuration. Pure data; imports no torch.

A *job* has an id (its folder below results/) and a resolved configuration, a dict that holds everything that shapes its result and
nothing of the hardware. Rule `resolve` writes it to results/<id>/config.json, which is an input of the job.

| id | what |
|---|---|
| data/<dataset>/render, data/<dataset>/manifest | the images |
| runs/<dataset>/<network>-k<k_train> | base training; `-cutmix` and `-from-<dataset>` say what is special |
| runs/<dataset>/<network>-pretrained | published weights, checked and kept |
| <run>/match-k<k_test>-<model> | its activations' distribution at k_test mapped onto that at k_train |
| <run>/ft-k<k_test>-<layers>-<augmentation> | that network, fine-tuned |
| timing/<dataset>/<network>-k<k>, …-ft-<layers> | milliseconds of its passes (Table 7) |
| <run>/evaluation | accuracy at every k_test that a page asks for |
"""

import difflib
from pathlib import Path

from fixres.config import BaseTraining, Config, ConfigError, FineTuning, laid_over
from fixres.models.released import RELEASED
from fixres.models.zoo import ZOO
from fixres.plan.checks import check, expanded

# "This change of the code changes results": raise a stage's number and exactly its jobs, and what depends on them, run again.
VERSIONS = {
    "render": 2,
    "manifest": 2,
    "pretrained": 1,
    "train": 2,
    "match": 1,
    "finetune": 2,
    "time": 1,
    "evaluate": 2,
    "table": 2,
    "figure": 2,
    "summary": 1,
    "cost": 1,
}

LAYERS = {
    "cls": ["classifier"],
    "cls+bn": ["batch-norm", "classifier"],
    "cls+bn+cells": ["cells", "batch-norm", "classifier"],
}


class Missing(Exception):  # noqa: N818 (no error: a cell that says so)
    """What a number would need was not given; the message says what, and which key gives it."""


class Runs:
    """The jobs that were asked for so far: id -> resolved configuration."""

    def __init__(self, config: Config):
        check(config)
        self.config = config
        self.jobs: dict[str, dict] = {}
        self.k_tests: dict[str, list[int]] = {}
        self.ten_crops: dict[str, list[int]] = {}
        self.absent: set[str] = set()  # datasets that were asked for and are not there

    # --- networks ----------------------------------------------------------------------------------------------------

    def base(self, k_train: int) -> str:
        """The ResNet-50 of this scale, trained from scratch at `k_train` (§5)."""
        c = self.config
        return self._train(c.network, k_train, c.dataset, c.base_training)

    def fixed_crop(self, k_train: int) -> str:
        """The same, with resize + random crop of fixed size in place of the random resized crop (Appendix D)."""
        c = self.config
        return self._train(
            c.network, k_train, c.dataset, c.base_training, crop="resize + random crop"
        )

    def matched(self, run: str, k_test: int, model: str) -> str:
        """A run whose activations at `k_test` are mapped onto their distribution at k_train ("frechet": A.1, "gaussian": A.2)."""
        c, content = self.config, self.jobs[run]
        settings = {
            "k_train": content["k_train"],
            "k_test": k_test,
            "model": model,
            "images": c.matching.images,
        }
        return self._add(
            "match",
            f"{run}/match-k{k_test}-{model}",
            seed=c.seed,
            network=content["network"],
            **settings,
        )

    def published(self, name: str) -> str:
        """What stands for the weights that the literature publishes of the network `name`: themselves, or a twin trained here.

        Raises Missing where nobody distributes them and no file was given.
        """
        c, entry = self.config, ZOO[name]
        recipe = laid_over(
            c.base_training, self._settings(name, "base_training"), f"networks.{name}.base_training"
        )
        if c.twins:
            k_train, twin = self.scaled(entry.native), entry.twin or name
            if not entry.extra_data:
                return self._train(twin, k_train, c.dataset, recipe)
            weak = c.weak_supervision
            if not weak.dataset:
                raise Missing("images with noisy tags: give weak_supervision.dataset")
            tagged = self._train(
                twin,
                k_train,
                weak.dataset,
                laid_over(recipe, weak.training, "weak_supervision.training"),
            )
            adaptation = laid_over(recipe, weak.adaptation, "weak_supervision.adaptation")
            return self._train(twin, k_train, c.dataset, adaptation, init=tagged)
        source = self._weights(name)
        if source:
            return self._pretrained(name, name, source)
        if entry.extra_data:
            raise Missing(
                f"weights of {entry.title}, which nobody distributes: give networks.{name}.weights.file"
            )
        return self._train(name, self.scaled(entry.native), c.dataset, recipe)

    def released(self, name: str) -> str:
        """The weights that the paper's authors released under `name` (models.released.RELEASED). Raises Missing where no file was given."""
        file, entry = self.config.released.files.get(name), RELEASED[name]
        if not file:
            raise Missing(
                f"the authors' weights: download {entry.url} and give released.files.{name}"
            )
        return self._pretrained(name, entry.network, {"file": expanded(file), "sha256": None})

    def transferred(self, name: str, dataset: str) -> str:
        """The published network `name`, trained entirely on another dataset (§5.3, steps 1 and 2)."""
        transfer = self.config.transfer
        recipe = laid_over(self.config.base_training, transfer.training, "transfer.training")
        return self._train(
            self.architecture(name), transfer.k_train, dataset, recipe, init=self.published(name)
        )

    def adapted(self, run: str, k_test: int, settings: FineTuning) -> str:
        """A run's last layers fine-tuned at `k_test` (§4.2)."""
        recipe = settings.model_dump()
        layers, name, jitter = (
            recipe.pop("layers"),
            recipe.pop("augmentation"),
            recipe.pop("jitter"),
        )
        augmentation: dict = {"name": name}
        if name == "train DA":
            augmentation |= self.config.base_training.augmentation.model_dump()
        elif name == "test DA2":
            augmentation |= {"jitter": jitter}
        what = layers.replace("bn", "bnstats") if recipe["batch_norm"] == "statistics" else layers
        return self._add(
            "finetune",
            f"{run}/ft-k{k_test}-{what}-{name.replace(' ', '').lower()}{self._protocol}",
            seed=self.config.seed,
            network=self.jobs[run]["network"],
            k_test=k_test,
            layers=LAYERS[layers],
            recipe=recipe,
            augmentation=augmentation,
        )

    def fine_tuning(self, name: str | None = None, **over: object) -> FineTuning:
        """How the network `name` is fine-tuned: the configuration's, what is different for it, then `over`."""
        own = self._settings(name, "fine_tuning") if name else {}
        return laid_over(self.config.fine_tuning, own | over, f"networks.{name}.fine_tuning")

    def timed(self, k: int, layers: str | None, batch: int) -> str:
        """The speed of the ResNet-50 of this scale at k: in base training, or in fine-tuning some layers (Table 7)."""
        c = self.config
        recipe = (c.fine_tuning if layers else c.base_training).model_dump(exclude={"augmentation"})
        augmentation = (
            {"name": "test DA"}
            if layers
            else {"name": "train DA", **c.base_training.augmentation.model_dump()}
        )
        run = f"timing/{c.dataset}/{c.network}-k{k}{f'-ft-{layers}' if layers else ''}{self._protocol}"
        self._data(c.dataset)
        content = {
            "network": c.network,
            "k": k,
            "layers": LAYERS[layers] if layers else [],
            "batch": batch,
        }
        return self._add("time", run, recipe=recipe, augmentation=augmentation, **content)

    def measured(self, run: str, k_test: int) -> str:
        """Ask for the accuracy of `run` at `k_test`; returns the run. Raises Missing where its images are not there."""
        self._data(run.split("/")[1])
        wanted = self.k_tests.setdefault(run, [])
        if k_test not in wanted:
            wanted.append(k_test)
        return run

    def measured_on_ten_crops(self, run: str, k_test: int) -> str:
        """Ask also for its accuracy with ten crops an image; returns the run."""
        wanted = self.ten_crops.setdefault(self.measured(run, k_test), [])
        if k_test not in wanted:
            wanted.append(k_test)
        return run

    def architecture(self, name: str) -> str:
        """The network that stands for the paper's `name` at this scale."""
        return (self.config.twins and ZOO[name].twin) or name

    def scaled(self, resolution: int) -> int:
        """A resolution of the paper at this scale: divided, a multiple of the divisor, and no larger than k_largest."""
        divisor = self.config.resolution_divisor
        return (
            min(divisor * round(resolution / divisor**2), self.config.k_largest)
            if divisor > 1
            else resolution
        )

    @property
    def _protocol(self) -> str:
        return f"-{self.config.protocol}" if self.config.protocol else ""

    def _settings(self, name: str, section: str) -> dict:
        """What is different for the paper's network `name`, and for the one that stands for it."""
        settings: dict = {}
        for network in dict.fromkeys((name, self.architecture(name))):
            if network in self.config.networks:
                settings |= getattr(self.config.networks[network], section)
        return settings

    def _weights(self, name: str) -> dict | None:
        """Where the weights of `name` come from: the configuration's source, else the zoo's."""
        given = self.config.networks.get(name)
        if not given or not given.weights:
            return ZOO[name].source
        source = {key: value for key, value in given.weights.model_dump().items() if value}
        if "file" in source:
            source = {"file": expanded(source["file"]), "sha256": source.get("sha256")}
        return source

    # --- jobs --------------------------------------------------------------------------------------------------------

    def _add(self, stage: str, job: str, **content: object) -> str:
        """Ask for a job; returns its id. Raises ConfigError where another one has that id."""
        wanted = {"stage": stage, "version": VERSIONS[stage], "run": job, **content}
        if self.jobs.setdefault(job, wanted) != wanted:
            differ = ", ".join(key for key in wanted if self.jobs[job].get(key) != wanted[key])
            raise ConfigError(
                f"two different jobs would share results/{job}: they differ in {differ}; make them alike under `networks`"
            )
        return job

    def _train(
        self,
        network: str,
        k_train: int,
        dataset: str,
        settings: BaseTraining,
        init: str | None = None,
        crop: str = "train DA",
    ) -> str:
        self._data(dataset)
        recipe = settings.model_dump()
        lr_per_256, augmentation = recipe.pop("lr_per_256"), recipe.pop("augmentation")
        recipe["lr"] = lr_per_256 * recipe["batch_size"] / 256
        if crop != "train DA":
            augmentation = {"jitter": augmentation["jitter"]}
        special = (
            ("-fixedcrop" if crop != "train DA" else "")
            + ("-cutmix" if recipe["cutmix"] else "")
            + (f"-from-{init.split('/')[1]}" if init else "")
        )
        return self._add(
            "train",
            f"runs/{dataset}/{network}-k{k_train}{special}{self._protocol}",
            seed=self.config.seed,
            network=network,
            k_train=k_train,
            recipe=recipe,
            augmentation={"name": crop, **augmentation},
            init=init,
        )

    def _pretrained(self, name: str, network: str, source: dict) -> str:
        return self._add(
            "pretrained",
            f"runs/{self.config.dataset}/{name}-pretrained",
            network=network,
            source=source,
            classes=1000,
        )

    def _data(self, name: str) -> None:
        """The images of a dataset. Raises Missing where its folder is not there."""
        dataset, folder = self.config.datasets[name], f"data/{name}"
        if dataset.rendered:
            self._add(
                "render",
                f"{folder}/render",
                source=dataset.source,
                pinhole=dataset.rendered.model_dump(),
            )
        elif not Path(expanded(dataset.root)).is_dir():
            self.absent.add(name)
            unset = "; is the variable set?" if "$" in expanded(dataset.root) else ""
            raise Missing(
                f"the images of {name}: datasets.{name}.root is no folder: {expanded(dataset.root)}{unset} (docs/datasets.md)"
            )
        # The archives of a twin are not the published ones.
        checksums = "listed" if dataset.rendered else dataset.checksums
        self._add(
            "manifest",
            f"{folder}/manifest",
            source=dataset.source,
            on_bad=dataset.on_bad,
            checksums=checksums,
        )

    def add_evaluations(self) -> None:
        """One job for each network that is measured, at all of its resolutions."""
        c = self.config
        for run, k_tests in self.k_tests.items():
            job = self.jobs[run]
            released = (
                job["stage"] == "pretrained"
                and run.split("/")[2].removesuffix("-pretrained") in RELEASED
            )
            resize = c.released.test_resize if released else "paper"
            self._add(
                "evaluate",
                f"{run}/evaluation",
                network=job["network"],
                k_test=sorted(k_tests),
                ten_crops=sorted(self.ten_crops.get(run, [])),
                folds=c.evaluation.folds,
                test_resize=resize,
            )

    # --- what the rules ask ------------------------------------------------------------------------------------------

    def resolved(self, job: str) -> dict:
        """The resolved configuration of a job. Raises ConfigError naming the nearest job where there is none."""
        if job not in self.jobs:
            close = difflib.get_close_matches(job, self.jobs, n=1, cutoff=0)
            raise ConfigError(
                f"results/{job}: no such run in this configuration; nearest: results/{close[0]}"
            )
        return self.jobs[job]

    def images(self, dataset: str) -> str:
        """The folder with a dataset's files: rendered below results/, or the one that the configuration names."""
        settings = self.config.datasets[dataset]
        return f"results/data/{dataset}/rendered" if settings.rendered else expanded(settings.root)

    def resolution(self, job: str) -> int:
        """The crop side that a training or fine-tuning works at: its cost grows with the square, so larger ones start first."""
        content = self.resolved(job)
        return content.get("k_train") or content["k_test"]
