"""Base training: a network at one k_train, from scratch or from given weights with a fresh classifier (§5, "Training protocol").

    python -m fixres train --config results/runs/pinhole/resnet10q-k56/config.json \\
        --manifest results/data/pinhole/manifest.npz --out results/runs/pinhole/resnet10q-k56/weights.safetensors

SGD with momentum on train DA crops. A checkpoint stands beside the result while the job runs; the same command again resumes from
it and ends with the same bits (on CPU). With --processes the global batch stays what the configuration says (`sgd.fit`).
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.nn import functional as F  # noqa: N812

from fixres import jobs
from fixres.data import loader, manifest, regions, sampling
from fixres.jobs import processes
from fixres.jobs.device import open_device, send
from fixres.jobs.ranks import Ranks
from fixres.models import weights, zoo
from fixres.models.checkpoints import Checkpoints
from fixres.stages import sgd


def main(arguments: list[str]) -> None:
    p = jobs.device_options(jobs.parser("train", __doc__, "manifest", "out"))
    p.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=60.0,
        help="save the state this often (default: 60)",
    )
    p.add_argument(
        "--init",
        type=Path,
        help="weights to start from, but for the classifier (where the configuration has init)",
    )
    processes.run(train, p.parse_args(arguments), ["train", *arguments])


def train(args: argparse.Namespace, ranks: Ranks) -> None:
    config = jobs.read_config(args.config, "train", args.ancestry_digest)
    if bool(config["init"]) != bool(args.init):
        raise jobs.JobError(
            f"--init: found {args.init}, but {args.config} says init: {config['init']}; both or neither name a start"
        )
    recipe, entry = config["recipe"], zoo.ZOO[config["network"]]
    batch = sgd.batching(recipe, ranks, "base_training")
    data = manifest.load(args.manifest)
    for line in manifest.summary(data):
        jobs.log(line)
    device = open_device(args.device, args.precision, args.threads, ranks, args.compile)
    startup = time.process_time()

    steps_per_epoch = (recipe["samples_per_epoch"] or len(data.rows("train"))) // recipe[
        "batch_size"
    ]
    network = zoo.build(config["network"], len(data.classes), config["seed"])
    key = [jobs.canonical(config), data.digest()]
    if args.init:
        weights.load_into(network, args.init, fresh=entry.classifier)
        key.append(jobs.file_digest(args.init))
    network.to(device.device).train()
    n = sum(p.numel() for p in network.parameters())
    jobs.log(
        f"{config['run']}: {entry.title}, {n:,} parameters, k_train {config['k_train']}; {recipe['epochs']} epochs of {steps_per_epoch} "
        f"batches of {recipe['batch_size']} ({batch.count} × {batch.micro}), RA {recipe['repeated_augmentation']}, lr {recipe['lr']:.4g} "
        f"({recipe['schedule']})" + (f", from {config['init']}" if args.init else "")
    )

    def stream(first: int) -> Iterator[tuple[tuple[torch.Tensor], torch.Tensor]]:
        wanted = requests(config, data, first, batch, ranks)
        cut = loader.batches(data, wanted, args.loader, ranks.portion(args.workers), device.device)
        for i, ([crops], [pixels]) in enumerate(cut):
            x = loader.to_device(pixels, crops.views, entry.mean, entry.std, device.device)
            labels = send(torch.from_numpy(data.label[crops.views.image]).long(), device.device)
            mix = sampling.cutmix(
                config["seed"], first + i // batch.per_process, recipe["cutmix"], config["k_train"]
            )
            yield ((x,), labels) if mix is None else cutmix(x, labels, mix, len(data.classes))

    checkpoints = Checkpoints(args.out.parent / "checkpoints", jobs.digest(*key))
    model = device.prepare(network)
    fitting = (
        recipe,
        steps_per_epoch,
        checkpoints,
        args.checkpoint_seconds,
        device,
        batch,
        ranks,
        config["seed"],
    )
    sgd.fit(model, network, stream, *fitting)
    if ranks.first:
        weights.save(
            args.out, network.state_dict(), {"run": config["run"], "classes": list(data.classes)}
        )
        checkpoints.clear()
    jobs.log_times(startup)


def requests(
    config: dict, data: manifest.Manifest, first: int, batch: sgd.Batch, ranks: Ranks
) -> Iterator[list[loader.Crops]]:
    """The crops of this process's micro-batches from step `first` on: order, RoC, flip and jitter of the whole training (§3.1.2, §5)."""
    recipe = config["recipe"]
    rows, k = data.rows("train"), config["k_train"]
    samples = recipe["samples_per_epoch"] or len(rows)
    augmentation = regions.Augmentation(**config["augmentation"])
    last = recipe["epochs"] * (samples // recipe["batch_size"])
    whole = (
        config["seed"],
        len(rows),
        samples,
        recipe["batch_size"],
        first,
        last,
        recipe["repeated_augmentation"],
    )
    for epoch, image, repeat in sampling.stream(*whole, batch.micro, ranks.rank, ranks.size):
        chosen = rows[image]
        h, w = data.height[chosen], data.width[chosen]
        yield [
            loader.Crops(
                regions.views(augmentation, k, chosen, h, w, config["seed"], epoch, repeat), k
            )
        ]


def cutmix(
    x: torch.Tensor, labels: torch.Tensor, mix: sampling.CutMix, classes: int
) -> tuple[tuple[torch.Tensor], torch.Tensor]:
    """Every crop of a micro-batch with the rectangle of its partner, the one as far from the end as it is from the start.

    Parameters
    ----------
    x : (n, 3, k, k). labels : (n,) class numbers.

    Returns
    -------
    ((n, 3, k, k),), (n, classes) : the labels of both, weighted by the pixels that are theirs; rows sum to 1.
    """
    mixed = x.clone()
    mixed[:, :, mix.y0 : mix.y1, mix.x0 : mix.x1] = x.flip(0)[
        :, :, mix.y0 : mix.y1, mix.x0 : mix.x1
    ]
    targets = F.one_hot(labels, classes).float()
    return (mixed,), mix.share * targets + (1 - mix.share) * targets.flip(0)
