"""Quote names for Markdown and for the terminal.

Other people chose the names of files, classes and layers. Markdown must show such a name and do
nothing else: no markup, no HTML, no second line. A terminal must not obey it.
"""

import re

LAYOUT = "\n\t"  # what lays out a message of several lines, and no more


def visible(text: str, kept: str = "") -> str:
    """Text on one line. Python escapes stand for what cannot be printed, as line breaks.

    Characters in `kept` stay as they are.
    """
    shown = [c if c.isprintable() or c in kept else repr(c)[1:-1] for c in text]
    return "".join(shown)


def plain(text: str) -> str:
    """Text to stand among other text, also inside a table."""
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
