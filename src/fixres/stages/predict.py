"""Predictions of a network for the validation images: what an evaluation computes.

Each validation image is decoded once for all k_test. The classifier computes in float32, whatever
the precision of the job: logits in bf16 tie.

`predict` makes one pass over the images. `predict_ahead` is the end of a fine-tuning: it has the
trunk at hand, and one pass gives the predictions of the fine-tuned network and of the one that it
was made from.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fixres import jobs
from fixres.artifacts import predictions
from fixres.artifacts.manifest import Manifest
from fixres.artifacts.predictions import Cropping, Predicted, Predictions
from fixres.data import requests
from fixres.data.regions import Augmentation
from fixres.jobs import JobError
from fixres.models import matching
from fixres.models.adapt import last_layers
from fixres.models.float32 import compute_in_float32
from fixres.models.split import split
from fixres.stages.activation_cache import Activations
from fixres.stages.opened import Opened
from fixres.stages.passes import one_pass

TOP = 5  # predicted classes that are kept for each image
NOT_FINITE = -1  # in place of a class


# --- passes over the images --------------------------------------------------------------------


def as_it_is(x: torch.Tensor) -> Activations:
    """The trunk where each head is a whole network."""
    return (x,)


def predict(
    trunk: Callable[[torch.Tensor], Activations],
    heads: list[Callable[..., torch.Tensor]],
    reader: requests.Reader,
    test_da: Augmentation,
    croppings: list[list[Cropping]],
    top: int,
    absent: np.ndarray | None = None,
) -> list[Predicted]:
    """The classes that networks with one trunk predict for the images of the reader.

    The trunk sees each crop once. The processes of a job share the images; afterwards each has the
    predictions of all.

    Parameters
    ----------
    heads : the activations of the trunk -> logits.
    croppings : those of each head.
    absent : (classes,) bool; the logits that do not count where a cropping is `masked`.

    Returns
    -------
    For each head and each of its croppings (n, top) int32 classes, best first.

    Raises
    ------
    JobError : an image's logits are not finite. It names the first such image.
    """
    ranks, device = reader.ranks, reader.device.device
    predicted = [
        {c: torch.empty(len(reader.rows), top, dtype=torch.int32, device=device) for c in of_head}
        for of_head in croppings
    ]
    # A crop passes trunk and head once, masked or not.
    asking: dict[Cropping, dict[int, list[tuple[bool, torch.Tensor]]]] = {}
    for number, of_head in enumerate(predicted):
        for cropping, classes in of_head.items():
            of_crop = asking.setdefault(cropping._replace(masked=False), {})
            of_crop.setdefault(number, []).append((cropping.masked, classes))
    mask = None if absent is None else torch.from_numpy(absent).to(device)
    for crops in (1, 10):
        together = [cropping for cropping in asking if cropping.crops == crops]
        if not together:
            continue
        chunk = requests.BATCH // crops  # images
        with one_pass("evaluation", reader, test_da, together, chunk) as batches:
            for cropping, images, x in batches:
                activations = trunk(x)
                for number, of_head in asking[cropping].items():
                    logits = heads[number](*activations).float()
                    finite = logits.isfinite().all(1).unflatten(0, (-1, crops)).all(1)
                    if crops > 1:  # an image's prediction is the mean of those of its crops
                        logits = logits.softmax(1).unflatten(0, (-1, crops)).mean(1)
                    for masked, classes in of_head:
                        counted = logits.masked_fill(mask, -torch.inf) if masked else logits
                        best = counted.topk(top).indices
                        classes[images] = best.where(finite[:, None], NOT_FINITE)
        of_crops = (of_head for cropping in together for of_head in asking[cropping].values())
        for _, classes in (pair for of_head in of_crops for pair in of_head):
            ranks.all_gather_rows(classes, chunk)
    for cropping, classes in (pair for of_head in predicted for pair in of_head.items()):
        check_finite(classes, cropping, reader)
    return [{c: classes.cpu().numpy() for c, classes in of.items()} for of in predicted]


def check_finite(classes: torch.Tensor, cropping: Cropping, reader: requests.Reader) -> None:
    """Raise JobError where the logits of an image were not finite; it names the first image."""
    wrong = (classes[:, 0] == NOT_FINITE).nonzero()
    if len(wrong):
        image = reader.named(int(wrong[0]))
        raise JobError(
            f"{image}: its logits are not finite at {cropping.k} px (got such logits for "
            f"{len(wrong)} of {len(classes)} images, expected none). Check the network's weights, "
            "its mean and std, and hardware.precision"
        )


# --- at the end of a fine-tuning ---------------------------------------------------------------


def predict_ahead(job: Opened) -> None:
    """Predict the validation images at the k_test of a fine-tuning, for evaluations to come.

    They are that of the fine-tuned network and that of the network it was made from. Each has its
    configuration in evaluation/ beside the weights; one that has none is not asked for. The files
    are those that the evaluation would write. If this fails, the log says so and nothing is lost:
    the evaluation predicts itself.

    Parameters
    ----------
    job : the fine-tuning. The weights in its --out are written.
    """
    k_test = job.config["k_test"]
    try:
        found = [missing_at(file, k_test, job.data) for file in (job.args.out, job.args.weights)]
        tuned = found[0]
        if tuned is not None:
            alike = [f for f in found if f is not None and f.test_resize == tuned.test_resize]
            predict_missing(job, alike)
    except Exception as error:  # any exception: the evaluation will hit it too, and report it
        jobs.log(f"validation images not predicted ahead: {error}")


def missing_at(weights: Path, k_test: int, data: Manifest) -> Predictions | None:
    """What the evaluation beside some weights asks for at one k_test, and nobody has left yet.

    None: it is not asked for, or nothing is missing.
    """
    folder = weights.parent / "evaluation"
    if not (folder / "config.json").is_file():
        return None
    config = jobs.read_config(folder / "config.json", "evaluate")
    files = predictions.of_evaluation(folder, config, data, weights)
    files = files._replace(keys={c: key for c, key in files.keys.items() if c.k == k_test})
    known = files.load(quiet=True)
    keys = {c: key for c, key in files.keys.items() if c not in known}
    return files._replace(keys=keys) if keys else None


def predict_missing(job: Opened, wanted: list[Predictions]) -> None:
    """Predict, with one pass of the trunk where the networks can be cut, and write the files."""
    config, entry, data, device = job.config, job.entry, job.data, job.device
    networks = [matching.load(entry, len(data.classes), 0, files.weights) for files in wanted]
    for network in networks:
        network.to(device.device).eval().requires_grad_(False)
        compute_in_float32(network, *entry.classifiers)
    trunk, heads = as_it_is, networks
    # A classifier of several layers is float32 as a whole only in an uncut network.
    if not any(networks[0].get_submodule(entry.classifier).children()):
        names = last_layers(entry, config["layers"])
        parts = [split(network, names, config["k_test"]) for network in networks]
        trunk, heads = parts[0].trunk, [part.head for part in parts]
    jobs.log(f"k_test {config['k_test']}: {len(wanted)} evaluation(s) predicted ahead")
    heads = [device.prepare(head) for head in heads]
    croppings = [list(files.keys) for files in wanted]
    test_da = Augmentation("test DA", test_resize=wanted[0].test_resize)
    reader = job.reader(data.rows("val"))
    top = min(TOP, len(data.classes))
    trunk, absent = device.prepare(trunk), data.absent
    predicted = predict(trunk, heads, reader, test_da, croppings, top, absent)
    for files, network, of_network in zip(wanted, networks, predicted, strict=True):
        parameters = sum(p.numel() for p in network.parameters())
        files.save(data, of_network, parameters)
