"""Networks that a page can ask for: base trainings, published weights, transfers.

| id | the job |
|---|---|
| runs/<dataset>/<network>-k<k_train> | base training |
| runs/<dataset>/<network>-pretrained | fetches and checks published weights |

After -k<k_train> comes what is special: `-fixedcrop` (Appendix D), `-ra1` or `-ra3` (another number
of copies than the configuration's), `-cutmix`, and `-from-<dataset>`: it starts from weights that
were trained there. The seed comes last, unless it is 0: runs/pinhole/resnet10q-k56-s1.
"""

from fixres.config import BaseTraining, ConfigError, laid_over, merge
from fixres.config.checks import off_stride
from fixres.graph.checks import check_epoch, expanded
from fixres.graph.graph import JobGraph, Missing
from fixres.graph.jobs import Job
from fixres.graph.outside import code_digest, sha256_of
from fixres.graph.scale import architecture, scaled
from fixres.models.catalogue.released import RELEASED
from fixres.models.catalogue.zoo import ZOO

FIXED_CROP = "-fixedcrop"  # Appendix D: no random resize


def train(graph: JobGraph, k_train: int) -> Job:
    """Train the ResNet-50 of this scale from scratch at `k_train` pixels (§5)."""
    c = graph.config
    return train_network(graph, c.network, k_train, c.dataset, *base_training(graph))


def train_on_fixed_crops(graph: JobGraph, k_train: int) -> Job:
    """Train it on random crops of a fixed size, without the random resize (Appendix D)."""
    c, settings = graph.config, base_training(graph)
    return train_network(graph, c.network, k_train, c.dataset, *settings, special=FIXED_CROP)


def train_with_copies(graph: JobGraph, k_train: int, copies: int) -> Job:
    """Train it with each image `copies` times in the stream (RA, §5), on as many crops."""
    settings, where = base_training(graph)
    if settings.repeated_augmentation == copies:
        return train(graph, k_train)
    c, special = graph.config, f"-ra{copies}"
    changed = laid_over(settings, {"repeated_augmentation": copies}, where)
    return train_network(graph, c.network, k_train, c.dataset, changed, where, special=special)


def obtain_published(graph: JobGraph, name: str) -> Job:
    """Obtain the network `name` as the literature publishes it.

    At the paper's scale these are its published weights. With `twins: true` a small network of the
    same class is trained in its place.

    Raises
    ------
    Missing : nobody distributes these weights, and no file was given.
    """
    entry = ZOO[name]
    settings = settings_of(graph, name, "base_training")
    where = f"networks.{name}.base_training" if settings else "base_training"
    recipe = laid_over(graph.config.base_training, settings, where)
    if graph.config.twins:
        return _train_twin(graph, name, recipe, where)
    source = _weights_of(graph, name)
    if source:
        return _fetch(graph, name, name, source)
    if entry.extra_data:
        key = f"networks.{name}.weights.file"
        raise Missing(f"weights of {entry.title}, which are not distributed ({key})")
    k_train = scaled(graph, entry.native)
    return train_network(graph, name, k_train, graph.config.dataset, recipe, where)


def _train_twin(graph: JobGraph, name: str, recipe: BaseTraining, where: str) -> Job:
    """Train the embedded network that stands for the paper's `name`.

    Where the paper's weights saw more than ImageNet, the twin first learns from noisy tags.
    """
    c, entry = graph.config, ZOO[name]
    k_train, twin = scaled(graph, entry.native), entry.twin or name
    if not entry.extra_data:
        return train_network(graph, twin, k_train, c.dataset, recipe, where)
    weak = c.weak_supervision
    if not weak.dataset:
        raise Missing("images with noisy tags (weak_supervision.dataset)")
    where = "weak_supervision.training"
    on_tags = laid_over(recipe, weak.training, where)
    tagged = train_network(graph, twin, k_train, weak.dataset, on_tags, where)
    where = "weak_supervision.adaptation"
    adaptation = laid_over(recipe, weak.adaptation, where)
    return train_network(graph, twin, k_train, c.dataset, adaptation, where, start=tagged)


def obtain_released(graph: JobGraph, name: str) -> Job:
    """Obtain the weights that the paper's authors released as `name` (catalogue/released.py).

    Raises
    ------
    Missing : no file is configured.
    """
    file, entry = graph.config.released.files.get(name), RELEASED[name]
    if not file:
        way_out = f"download {entry.url} and give released.files.{name}"
        raise Missing(f"the authors' weights ({way_out})")
    sha256 = sha256_of(expanded(file), f"released.files.{name}")
    source = {"file": expanded(file), "sha256": sha256}
    return _fetch(graph, name, entry.network, source, released=True)


