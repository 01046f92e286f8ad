"""Checks of arguments: the messages of the configuration, as a ValueError."""

import contextlib
import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, ParamSpec, TypeVar

from pydantic import Field, ValidationError
from torch import nn

from fixres.config import Section
from fixres.config.custom import OF_INPUT, Mean, Share, Std, Three
from fixres.config.errors import explain
from fixres.config.fields import Count, NotNegative, Pixels, Seed, Several
from fixres.jobs import JobError
from fixres.stages.sgd import DivergedError

CROP_PCT = 0.875  # the paper's, 224/256 (§5)
P, R = ParamSpec("P"), TypeVar("R")


class Sizes(Section):
    """The crops that a network sees."""

    k_test: Several[Pixels]


class Look(Sizes):
    """How a network looks at an image."""

    crop_pct: Share
    mean: Annotated[list[Mean], Three] = Field(description=OF_INPUT)
    std: Annotated[list[Std], Three] = Field(description=OF_INPUT)


class Means(Section):
    """With what a call works."""

    batch_size: Count | None = None
    cache_gb: NotNegative = 0.0
    seed: Seed = 0
    workers: Count = 1


def value_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a public function, so that it reports wrong arguments only as ValueError."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except DivergedError as error:
            raise ValueError(f"{error.what}: the training has diverged. Lower lr") from None
        except JobError as error:
            raise ValueError(str(error)) from error.__cause__

    return wrapped


def checked(section: type[Section], **values: Any) -> Any:
    """A section with these values. Raises JobError with one line for each wrong one."""
    try:
        return section(**values)
    except ValidationError as error:
        raise JobError("\n".join(explain(e, "", section) for e in error.errors())) from None


def look_of(
    module: nn.Module,
    k_test: int | Iterable[int],
    crop_pct: float | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> Look:
    """How the module looks at an image: as it is said, else as timm states of the module."""
    stated = getattr(module, "pretrained_cfg", None) or {}
    given = {"crop_pct": crop_pct, "mean": mean, "std": std}
    known = {key: stated.get(key) if value is None else value for key, value in given.items()}
    if missing := [key for key in ("mean", "std") if known[key] is None]:
        raise JobError(
            f"{' and '.join(missing)}: the input normalisation of a {type(module).__name__} is "
            "not known. Give the numbers that it was trained with, for inputs in [0, 1], as "
            "mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)"
        )
    return checked(
        Look,
        k_test=_sizes(k_test),
        crop_pct=known["crop_pct"] or CROP_PCT,
        mean=[number(x) for x in known["mean"]],
        std=[number(x) for x in known["std"]],
    )


def _sizes(k_test: int | Iterable[int]) -> list:
    return [whole(k) for k in (k_test if isinstance(k_test, Iterable) else [k_test])]


def whole(value: Any) -> Any:
    """A whole number of any library as Python's; what is none stays, to be refused by name."""
    with contextlib.suppress(TypeError):
        return operator.index(value)
    return value


def number(value: Any) -> Any:
    with contextlib.suppress(TypeError, ValueError):
        return float(value)
    return value
