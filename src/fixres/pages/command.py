"""The command line of a page, and the files that it leaves."""

import argparse
from pathlib import Path

from fixres import jobs


def page_parser(stage: str, doc: str) -> argparse.ArgumentParser:
    """The options of every page: its resolved configuration, the results, where the page goes."""
    p = jobs.parser(stage, doc, "out", threads=False)
    p.add_argument("--results", type=Path, required=True, help="the folder with the runs' metrics")
    return p


def write(out: Path, texts: dict[str, str]) -> None:
    """Write a page in several forms.

    Parameters
    ----------
    out : one of its files. texts : suffix, such as ".md" -> content.
    """
    for suffix, text in texts.items():
        with jobs.atomic(out.with_suffix(suffix)) as temporary:
            temporary.write_text(text, encoding="utf-8")