def transfer(graph: JobGraph, name: str, dataset: str) -> Job:
    """Train the published network `name` entirely on another dataset (§5.3, steps 1 and 2)."""
    settings, where = graph.config.transfer, "transfer.training"
    recipe = laid_over(graph.config.base_training, settings.training, where)
    start, network = obtain_published(graph, name), architecture(graph, name)
    for key in ("k_train", "k_test"):
        k, stride = getattr(settings, key), ZOO[network].stride
        for problem in off_stride(f"transfer.{key}", k, stride, network):
            raise ConfigError(problem)
    return train_network(graph, network, settings.k_train, dataset, recipe, where, start=start)


# --- the two kinds of jobs -----------------------------------------------------------------------


def train_network(
    graph: JobGraph,
    network: str,
    k_train: int,
    dataset: str,
    settings: BaseTraining,
    where: str,
    start: Job | None = None,
    special: str = "",
) -> Job:
    """Train any network, with the settings of the configuration key `where`.

    Parameters
    ----------
    start : the run whose weights it starts from; None: from scratch.
    special : what sets it apart, as its id says it: FIXED_CROP changes its crops; another word
        stands for what `settings` say.
    """
    check_epoch(graph.config, dataset, settings, where)
    recipe = settings.model_dump()
    lr_per_256, augmentation = recipe.pop("lr_per_256"), recipe.pop("augmentation")
    recipe["lr"] = lr_per_256 * recipe["batch_size"] / 256
    if recipe["repeated_augmentation"] == 1 or recipe["batch_size"] <= recipe["micro_batch"]:
        del recipe["repeats"]  # it shapes nothing
    crop = "train DA"
    if special == FIXED_CROP:
        crop, augmentation = "resize + random crop", {"jitter": augmentation["jitter"]}
    special += "-cutmix" if recipe["cutmix"] else ""
    if start:
        special += f"-from-{'pretrained' if start.dataset == dataset else start.dataset}"
    content = {
        "seed": graph.seed,
        "network": network,
        "k_train": k_train,
        "recipe": recipe,
        "augmentation": {"name": crop, **augmentation},
        "init": start.id if start else None,
    }
    name = f"runs/{dataset}/{network}-k{k_train}{special}{graph.protocol}{graph.seed_of()}"
    return graph.add("train", name, content, dataset=dataset, start=start)


def _fetch(graph: JobGraph, name: str, network: str, source: dict, released: bool = False) -> Job:
    dataset, content = graph.config.dataset, {"network": network, "source": source, "classes": 1000}
    job = f"runs/{dataset}/{name}-pretrained"
    return graph.add("pretrained", job, content, dataset=dataset, released=released)


# --- settings that differ for one network --------------------------------------------------------


def base_training(graph: JobGraph) -> tuple[BaseTraining, str]:
    """The settings to train the ResNet-50 of this scale with, and the key where they are given."""
    settings, where = settings_of_main(graph, "base_training"), "base_training"
    if settings:
        where = f"networks.{graph.config.network}.base_training"
    return laid_over(graph.config.base_training, settings, where), where


def settings_of(graph: JobGraph, name: str, section: str) -> dict:
    """The keys that differ for the paper's network `name`, or for the network in its place."""
    settings: dict = {}
    for network in dict.fromkeys((name, architecture(graph, name))):
        if network in graph.config.networks:
            settings = merge(settings, getattr(graph.config.networks[network], section))
    return settings


def settings_of_main(graph: JobGraph, section: str) -> dict:
    """The keys that differ for the ResNet-50 of this scale, under its own name alone.

    At the embedded scale it stands for several networks of the paper. What differs for one of
    them (`networks.resnet50_cutmix`) is not for the others.
    """
    settings = graph.config.networks.get(graph.config.network)
    return getattr(settings, section) if settings else {}


def _weights_of(graph: JobGraph, name: str) -> dict | None:
    """The source of the weights of `name`: the configuration's, else the zoo's."""
    settings = graph.config.networks.get(name)
    if not settings or not settings.weights:
        return ZOO[name].source
    source = {key: value for key, value in settings.weights.model_dump().items() if value}
    if "file" in source:
        file, key = expanded(source["file"]), f"networks.{name}.weights.file"
        source = {"file": file, "sha256": sha256_of(file, key, source.get("sha256", ""))}
    if "hub" in source:  # of a folder, its code is known; of a repository, nothing is
        folder = expanded(source["hub"].rpartition(":")[0])
        local = code_digest(folder, "hubconf", f"networks.{name}.weights.hub") if folder else ""
        source |= {"code": local} if local else {}
    return source
