"""Speed of the suite on one device, compared with a plain torchvision loop. Part of gpu.py.

Every measurement returns images per second. The clock is read at two moments at which the device
has finished all its work; the steps before the first moment are warm-up and do not count.

The plain loop is what a user would write: ImageFolder, v2 transforms, a DataLoader with as many
workers, SGD, autocast and channels_last.
"""

import copy
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from fixres.artifacts import manifest
from fixres.data import loader, regions
from fixres.hardware.device import Device, send
from fixres.hardware.memory import pin
from fixres.hardware.ranks import ALONE
from fixres.models.adapt import Adaptation, adapt_last_layers
from fixres.models.catalogue import zoo
from fixres.models.catalogue.network import IMAGENET
from fixres.models.checkpoints import Checkpoints
from fixres.stages import sgd, train
from fixres.stages.activation_cache import Cache

CLASSES = 1000
# Batches that a DataLoader has in work at most: two for each of its workers. Only after as many has
# what follows the speed that it keeps.
IN_WORK = 2
PINNED: list = []  # stores of pinned memory: they must outlive the process's use of CUDA
RECIPE = {
    "epochs": 1,
    "lr": 1e-5,  # any value would do: only the speed is measured
    "schedule": "step",
    "lr_step": 30,
    "warmup": 0.0,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 1e-4,
    "label_smoothing": 0.0,
    "cutmix": 0.0,
    "repeated_augmentation": 1,
}


class Size(NamedTuple):
    """How much is measured."""

    resolutions: tuple[int, ...]  # crop resolutions, pixels
    batch: int  # images of a global batch
    micro: int  # images of a micro-batch
    steps: int  # of one training
    images: int  # of 500×375 pixels, half of them for training
    squares: int  # images for the comparison of decoders


class Trial(NamedTuple):
    """What all measurements share."""

    network: nn.Module  # ResNet-50, on the device
    data: manifest.Manifest
    device: Device
    workers: int  # threads of the suite's loader, processes of the plain one
    size: Size
    folder: Path  # for checkpoints


