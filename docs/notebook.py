"""Run a notebook's cells without Jupyter: `python docs/notebook.py` does so for docs/api.ipynb.

The outputs, which are text alone, are written into the notebook.
"""

import contextlib
import io
import json
from pathlib import Path

NOTEBOOK = Path(__file__).parent / "api.ipynb"


def outputs(notebook: dict) -> list[str]:
    """What the code cells print, one after another, in one namespace."""
    namespace: dict = {"__name__": "__main__"}
    said = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            with contextlib.redirect_stdout(io.StringIO()) as stream:
                exec("".join(cell["source"]), namespace)
            said.append(stream.getvalue())
    return said


def main() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, (cell, text) in enumerate(zip(cells, outputs(notebook), strict=True), 1):
        lines = text.splitlines(keepends=True)
        shown = {"name": "stdout", "output_type": "stream", "text": lines}
        cell |= {"execution_count": number, "outputs": [shown] if lines else []}
    text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    NOTEBOOK.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
