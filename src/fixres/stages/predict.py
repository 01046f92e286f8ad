"""Predictions of a network for the validation images: what an evaluation computes.

Each validation image is decoded once for all k_test. The classifier computes in float32, whatever
the precision of the job: logits in bf16 tie.

`evaluate` computes what is missing of one evaluation. `predict_ahead` is the end of a fine-tuning:
it has the trunk at hand, and one pass of it gives the predictions of the fine-tuned network and of
the one that it was made from.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from fixres import jobs
from fixres.artifacts import manifest
from fixres.data import regions, requests
from fixres.hardware.device import Device, open_device
from fixres.hardware.ranks import ALONE, Ranks
from fixres.models import matching
from fixres.models.adapt import last_layers
from fixres.models.catalogue import zoo
from fixres.models.float32 import compute_in_float32
from fixres.models.split import split
from fixres.stages.activation_cache import Activations
from fixres.stages.evaluate import (
    View,
    known_predictions,
    log_known,
    prediction_keys,
    predictions_folder,
    save_all,
    write_result,
)

TOP = 5  # predicted classes that are kept for each image


def evaluate(args: argparse.Namespace, ranks: Ranks) -> None:
    """The whole job, from top to bottom: data, network, what is missing, result."""
    config = jobs.read_config(args.config, "evaluate", args.ancestry_digest)

    # The validation images.
    data = manifest.load(args.manifest)
    device = open_device(args.device, args.precision, args.threads, ranks, args.compile)
    startup = time.process_time()
    rows = data.rows("val")

    # The network.
    entry = zoo.entry_of(config)
    network = matching.load(entry, len(data.classes), 0, args.weights)
    network.to(device.device).eval()
    compute_in_float32(network, entry.classifier)
    model = device.prepare(network)

    # What is known already.
    folder = predictions_folder(args.out.parent, config)
    keys = prediction_keys(config, data, args.weights)
    known = ranks.broadcast(lambda: known_predictions(folder, keys))
    log_known(known)

    # What is missing is measured.
    missing = [view for view in keys if view not in known]
    if missing:
        jobs.log(f"{config['run']}: k_test {', '.join(map(str, missing))} on {len(rows)} images")
        for line in manifest.enlarged(data, "val", max(view.k for view in missing)):
            jobs.log(line)
    loading = (device, args.loader, args.workers, ranks)
    reader = requests.CropReader(data, rows, entry.mean, entry.std, *loading)
    test_da = regions.Augmentation("test DA", test_resize=config["test_resize"])
    fresh = predict(model, reader, test_da, missing, min(TOP, len(data.classes)))

    # One process writes.
    if not ranks.first:
        return
    parameters = count_parameters(network)
    save_all(folder, keys, data, fresh, parameters)
    predicted = {view: (known | fresh)[view] for view in keys}
    write_result(args.out, config, data, predicted, parameters)
    jobs.log_times(startup)


def count_parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


# --- passes over the images --------------------------------------------------------------------


def predict(
    model: Callable[[torch.Tensor], torch.Tensor],
    reader: requests.CropReader,
    test_da: regions.Augmentation,
    views: list[View],
    top: int,
) -> dict[View, np.ndarray]:
    """The classes that one network predicts for the images of the reader, in each view."""
    [predicted] = predict_heads(as_it_is, [model], reader, test_da, [views], top)
    return predicted


def as_it_is(x: torch.Tensor) -> Activations:
    """The trunk where each head is a whole network."""
    return (x,)


def predict_heads(
    trunk: Callable[[torch.Tensor], Activations],
    heads: list[Callable[..., torch.Tensor]],
    reader: requests.CropReader,
    test_da: regions.Augmentation,
    views: list[list[View]],
    top: int,
) -> list[dict[View, np.ndarray]]:
    """The classes that networks with one trunk predict for the images of the reader.

    The trunk sees each crop once. The processes of a job share the images; afterwards each has the
    predictions of all.

    Parameters
    ----------
    heads : the activations of the trunk -> logits.
    views : those of each head.

    Returns
    -------
    For each head and each of its views (n, top) int32 classes, best first.
    """
    shape, device = (len(reader.rows), top), reader.device.device
    predicted = [
        {view: torch.empty(shape, dtype=torch.int32, device=device) for view in of_head}
        for of_head in views
    ]
    looks: dict[View, list[Look]] = {}
    for head, of_head in zip(heads, predicted, strict=True):
        for view, classes in of_head.items():
            looks.setdefault(view, []).append(Look(head, classes))
    for crops in (1, regions.TEN):
        together = {view: looks[view] for view in looks if view.crops == crops}
        if together:
            predict_together(trunk, reader, test_da._replace(crops=crops), together)
    return [{view: c.cpu().numpy() for view, c in of_head.items()} for of_head in predicted]


class Look(NamedTuple):
    """A head, and where its predictions go: (n, top)."""

    head: Callable[..., torch.Tensor]
    classes: torch.Tensor


def predict_together(
    trunk: Callable[[torch.Tensor], Activations],
    reader: requests.CropReader,
    test_da: regions.Augmentation,
    looks: dict[View, list[Look]],
) -> None:
    """Fill in the predictions of some views, all with as many crops an image as `test_da` cuts."""
    crops, ranks = test_da.crops, reader.ranks
    chunk = requests.BATCH // crops  # images
    part = ranks.share(len(reader.rows), chunk)
    at = part.start
    total = (part.stop - part.start) * crops * len(looks)
    bar = jobs.progress("evaluation", total, "crops")
    with bar, torch.no_grad(), reader.device.autocast():
        cut = [view.k for view in looks], [view.ratio for view in looks]
        for batch in reader.batches(part, test_da, *cut):
            for of_view, x in zip(looks.values(), batch, strict=True):
                images, activations = len(x) // crops, trunk(x)
                for head, classes in of_view:
                    logits = head(*activations).float()
                    if crops > 1:  # an image's prediction is the mean of those of its crops
                        logits = logits.softmax(1).view(images, crops, -1).mean(1)
                    classes[at : at + images] = logits.topk(classes.shape[1]).indices
                bar.update(len(x))
            at += images
    for look in (look for of_view in looks.values() for look in of_view):
        ranks.all_gather_rows(look.classes, chunk)


# --- at the end of a fine-tuning ---------------------------------------------------------------


class Ahead(NamedTuple):
    """What is missing of one evaluation at one k_test."""

    weights: Path
    folder: Path  # of the predictions
    keys: dict[View, str]
    test_resize: str


def predict_ahead(
    config: dict, args: argparse.Namespace, data: manifest.Manifest, device: Device
) -> None:
    """Predict the validation images at the k_test of a fine-tuning, for evaluations to come.

    They are that of the fine-tuned network and that of the network it was made from. Each has its
    configuration in evaluation/ beside the weights; one that has none is not asked for. The files
    are those that the evaluation would write. If this fails, the log says so and nothing is lost:
    the evaluation predicts itself.

    Parameters
    ----------
    config : of the fine-tuning, with k_test and layers.
    args : of the fine-tuning, with weights and out. The weights in `out` are written.
    """
    try:
        found = [
            missing_at(weights, config["k_test"], data) for weights in (args.out, args.weights)
        ]
        tuned = found[0]
        if tuned is None:
            return
        wanted = [a for a in found if a is not None and a.test_resize == tuned.test_resize]
        predict_missing(wanted, config, args, data, device)
    except Exception as error:  # any exception: it is the evaluation's, and that one will tell it
        jobs.log(f"validation images not predicted ahead: {error}")


def missing_at(weights: Path, k_test: int, data: manifest.Manifest) -> Ahead | None:
    """What the evaluation beside some weights asks for at one k_test, and nobody has left yet.

    None: it is not asked for, or nothing is missing.
    """
    folder = weights.parent / "evaluation"
    if not (folder / "config.json").is_file():
        return None
    config = jobs.read_config(folder / "config.json", "evaluate")
    predictions = predictions_folder(folder, config)
    keys = prediction_keys(config, data, weights)
    keys = {view: key for view, key in keys.items() if view.k == k_test}
    known = known_predictions(predictions, keys, quiet=True)
    keys = {view: key for view, key in keys.items() if view not in known}
    return Ahead(weights, predictions, keys, config["test_resize"]) if keys else None


def predict_missing(
    wanted: list[Ahead],
    config: dict,
    args: argparse.Namespace,
    data: manifest.Manifest,
    device: Device,
) -> None:
    """Predict, with one pass of the trunk where the networks can be cut, and write the files."""
    entry = zoo.entry_of(config)
    networks = [matching.load(entry, len(data.classes), 0, ahead.weights) for ahead in wanted]
    for network in networks:
        network.to(device.device).eval().requires_grad_(False)
        compute_in_float32(network, entry.classifier)
    trunk, heads = as_it_is, networks
    # A classifier of several layers is float32 as a whole only in an uncut network.
    if not any(networks[0].get_submodule(entry.classifier).children()):
        names = last_layers(entry, config["layers"])
        parts = [split(network, names, config["k_test"]) for network in networks]
        trunk, heads = parts[0].trunk, [part.head for part in parts]
    jobs.log(f"k_test {config['k_test']}: {len(wanted)} evaluation(s) predicted ahead")
    rows = data.rows("val")
    loading = (device, args.loader, args.workers, ALONE)
    reader = requests.CropReader(data, rows, entry.mean, entry.std, *loading)
    test_da = regions.Augmentation("test DA", test_resize=wanted[0].test_resize)
    heads = [device.prepare(head) for head in heads]
    views = [list(ahead.keys) for ahead in wanted]
    top = min(TOP, len(data.classes))
    predicted = predict_heads(device.prepare(trunk), heads, reader, test_da, views, top)
    for ahead, network, of_network in zip(wanted, networks, predicted, strict=True):
        save_all(ahead.folder, ahead.keys, data, of_network, count_parameters(network))
