"""The command line of a page, and the files that it leaves."""

import argparse
from pathlib import Path
from typing import TypeVar

from fixres import jobs
from fixres.graph.pages import Record

Planned = TypeVar("Planned", bound=Record)


def read(
    arguments: list[str],
    stage: str,
    doc: str | None,
    record: type[Planned],
    *files: str,
    several: tuple[str, ...] = (),
) -> tuple[Planned, argparse.Namespace]:
    """The page that a job is to make, and its options.

    They are `results`, `out`, those of further `files`, and of lists of `several` files.
    """
    p = jobs.parser(stage, doc, "out", *files, threads=False)
    p.add_argument("--results", type=Path, required=True, help="the folder with the runs' metrics")
    for name in several:
        p.add_argument(f"--{name}", type=Path, nargs="*", default=[], help=jobs.HELP[name])
    args = p.parse_args(arguments)
    return record.read(args.config, stage, args.ancestry_digest), args


def write(out: Path, texts: dict[str, str]) -> None:
    """Write a page in several forms: suffix, such as ".md" -> content. out : one of its files."""
    for suffix, text in texts.items():
        with jobs.atomic(out.with_suffix(suffix)) as temporary:
            temporary.write_text(text, encoding="utf-8")
