"""What a fine-tuning does for other jobs while it has its trunk's activations at hand.

1. `predict_ahead` predicts the validation images at the k_test of the fine-tuning, with one pass of
   the trunk: for the evaluations of the fine-tuned network and of the network that it was made
   from.
2. `Sharing`: the fine-tuning of classifier and last normalisation of a custom network leaves for
   the other jobs at the same k_test what they would compute with the same trunk (left.py), and
   predicts for the network with new statistics, too.

If any of this fails, the log says so and nothing is lost: the other jobs compute these things
themselves.
"""

import argparse
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from fixres import jobs
from fixres.artifacts import left, predictions
from fixres.artifacts.manifest import Manifest
from fixres.artifacts.predictions import Cropping, Predicted, Predictions
from fixres.data import requests, sampling
from fixres.data.regions import Augmentation
from fixres.models import matching
from fixres.models.adapt import last_layers
from fixres.models.distributions import Moments
from fixres.models.float32 import compute_in_float32
from fixres.models.split import split
from fixres.stages.activation_cache import Activations, Cache
from fixres.stages.left import TRAINING, VALIDATION, key_of, named, of_moments, of_tensors, shares
from fixres.stages.left import validation as left_for_validation
from fixres.stages.opened import Opened
from fixres.stages.passes import MergedMoments
from fixres.stages.predict import TOP, as_it_is, best, predict
from fixres.stages.statistics import entering, put_in

COPY = "left.safetensors"  # in the folder of a job with new statistics, for a moment
LEADING = ["batch-norm", "classifier"]  # layers of the fine-tuning whose trunk holds the others'


class Sibling(NamedTuple):
    """Another adaptation of the same network at the same k_test, on the same crops."""

    folder: Path
    config: dict


def siblings(job: Opened, rows: np.ndarray) -> list[Sibling]:
    """The jobs that need only activations that this fine-tuning computes, of its `rows`.

    Their resolved configurations are in folders next to the fine-tuning's folder.
    """
    config = job.config
    if not shares(job) or sorted(config["layers"]) != LEADING:
        return []
    crops, found = config["augmentation"], []
    for file in sorted(job.args.weights.parent.glob("*/config.json")):
        other = json.loads(file.read_text(encoding="utf-8"))
        if other.get("k_test") != config["k_test"] or other.get("network") != config["network"]:
            continue
        if other["stage"] == "statistics":
            images, alike = other["images"], crops.get("crop_pct") == other["crop_pct"]
        elif other["stage"] == "finetune" and other["layers"] == ["classifier"]:
            images, alike = other["recipe"]["images"], crops == other["augmentation"]
        else:
            continue
        theirs = sampling.random_subset(job.data.rows("train"), images, other["seed"])
        if alike and crops["name"] == "test DA" and np.array_equal(theirs, rows):
            found.append(Sibling(file.parent, other))
    return found


# --- what is left for the other jobs at one k_test ----------------------------------------------


