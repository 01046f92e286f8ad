"""Render a pinhole set in the official layout of a dataset: its *twin*.

python -m fixres twin cars /tmp/cars-twin
"""

import argparse
import os
from pathlib import Path

from fixres import jobs
from fixres.data.rendered import pinhole, twins
from fixres.data.sources import SOURCES
from fixres.jobs import JobError


def main(arguments: list[str]) -> None:
    args = jobs.parser("render", __doc__, "out").parse_args(arguments)
    config = jobs.read_config(args.config, "render", args.ancestry_digest)
    twins.write(config["source"], args.out, config["pinhole"], args.threads)


def by_hand(arguments: list[str]) -> None:
    """`python -m fixres twin DATASET OUT`: the render stage without a configuration file."""
    from pydantic import ValidationError

    from fixres.config import Pinhole

    p = argparse.ArgumentParser(
        prog="python -m fixres twin",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("dataset", choices=SOURCES, metavar="DATASET", help=", ".join(SOURCES))
    p.add_argument("out", type=Path, metavar="OUT", help="folder for the twin; new or empty")
    p.add_argument("--train", type=int, default=480, help="training images (default: %(default)s)")
    p.add_argument("--val", type=int, default=240, help="validation images (default: %(default)s)")
    p.add_argument(
        "--classes",
        type=int,
        default=24,
        help=f"2 to {len(pinhole.SILHOUETTES) * len(pinhole.HUES)} (default: %(default)s)",
    )
    p.add_argument(
        "--seed", type=int, default=0, help="other seeds give other images (default: %(default)s)"
    )
    p.add_argument(
        "--mislabelled",
        type=float,
        default=0.0,
        help="share of training images filed under a wrong class",
    )
    p.add_argument(
        "--shorter-side",
        type=int,
        nargs=2,
        default=[88, 120],
        metavar="PIXELS",
        help="range (default: 88 120)",
    )
    p.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="processes that render (default: all)"
    )
    args = p.parse_args(arguments)
    if args.out.exists() and any(args.out.iterdir()):
        raise JobError(f"{args.out}: not empty; name a new folder, or empty this one")
    silhouettes, hues = classes(args.classes)
    try:
        look = Pinhole(
            seed=args.seed,
            train_images=args.train,
            val_images=args.val,
            shorter_side=args.shorter_side,
        ).model_dump()
    except ValidationError as error:
        raise JobError(
            "; ".join(
                f"{'.'.join(map(str, e['loc']))}: found {e['input']}, {e['msg']}"
                for e in error.errors()
            )
        ) from None
    twins.write(
        args.dataset,
        args.out,
        look | {"silhouettes": silhouettes, "hues": hues, "mislabelled": args.mislabelled},
        args.threads,
    )


def classes(n: int) -> tuple[list[str], list[str]]:
    """Silhouettes and hues whose product has n classes, as evenly as can be. Raises JobError naming the nearest n that works."""
    pairs = {
        s * h: (s, h)
        for h in range(1, len(pinhole.HUES) + 1)
        for s in range(1, len(pinhole.SILHOUETTES) + 1)
    }
    if n not in pairs or n < 2:
        near = sorted(sorted(pairs.keys() - {1}, key=lambda m: (abs(m - n), m))[:2])
        raise JobError(
            f"--classes: found {n}, but classes are silhouettes × hues: take {' or '.join(map(str, near))}"
        )
    s, h = pairs[n]
    return list(pinhole.SILHOUETTES[:s]), list(pinhole.HUES)[:h]
