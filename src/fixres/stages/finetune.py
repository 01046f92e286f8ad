"""Fine-tuning: the last layers of a network, adapted to one k_test (§4.2).

The method is the function `adapt_last_layers` of models/adapt.py. It freezes a trunk and leaves a
head to train. head.py runs the trunk on the training crops and trains the head.

With --predict the network then predicts the validation images at k_test, and so does the network
that it was made from (ahead.py). Their evaluations take these predictions as their own. The
adaptations of a custom network at one k_test share the trunk's activations (left.py).
"""

import argparse
from collections.abc import Iterator

import numpy as np
import torch

from fixres import jobs
from fixres.artifacts import log_csv, manifest
from fixres.data import loader, regions, sampling
from fixres.models.adapt import Adaptation, adapt_last_layers
from fixres.models.checkpoints import Checkpoints
from fixres.stages import left, sgd
from fixres.stages.activation_cache import Wanted
from fixres.stages.ahead import Sharing, predict_ahead
from fixres.stages.head import CutCrops, TrainingImages, fit_head
from fixres.stages.opened import Opened, run


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
        "of --weights: those that have a config.json in evaluation/ next to the weights; a job of "
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
    what = f"{entry.title}, {' + '.join(layers)} at k_test {k}"
    jobs.log(f"{config['run']}: {what}; {recipe['epochs']} epochs of {steps_per_epoch}")
    for line in manifest.enlarged(data, "train", k):
        jobs.log(line)

    # --- the images that it trains on
    keep = loader.room_for(data, rows, args.decoded_mb * 1e6 / ranks.on_machine)
    images = TrainingImages(rows, data.label, crops_of(job, adaptation), keep)

    # --- what it shares with the other jobs at this k_test: activations of its trunk
    sharing = Sharing(job, rows) if args.predict else None
    if adaptation.constant_activations:
        images = images._replace(known=left.cache(job))
    if sharing:
        images = images._replace(share=sharing.leave_training)

    # --- loop
    key = jobs.digest(jobs.canonical(config), data.digest(), jobs.file_digest(args.weights))
    checkpoints = Checkpoints(args.out.parent / "checkpoints", key)
    how = sgd.Optimisation(recipe, steps_per_epoch, batch, device, ranks, config["seed"])
    log = fit_head(
        adaptation,
        images,
        how,
        args.cache_mb * 1e6,
        checkpoints,
        args.checkpoint_seconds,
        args.out.parent,
        bool(args.tensorboard),
    )

    # --- result
    if ranks.first:
        job.save(network)
        log.write(args.out.parent / log_csv.NAME)
        if args.keep_checkpoint:
            checkpoints.keep(1)
        else:
            checkpoints.clear()

    # --- while the network is at hand: predictions for the evaluations to come
    if sharing and ranks.size == 1:
        predict_ahead(job, sharing)
    left.clear(job)


def count_steps(images: int, batch_size: int, manifest_file: object) -> int:
    """Whole batches of one epoch. Raises JobError where the images do not fill one."""
    if images < batch_size:
        raise jobs.JobError(
            f"fine_tuning.batch_size: found {batch_size}, but there are {images} images to "
            f"fine-tune on; expected at most that many (fine_tuning.images, {manifest_file})"
        )
    return images // batch_size


def crops_of(job: Opened, adaptation: Adaptation) -> CutCrops:
    """A function that cuts the training crops of an adaptation from the job's images."""
    args, data, device, entry, seed = job.args, job.data, job.device, job.entry, job.config["seed"]

    def cut(wanted: Wanted, keep: bool = False) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        requests = ([adaptation.crops(data, chosen, seed, epoch)] for chosen, epoch in wanted)
        batches = loader.batches(data, requests, args.loader, args.workers, device.device, keep)
        for [crops], [pixels] in batches:
            normal = (entry.mean, entry.std, device.device)
            yield crops.rocs.image, loader.to_device(pixels, crops.rocs, *normal)

    return cut
