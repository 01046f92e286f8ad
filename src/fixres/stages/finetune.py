"""Fine-tuning: the classifier, and the last batch-norm, adapted to one k_test (§4.2, "Adaptation via fine-tuning").

    python -m fixres finetune --config results/runs/pinhole/resnet10q-k32/ft-k56-cls+bn-testda/config.json \\
        --manifest results/data/pinhole/manifest.npz --weights results/runs/pinhole/resnet10q-k32/weights.safetensors --out …

The trunk below the trained layers is frozen and stays in eval mode. Where the augmentation is deterministic (test DA) its activations are
computed once and kept in memory, if they fit --cache-mb; otherwise every epoch computes them again. Both give the same numbers.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from fixres import jobs
from fixres.data import loader, manifest, regions, sampling
from fixres.jobs import processes
from fixres.jobs.device import Device, open_device, send
from fixres.jobs.ranks import Ranks
from fixres.models import matching, weights, zoo
from fixres.models.checkpoints import Checkpoints
from fixres.models.split import Split, freeze
from fixres.stages import sgd

Activations = tuple[torch.Tensor, ...]


def main(arguments: list[str]) -> None:
    p = jobs.device_options(jobs.parser("finetune", __doc__, "manifest", "weights", "out"))
    p.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=60.0,
        help="save the state this often (default: 60)",
    )
    p.add_argument(
        "--keep-checkpoint",
        action="store_true",
        help="leave the last one: the same command then only writes its result again",
    )
    p.add_argument(
        "--cache-mb",
        type=float,
        default=2000,
        help="memory for activations that are computed once (default: 2000)",
    )
    processes.run(finetune, p.parse_args(arguments), ["finetune", *arguments])


def finetune(args: argparse.Namespace, ranks: Ranks) -> None:
    config = jobs.read_config(args.config, "finetune", args.ancestry_digest)
    recipe, entry, k = config["recipe"], zoo.ZOO[config["network"]], config["k_test"]
    data = manifest.load(args.manifest)
    device = open_device(args.device, args.precision, args.threads, ranks, args.compile)
    startup = time.process_time()

    rows = sampling.random_subset(data.rows("train"), recipe["images"], config["seed"])
    steps_per_epoch = len(rows) // recipe["batch_size"]
    if not steps_per_epoch:
        raise jobs.JobError(
            f"fine_tuning.batch_size: found {recipe['batch_size']}, but there are {len(rows)} images to fine-tune on; "
            f"expected at most that many (fine_tuning.images, {args.manifest})"
        )
    batch = sgd.batching(recipe, ranks, "fine_tuning")
    network = matching.load(config["network"], len(data.classes), config["seed"], args.weights)
    network.to(device.device)
    parts = freeze(network, config["layers"], entry, recipe["batch_norm"])
    parts = parts._replace(trunk=device.prepare(parts.trunk), head=device.prepare(parts.head))
    jobs.log(
        f"{config['run']}: {entry.title}, {' + '.join(config['layers'])} at k_test {k}; {recipe['epochs']} epochs of {steps_per_epoch}"
    )

    for line in manifest.enlarged(data, "train", k):
        jobs.log(line)
    augmentation = regions.Augmentation(**config["augmentation"])
    source = Source(
        parts,
        data,
        rows,
        k,
        augmentation,
        config["seed"],
        entry,
        device,
        args.loader,
        ranks.portion(args.workers),
        ranks,
    )
    cache = source.cache(batch.micro, args.cache_mb * 1e6) if augmentation.deterministic else None
    labels = torch.from_numpy(data.label[rows]).long().to(device.device)

    def stream(first: int) -> Iterator[tuple[Activations, torch.Tensor]]:
        whole = (
            config["seed"],
            len(rows),
            len(rows),
            recipe["batch_size"],
            first,
            recipe["epochs"] * steps_per_epoch,
        )
        drawn = sampling.stream(*whole, 1, batch.micro, ranks.rank, ranks.size)
        if cache is None:
            requests = (source.crops(rows[image], epoch) for epoch, image, _ in drawn)
            for images, frontier in source.activations(requests):
                yield frontier, send(torch.from_numpy(data.label[images]).long(), device.device)
        else:
            for _, image, _ in drawn:
                chosen = send(torch.from_numpy(image), device.device)
                yield tuple(a[chosen] for a in cache), labels[chosen]

    checkpoint_key = jobs.digest(
        jobs.canonical(config), data.digest(), jobs.file_digest(args.weights)
    )
    checkpoints = Checkpoints(args.out.parent / "checkpoints", checkpoint_key)
    trained = nn.ModuleList(parts.modules)
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
    sgd.fit(parts.head, trained, stream, *fitting)
    if ranks.first:
        about = {"run": config["run"], "classes": list(data.classes), **matching.about(network)}
        weights.save(args.out, network.state_dict(), about)
        if args.keep_checkpoint:
            checkpoints.keep(1)
        else:
            checkpoints.clear()
    jobs.log_times(startup)


@dataclass(frozen=True)
class Source:
    """What the head trains on: the trunk's activations of the training crops, computed once or again each epoch."""

    parts: Split
    data: manifest.Manifest
    rows: np.ndarray  # of the manifest: the images to train on
    k: int
    augmentation: regions.Augmentation
    seed: int
    entry: zoo.Network
    device: Device
    loader: str
    workers: int
    ranks: Ranks

    def activations(
        self, requests: Iterator[list[loader.Crops]]
    ) -> Iterator[tuple[np.ndarray, Activations]]:
        """(rows of the manifest, frontier of the trunk) of each batch of crops."""
        wanted = loader.batches(self.data, requests, self.loader, self.workers, self.device.device)
        for [crops], [pixels] in wanted:
            with torch.no_grad(), self.device.autocast():
                x = loader.to_device(
                    pixels, crops.views, self.entry.mean, self.entry.std, self.device.device
                )
                # One layout for cached and streamed batches: another is summed in another order, and differs in the last bits.
                frontier = tuple(a.contiguous() for a in self.parts.trunk(x))
            yield (
                crops.views.image,
                frontier,
            )  # outside the block: a generator would leave the consumer without gradients

    def crops(self, chosen: np.ndarray, epoch: int) -> list[loader.Crops]:
        h, w = self.data.height[chosen], self.data.width[chosen]
        return [
            loader.Crops(
                regions.views(self.augmentation, self.k, chosen, h, w, self.seed, epoch), self.k
            )
        ]

    def cache(self, batch: int, budget: float) -> Activations | None:
        """The activations of every training image in the order of `rows`, or None where they take more than `budget` bytes.

        Of several processes each computes those of its share of the images, and then holds all.
        """
        share = self.ranks.share(len(self.rows), batch)
        chunks = [
            self.rows[i : min(i + batch, share.stop)] for i in range(share.start, share.stop, batch)
        ]
        # The probe tells what one image takes, and keeps a cache that will not fit from being filled.
        _, probe = next(self.activations(iter([self.crops(self.rows[:1], 0)])))
        need = sum(a[0].numel() * a.element_size() for a in probe) * len(self.rows)
        shapes = ", ".join("×".join(map(str, a.shape[1:])) for a in probe)
        if need > budget:
            jobs.log(
                f"activations ({shapes}) would take {need / 1e9:.2f} GB, more than --cache-mb {budget / 1e6:g}: streamed"
            )
            return None
        jobs.log(f"activations ({shapes}) take {need / 1e9:.2f} GB: computed once")
        kept = [
            torch.empty((len(self.rows), *a.shape[1:]), dtype=a.dtype, device=a.device)
            for a in probe
        ]
        at = share.start
        with jobs.progress("activations", share.stop - share.start, "images") as bar:
            for images, frontier in self.activations(self.crops(chunk, 0) for chunk in chunks):
                for store, a in zip(kept, frontier, strict=True):
                    store[at : at + len(images)] = a
                at += len(images)
                bar.update(len(images))
        for store in kept:
            self.ranks.all_gather_rows(store, batch)
        return tuple(kept)
