"""Base training: a network from scratch at one k_train (§5, "Training protocol").

    python -m fixres train --config results/runs/pinhole/resnet10q-k56/config.json \\
        --manifest results/data/pinhole/manifest.npz --out results/runs/pinhole/resnet10q-k56/weights.safetensors

SGD with momentum on train DA crops. A checkpoint stands beside the result while the job runs; the same command again resumes from
it and ends with the same bits (on CPU).
"""

import time
from collections.abc import Iterator

import torch

from fixres import job
from fixres.data import loader, manifest, roc
from fixres.device import open_device
from fixres.models import weights, zoo
from fixres.models.checkpoints import Checkpoints
from fixres.stages import sgd


def main(arguments: list[str]) -> None:
    p = job.device_options(job.parser("train", __doc__, "manifest", "out"))
    p.add_argument("--checkpoint-seconds", type=float, default=60.0, help="save the state this often (default: 60)")
    args = p.parse_args(arguments)
    config = job.read_config(args.config, "train")
    data = manifest.load(args.manifest)
    for line in manifest.summary(data):
        job.log(line)
    device = open_device(args.device, args.precision, args.threads)
    startup = time.process_time()

    recipe, entry = config["recipe"], zoo.ZOO[config["network"]]
    steps_per_epoch = recipe["samples_per_epoch"] // recipe["batch_size"]
    network = zoo.build(config["network"], len(data.classes), config["seed"]).to(device.device)
    n = sum(p.numel() for p in network.parameters())
    job.log(
        f"{config['run']}: {entry.title}, {n:,} parameters, k_train {config['k_train']}; {recipe['epochs']} epochs of {steps_per_epoch} "
        f"batches of {recipe['batch_size']}, RA {recipe['repeated_augmentation']}, lr {recipe['lr']:.4g} ({recipe['schedule']})"
    )

    def stream(first: int) -> Iterator[tuple[tuple[torch.Tensor], torch.Tensor]]:
        wanted = requests(config, data, first)
        for [crops], [pixels] in loader.batches(data, wanted, args.loader, args.workers, device.device):
            x = loader.to_device(pixels, crops.views, entry.mean, entry.std, device.device)
            yield (x,), torch.from_numpy(data.label[crops.views.image]).long().to(device.device)

    key = job.digest(job.canonical(config), data.digest())
    checkpoints = Checkpoints(args.out.parent / "checkpoints", key)
    network.train()
    sgd.fit(network, network, stream, recipe, steps_per_epoch, checkpoints, args.checkpoint_seconds, device)
    weights.save(args.out, network.state_dict(), {"run": config["run"], "classes": list(data.classes)})
    checkpoints.clear()
    job.log_times(startup)


def requests(config: dict, data: manifest.Manifest, first: int) -> Iterator[list[loader.Crops]]:
    """The crops of every batch from step `first` on: order, RoC, flip and jitter of the whole training (§3.1.2, §5)."""
    recipe = config["recipe"]
    rows, k, samples = data.rows("train"), config["k_train"], recipe["samples_per_epoch"]
    augmentation = roc.Augmentation(**config["augmentation"])
    last = recipe["epochs"] * (samples // recipe["batch_size"])
    drawn = roc.stream(config["seed"], len(rows), samples, recipe["batch_size"], first, last, recipe["repeated_augmentation"])
    for epoch, image, repeat in drawn:
        chosen = rows[image]
        h, w = data.height[chosen], data.width[chosen]
        yield [loader.Crops(roc.views(augmentation, k, chosen, h, w, config["seed"], epoch, repeat), k)]
