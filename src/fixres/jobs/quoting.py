"""Names that others chose (files, classes), as Markdown shows them and nothing more: no markup, no HTML, no second line."""

import re


def visible(text: str) -> str:
    """Text on one line: line breaks, a terminal's escapes and undecodable bytes as Python writes them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def plain(text: str) -> str:
    """Text between other text, inside a table too."""
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
