"""The examples of `import fixres`: README.md, docs/api.md and the notebook docs/api.ipynb."""

import inspect
import json
import re
import sys

import pytest
import timm

import fixres
from shared import ROOT, textured

sys.path.append(str(ROOT / "docs"))
import notebook

API = (ROOT / "docs/api.md").read_text(encoding="utf-8")
EXAMPLES = [
    block
    for file in ("README.md", "docs/api.md")
    for block in re.findall(r"```python\n(.*?)```", (ROOT / file).read_text("utf-8"), re.DOTALL)
    if "import fixres" in block
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs(example, tmp_path, monkeypatch, capsys):
    """Without a download, on small images at a quarter of the sizes."""
    for i in range(24):
        folder = tmp_path / "photos" / ("train" if i % 2 else "val") / f"class{i // 2 % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        textured(40 + i, 60, i).save(folder / f"{i}.png")
    monkeypatch.chdir(tmp_path)
    create = timm.create_model
    small = lambda name, pretrained: create("test_resnet", num_classes=3)  # noqa: E731
    monkeypatch.setattr(timm, "create_model", small)
    assert len(example.strip().splitlines()) <= 12
    exec(re.sub(r"\b(224|256|288)\b", lambda k: str(int(k[0]) // 4), example), {})
    lines = capsys.readouterr().out.splitlines()
    number = r"[+-]?\d+\.\d"
    found = rf"{number} \({number} to {number}\)"
    assert len(lines) == 3
    for k, line in zip((56, 64, 72), lines, strict=True):
        assert re.fullmatch(rf"{k} px as it is: {found}; fixed at 72 px: {found} points", line)


def test_there_is_an_example():
    assert EXAMPLES


def test_the_notebook_runs_and_says_what_it_shows():
    """With fewer epochs: the lines of its outputs, and numbers of the same form."""
    content = json.loads(notebook.NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    [training] = [cell for cell in cells if "EPOCHS, BATCH = 20, 50\n" in cell["source"]]
    shown = ["".join("".join(o["text"]) for o in cell["outputs"]) for cell in cells]
    where = training["source"].index("EPOCHS, BATCH = 20, 50\n")
    training["source"][where] = "EPOCHS, BATCH = 1, 50\n"
    said = notebook.outputs(content)
    assert [form(text) for text in said] == [form(text) for text in shown]
    assert sum(map(bool, shown)) == 4
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert content["nbformat"] == 4


def form(text: str) -> str:
    return re.sub(r"[+-]?\d+\.\d+", "#", text)


@pytest.mark.parametrize("function", [fixres.accuracy, fixres.fix, fixres.adapt])
def test_the_reference_has_the_signatures(function):
    """Each parameter with its default, in the order of the code; and its docstring names each."""
    head = rf"^fixres\.{function.__name__}\(([^)]*)\) ->"
    [shown] = re.findall(head, API, re.MULTILINE)
    parameters = inspect.signature(function).parameters.values()
    plain = [
        p.name if p.default is p.empty else f"{p.name}={p.default!r}".replace("'", '"')
        for p in parameters
    ]
    words = [word.strip() for word in shown.split(",")]
    assert [word for word in words if word != "*"] == plain
    for p in parameters:
        assert re.search(rf"\b{p.name}\b", function.__doc__), p.name
        assert p.annotation is not p.empty
    assert "Raises" in function.__doc__


def test_the_reference_has_every_name():
    for name in fixres.__all__:
        assert re.search(rf"`?{name}\b", API)