class Sharing:
    """The network as it was, cut where the fine-tuning cuts it, and whom it can help.

    Attributes
    ----------
    moments : of what enters each last normalisation, on the training images; {}: not known (yet).
    """

    def __init__(self, job: Opened, rows: np.ndarray):
        self.job, self.rows = job, rows
        self.moments: dict[str, Moments] = {}
        self.siblings: list[Sibling] = []
        with self.harmless():
            self.siblings = siblings(job, rows)
            if self.siblings:
                self._cut()

    @contextlib.contextmanager
    def harmless(self) -> Iterator[None]:
        """A block whose failure ends the sharing, and not the fine-tuning."""
        try:
            yield
        except Exception as error:  # any exception: the other jobs will hit it too, and report it
            self.siblings = []
            jobs.log(f"nothing left for other jobs: {error}")

    @torch.no_grad()
    def _cut(self) -> None:
        """Cut the network; see how the activations come, and what they hold."""
        entry, k, device = self.job.entry, self.job.config["k_test"], self.job.device.device
        network = self.job.load().requires_grad_(False)
        self.norms = {name: network.get_submodule(name) for name in entry.last_batch_norm}
        self.classifiers = {name: network.get_submodule(name) for name in entry.classifiers}
        trunk, self.head, *_ = split(network, last_layers(entry, self.job.config["layers"]), k)
        x = torch.rand(2, 3, k, k, generator=torch.Generator().manual_seed(0)).to(device)
        x = x.to(memory_format=torch.channels_last)
        activations = trunk(x)
        plain, last = torch.contiguous_format, torch.channels_last
        self.layouts = [plain if a.is_contiguous() else last for a in activations]
        # The trunk of a fine-tuning of the classifier alone gives the classifier's inputs, or else
        # more crosses that cut.
        expected = split(network, list(self.classifiers), k).trunk(x)
        inside = self.enter(self.classifiers, activations)
        if len(inside) != len(expected) or not all(map(torch.equal, inside, expected)):
            self.siblings = self.of_stage("statistics")

    def of_stage(self, stage: str) -> list[Sibling]:
        """The siblings of one stage."""
        return [sibling for sibling in self.siblings if sibling.config["stage"] == stage]

    def enter(self, layers: dict[str, nn.Module], activations: Activations) -> Activations:
        """What enters some layers of the head, given the activations of the trunk."""
        entered = entering(layers, self.head, *activations)
        return tuple(entered[name] for name in layers)

    def leave_training(self, cache: Cache) -> None:
        """Leave what the siblings need of the training images. `cache`: the trunk's activations."""
        if self.siblings:
            with self.harmless(), torch.no_grad():
                self._leave_training(cache)

    def _leave_training(self, cache: Cache) -> None:
        job, inputs = self.job, []
        # Batch by batch as the job of new statistics goes, so that sums have the same last bits.
        merged = MergedMoments(job.reader(self.rows), list(self.norms))
        batch = requests.images_at_once(1, [job.config["k_test"]])
        has_statistics = self.of_stage("statistics")
        for start in range(0, len(self.rows), batch):
            images = slice(start, min(start + batch, len(self.rows)))
            stored = cache.read(np.arange(images.start, images.stop))
            pairs = zip(stored, self.layouts, strict=True)
            activations = tuple(a.contiguous(memory_format=layout) for a, layout in pairs)
            inputs.append(self.enter(self.classifiers, activations))
            for name in self.norms if has_statistics else ():
                [x] = self.enter({name: self.norms[name]}, activations)
                merged.add(name, images, Moments.of(x))
        arrays = of_tensors("", tuple(map(torch.cat, zip(*inputs, strict=True))))
        for sibling in self.of_stage("finetune"):
            self.leave(sibling, TRAINING, arrays)
        if has_statistics:
            self.moments = merged.merged()
            arrays = {n: a for of in self.moments.items() for n, a in of_moments(*of).items()}
            for sibling in has_statistics:
                self.leave(sibling, TRAINING, arrays)

    def leave_validation(self, inputs: dict[Cropping, list[Activations]]) -> None:
        """Leave the inputs of the classifiers at each cropping, for a fine-tuning of these."""
        arrays: left.Arrays = {}
        for cropping, found in inputs.items():
            arrays |= of_tensors(named(cropping), tuple(map(torch.cat, zip(*found, strict=True))))
        for sibling in self.of_stage("finetune"):
            self.leave(sibling, VALIDATION, arrays)

    def leave(self, sibling: Sibling, what: str, arrays: left.Arrays) -> None:
        """Write a file for a sibling."""
        key = key_of(self.job, sibling.config, what)
        left.save(sibling.folder / what, key, arrays)

    def predicting(self) -> Iterator[tuple[Sibling, Path, nn.Module]]:
        """Each sibling with new statistics: a copy of its weights to be, and the network.

        The copy is there as long as the caller looks at it. It is what the sibling will write, byte
        for byte: the keys of predictions have a digest of it.
        """
        for sibling in self.of_stage("statistics") if self.moments else ():
            network, copy = self.job.load().requires_grad_(False), sibling.folder / COPY
            for name, of in self.moments.items():
                put_in(network.get_submodule(name), of)
            args = argparse.Namespace(**vars(self.job.args) | {"out": copy})
            try:
                self.job._replace(args=args, config=sibling.config).save(network)
                yield sibling, copy, network
            finally:
                copy.unlink(missing_ok=True)


# --- predictions for evaluations to come ---------------------------------------------------------


def predict_ahead(job: Opened, sharing: Sharing) -> None:
    """Predict the validation images at the k_test of a fine-tuning, for evaluations to come.

    Each evaluation has its configuration in evaluation/ next to the weights of its network; without
    it, the evaluation is not asked for. The files equal the files that the evaluation would write.

    Parameters
    ----------
    job : the fine-tuning. The weights in its --out are written.
    """
    try:
        k, args = job.config["k_test"], job.args
        tuned = missing_at(args.out.parent, args.out, k, job.data)
        base = missing_at(args.weights.parent, args.weights, k, job.data)
        if tuned is None or (base is None and predict_from_left(job, tuned)):
            return
        wanted = [(files, loaded(job, files)) for files in (tuned, base) if files]
        for sibling, copy, network in sharing.predicting():
            if files := missing_at(sibling.folder, copy, k, job.data):
                compute_in_float32(network, *job.entry.classifiers)
                wanted.append((files, network))
        alike = [pair for pair in wanted if pair[0].test_resize == tuned.test_resize]
        predict_missing(job, alike, sharing)
    except Exception as error:  # any exception: the evaluation will hit it too, and report it
        jobs.log(f"validation images not predicted ahead: {error}")


