"""Find idioms that make a text hard to read, and name the plain version: part of `make lint`.

    python docs/prose.py [FILE ...]

Reads README.md and docs/, and in src/, rules/ and configs/ all docstrings, comments and messages.
Code, tables of numbers and quotations (lines that begin with >) are left out. Exits with 1 if it
finds something.
"""

import bisect
import io
import itertools
import re
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).parent.parent
START = r"(?:^|[.:;]|\s) "  # of a sentence: a stop or an empty line, and a blank
THING = r"(?:job|step|image|line|class|seed|page|run|row)"
COMPARED = r"longer|more|less|part of|fewer|better|worse|different|later"
# What to look for, and what to write. Case does not matter, nor does a line's end between words.
IDIOMS = {
    r"\bst(?:ands?|ood)\b(?! (?:in )?for\b)": "is; is written; is listed",
    r"\bl(?:ies|ie)\b": "is",
    r"\b(?:is|are|was|were|than|with|by|from|as|and|or|but|to|not|in|on|for) (?:that|those) of\b": (
        "repeat the noun"
    ),
    START + r"(?:that|those) of\b": "repeat the noun",
    START + r"(?-i:Of) (?!course\b|(?:the |these )?[\d(])[^,.]{2,70}, ": "begin with the subject",
    r"\bbeside\b": "next to; with; in addition to; while",
    r"\bone's own\b": "custom; your own",
    r"\bof (?:its|their|his|your) own\b": "its own NOUN; a separate NOUN",
    r"\bwhat (?:was|is|were) (?:not )?given\b": "the inputs; what you have configured",
    rf"\ban? {THING} an? (?:{THING}|minute|hour)\b": "one X per Y",
    r"\bused up\b": "modified in place; do not reuse it",
    r"\bin vain\b": "without effect; needlessly",
    r"\b(?:that|this|such a|which) one\b(?! \w)": "repeat the noun",
    r"\banew\b": "again",
    rf"(?<!there )\b(?:is|are|was|were) no (?!{COMPARED})": "is not a",
    r"\b(?:can|may|could) be had\b": "is available",
    r"\bright (?:of|about)\b": "correct on; predicts",
    r"\bto be told\b|\bis told (?:to|by)\b|\bare told\b": "receives; is distinguished",
    r"\bgoes its own way\b": "takes the same path (with a positive subject)",
    r"\bnobody (?:states|says)\b": "is not known",
    r"\bfound [^.;()]{0,80}, expected\b": "KEY or FILE: problem (got X, expected Y). Fix.",
}
RULES = [(re.compile(idiom, re.IGNORECASE), plain) for idiom, plain in IDIOMS.items()]


def main(files: list[str]) -> None:
    found = [line for file in map(Path, files or everything()) for line in idioms_in(file)]
    print("\n".join(found) or "prose: no idiom found")
    raise SystemExit(bool(found))


def everything() -> list[Path]:
    patterns = ("*.md", "docs/*.md", "src/**/*.py", "rules/*.smk", "Snakefile", "configs/*.yaml")
    return sorted({file for pattern in patterns for file in ROOT.glob(pattern)})


def idioms_in(file: Path) -> list[str]:
    """`FILE, line N: idiom. Write: plain version`, for each idiom of a file."""
    lines = prose(file.read_text(encoding="utf-8"), file.suffix).splitlines()
    # One line of words, so that an idiom is found across lines; where each line begins in it.
    words = [" ".join(line.split()) for line in lines]
    begins = list(itertools.accumulate((len(line) + 1 for line in words), initial=0))
    text, found = " ".join(words), []
    for rule, plain in RULES:
        for match in rule.finditer(text):
            idiom = match[0].lstrip(".:; ")
            line = bisect.bisect(begins, match.end() - len(idiom))
            idiom = idiom.rstrip()
            found.append((line, f"{file}, line {line}: '{idiom}'. Write: {plain}"))
    return [said for _, said in sorted(found)]


def prose(text: str, ending: str) -> str:
    """The prose of a text; all else becomes blanks, so that lines keep their numbers."""
    if ending == ".md":
        text = re.sub(r"^( *)```.*?^\1```$", blanks, text, flags=re.MULTILINE | re.DOTALL)
        text = re.sub(r"<!-- .*? -->", blanks, text, flags=re.DOTALL)
        return re.sub(r"`[^`]*`|^>.*$", blanks, text, flags=re.MULTILINE)
    if ending == ".yaml":
        return re.sub(r"^[^#\n]*#?", blanks, text, flags=re.MULTILINE)
    kept = [" " * len(line) for line in text.splitlines()]
    strings = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", None)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in strings:
            continue
        (row, column), said = token.start, token.string
        if token.type == tokenize.STRING:  # leave out its quotes and the code in braces
            prefix = re.match(r"[a-zA-Z]*", said)[0]
            said = re.sub(r"""^\w*("{3}|'{3}|"|')|("{3}|'{3}|"|')$""", blanks, said)
            said = re.sub(r"\{[^{}]*\}", blanks, said) if "f" in prefix.lower() else said
        for i, line in enumerate(said.lstrip("#").splitlines()):
            at = (column + len(said) - len(said.lstrip("#"))) if i == 0 else 0
            kept[row - 1 + i] = kept[row - 1 + i][:at] + line + kept[row - 1 + i][at + len(line) :]
    return "\n".join(kept)


def blanks(match: re.Match) -> str:
    return re.sub(r"[^\n]", " ", match[0])


if __name__ == "__main__":
    main(sys.argv[1:])
