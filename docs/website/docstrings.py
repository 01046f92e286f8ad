"""Docstrings of the suite as Sphinx reads them.

Their sections are NumPy's, with a text behind the colon where NumPy has a type: types are in the
signatures.

    Parameters
    ----------
    mean, std : three numbers each,
        of inputs in [0, 1].

An indented block is code, and the name of a page, docs/api.md, is a link to it.
"""

import re

SECTIONS = ("Parameters", "Attributes", "Returns", "Raises")


def setup(app) -> dict:
    app.connect("autodoc-process-docstring", lambda *event: to_restructured_text(event[-1]))
    return {"parallel_read_safe": True}


def to_restructured_text(lines: list[str]) -> None:
    """Rewrite the lines of a docstring in place.

    Raises
    ------
    ValueError : a section has another title than `SECTIONS`, or an entry is not NAME : TEXT.
    """
    text = re.sub(r"\bdocs/([\w-]+)\.md\b", r":doc:`docs/\1.md </docs/\1>`", "\n".join(lines))
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", text, flags=re.MULTILINE)
    done = re.sub(r"\n\n(?=    \S)", "\n\n.. code-block:: python\n\n", parts[0].rstrip())
    for title, body in zip(parts[1::2], parts[2::2], strict=True):
        done += f"\n\n:{title}:\n{_section(title, body.strip())}"
    lines[:] = [*done.split("\n"), ""]


def _section(title: str, body: str) -> str:
    """The body of a section as the body of a field: a list, or what is returned."""
    if title not in SECTIONS:
        raise ValueError(f"docstring section {title!r}: expected one of {', '.join(SECTIONS)}")
    if title == "Returns":
        return f"    {_on_one_line(body)}\n"
    items = []
    for entry in re.split(r"\n(?=\S)", body):
        names, colon, text = entry.partition(" : ")
        if not colon:
            raise ValueError(f"docstring entry {entry!r}: expected NAME : TEXT")
        bold = ", ".join(f"**{name}**" for name in names.split(", "))
        items.append(f"    * {bold} – {_on_one_line(text)}\n")
    return "".join(items)


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
