"""Top-1 accuracy of a module at several test resolutions: `fixres.accuracy`."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from fixres import jobs
from fixres.api.arguments import Means, checked, look_of, value_errors, whole
from fixres.api.modules import classes_of, working
from fixres.artifacts.predictions import Cropping
from fixres.data.live_images import Dataset, LiveImages, LiveReader
from fixres.data.regions import Augmentation
from fixres.jobs import JobError
from fixres.pages import intervals
from fixres.stages.predict import as_it_is, predict


@dataclass(frozen=True)
class Difference:
    """How two accuracies on the same images differ.

    Attributes
    ----------
    points : percentage points.
    low, high : the 95% interval over images, percentage points. It is paired: what makes an image
        hard for both is no part of it.
    """

    points: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.points:+.1f} ({self.low:+.1f} to {self.high:+.1f})"


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Top-1 accuracy of a network on n images, at one k_test.

    `a - b` of the same images is their `Difference`. Intervals are computed when asked for.

    Attributes
    ----------
    hits : (n,) bool, in the order of the dataset: whether the class with the largest logit is the
        label.
    labels : (n,) int64, the labels.
    top1 : per cent.
    low, high : the 95% interval over images, per cent (docs/statistics.md).
    """

    hits: np.ndarray
    labels: np.ndarray

    @property
    def top1(self) -> float:
        return 100 * float(self.hits.mean())

    @property
    def low(self) -> float:
        return self._interval[0]

    @property
    def high(self) -> float:
        return self._interval[1]

    @functools.cached_property
    def _interval(self) -> tuple[float, float]:
        return intervals.interval(self._replicas)

    @functools.cached_property
    def _replicas(self) -> np.ndarray:
        """The bootstrap replicas of top1. Replicas of the same images are drawn alike."""
        [replicas] = intervals.resample({"top1": self.hits[None]}, self._image_set).values()
        return replicas

    @property
    def _image_set(self) -> str:
        return jobs.digest(np.ascontiguousarray(self.labels).tobytes())

    def __sub__(self, other: "Accuracy") -> Difference:
        if self._image_set != other._image_set:
            found = f"of {len(self.hits)} and of {len(other.hits)} images"
            raise ValueError(f"accuracies {found} with other labels: expected the same dataset")
        moved = self._replicas - other._replicas
        return Difference(self.top1 - other.top1, *intervals.interval(moved))

    def __str__(self) -> str:
        return f"{self.top1:.1f} ({self.low:.1f} to {self.high:.1f})"

    def __repr__(self) -> str:
        return f"Accuracy({self}, {len(self.hits)} images)"


@value_errors
def accuracy(  # noqa: PLR0913 (three are needed)
    module: nn.Module,
    dataset: Dataset,
    k_test: int | Iterable[int],
    *,
    crop_pct: float | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    classes: Iterable[int] | None = None,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
    workers: int = 1,
    progress: bool = False,
) -> dict[int, Accuracy]:
    """Top-1 accuracy of a module at several test resolutions, from one read of each image.

    Each image is resized bilinearly by Pillow, with its shorter side floor(k / crop_pct) pixels
    long, and the k×k crop in its centre is cut: test DA (§5). The module is not changed, whatever
    mode it is in: a copy in eval mode is measured, in float32.

    Parameters
    ----------
    module : normalised crops (n, 3, k, k) -> logits (n, classes).
    dataset : n pairs (PIL image, label), by `len(dataset)` and `dataset[i]`; labels count from 0.
        Each image is read once.
    k_test : sides of the crops, pixels; one or several.
    crop_pct : crop over resized image, 0.1 to 1; None: what timm states of the module, else 0.875.
    mean, std : three numbers each, of inputs in [0, 1]; None: what timm states of the module.
    classes : the classes whose logits count, where the images are of some classes alone; None: all.
    batch_size : images that the module sees at once, at most; None: 100, fewer at many or large
        k_test.
    device : where to compute; None: where the module's parameters are.
    workers : threads that read and cut images; with more than one, they call `dataset[i]` at the
        same time.
    progress : whether to show progress, on standard error.

    Returns
    -------
    k_test -> its accuracy, in the order of `k_test`.

    Raises
    ------
    ValueError : an argument, the module or an image cannot be used; the message says which and why.
    """
    look = look_of(module, k_test, crop_pct, mean, std)
    means = checked(Means, batch_size=batch_size, workers=workers)
    with working(module, device, progress) as (network, device):
        outputs = max(classes_of(network, k) for k in look.k_test)  # runs at each, before any image
        images = LiveImages(dataset, outputs, means.workers)
        reader = LiveReader(images, tuple(look.mean), tuple(look.std), device, means.batch_size)
        absent = _absent(classes, outputs)
        croppings = [Cropping(k, 1, look.crop_pct, absent is not None) for k in look.k_test]
        test_da = Augmentation("test DA")
        [found] = predict(as_it_is, [network], reader, test_da, [croppings], 1, absent)
    labels = images.labels
    return {c.k: Accuracy(top[:, 0] == labels, labels) for c, top in found.items()}


def _absent(classes: Iterable[int] | None, outputs: int) -> np.ndarray | None:
    """(outputs,) bool: the classes whose logits do not count; None: all count."""
    if classes is None:
        return None
    absent = np.ones(outputs, bool)
    for label in map(whole, classes):
        if not (isinstance(label, int) and 0 <= label < outputs):
            expected = f"expected 0 to {outputs - 1}: the module gives {outputs} logits"
            raise JobError(f"classes: found {label!r}, {expected}")
        absent[label] = False
    return absent
