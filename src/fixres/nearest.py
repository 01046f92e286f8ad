"""What to say about a name that is not among the known names."""

from collections.abc import Iterable


def closest(name: str, known: Iterable[str], n: int = 1, cutoff: float = 0.6) -> list[str]:
    """The known names that are most similar to `name`, best first, down to the cutoff."""
    import difflib  # only needed for errors

    return difflib.get_close_matches(name, known, n, cutoff)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question that names the closest name; empty if no name is close."""
    close = closest(name, known)
    return f"did you mean '{close[0]}'?" if close else ""


def nearest(name: str, known: list[str]) -> str:
    """The parenthesis of a message about a name that is not among many names, such as layers."""
    return f"got '{name}'; nearest: {', '.join(closest(name, known, 3, 0.5) or known[-3:])}"
