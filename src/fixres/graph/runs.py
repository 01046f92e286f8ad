"""From one configuration to runs: every job of the DAG, with its resolved configuration.

A *job* has an id, which is its folder below results/, and a resolved configuration: a dict of all
that shapes its result, and of nothing that is hardware. The dict becomes results/<id>/config.json.

| id | the job |
|---|---|
| data/<dataset>/render, data/<dataset>/manifest | makes and lists the images |
| runs/<dataset>/<network>-k<k_train> | base training (what else: below) |
| runs/<dataset>/<network>-pretrained | fetches and checks published weights |
| <run>/match-k<k_test>-<model> | distribution matching of that network |
| <run>/ft-k<k_test>-<layers>-<augmentation> | fine-tuning of that network |
| timing/<dataset>/<network>-k<k>, …-ft-<layers> | times its passes (Table 7; graph/steps.py) |
| timing/<dataset>/<network>-k<k>-eval | times its forward pass in eval mode (§1) |
| memory/<dataset>/<network>-k<k>, …-ft-<layers> | measures the peak memory of a step (§1) |
| <run>/evaluation | measures its accuracy at every k_test that a page asks for |
| <run>/sweep | the same at the many k_test of a sweep (Figure 7) |

After -k<k_train> stands what is special: `-fixedcrop` (Appendix D), `-ra1` or `-ra3` (another
number of copies than the configuration's), `-cutmix`, and `-from-<dataset>`: it starts from weights
that were trained there. After a model or an augmentation
stands `_released`, where the released test transform cut its crops (evaluation.test_resize). Last
stands the seed, unless it is 0: runs/pinhole/resnet10q-k56-s1. What is made of that run has the
same seed, and lies below it.
"""

from fixres.config import BaseTraining, Config, FineTuning, laid_over, merge
from fixres.graph.checks import check_epoch, expanded
from fixres.graph.registry import Jobs, Missing
from fixres.models.catalogue.released import RELEASED
from fixres.models.catalogue.zoo import ZOO

# fine_tuning.layers -> the parts of a network that train (models/adapt.py, §4.2).
LAYERS = {
    "cls": ["classifier"],
    "cls+bn": ["batch-norm", "classifier"],
    "cls+bn+cells": ["cells", "batch-norm", "classifier"],
}


FIXED_CROP = "-fixedcrop"  # Appendix D: no random resize


