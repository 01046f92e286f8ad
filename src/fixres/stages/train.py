"""Base training: a network at one k_train (§5, "Training protocol").

SGD with momentum on train DA crops. The network starts from random weights, or with --init from
given weights with a fresh classifier. Next to the weights, log.csv has the loss over the steps.

While the job runs, there is a checkpoint next to the result. The same command again resumes from it
and ends with the same bits (on a CPU). With --processes the global batch stays as the configuration
says (`sgd.Step`).
"""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from fixres import jobs
from fixres.artifacts import log_csv, manifest, weights
from fixres.data import loader, regions, sampling
from fixres.hardware.device import send
from fixres.hardware.ranks import Ranks
from fixres.models import construct
from fixres.models.checkpoints import Checkpoints
from fixres.stages import sgd
from fixres.stages.opened import Opened, run


def main(arguments: list[str]) -> None:
    run(train, "train", __doc__, arguments, "manifest", "out", options=add_options)


def add_options(p: argparse.ArgumentParser) -> None:
    jobs.training_options(p)
    about = "weights to start from, but for the classifier (where the configuration has init)"
    p.add_argument("--init", type=Path, help=about)


def train(job: Opened) -> None:
    args, config, data, device, ranks = job.args, job.config, job.data, job.device, job.ranks
    if bool(config["init"]) != bool(args.init):
        raise jobs.JobError(
            f"--init: found {args.init}, but {args.config} says init: {config['init']}; "
            "both or neither name a start"
        )
    recipe, entry = config["recipe"], job.entry
    batch = sgd.batching(recipe, ranks, "base_training")

    # The training images.
    for line in manifest.summary(data):
        jobs.log(line)
    steps_per_epoch = count_steps(config, data, args.manifest)
    budget = args.decoded_mb * 1e6 / ranks.on_machine
    keep = loader.room_for(data, data.rows("train"), budget)

    def stream(first: int) -> sgd.Batches:
        wanted = requests(config, data, first, batch, ranks)
        cut = loader.batches(data, wanted, args.loader, args.workers, device.device, keep)
        for i, (crops, pixels) in enumerate(dealt(cut, batch.micro)):
            x = loader.to_device(pixels, crops.rocs, entry.mean, entry.std, device.device)
            labels = send(torch.from_numpy(data.label[crops.rocs.image]).long(), device.device)
            step, k = first + i // batch.per_process, config["k_train"]
            mix = sampling.cutmix(config["seed"], step, recipe["cutmix"], k)
            yield ((x,), labels) if mix is None else cutmix(x, labels, mix, len(data.classes))

    # The network.
    network = construct.build(entry, len(data.classes), config["seed"])
    construct.check_layers(entry, network)
    key = [jobs.canonical(config), data.digest()]
    if args.init:
        weights.load_into(network, args.init, fresh=entry.classifiers)
        key.append(jobs.file_digest(args.init))
    network.to(device.device).train()
    model = device.prepare(network)

    # The optimisation.
    how = sgd.Optimisation(recipe, steps_per_epoch, batch, device, ranks, config["seed"])
    checkpoints = Checkpoints(args.out.parent / "checkpoints", jobs.digest(*key))
    n = sum(p.numel() for p in network.parameters())
    jobs.log(
        f"{config['run']}: {entry.title}, {n:,} parameters, k_train {config['k_train']}; "
        f"{recipe['epochs']} epochs of {steps_per_epoch} batches of {recipe['batch_size']} "
        f"({batch.count} × {batch.micro}), RA {recipe['repeated_augmentation']}"
        f"{' spread' if spread(recipe) else ''}, lr {recipe['lr']:.4g} ({recipe['schedule']})"
        + (f", from {config['init']}" if args.init else "")
    )

    # The loop; then one process writes.
    log = how.log(args.out.parent, bool(args.tensorboard))
    sgd.fit(model, network, stream, how, checkpoints, args.checkpoint_seconds, log)
    if ranks.first:
        job.save(network)
        log.write(args.out.parent / log_csv.NAME)
        checkpoints.clear()


