"""Suggestions for a name that is not among the known names."""

from collections.abc import Iterable


def closest(name: str, known: Iterable[str], n: int = 1, cutoff: float = 0.6) -> list[str]:
    """The up to n known names most similar to `name`, best first, at or above the cutoff."""
    import difflib  # needed only for an error

    return difflib.get_close_matches(name, known, n, cutoff)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question with the closest name, or "" if none is close."""
    close = closest(name, known)
    return f"Did you mean '{close[0]}'?" if close else ""


def nearest(name: str, known: list[str]) -> str:
    """The name and the nearest of many known names, such as layers: "got 'a'; nearest: b, c"."""
    return f"got '{name}'; nearest: {', '.join(closest(name, known, 3, 0.5) or known[-3:])}"
