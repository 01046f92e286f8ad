"""What a wildcard of the rules may be: regular expressions that match names of the graph alone."""

import re
from collections.abc import Iterable
from pathlib import Path

from fixres.graph.graph import JobGraph

NOTHING = r"(?!)"  # matches nothing


def ids(graph: JobGraph, rule: str) -> str:
    """A regular expression that matches the ids of a rule's jobs, and nothing else."""
    return _one_of([Path(job.id).parts for job in graph.jobs.values() if job.rule == rule])


def _one_of(paths: list[tuple[str, ...]]) -> str:
    """A regular expression of some paths. They share their folders, so that it is fast."""
    below: dict[str, list[tuple[str, ...]]] = {}
    for first, *rest in paths:
        below.setdefault(first, []).append(tuple(rest))
    found = []
    for first, rests in below.items():
        rests = [rest for rest in rests if rest]
        found.append(re.escape(first) + (f"/{_one_of(rests)}" if rests else ""))
    return f"(?:{'|'.join(found)})" if found else NOTHING


def any_of(names: Iterable[str]) -> str:
    """A regular expression that matches exactly these names; nothing where there are none."""
    return "|".join(map(re.escape, names)) or NOTHING
