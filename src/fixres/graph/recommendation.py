"""A custom network and images: the jobs behind results/recommend/<name>.md (docs/recommend.md).

The network is measured as it is at each k_test, with its last normalisation's statistics estimated
again, with its classifier fine-tuned, and with classifier and last normalisation fine-tuned.

| id | the job |
|---|---|
| runs/<dataset>/<name>-pretrained | builds the network, and puts its weights in |
| speed/<dataset>/<name> | measures time and memory of its forward pass at each k_test |
| recommend/<name>/choice | chooses k_test and crop_pct, and measures the gain |
| recommend/<name>/export | writes the chosen network for other programs |
| recommend/<name> | renders the answer |

A custom network has no entry in the zoo. What is known of it is in the resolved configuration of
each of its jobs, as `entry` (custom.py).
"""

from fixres.config import CustomNetwork, laid_over
from fixres.config.datasets import Dataset
from fixres.graph.adaptation import estimate_statistics, finetune
from fixres.graph.custom import custom_weights
from fixres.graph.graph import JobGraph, list_images
from fixres.graph.jobs import Job
from fixres.graph.measurements import evaluate
from fixres.graph.networks import train_network
from fixres.graph.outside import sha256_of
from fixres.graph.pages import Answer, Candidates, Recommendation

# What is done to the network, least first.
METHODS = ("as it is", "statistics", "classifier", "classifier + norm")
AS_IS, STATISTICS, CLASSIFIER, FIXED = METHODS
TRAINED = {CLASSIFIER: "cls", FIXED: "cls+bn"}  # method -> fine_tuning.layers
# Above this share of validation images that are training images, no fine-tuning is recommended.
LEAKED = 0.01


def recommend(graph: JobGraph) -> Job:
    """Add all that results/recommend/<name>.md needs, and return the job that renders it."""
    custom, c = graph.config.custom, graph.config
    has_training_images = c.datasets[c.dataset].has_training_images
    methods = possible(custom.network) if has_training_images else [AS_IS]
    evaluations = {  # method -> k_test -> an evaluation for each seed
        method: {
            k: graph.at_every_seed(lambda k=k, m=method: evaluate(graph, _run(graph, m, k), k))
            for k in custom.k_tests
        }
        for method in methods
    }
    measured = [job for at in evaluations.values() for seeds in at.values() for job in seeds]
    content = {"network": custom.name, "k_test": custom.k_tests, "batch": custom.batch}
    speed = graph.add("speed", f"speed/{c.dataset}/{custom.name}", content, dataset=c.dataset)
    runs = {
        method: {k: tuple(job.measurement for job in jobs) for k, jobs in at.items()}
        for method, at in evaluations.items()
    }
    about = {"network": custom.name, "dataset": c.dataset, "runs": runs}
    where = {
        "native": custom.native,
        "crop_pct": custom.ratios,
        "native_crop_pct": custom.network.crop_pct,
    }
    name = f"recommend/{custom.name}"
    candidates = Candidates(
        **about,
        **where,
        run=f"{name}/choice",
        speed=speed.measurement,
        masked=measured[0].config.get("masked", False),
    )
    content, images = candidates.content(), list_images(graph, c.dataset)
    choice = graph.add("choose", f"{name}/choice", content, others=(*measured, speed, images))
    runs = tuple(job.run for job in measured)
    content = Recommendation(**about).content()
    export = graph.add("export", f"{name}/export", content, others=(choice, *runs, images))
    answer = Answer(
        **about,
        **where,
        title=custom.network.title or custom.network.source,
        trained=custom.train,
        seeds=len(c.seeds),
        decimals=c.pages.decimals,
        to_fix=to_fix(c.datasets[c.dataset]),
    )
    return graph.add("answer", name, answer.content(), others=(choice, export))


def to_fix(dataset: Dataset) -> str:
    """How to give training images, where there are none, so that fixing is measured; "": there are.

    The page says it, and the plan.
    """
    if dataset.has_training_images:
        return ""
    if dataset.source != "imagefolder":
        return "the release's training images next to these, without --only val"
    if dataset.only:
        return "train/CLASS/* next to val/CLASS/*"
    return "--split 0.2, which takes a fifth of these for validation and the others for fixing"


def possible(network: CustomNetwork) -> list[str]:
    """What can be done to a network: without a normalisation, its classifier alone is fine-tuned.

    And without running statistics there are none to estimate.
    """
    left_out = set() if network.has_statistics else {STATISTICS}
    left_out |= set() if network.last_norm else {STATISTICS, FIXED}
    return [method for method in METHODS if method not in left_out]


def _run(graph: JobGraph, method: str, k_test: int) -> Job:
    """The run of a method at one k_test."""
    run = _network(graph)
    if method == STATISTICS:
        return estimate_statistics(graph, run, k_test)
    if method in TRAINED:
        layers = {"layers": TRAINED[method]}
        settings = laid_over(graph.config.fine_tuning, layers, "custom")
        return finetune(graph, run, k_test, settings)
    return run


def _network(graph: JobGraph) -> Job:
    """The network that is tested and fixed: as it comes, or trained on these images."""
    custom, c = graph.config.custom, graph.config
    start = None
    if custom.network.weights != "none":
        list_images(graph, c.dataset)
        source = {"custom": custom_weights(custom.network.weights)}
        content = {"network": custom.name, "source": source, "classes": custom.network.outputs}
        if custom.network.has_file:
            source["sha256"] = sha256_of(source["custom"], "custom.network.weights")
            # Its own classifier plays no part where the network trains with a fresh one.
            content |= {"headless": True} if custom.train else {}
        name = f"runs/{c.dataset}/{custom.name}-pretrained"
        start = graph.add("pretrained", name, content, dataset=c.dataset)
    if not custom.train:
        return start
    recipe = (c.base_training, "base_training")
    return train_network(graph, custom.name, custom.native, c.dataset, *recipe, start=start)