def missing_at(run: Path, weights: Path, k_test: int, data: Manifest) -> Predictions | None:
    """What the evaluation of a run asks for at one k_test, and nobody has left yet.

    None: it is not asked for, or nothing is missing.

    Parameters
    ----------
    run : the folder of the run. weights : its weights.
    """
    folder = run / "evaluation"
    if not (folder / "config.json").is_file():
        return None
    config = jobs.read_config(folder / "config.json", "evaluate")
    files = predictions.of_evaluation(folder, config, data, weights)
    files = files._replace(keys={c: key for c, key in files.keys.items() if c.k == k_test})
    known = files.load(quiet=True)
    keys = {c: key for c, key in files.keys.items() if c not in known}
    return files._replace(keys=keys) if keys else None


def predict_from_left(job: Opened, tuned: Predictions) -> bool:
    """Predict for the fine-tuned network, where its trunk's activations were left for it.

    Returns whether they were.
    """
    activations = left_for_validation(job, list(tuned.keys))
    if not activations:
        return False
    network, names = loaded(job, tuned), last_layers(job.entry, job.config["layers"])
    head = split(network, names, job.config["k_test"]).head
    absent, top = job.data.absent, min(TOP, len(job.data.classes))
    mask = None if absent is None else torch.from_numpy(absent).to(job.device.device)
    predicted: Predicted = {}
    with torch.no_grad():
        for cropping, of_images in activations.items():
            logits = head(*(a.to(job.device.device) for a in of_images)).float()
            classes = best(logits, top, absent=mask if cropping.masked else None)
            predicted[cropping] = classes.cpu().numpy()
    if all((classes >= 0).all() for classes in predicted.values()):
        tuned.save(job.data, predicted, sum(p.numel() for p in network.parameters()))
        jobs.log(f"k_test {job.config['k_test']}: predicted ahead from activations that were left")
    return True


def loaded(job: Opened, files: Predictions) -> nn.Module:
    """A network that predicts, with its classifier in float32."""
    network = matching.load(job.entry, len(job.data.classes), 0, files.weights)
    network.to(job.device.device).eval().requires_grad_(False)
    compute_in_float32(network, *job.entry.classifiers)
    return network


def predict_missing(
    job: Opened, wanted: list[tuple[Predictions, nn.Module]], sharing: Sharing
) -> None:
    """Predict, with one pass of the trunk where the networks can be cut, and write the files."""
    config, entry, data, device = job.config, job.entry, job.data, job.device
    networks = [network for _, network in wanted]
    trunk, heads = as_it_is, networks
    # A classifier of several layers is float32 as a whole only in an uncut network.
    is_cut = not any(networks[0].get_submodule(entry.classifier).children())
    if is_cut:
        names = last_layers(entry, config["layers"])
        parts = [split(network, names, config["k_test"]) for network in networks]
        trunk, heads = parts[0].trunk, [part.head for part in parts]
    jobs.log(f"k_test {config['k_test']}: {len(wanted)} evaluation(s) predicted ahead")
    heads = [device.prepare(head) for head in heads]
    croppings = [list(files.keys) for files, _ in wanted]
    test_da = Augmentation("test DA", test_resize=wanted[0][0].test_resize)
    reader = job.reader(data.rows("val"))
    top = min(TOP, len(data.classes))
    inputs: dict[Cropping, list[Activations]] = {}

    def watch(cropping: Cropping, activations: Activations) -> None:
        entered = sharing.enter(sharing.classifiers, activations)
        inputs.setdefault(cropping, []).append(entered)

    followed = is_cut and sharing.of_stage("finetune")
    predicted = predict(
        device.prepare(trunk),
        heads,
        reader,
        test_da,
        croppings,
        top,
        data.absent,
        **({"watch": watch} if followed else {}),
    )
    for (files, network), of_network in zip(wanted, predicted, strict=True):
        parameters = sum(p.numel() for p in network.parameters())
        files.save(data, of_network, parameters)
    if followed:
        sharing.leave_validation(inputs)
