"""Predictions of a network for the validation images: what an evaluation computes.

Each validation image is decoded once for all k_test. The classifier computes in float32, whatever
the precision of the job: logits in bf16 tie.

`predict` makes one pass over the images, for one network or for several with the same trunk.
"""

from collections.abc import Callable

import numpy as np
import torch

from fixres.artifacts.predictions import Cropping, Predicted
from fixres.data import requests
from fixres.data.regions import Augmentation
from fixres.jobs import JobError
from fixres.stages.activation_cache import Activations
from fixres.stages.passes import one_pass, pieces

TOP = 5  # predicted classes that are kept for each image
NOT_FINITE = -1  # in place of a class


def as_it_is(x: torch.Tensor) -> Activations:
    """The trunk where each head is a whole network."""
    return (x,)


def predict(
    trunk: Callable[[torch.Tensor], Activations],
    heads: list[Callable[..., torch.Tensor]],
    reader: requests.Reader,
    test_da: Augmentation,
    croppings: list[list[Cropping]],
    top: int,
    absent: np.ndarray | None = None,
    watch: Callable[[Cropping, Activations], None] = lambda *_: None,
) -> list[Predicted]:
    """The classes that networks with one trunk predict for the images of the reader.

    The trunk sees each crop once. The processes of a job share the images; afterwards each has the
    predictions of all.

    Parameters
    ----------
    heads : the activations of the trunk -> logits.
    croppings : for each head.
    absent : (classes,) bool; the logits that do not count where a cropping is `masked`.
    watch : gets all that the trunk gives, piece by piece, in the order of the images.

    Returns
    -------
    For each head and each of its croppings (n, top) int32 classes, best first.

    Raises
    ------
    JobError : an image's logits are not finite. It names the first such image.
    """
    ranks, device = reader.ranks, reader.device.device
    predicted = [
        {c: torch.empty(len(reader.rows), top, dtype=torch.int32, device=device) for c in of_head}
        for of_head in croppings
    ]
    # A crop passes trunk and head once, masked or not.
    asking: dict[Cropping, dict[int, list[tuple[bool, torch.Tensor]]]] = {}
    for number, of_head in enumerate(predicted):
        for cropping, classes in of_head.items():
            of_crop = asking.setdefault(cropping._replace(masked=False), {})
            of_crop.setdefault(number, []).append((cropping.masked, classes))
    mask = None if absent is None else torch.from_numpy(absent).to(device)
    for crops in (1, 10):
        together = [cropping for cropping in asking if cropping.crops == crops]
        if not together:
            continue
        chunk = requests.BATCH // crops  # images
        with one_pass("evaluation", reader, test_da, together, chunk) as batches:
            for cropping, images, x in batches:
                logits: dict[int, list[torch.Tensor]] = {number: [] for number in asking[cropping]}
                for piece in pieces(x):
                    activations = trunk(piece)
                    watch(cropping, activations)
                    for number, found in logits.items():
                        found.append(heads[number](*activations).float())
                for number, of_head in asking[cropping].items():
                    of_batch = torch.cat(logits[number])
                    for masked, classes in of_head:
                        classes[images] = best(of_batch, top, crops, mask if masked else None)
        of_crops = (of_head for cropping in together for of_head in asking[cropping].values())
        for _, classes in (pair for of_head in of_crops for pair in of_head):
            ranks.all_gather_rows(classes, chunk)
    for cropping, classes in (pair for of_head in predicted for pair in of_head.items()):
        check_finite(classes, cropping, reader)
    return [{c: classes.cpu().numpy() for c, classes in of.items()} for of in predicted]


def best(
    logits: torch.Tensor, top: int, crops: int = 1, absent: torch.Tensor | None = None
) -> torch.Tensor:
    """(n, top) the classes with the largest logits, best first; NOT_FINITE where a logit is not.

    Parameters
    ----------
    logits : (crops · n, classes) float32. An image's prediction is the mean of those of its crops.
    absent : (classes,) bool; the logits that do not count.
    """
    finite = logits.isfinite().all(1).unflatten(0, (-1, crops)).all(1)
    if crops > 1:
        logits = logits.softmax(1).unflatten(0, (-1, crops)).mean(1)
    counted = logits if absent is None else logits.masked_fill(absent, -torch.inf)
    return counted.topk(top).indices.where(finite[:, None], NOT_FINITE)


def check_finite(classes: torch.Tensor, cropping: Cropping, reader: requests.Reader) -> None:
    """Raise JobError where the logits of an image were not finite; it names the first image."""
    wrong = (classes[:, 0] == NOT_FINITE).nonzero()
    if len(wrong):
        image = reader.named(int(wrong[0]))
        raise JobError(
            f"{image}: its logits are not finite at {cropping.k} px (got such logits for "
            f"{len(wrong)} of {len(classes)} images, expected none). Check the network's weights, "
            "its mean and std, and hardware.precision"
        )