class Runs(Jobs):
    """What a page can ask for.

    A method named by a verb (`train`, `finetune`, `evaluate` …) adds a job, and all jobs that it
    needs, and returns its id. Asking twice for the same job adds it once.
    """

    def __init__(self, config: Config):
        super().__init__(config)
        self._k_tests: dict[str, list[int]] = {}  # run -> test resolutions
        self._ten_crops: dict[str, list[int]] = {}  # run -> the same, with ten crops an image
        self._sweeps: dict[str, list[int]] = {}  # run -> test resolutions of its sweep

    # --- networks --------------------------------------------------------------------------------

    def train(self, k_train: int) -> str:
        """Train the ResNet-50 of this scale from scratch at `k_train` pixels (§5)."""
        c = self.config
        return self._train(c.network, k_train, c.dataset, *self._base_training())

    def train_on_fixed_crops(self, k_train: int) -> str:
        """Train it on random crops of a fixed size, without the random resize (Appendix D)."""
        c = self.config
        special = FIXED_CROP
        return self._train(c.network, k_train, c.dataset, *self._base_training(), special=special)

    def train_with_copies(self, k_train: int, copies: int) -> str:
        """Train it with each image `copies` times in the stream (RA, §5), on as many crops."""
        settings, where = self._base_training()
        if settings.repeated_augmentation == copies:
            return self.train(k_train)
        c, key = self.config, "repeated_augmentation"
        changed = laid_over(settings, {key: copies}, where)
        return self._train(c.network, k_train, c.dataset, changed, where, special=f"-ra{copies}")

    def _base_training(self) -> tuple[BaseTraining, str]:
        """The settings to train the ResNet-50 of this scale with, and the key where they stand."""
        own, where = self._own_settings("base_training"), "base_training"
        if own:
            where = f"networks.{self.config.network}.base_training"
        return laid_over(self.config.base_training, own, where), where

    def obtain_published(self, name: str) -> str:
        """Obtain the network `name` as the literature publishes it.

        At the paper's scale these are its published weights. With `twins: true` a small network of
        the same class is trained in its place.

        Raises
        ------
        Missing : nobody distributes these weights, and no file was given.
        """
        entry = ZOO[name]
        own = self._settings_of(name, "base_training")
        where = f"networks.{name}.base_training" if own else "base_training"
        recipe = laid_over(self.config.base_training, own, where)
        if self.config.twins:
            return self._train_twin(name, recipe, where)
        source = self._weights_of(name)
        if source:
            return self._fetch(name, name, source)
        if entry.extra_data:
            key = f"networks.{name}.weights.file"
            raise Missing(f"weights of {entry.title}, which nobody distributes: give {key}")
        return self._train(name, self.scaled(entry.native), self.config.dataset, recipe, where)

    def _train_twin(self, name: str, recipe: BaseTraining, where: str) -> str:
        """Train the embedded network that stands for the paper's `name`.

        Where the paper's weights saw more than ImageNet, the twin first learns from noisy tags.
        """
        c, entry = self.config, ZOO[name]
        k_train, twin = self.scaled(entry.native), entry.twin or name
        if not entry.extra_data:
            return self._train(twin, k_train, c.dataset, recipe, where)
        weak = c.weak_supervision
        if not weak.dataset:
            raise Missing("images with noisy tags: give weak_supervision.dataset")
        where = "weak_supervision.training"
        on_tags = laid_over(recipe, weak.training, where)
        tagged = self._train(twin, k_train, weak.dataset, on_tags, where)
        where = "weak_supervision.adaptation"
        adaptation = laid_over(recipe, weak.adaptation, where)
        return self._train(twin, k_train, c.dataset, adaptation, where, init=tagged)

    def obtain_released(self, name: str) -> str:
        """Obtain the weights that the paper's authors released as `name`
        (models/catalogue/released.py).

        Raises
        ------
        Missing : no file was given.
        """
        file, entry = self.config.released.files.get(name), RELEASED[name]
        if not file:
            way_out = f"download {entry.url} and give released.files.{name}"
            raise Missing(f"the authors' weights: {way_out}")
        return self._fetch(name, entry.network, {"file": expanded(file), "sha256": None})

    def transfer(self, name: str, dataset: str) -> str:
        """Train the published network `name` entirely on another dataset (§5.3, steps 1 and 2)."""
        settings, where = self.config.transfer, "transfer.training"
        recipe = laid_over(self.config.base_training, settings.training, where)
        start = self.obtain_published(name)
        network = self.architecture(name)
        return self._train(network, settings.k_train, dataset, recipe, where, init=start)

    # --- adaptation to k_test --------------------------------------------------------------------

    def match(self, run: str, k_test: int, model: str) -> str:
        """Match the distribution of a run's activations at `k_test` to the one at its k_train.

        Parameters
        ----------
        model : "frechet" (Appendix A.1) or "gaussian" (Appendix A.2).
        """
        mark, transform = self._test_transform()
        return self._add(
            "match",
            f"{run}/match-k{k_test}-{model}{mark}{self._seed_name(run)}",
            seed=self.seed,
            network=self.jobs[run]["network"],
            k_train=self.jobs[run]["k_train"],
            k_test=k_test,
            model=model,
            images=self.config.matching.images,
            **transform,
        )

    def finetune(self, run: str, k_test: int, settings: FineTuning) -> str:
        """Fine-tune a run's last layers at `k_test` pixels (§4.2; models/adapt.py)."""
        recipe = settings.model_dump()
        layers, name = recipe.pop("layers"), recipe.pop("augmentation")
        jitter = recipe.pop("jitter")
        augmentation: dict = {"name": name}
        if name == "train DA":
            augmentation |= self._train_da(self.jobs[run]["network"])
        elif name == "test DA2":
            augmentation |= {"jitter": jitter}
        statistics_only = recipe["batch_norm"] == "statistics"
        what = layers.replace("bn", "bnstats") if statistics_only else layers
        on = name.replace(" ", "").lower()
        if name != "train DA":
            mark, transform = self._test_transform()
            on, augmentation = on + mark, augmentation | transform
        return self._add(
            "finetune",
            f"{run}/ft-k{k_test}-{what}-{on}{self._protocol}{self._seed_name(run)}",
            seed=self.seed,
            network=self.jobs[run]["network"],
            k_test=k_test,
            layers=LAYERS[layers],
            recipe=recipe,
            augmentation=augmentation,
        )

    def _test_transform(self) -> tuple[str, dict]:
        """What differs from the paper's test transform: in the id of a run, and in its settings.

        The released code fine-tunes on crops that are cut as at test time. So does the suite:
        what adapts a network to a k_test has the transform that it is tested with.
        """
        if self.config.custom:
            return "", {"crop_pct": self.config.custom.network.crop_pct}
        resize = self.config.evaluation.test_resize
        return ("", {}) if resize == "paper" else (f"_{resize}", {"test_resize": resize})

    def fine_tuning(self, name: str | None = None, **over: object) -> FineTuning:
        """The settings to fine-tune the network `name` with; None: the ResNet-50 of this scale.

        They are the configuration's, then what `networks.<name>` says of the network, then what it
        says of its fine-tuning on that augmentation, then `over`.
        """
        sections = ("fine_tuning", "fine_tuning_on")
        own, on = (self._settings_of(name, s) if name else self._own_settings(s) for s in sections)
        base = self.config.fine_tuning
        augmentation = (own | over).get("augmentation", base.augmentation)
        settings = own | on.get(augmentation, {}) | over
        return laid_over(base, settings, f"networks.{name or self.config.network}.fine_tuning")

    # --- measurements ----------------------------------------------------------------------------

    def measure_activations(self, run: str, k_tests: list[int], above: dict) -> str:
        """Measure the activations of a run at some k_test (§3.2, A.1, A.2).

        A run has one such job, so whoever asks for it asks for the same k_test.

        Parameters
        ----------
        above : which activations are counted as large: {"bound": a number}, or {"bound": None,
            "share": the per cent of them that lies above the bound at k_train}.
        """
        self._list_images(run.split("/")[1])
        k_train = self.jobs[run].get("k_train")
        return self._add(
            "activations",
            f"{run}/activations",
            network=self.jobs[run]["network"],
            k_train=k_train,
            k_test=k_tests,
            test_resize=self.config.evaluation.test_resize,
            **above,
        )

    def evaluate(self, run: str, k_test: int) -> str:
        """Measure the accuracy of `run` at `k_test` pixels. Raises Missing without its images."""
        self._list_images(run.split("/")[1])
        wanted = self._k_tests.setdefault(run, [])
        if k_test not in wanted:
            wanted.append(k_test)
        return run

    def evaluate_on_ten_crops(self, run: str, k_test: int) -> str:
        """Measure its accuracy also with ten crops an image (§5.1)."""
        wanted = self._ten_crops.setdefault(self.evaluate(run, k_test), [])
        if k_test not in wanted:
            wanted.append(k_test)
        return run

    def sweep(self, run: str, k_test: int) -> str:
        """Measure its accuracy at `k_test`, one of many, in a job of its own. Returns its id.

        So a further resolution of the sweep leaves the evaluation that the tables read as it is.
        """
        self._list_images(run.split("/")[1])
        wanted = self._sweeps.setdefault(run, [])
        if k_test not in wanted:
            wanted.append(k_test)
        return f"{run}/sweep"

    def add_evaluations(self) -> None:
        """Add one job for each network that is measured, at all of its resolutions; and sweeps."""
        for run, k_tests in self._k_tests.items():
            self._evaluate(run, "evaluation", k_tests, self._ten_crops.get(run, []))
        for run, k_tests in self._sweeps.items():
            self._evaluate(run, "sweep", k_tests, [])

    def _evaluate(self, run: str, name: str, k_tests: list[int], ten_crops: list[int]) -> None:
        """Add the evaluation `<run>/<name>`."""
        c = self.config
        self._add(
            "evaluate",
            f"{run}/{name}",
            network=self.jobs[run]["network"],
            k_test=sorted(k_tests),
            ten_crops=sorted(ten_crops),
            folds=c.evaluation.folds,
            test_resize=(c.released if self.is_authors(run) else c.evaluation).test_resize,
            **({"crop_pct": c.custom.ratios} if c.custom else {}),
        )

    def is_authors(self, run: str) -> bool:
        """Whether a run is weights that the paper's authors released."""
        name = run.split("/")[2].removesuffix("-pretrained")
        return self.jobs[run]["stage"] == "pretrained" and name in RELEASED

    # --- settings of one network ------------------------------------------------------------------

    def _settings_of(self, name: str, section: str) -> dict:
        """The keys that differ for the paper's network `name`, or for the one in its place."""
        settings: dict = {}
        for network in dict.fromkeys((name, self.architecture(name))):
            if network in self.config.networks:
                settings = merge(settings, getattr(self.config.networks[network], section))
        return settings

    def _own_settings(self, section: str) -> dict:
        """The keys that differ for the ResNet-50 of this scale, under its own name alone.

        At the embedded scale it stands for several networks of the paper. What differs for one of
        them (`networks.resnet50_cutmix`) is not for the others.
        """
        settings = self.config.networks.get(self.config.network)
        return getattr(settings, section) if settings else {}

    def _train_da(self, network: str) -> dict:
        """The settings of train DA that `network` is fine-tuned with."""
        own = network == self.config.network
        training = self._base_training()[0] if own else self.config.base_training
        return training.augmentation.model_dump()

    def _weights_of(self, name: str) -> dict | None:
        """The source of the weights of `name`: the configuration's, else the zoo's."""
        settings = self.config.networks.get(name)
        if not settings or not settings.weights:
            return ZOO[name].source
        source = {key: value for key, value in settings.weights.model_dump().items() if value}
        if "file" in source:
            source = {"file": expanded(source["file"]), "sha256": source.get("sha256")}
        return source

    # --- jobs of the stages train and pretrained -------------------------------------------------

    def _train(
        self,
        network: str,
        k_train: int,
        dataset: str,
        settings: BaseTraining,
        where: str,
        init: str | None = None,
        special: str = "",
    ) -> str:
        """Add a base training. Its settings stand at the key `where` of the configuration.

        Parameters
        ----------
        special : what sets it apart, as its id says it: FIXED_CROP changes its crops; another word
            stands for what `settings` say.
        """
        check_epoch(self.config, dataset, settings, where)
        self._list_images(dataset)
        recipe = settings.model_dump()
        lr_per_256, augmentation = recipe.pop("lr_per_256"), recipe.pop("augmentation")
        recipe["lr"] = lr_per_256 * recipe["batch_size"] / 256
        if recipe["repeated_augmentation"] == 1 or recipe["batch_size"] <= recipe["micro_batch"]:
            del recipe["repeats"]  # it shapes nothing
        crop = "train DA"
        if special == FIXED_CROP:
            crop, augmentation = "resize + random crop", {"jitter": augmentation["jitter"]}
        special += "-cutmix" if recipe["cutmix"] else ""
        if init:
            start = init.split("/")[1]
            special += f"-from-{'pretrained' if start == dataset else start}"
        return self._add(
            "train",
            f"runs/{dataset}/{network}-k{k_train}{special}{self._protocol}{self._seed_name()}",
            seed=self.seed,
            network=network,
            k_train=k_train,
            recipe=recipe,
            augmentation={"name": crop, **augmentation},
            init=init,
        )

    def _fetch(self, name: str, network: str, source: dict) -> str:
        job = f"runs/{self.config.dataset}/{name}-pretrained"
        return self._add("pretrained", job, network=network, source=source, classes=1000)
