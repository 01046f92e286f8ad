"""Quote names for Markdown and for the terminal.

The names of files, classes and layers come from other people. Markdown must only show such a name:
no markup, no HTML, no second line. A terminal must not execute escape codes in it.
"""

import re

LAYOUT = "\n\t"  # control characters that a message of several lines may contain


def visible(text: str, kept: str = "") -> str:
    """Text on one line, with Python escapes for characters that are not printable.

    Characters in `kept` stay as they are.
    """
    shown = [c if c.isprintable() or c in kept else repr(c)[1:-1] for c in text]
    return "".join(shown)


def plain(text: str) -> str:
    """Text to insert into other text, also inside a table."""
    return re.sub(
        r"([\\|*`<\[~]|&(?=#?\w+;)|\b_|_\b|(?<!\w)_(?!\w))",
        r"\\\1",
        visible(" ".join(text.split())),
    )


def code(text: str) -> str:
    """Text as inline code."""
    text = visible(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    inner = f" {text} " if text.startswith(("`", " ")) or text.endswith(("`", " ")) else text
    return f"{fence}{inner}{fence}"
