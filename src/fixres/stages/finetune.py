"""Fine-tuning: the last layers of a network, adapted to one k_test (§4.2).

The method is the function `adapt_last_layers` of models/adapt.py. It freezes a trunk and leaves a
head to train. This stage runs the trunk on the training crops and trains the head.

With --predict the network then predicts the validation images at k_test, and so does the network
that it was made from (predict.py). Their evaluations take these predictions as their own.

Test DA cuts the same crop of an image in every epoch. The activations of the trunk are then
computed once and kept in memory, where they fit (activation_cache.py). Otherwise every epoch
computes them again. Both give the same numbers.
"""

import argparse
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from fixres import jobs
from fixres.artifacts import log_csv, manifest
from fixres.data import loader, regions, sampling
from fixres.hardware.device import Device, send
from fixres.models.adapt import Adaptation, adapt_last_layers
from fixres.models.checkpoints import Checkpoints
from fixres.stages import sgd
from fixres.stages.activation_cache import Activations, RunTrunk, Wanted, compute_once
from fixres.stages.opened import Opened, run
from fixres.stages.predict import predict_ahead


def main(arguments: list[str]) -> None:
    files = ("manifest", "weights", "out")
    run(finetune, "finetune", __doc__, arguments, *files, options=add_options)


def add_options(p: argparse.ArgumentParser) -> None:
    jobs.training_options(p)
    leave = "leave the last one: the same command then only writes its result again"
    cache = (
        "memory of a machine for activations that are computed once; its processes share it; "
        "a GPU's own memory comes first; 0: none are kept (default: 2000)"
    )
    predict = (
        "also predict the validation images at k_test, for the evaluations of the result and "
        "of --weights: those that have a config.json in evaluation/ beside the weights; a job of "
        "several processes does not (default: no)"
    )
    p.add_argument("--keep-checkpoint", action="store_true", help=leave)
    p.add_argument("--cache-mb", type=float, default=2000, help=cache)
    p.add_argument("--predict", action="store_true", help=predict)


def finetune(job: Opened) -> None:
    """The whole job, from top to bottom: data, network, adaptation, loop, result."""
    args, config, data, device, ranks = job.args, job.config, job.data, job.device, job.ranks
    recipe, entry, k = config["recipe"], job.entry, config["k_test"]

    # --- data: the training images
    rows = sampling.random_subset(data.rows("train"), recipe["images"], config["seed"])
    steps_per_epoch = count_steps(len(rows), recipe["batch_size"], args.manifest)
    batch = sgd.batching(recipe, ranks, "fine_tuning")

    # --- network: trained at k_train, perhaps with a distribution matching
    network = job.load(config["seed"])

    # --- adaptation: which layers train, and on which crops (§4.2)
    layers, batch_norm = config["layers"], recipe["batch_norm"]
    augmentation = regions.Augmentation(**config["augmentation"])
    adaptation = adapt_last_layers(network, entry, layers, k, batch_norm, augmentation)
    trained, head = nn.ModuleList(adaptation.trained), device.prepare(adaptation.head)
    what = f"{entry.title}, {' + '.join(layers)} at k_test {k}"
    jobs.log(f"{config['run']}: {what}; {recipe['epochs']} epochs of {steps_per_epoch}")
    for line in manifest.enlarged(data, "train", k):
        jobs.log(line)

    # --- the inputs of the head: activations of the trunk, computed once or in every epoch
    run_trunk = trunk_on(job, adaptation)
    cache = None
    if adaptation.constant_activations:
        probe = of_one_image(adaptation, k, device)
        budget = args.cache_mb * 1e6
        cache = compute_once(run_trunk, probe, rows, batch.micro, budget, device.device, ranks)
    labels = torch.from_numpy(data.label[rows]).long().to(device.device)

    def stream(first: int) -> Iterator[tuple[Activations, torch.Tensor]]:
        epochs = sampling.Epochs(config["seed"], len(rows), len(rows), recipe["batch_size"])
        last = recipe["epochs"] * steps_per_epoch
        drawn = sampling.stream(epochs, first, last, batch.micro, ranks.rank, ranks.size)
        if cache is None:
            wanted = ((rows[image], epoch) for epoch, image, _ in drawn)
            keep = loader.room_for(data, rows, args.decoded_mb * 1e6 / ranks.on_machine)
            for images, activations in run_trunk(wanted, keep):
                yield activations, send(torch.from_numpy(data.label[images]).long(), device.device)
        else:
            for _, image, _ in drawn:
                chosen = send(torch.from_numpy(image), device.device)
                yield cache.read(image), labels[chosen]

    # --- loop
    key = jobs.digest(jobs.canonical(config), data.digest(), jobs.file_digest(args.weights))
    checkpoints = Checkpoints(args.out.parent / "checkpoints", key)
    how = sgd.Optimisation(recipe, steps_per_epoch, batch, device, ranks, config["seed"])
    log = how.log(args.out.parent, bool(args.tensorboard))
    sgd.fit(head, trained, stream, how, checkpoints, args.checkpoint_seconds, log)

    # --- result
    if ranks.first:
        job.save(network)
        log.write(args.out.parent / log_csv.NAME)
        if args.keep_checkpoint:
            checkpoints.keep(1)
        else:
            checkpoints.clear()

    # --- while the network is at hand: predictions for the evaluations to come
    if args.predict and ranks.size == 1:
        cache = None  # `stream` is done with it, and its memory is needed
        predict_ahead(job)


def count_steps(images: int, batch_size: int, manifest_file: object) -> int:
    """Whole batches of one epoch. Raises JobError where the images do not fill one."""
    if images < batch_size:
        raise jobs.JobError(
            f"fine_tuning.batch_size: found {batch_size}, but there are {images} images to "
            f"fine-tune on; expected at most that many (fine_tuning.images, {manifest_file})"
        )
    return images // batch_size


def of_one_image(adaptation: Adaptation, k: int, device: Device) -> Activations:
    """What the trunk makes of one image, of zeros: it tells shapes and types."""
    x = torch.zeros(1, 3, k, k, device=device.device)
    with torch.no_grad(), device.autocast():
        return adaptation.trunk(x)


def trunk_on(job: Opened, adaptation: Adaptation) -> RunTrunk:
    """A function that runs the trunk on training crops, batch by batch."""
    args, data, device, entry, seed = job.args, job.data, job.device, job.entry, job.config["seed"]
    trunk = device.prepare(adaptation.trunk)

    def run_trunk(wanted: Wanted, keep: bool = False) -> Iterator[tuple[np.ndarray, Activations]]:
        requests = ([adaptation.crops(data, chosen, seed, epoch)] for chosen, epoch in wanted)
        cut = loader.batches(data, requests, args.loader, args.workers, device.device, keep)
        for [crops], [pixels] in cut:
            with torch.no_grad(), device.autocast():
                x = loader.to_device(pixels, crops.rocs, entry.mean, entry.std, device.device)
                # One memory layout, cached or not: in another one the last bits of sums differ.
                activations = tuple(a.contiguous() for a in trunk(x))
            # Outside the block: inside it the consumer of this generator would have no gradients.
            yield crops.rocs.image, activations

    return run_trunk
