"""Build the documentation as a site: `make site`, then open site/index.html.

    python docs/website/build_site.py OUT

The pages are the ones that people read in the repository. README.md is the first, and `NAVIGATION`
has the order of the others. Two pages are generated: the reference of `import fixres` from its
docstrings, and the notebook docs/api.ipynb. All are gathered in a temporary folder, which Sphinx
reads. So a build never depends on the previous build, and writes nothing but its output.

Any warning of Sphinx is an error: a broken link or anchor, a page that is missing in NAVIGATION, a
docstring that cannot be read.
"""

import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Folders with files that pages may link to. They hold no pages.
FOLDERS = ("benchmarks", "configs", "envs", "profiles", "report", "rules", "src", "tests")
# Part -> its pages, as the sidebar shows them; `TITLE <PAGE>` where the page's own title is long.
# A page of docs/ that is not here is an error.
NAVIGATION = {
    "Start": ["Overview <self>", "docs/running"],
    "The paper's results": [
        "docs/embedded-scale",
        "docs/tiny-imagenet",
        "docs/fashion",
        "docs/claims",
        "docs/statistics",
        "docs/report",
        "docs/ro-crate",
    ],
    "Your own network": ["docs/recommend", "docs/api", "A notebook <docs/notebook>"],
    "Running it at scale": [
        "docs/datasets",
        "docs/networks",
        "docs/gpu",
        "docs/cluster",
        "docs/reliability",
        "docs/speed",
    ],
    "How it is built": ["docs/architecture", "docs/tables", "docs/stages", "CONTRIBUTING"],
    "Reference": ["docs/reference", "CHANGELOG"],
}


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit("build_site.py: expected one argument, the folder to write")
    out = Path(sys.argv[1])
    if build(out):
        raise SystemExit(f"{out}: not built, see the warnings above. Each of them is an error.")
    print(f"The documentation is in {out / 'index.html'}: open it in a browser.")


def build(out: Path, root: Path = ROOT, navigation: dict[str, list[str]] = NAVIGATION) -> int:
    """Build the site of a repository into a folder, which is emptied first; 0 if all is well."""
    from sphinx.cmd.build import main as sphinx

    if out.exists() and any(out.iterdir()) and not (out / "searchindex.js").exists():
        raise SystemExit(f"{out}: is not a site that was built before. Give a new folder.")
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as temporary:
        sources, doctrees = Path(temporary, "sources"), Path(temporary, "doctrees")
        gather(root, sources, navigation)
        strict = ["--fail-on-warning", "--keep-going", "--quiet"]
        return sphinx([*strict, "-c", str(HERE), "-d", str(doctrees), str(sources), str(out)])


def gather(root: Path, sources: Path, navigation: dict[str, list[str]]) -> None:
    """Put all that Sphinx reads into a folder: the repository's layout, so that links hold."""
    (sources / "docs").mkdir(parents=True)
    for file in root.iterdir():
        if file.suffix == ".md":
            shutil.copy(file, sources)
        elif file.name in FOLDERS or (file.is_file() and not file.name.startswith(".")):
            (sources / file.name).symlink_to(file)
    for file in (root / "docs").iterdir():
        if file.is_file():
            shutil.copy(file, sources / "docs")
    sidebar = contents(navigation)
    if "docs/notebook" in sidebar:
        text = (root / "docs/api.ipynb").read_text(encoding="utf-8")
        (sources / "docs/notebook.md").write_text(notebook(json.loads(text)), encoding="utf-8")
    if "docs/reference" in sidebar:
        (sources / "docs/reference.rst").write_text(reference(), encoding="utf-8")
    first = (sources / "README.md").rename(sources / "index.md")
    with open(first, "a", encoding="utf-8") as f:
        f.write(sidebar)
    for page in (*sources.glob("*.md"), *sources.glob("docs/*.md")):
        text = page.read_text(encoding="utf-8")  # some link to the README by its name
        text = re.sub(r"(\]\((?:\.\./)?)README\.md\b", r"\1index.md", text)
        page.write_text(text, encoding="utf-8")


def contents(navigation: dict[str, list[str]]) -> str:
    """The sidebar, as directives at the end of the first page."""
    return "".join(
        "\n".join(["\n```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```\n"])
        for caption, pages in navigation.items()
    )


def notebook(content: dict) -> str:
    """A notebook whose outputs are text, as Markdown."""
    parts = []
    for cell in content["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            parts.append(f"```text\n{''.join(output['text']).rstrip()}\n```")
    head, rest = parts[0].split("\n", 1)
    where = "This page is the notebook [api.ipynb](api.ipynb), with the outputs of its last run."
    return "\n\n".join([head, where, rest, *parts[1:]]) + "\n"


def reference() -> str:
    """The page of the docstrings of all that `import fixres` offers."""
    import fixres

    title = "Reference of import fixres"
    functions = [name for name in fixres.__all__ if name.islower()]
    classes = [name for name in fixres.__all__ if name not in functions]
    lines = [title, "=" * len(title), "", ".. automodule:: fixres.api", "   :no-members:", ""]
    for heading, kind, names in (
        ("Functions", "function", functions),
        ("What they return", "class", classes),
    ):
        lines += [heading, "-" * len(heading), ""]
        for name in names:
            lines += [f".. auto{kind}:: fixres.{name}", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