class Clock:
    """Measures the time between two moments at which the device has finished all its work."""

    def __init__(self, device: torch.device):
        self.device, self.marks = device, []

    def mark(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.marks.append(time.perf_counter())

    def timed(self, stream: Iterable, warm: int, last: int) -> Iterator:
        """Hand on the stream. Mark when entry `warm` is asked for, and when entry `last` is.

        Between the two marks, exactly the entries from `warm` to `last` - 1 have been used.
        """
        for i, entry in enumerate(stream):
            if i in (warm, last):
                self.mark()
            yield entry

    @property
    def seconds(self) -> float:
        return self.marks[-1] - self.marks[0]


def counted(trial: Trial) -> tuple[int, int]:
    """Batches of a loop that reads files: those that warm it up, and the number of all."""
    warm = IN_WORK * trial.workers + max(trial.size.steps // 4, 1)
    return warm, warm + 2 * trial.size.steps


def training(k: int, trial: Trial, micro: int | None = None, graphs: bool = True) -> float:
    """Base training in the paper's micro-batches, from image files to updated weights.

    Parameters
    ----------
    micro : images of a micro-batch, in place of the paper's 64.
    graphs : whether steps are recorded as CUDA graphs, as they are by default.
    """
    trial = trial._replace(device=trial.device._replace(graphs=graphs and trial.device.graphs))
    warm, steps = counted(trial)
    size = trial.size._replace(steps=steps)
    config = training_config(k, size, micro or trial.size.micro)
    return train_from_files(trial, config, warm)


def large_training(k: int, trial: Trial) -> float:
    """The same with one micro-batch a step, as plain training has it."""
    return training(k, trial, micro=trial.size.batch)


# --- the suite ------------------------------------------------------------------------------------


def training_config(k: int, size: Size, micro: int) -> dict:
    """The resolved configuration of a training of `size.steps` steps, as its job would read it."""
    recipe = RECIPE | {
        "batch_size": size.batch,
        "micro_batch": micro,
        "samples_per_epoch": size.batch * size.steps,
    }
    return {"seed": 0, "k_train": k, "recipe": recipe, "augmentation": {"name": "train DA"}}


def fit(
    model: Callable,
    trained: nn.Module,
    stream: Iterable,
    config: dict,
    trial: Trial,
    warm: int | None = None,
) -> float:
    """Images/s of `sgd.fit`. The last step is left out: a checkpoint follows it.

    Parameters
    ----------
    warm : the first steps, which are not counted; None: a quarter of all.
    """
    clock, recipe = Clock(trial.device.device), config["recipe"]
    batch = sgd.batching(recipe, ALONE, "benchmark")
    steps = recipe["samples_per_epoch"] // recipe["batch_size"]
    first = max(steps // 4, 1) if warm is None else warm
    begin, last = first * batch.count, (steps - 1) * batch.count
    checkpoints = Checkpoints(trial.folder / "checkpoints", "benchmark")
    how = sgd.Optimisation(recipe, steps, batch, trial.device)
    never = 1e9  # seconds between two checkpoints
    sgd.fit(model, trained, lambda _: clock.timed(stream, begin, last), how, checkpoints, never)
    checkpoints.clear()
    return (last - begin) * batch.micro / clock.seconds


def train_from_files(trial: Trial, config: dict, warm: int) -> float:
    data, device, network = trial.data, trial.device, trial.network
    entry, batch = zoo.ZOO["resnet50"], sgd.batching(config["recipe"], ALONE, "benchmark")

    def stream() -> Iterator[tuple]:
        requests = train.requests(config, data, 0, batch, ALONE)
        for [crops], [pixels] in loader.batches(
            data, requests, "auto", trial.workers, device.device
        ):
            x = loader.to_device(pixels, crops.rocs, entry.mean, entry.std, device.device)
            yield (x,), send(torch.from_numpy(data.label[crops.rocs.image]).long(), device.device)

    return fit(device.prepare(network.train()), network, stream(), config, trial, warm)


def random_input(k: int, n: int, device: torch.device) -> torch.Tensor:
    """n random crops of k×k pixels on the device."""
    return torch.randn(n, 3, k, k, device=device).to(memory_format=torch.channels_last)


def network_alone(k: int, trial: Trial) -> float:
    """Training on one batch that stays on the device: the speed if loading were free."""
    device, network, micro = trial.device, trial.network, trial.size.batch
    config = training_config(k, trial.size, micro)
    x = random_input(k, micro, device.device)
    entry = (x,), torch.arange(micro, device=device.device) % CLASSES
    stream = itertools.repeat(entry)
    return fit(device.prepare(network.train()), network, stream, config, trial)


def trunk_alone(k: int, trial: Trial) -> float:
    """The frozen trunk of a fine-tuning, on one batch that stays on the device."""
    device, size, clock = trial.device, trial.size, Clock(trial.device.device)
    trunk, x = device.prepare(adapted(k, trial).trunk), random_input(k, size.batch, device.device)
    warm = max(size.steps // 4, 1)
    with torch.no_grad(), device.autocast():
        for batch in clock.timed(itertools.repeat(x, size.steps), warm, size.steps - 1):
            trunk(batch)
    return (size.steps - 1 - warm) * size.batch / clock.seconds


def head_alone(k: int, trial: Trial, on_host: bool = False) -> float:
    """Fine-tuning of classifier + last batch-norm, on cached activations.

    Parameters
    ----------
    on_host : whether the cache is in pinned memory of the host, or else on the device.
    """
    device, micro = trial.device, trial.size.batch
    parts, config = adapted(k, trial), training_config(k, trial.size, micro)
    with torch.no_grad(), device.autocast():
        shapes = parts.trunk(random_input(k, micro, device.device))
    home = torch.device("cpu") if on_host else device.device
    images = 4 * micro
    stores = tuple(
        torch.randn(images, *a.shape[1:], device=home, dtype=torch.float32).to(a.dtype)
        for a in shapes
    )
    if on_host and device.device.type == "cuda":
        PINNED.append(stores)
        for store in stores:
            pin(store)
    cache, labels = Cache(stores, device.device), torch.arange(micro, device=device.device)
    order = np.random.default_rng(0)

    def stream() -> Iterator[tuple]:
        while True:
            yield cache.read(order.permutation(images)[:micro]), labels % CLASSES

    trained = nn.ModuleList(parts.trained)
    return fit(device.prepare(parts.head), trained, stream(), config, trial)


def adapted(k: int, trial: Trial) -> Adaptation:
    """Trunk and head of classifier + last batch-norm, on a copy of the network."""
    tuned, entry = copy.deepcopy(trial.network), zoo.ZOO["resnet50"]
    return adapt_last_layers(tuned, entry, ["batch-norm", "classifier"], k)


def evaluation(k: int, trial: Trial, with_network: bool = True) -> float:
    """Evaluation under test DA, from image files to predictions.

    Without the network: from image files to crops on the device.
    """
    data, device, batch = trial.data, trial.device, trial.size.batch
    entry, test_da = zoo.ZOO["resnet50"], regions.Augmentation("test DA")
    model = device.prepare(trial.network.eval()) if with_network else None
    rows, (warm, count) = data.rows("val"), counted(trial)
    last = count - 1

    def requests() -> Iterator[list[loader.Crops]]:
        for i in range(count):  # the images again and again
            chosen = rows[np.arange(i * batch, (i + 1) * batch) % len(rows)]
            rocs = regions.rocs(test_da, k, chosen, data.height[chosen], data.width[chosen])
            yield [loader.Crops(rocs, k)]

    clock = Clock(device.device)
    cut = loader.batches(data, requests(), "auto", trial.workers, device.device)
    with torch.no_grad(), device.autocast():
        for [crops], [pixels] in clock.timed(cut, warm, last):
            x = loader.to_device(pixels, crops.rocs, entry.mean, entry.std, device.device)
            if model is not None:
                model(x).float().topk(5)
    return (last - warm) * batch / clock.seconds


# --- the plain loop -------------------------------------------------------------------------------


def plain_batches(k: int, trial: Trial, split: str, steps: int) -> Iterator[tuple]:
    """Batches from ImageFolder, v2 transforms and a DataLoader, on the device.

    Parameters
    ----------
    split : "train" under train DA, or "val" under test DA.
    steps : number of batches; the images again and again.
    """
    device = trial.device.device
    if split == "train":
        crop = [v2.RandomResizedCrop(k), v2.RandomHorizontalFlip()]
    else:
        crop = [v2.Resize(regions.test_image_size(k)), v2.CenterCrop(k)]
    to_float = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
    transform = v2.Compose([*crop, *to_float, v2.Normalize(*IMAGENET)])
    batches = torch.utils.data.DataLoader(
        ImageFolder(trial.data.folder / split, transform),
        trial.size.batch,
        shuffle=split == "train",
        num_workers=trial.workers,
        pin_memory=device.type == "cuda",
        drop_last=True,
        persistent_workers=True,
    )
    epochs = (entry for _ in itertools.count() for entry in batches)
    for x, y in itertools.islice(epochs, steps):
        x = x.to(device, non_blocking=True, memory_format=torch.channels_last)
        yield x, y.to(device, non_blocking=True)


def plain_training(k: int, trial: Trial) -> float:
    """Training as a user would write it, from image files to updated weights."""
    device, network, (warm, steps) = trial.device, trial.network, counted(trial)
    clock, last = Clock(device.device), steps - 1
    model = device.prepare(network.train())
    optimiser = torch.optim.SGD(
        network.parameters(), lr=RECIPE["lr"], momentum=0.9, weight_decay=1e-4
    )
    for x, y in clock.timed(plain_batches(k, trial, "train", steps), warm, last):
        with device.autocast():
            loss = F.cross_entropy(model(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    optimiser.zero_grad()
    return (last - warm) * trial.size.batch / clock.seconds


def plain_evaluation(k: int, trial: Trial) -> float:
    """Evaluation as a user would write it, from image files to predictions."""
    device, batch, (warm, count) = trial.device, trial.size.batch, counted(trial)
    clock, last = Clock(device.device), count - 1
    model = device.prepare(trial.network.eval())
    with torch.no_grad(), device.autocast():
        for x, _ in clock.timed(plain_batches(k, trial, "val", count), warm, last):
            model(x).float().topk(5)
    return (last - warm) * batch / clock.seconds


PARTS: dict[str, Callable[[int, Trial], float]] = {
    "training": training,
    "training, no CUDA graphs": partial(training, graphs=False),
    "training, one micro-batch": large_training,
    "plain training": plain_training,
    "network alone": network_alone,
    "evaluation": evaluation,
    "plain evaluation": plain_evaluation,
    "loader alone": partial(evaluation, with_network=False),
    "trunk alone": trunk_alone,
    "head alone": head_alone,
    "head, cache on the host": partial(head_alone, on_host=True),
}
