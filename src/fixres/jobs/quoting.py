"""Quote names for Markdown.

Other people chose the names of files and classes. Markdown must show such a name and do nothing
else: no markup, no HTML, no second line.
"""

import re


def visible(text: str) -> str:
    """Text on one line. Python escapes stand for what cannot be printed, as line breaks."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


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
