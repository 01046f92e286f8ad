"""Render a pinhole set in the official layout of a dataset: its *twin*.

python -m fixres twin cars /tmp/cars-twin
"""

import argparse
import itertools
import os
from pathlib import Path

from fixres import jobs
from fixres.data.rendered import pinhole, twins
from fixres.data.sources import SOURCES
from fixres.jobs import JobError

MOST = 10_000_000  # images of a split of a twin


def main(arguments: list[str]) -> None:
    """`python -m fixres render`: the stage of the DAG, with a configuration file."""
    args = jobs.parser("render", __doc__, "out").parse_args(arguments)
    config = jobs.read_config(args.config, "render", args.ancestry_digest)
    twins.write(config["source"], args.out, config["pinhole"], args.threads)


def by_hand(arguments: list[str]) -> None:
    """`python -m fixres twin DATASET OUT`: the same without a configuration file."""
    args = _parser().parse_args(arguments)
    settings = _settings(args)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        full = any(args.out.iterdir())
    except OSError as error:
        raise JobError(
            f"{args.out}: cannot be the twin's folder ({os.strerror(error.errno)}); name another"
        ) from None
    if full:
        raise JobError(f"{args.out}: not empty. Name a new folder, or empty it.")
    twins.write(args.dataset, args.out, settings, args.threads)


def _parser() -> argparse.ArgumentParser:
    """The command line of `twin`."""
    p = argparse.ArgumentParser(
        prog="python -m fixres twin",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("dataset", choices=SOURCES, metavar="DATASET", help=", ".join(SOURCES))
    p.add_argument("out", type=Path, metavar="OUT", help="folder for the twin; new or empty")

    def number(name: str, default: int, about: str) -> None:
        p.add_argument(name, type=int, default=default, help=f"{about} (default: {default})")

    most = len(pinhole.SILHOUETTES) * len(pinhole.HUES)
    number("--train", 480, "training images")
    number("--val", 240, "validation images")
    number("--classes", 24, f"2 to {most}")
    number("--seed", 0, "other seeds give other images")
    wrong = "share of training images filed under a wrong class"
    p.add_argument("--mislabelled", type=float, default=0.0, help=wrong)
    pixels = {"nargs": 2, "default": [88, 120], "metavar": "PIXELS"}
    p.add_argument("--shorter-side", type=int, **pixels, help="range (default: 88 120)")
    about = "processes that render (default: all)"
    p.add_argument("--threads", type=int, default=os.cpu_count(), help=about)
    return p


def _settings(args: argparse.Namespace) -> dict:
    """The pinhole settings that the options say. Raises JobError where they make no sense."""
    from pydantic import ValidationError

    from fixres.config import Pinhole

    silhouettes, hues = classes(args.classes)
    chosen = {
        "seed": args.seed,
        "train_images": args.train,
        "val_images": args.val,
        "mislabelled": args.mislabelled,
        "shorter_side": args.shorter_side,
        "silhouettes": silhouettes,
        "hues": hues,
    }
    try:
        look = Pinhole(**chosen)
    except ValidationError as error:
        raise JobError("\n".join(map(_problem, error.errors()))) from None
    low, high = args.shorter_side
    if low > high:
        raise JobError(f"--shorter-side: got {low} {high}, expected the smaller number first")
    for option, images in {"--train": args.train, "--val": args.val}.items():
        if not args.classes <= images <= MOST:
            least = f"{args.classes} (one for each class) to {MOST}"
            raise JobError(f"{option}: got {images}, expected {least}")
    if args.threads < 1:
        raise JobError(f"--threads: got {args.threads}, expected 1 or more")
    return look.model_dump()


def _problem(error: dict) -> str:
    """What pydantic finds wrong with an option, in words."""
    option = str(error["loc"][0]).removesuffix("_images").replace("_", "-")
    expected = error["msg"].removeprefix("Input should be ")
    return f"--{option}: got {error['input']}, expected: {expected}"


def classes(n: int) -> tuple[list[str], list[str]]:
    """Silhouettes and hues that make n classes together.

    Raises JobError that names the nearest numbers of classes that are possible.
    """
    most = range(1, len(pinhole.HUES) + 1), range(1, len(pinhole.SILHOUETTES) + 1)
    pairs = {s * h: (s, h) for h, s in itertools.product(*most)}
    if n not in pairs or n < 2:
        near = sorted(sorted(pairs.keys() - {1}, key=lambda m: (abs(m - n), m))[:2])
        raise JobError(
            f"--classes: found {n}, but classes are silhouettes × hues: "
            f"take {' or '.join(map(str, near))}"
        )
    s, h = pairs[n]
    return list(pinhole.SILHOUETTES[:s]), list(pinhole.HUES)[:h]
