"""What the fine-tuning of classifier and last normalisation leaves for other jobs.

At one k_test the activations of its trunk hold all that the other adaptations of the same network
need: what enters the last normalisation, and what enters the classifier. So the trunk runs once for
all (ahead.py). This is the other end: what those jobs find.

- The job of new statistics finds the moments of what enters the normalisation.
- The fine-tuning of the classifier alone finds the classifier's inputs: of the training images, and
  of the validation images at each cropping.

A job that finds nothing computes all of it itself. A fine-tuning then gets the same bits. New
statistics may differ in their last bits where a processor sums batches of other sizes in another
order: here the batches of the fine-tuning, and there batches of `requests.BATCH` images. Custom
networks alone share in this way, in float32 and in one process.
"""

import numpy as np
import torch

from fixres import jobs
from fixres.artifacts import left
from fixres.artifacts.predictions import Cropping
from fixres.models.distributions import Moments
from fixres.stages.activation_cache import Activations, Cache
from fixres.stages.opened import Opened

MEASURED = ("mean", "squares")  # of `Moments`, besides the count
# Files in the folder of the job that finds them.
TRAINING, VALIDATION = "left-training.npz", "left-validation.npz"


def shares(job: Opened) -> bool:
    """Whether a job is one of those that share a trunk."""
    alone = job.ranks.size == 1 and job.device.precision == "fp32"
    return alone and not job.device.compiled and "entry" in job.config


def key_of(job: Opened, config: dict, what: str) -> str:
    """The key of what is left for a job with this configuration, on the weights of `job`.

    Other threads, another loader or another device would give other last bits.
    """
    args, data = job.args, job.data
    how = (args.loader, str(args.threads), job.device.device.type)
    return jobs.digest(
        what, jobs.canonical(config), data.digest(), jobs.file_digest(args.weights), *how
    )


def found(job: Opened, what: str) -> left.Arrays:
    """What was left for this job: TRAINING or VALIDATION; {}: nothing."""
    if not shares(job):
        return {}
    return left.load(job.args.out.with_name(what), key_of(job, job.config, what))


def clear(job: Opened) -> None:
    """Remove what was left for this job: its result is there."""
    for what in (TRAINING, VALIDATION):
        job.args.out.with_name(what).unlink(missing_ok=True)


# --- what a job finds ----------------------------------------------------------------------------


def moments(job: Opened, names: list[str]) -> dict[str, Moments]:
    """The moments of what enters each of the normalisations; {}: nothing was left."""
    arrays = found(job, TRAINING)
    if not arrays:
        return {}
    jobs.log("moments of the activations: found, as a fine-tuning has left them")
    return {
        name: Moments(int(arrays[f"{name} count"]), *(arrays[f"{name} {m}"] for m in MEASURED))
        for name in names
    }


def of_moments(name: str, of: Moments) -> left.Arrays:
    """The arrays that `moments` reads."""
    values = {f"{name} {m}": getattr(of, m) for m in MEASURED}
    return {f"{name} count": np.array(of.count), **values}


def cache(job: Opened) -> Cache | None:
    """The activations of the training images, in their order; None: nothing was left."""
    arrays = found(job, TRAINING)
    if not arrays:
        return None
    jobs.log("activations of the training images: found, as a fine-tuning has left them")
    return Cache(tensors(arrays, ""), job.device.device)


def validation(job: Opened, croppings: list[Cropping]) -> dict[Cropping, Activations]:
    """The activations of the validation images at some croppings; {}: one of them is not there."""
    arrays = found(job, VALIDATION)
    activations = {c: tensors(arrays, named(c)) for c in croppings}
    return activations if all(activations.values()) else {}


def tensors(arrays: left.Arrays, prefix: str) -> Activations:
    """The tensors whose names are a prefix and a number, in the order of the numbers."""
    count = sum(name.removeprefix(prefix).isdigit() for name in arrays)
    return tuple(torch.from_numpy(arrays[f"{prefix}{i}"]) for i in range(count))


def of_tensors(prefix: str, activations: Activations) -> left.Arrays:
    """The arrays that `tensors` reads."""
    return {f"{prefix}{i}": a.cpu().numpy() for i, a in enumerate(activations)}


def named(cropping: Cropping) -> str:
    """How names of arrays begin that belong to a cropping, masked or not."""
    return f"{cropping._replace(masked=False)}: "