def epochs(config: dict, data: manifest.Manifest) -> sampling.Epochs:
    """How the training draws its images."""
    recipe, images = config["recipe"], len(data.rows("train"))
    samples = recipe["samples_per_epoch"] or images
    repeats, size = recipe["repeated_augmentation"], recipe["batch_size"]
    return sampling.Epochs(config["seed"], images, samples, size, repeats, spread(recipe))


def spread(recipe: dict) -> bool:
    """Whether the copies of an image go to different micro-batches.

    A recipe without the key has no copies, or a single micro-batch.
    """
    return recipe.get("repeats") == "spread"


def count_steps(config: dict, data: manifest.Manifest, manifest_file: object) -> int:
    """Whole batches of one epoch. Raises JobError where the samples do not fill one."""
    drawing, samples = epochs(config, data), config["recipe"]["samples_per_epoch"]
    if drawing.steps:
        return drawing.steps
    found = samples if samples else f"null: as many as there are images, {drawing.images}"
    raise jobs.JobError(
        f"{config['run']}: samples_per_epoch: found {found}; expected at least one batch "
        f"(batch_size {drawing.batch_size}); {manifest_file} lists {drawing.images} training "
        "images; give this training a smaller batch_size or more samples_per_epoch"
    )


def requests(
    config: dict, data: manifest.Manifest, first: int, batch: sgd.Batch, ranks: Ranks
) -> Iterator[list[loader.Crops]]:
    """The crops of this process's micro-batches, from step `first` to the last (§3.1.2, §5).

    With the seed, the step alone settles the images, their RoCs, flips and jitter. A request is of
    one micro-batch. Where the copies of an image go to different micro-batches, a request is of all
    of this process's micro-batches of a step, one after another: the loader decodes an image once
    for all crops of a request.
    """
    rows, k, seed = data.rows("train"), config["k_train"], config["seed"]
    augmentation = regions.Augmentation(**config["augmentation"])
    drawing = epochs(config, data)
    last = config["recipe"]["epochs"] * drawing.steps
    drawn = sampling.stream(drawing, first, last, batch.micro, ranks.rank, ranks.size)
    together = batch.per_process if drawing.spread else 1
    for parts in zip(*[drawn] * together, strict=True):
        [epoch, *_], images, copies = zip(*parts, strict=True)
        image, repeat = np.concatenate(images), np.concatenate(copies)
        chosen = rows[image]
        h, w = data.height[chosen], data.width[chosen]
        yield [loader.Crops(regions.rocs(augmentation, k, chosen, h, w, seed, epoch, repeat), k)]


def dealt(
    cut: Iterable[tuple[list[loader.Crops], list[torch.Tensor]]], micro: int
) -> Iterator[tuple[loader.Crops, torch.Tensor]]:
    """What the loader has cut, by micro-batch: crops and their pixels, (micro, k, k, 3) uint8."""
    for [crops], [pixels] in cut:
        for start in range(0, len(pixels), micro):
            part = slice(start, start + micro)
            yield loader.Crops(crops.rocs[part], crops.k), pixels[part]


def cutmix(
    x: torch.Tensor, labels: torch.Tensor, mix: sampling.CutMix, classes: int
) -> tuple[tuple[torch.Tensor], torch.Tensor]:
    """Paste into each crop of a micro-batch the same rectangle of its partner.

    The partner of the first crop is the last crop, that of the second the last but one, and so on.

    Parameters
    ----------
    x, labels : (n, 3, k, k) crops, (n,) class numbers.

    Returns
    -------
    ((n, 3, k, k),), the mixed crops; and (n, classes), both labels weighted by their shares of the
    pixels. Rows sum to 1.
    """
    mixed, box = x.clone(), (..., slice(mix.y0, mix.y1), slice(mix.x0, mix.x1))
    mixed[box] = x.flip(0)[box]
    targets = F.one_hot(labels, classes).float()
    return (mixed,), mix.share * targets + (1 - mix.share) * targets.flip(0)
