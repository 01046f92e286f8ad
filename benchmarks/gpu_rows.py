"""Rows of a benchmark, each written when it is measured. Part of gpu.py.

Time on a GPU is scarce, so what was measured is kept if the memory runs out, the machine goes away
or the time is over. The same command again measures what is missing.
"""

import gc
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
from tabulate import tabulate

OUT_OF_MEMORY = "out of memory"


class Rows:
    """A file of JSON lines: {"facts": …, "part": …, "case": …, "seconds": …, and the numbers}.

    Parameters
    ----------
    file : is created, or appended to.
    facts : what the numbers depend on: device, versions, sizes. Rows with other facts belong to
        other measurements, and stay in the file.
    """

    def __init__(self, file: Path, facts: dict):
        self.file, self.facts = file, facts
        self.found: dict[tuple[str, str], dict] = {}
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:  # the end of a run that was killed
                continue
            if row["facts"] == facts:
                self.found[row["part"], row["case"]] = row

    def has(self, part: str, case: object) -> bool:
        """Whether a row is there. One that failed is not; one that ran out of memory is."""
        row = self.found.get((part, str(case)))
        return row is not None and row.get("error") in (None, OUT_OF_MEMORY)

    def measure(self, part: str, case: object, function: Callable[[], dict]) -> dict:
        """Call the function and write what it has measured, or its error. Returns the row."""
        started = time.perf_counter()
        try:
            numbers = function()
        except torch.OutOfMemoryError:
            numbers = {"error": OUT_OF_MEMORY}
        except Exception as error:
            traceback.print_exc()
            numbers = {"error": f"{type(error).__name__}: {error}"}
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        seconds = round(time.perf_counter() - started, 2)
        row = {"facts": self.facts, "part": part, "case": str(case), "seconds": seconds, **numbers}
        self.found[part, str(case)] = row
        with open(self.file, "a+b") as f:
            f.seek(0, 2)
            if f.tell():  # a line that was cut off gets its end
                f.seek(-1, 2)
                if f.read(1) != b"\n":
                    f.write(b"\n")
            f.write(json.dumps(row).encode() + b"\n")
        shown = {name: row[name] for name in row if name != "facts"}
        print(json.dumps(shown), file=sys.stderr, flush=True)
        return row

    def failed(self) -> list[str]:
        """The rows with an error that is not the memory's."""
        return [f"{part} {case}" for part, case in self.found if not self.has(part, case)]

    def speeds(self, parts: list[str]) -> str:
        """A table: a line for each case of the parts, a column for each part, images/s."""
        cases = dict.fromkeys(case for part, case in self.found if part in parts)
        measured = [part for part in parts if any((part, case) in self.found for case in cases)]
        lines = [[case, *(self._cell(part, case) for part in measured)] for case in cases]
        align = ["right"] * (1 + len(measured))
        heads = ["k", *measured]
        return tabulate(lines, heads, tablefmt="github", disable_numparse=True, colalign=align)

    def _cell(self, part: str, case: str) -> str:
        row = self.found.get((part, case))
        if row is None:
            return "not measured"
        return row.get("error", "").split(":")[0] or f"{row['images/s']:.0f}"

    def table(self, part: str) -> str:
        """A table of one part: a line for each case, a column for each number."""
        rows = [row for (of, _), row in self.found.items() if of == part]
        hidden = ("facts", "part", "case", "seconds")
        lines = [
            {"": row["case"], **{name: row[name] for name in row if name not in hidden}}
            for row in rows
        ]
        return tabulate(lines, headers="keys", tablefmt="github", floatfmt=".2f")
