"""What to say of a name that is not among the known ones."""

from collections.abc import Iterable


def closest(name: str, known: Iterable[str], n: int = 1, cutoff: float = 0.6) -> list[str]:
    """The known names that look most like `name`, best first; those below the cutoff do not."""
    import difflib  # no command that goes well needs it

    return difflib.get_close_matches(name, known, n, cutoff)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question that names the closest name; empty where none is close."""
    close = closest(name, known)
    return f"did you mean '{close[0]}'?" if close else ""


def nearest(name: str, known: list[str]) -> str:
    """What was found, and the nearest of many names, as those of layers."""
    return f"found '{name}'; nearest: {', '.join(closest(name, known, 3, 0.5) or known[-3:])}"
