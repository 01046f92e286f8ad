"""The command line of a page."""

import argparse
from pathlib import Path

from fixres import jobs


def page_parser(stage: str, doc: str) -> argparse.ArgumentParser:
    """The options of every page: its resolved configuration, the results, where the page goes."""
    p = jobs.parser(stage, doc, "out", threads=False)
    p.add_argument("--results", type=Path, required=True, help="the folder with the runs' metrics")
    return p
