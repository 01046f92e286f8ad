"""The documentation: its links lead somewhere in the repository, and on the site of `make site`."""

import contextlib
import html
import itertools
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt

import browser
from browser import Browser
from shared import ROOT

sys.path.append(str(ROOT / "docs/website"))
import build_site
import docstrings

# MyST 5.2 calls what Sphinx will remove in version 11.
pytestmark = pytest.mark.filterwarnings("ignore:.*MystReferenceResolver")
PAGES = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
MARKDOWN = MarkdownIt("commonmark").enable("table")
# Tags and attributes whose address a browser fetches by itself. It fetches no <a>.
FETCHED = re.compile(
    r"<(?:img|script|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|srcset|data)=\"([^\"]*)\"|"
    r"<link\b[^>]*?\bhref=\"([^\"]*)\""
)


# --- in the repository ---------------------------------------------------------------------------


def text_of(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def links_of(page: Path) -> list[str]:
    """The addresses of a page's links and images."""
    tokens = [t for block in MARKDOWN.parse(text_of(page)) for t in block.children or []]
    written = [t.attrs[key] for t in tokens for key in ("href", "src") if key in t.attrs]
    return written + [a for t in tokens if "html" in t.type for a in hrefs(t.content)]


def hrefs(text: str) -> list[str]:
    return re.findall(r"\b(?:href|src)=\"([^\"]*)\"", text)


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    blocks, found = MARKDOWN.parse(text_of(page)), []
    for opening, content in itertools.pairwise(blocks):
        if opening.type == "heading_open":
            words = "".join(
                t.content for t in content.children or [] if not t.type.startswith("html")
            )
            slug = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
            found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return set(found)


def broken(page: Path) -> list[str]:
    """The links of a page to files or headings that there are not."""
    wrong = []
    for link in links_of(page):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        file = page.parent / unquote(parts.path) if parts.path else page
        if not file.exists():
            wrong.append(f"{page.name}: {link}: no such file")
        elif parts.fragment and file.suffix == ".md" and parts.fragment not in anchors_of(file):
            wrong.append(f"{page.name}: {link}: no such heading")
    return wrong


def test_links_lead_somewhere_in_the_repository():
    pages = [*PAGES, ROOT / "docs/api.ipynb"]
    assert [link for page in pages for link in broken(page)] == []
    assert sum(len(links_of(page)) for page in pages) > 40


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "b.md").write_text("# Here, and `now`\n\n## Twice\n\n## Twice\n")
    page = tmp_path / "a.md"
    page.write_text(
        "[](b.md) [](b.md#here-and-now) [](b.md#twice-1) [](b.md#twice-2) [](c.md) ![](d.svg)\n"
        "[](#nowhere) [x][r] <a href='#'></a>`[](e.md)` <img src=\"f.png\">\n\n[r]: g.md\n"
    )
    found = [line.split(": ")[1] for line in broken(page)]
    assert found == ["b.md#twice-2", "c.md", "d.svg", "#nowhere", "g.md", "f.png"]


# --- the site ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    pytest.importorskip("sphinx", reason="`make site` installs what builds the site")
    out = tmp_path_factory.mktemp("site") / "out"
    assert build_site.build(out) == 0
    return out


def shown(site: Path) -> list[Path]:
    """The pages of the site."""
    return sorted([*site.glob("*.html"), *site.glob("docs/*.html")])


def test_the_site_has_every_page(site):
    found = {page.relative_to(site).with_suffix("").as_posix() for page in shown(site)}
    written = {page.relative_to(ROOT).with_suffix("").as_posix() for page in PAGES}
    assert found == written - {"README"} | {"index", "search", "docs/notebook", "docs/reference"}
    first = (site / "index.html").read_text(encoding="utf-8")
    parts = re.findall(r'<span class="caption-text">([^<]*)<', first)
    assert [part.replace("’", "'") for part in parts] == list(build_site.NAVIGATION)


def test_the_site_asks_no_other_host(site):
    """Neither a page nor a style sheet names a file elsewhere that a browser would fetch."""
    fetched = 0
    for page in shown(site):
        text = page.read_text(encoding="utf-8")
        addresses = [src or href for src, href in FETCHED.findall(text)]
        fetched += len(addresses)
        assert [a for a in addresses if elsewhere(a)] == [], page.name
    assert fetched > 100
    sheets = [sheet.read_text(encoding="utf-8") for sheet in site.rglob("*.css")]
    named = re.compile(r"(?:url\(|@import )\s*[\"']?([^)\"';]*)")
    urls = [url for text in sheets for url in named.findall(text)]
    assert "../basic.css" in urls
    assert [url for url in urls if elsewhere(url)] == []


def test_what_a_browser_would_fetch_elsewhere_is_found():
    page = (
        '<a href="https://a.org"></a><img alt="" src="https://b.org/x.svg"><link rel="preload" '
        'href="//c.org/d.css"><script async src="_static/e.js"></script><img src="data:,">'
    )
    addresses = [src or href for src, href in FETCHED.findall(page)]
    assert [a for a in addresses if elsewhere(a)] == ["https://b.org/x.svg", "//c.org/d.css"]


def elsewhere(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme not in ("", "data")


def test_links_lead_somewhere_on_the_site(site):
    """Also the links of the theme, and the links into the reference."""
    texts = {page: page.read_text(encoding="utf-8") for page in shown(site)}
    ids = {page: set(re.findall(r"\bid=\"([^\"]+)\"", text)) for page, text in texts.items()}
    lost = []
    for page, text in texts.items():
        for address in map(html.unescape, hrefs(text)):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            known = ids.get(file, {parts.fragment})
            if not file.exists() or (parts.fragment and unquote(parts.fragment) not in known):
                lost.append(f"{page.name}: {address}")
    assert lost == []


def test_the_reference_has_the_docstrings(site):
    text = (site / "docs/reference.html").read_text(encoding="utf-8")
    for name in ("accuracy", "adapt", "fix", "Accuracy", "Adapted", "Difference"):
        assert f'id="fixres.{name}"' in text
    words = " ".join(re.sub(r"<[^>]+>", "", text).split())
    assert "mean, std – three numbers each, of inputs in [0, 1]" in words
    assert "ValueError – the layers cannot be found" in words
    assert "epochs: int = 20" in words


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ("[gone](other.md)", "other"),
        ("[gone](docs/a.md#nowhere)", "nowhere"),
        ("![gone](docs/gone.svg)", "gone.svg"),
    ],
)
def test_a_site_with_a_broken_link_is_not_built(tmp_path, capsys, page, problem):
    pytest.importorskip("sphinx")
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(f"# First\n\n{page} [back](README.md#first)\n")
    (tmp_path / "docs/a.md").write_text("# Other\n\n[back](../README.md#first)\n")
    assert build_site.build(tmp_path / "out", tmp_path, {"Start": ["self", "docs/a"]}) != 0
    [warning] = [line for line in capsys.readouterr().err.splitlines() if "WARNING" in line]
    assert problem in warning


def test_a_folder_of_other_things_is_not_emptied(tmp_path):
    pytest.importorskip("sphinx")
    (tmp_path / "mine.txt").touch()
    with pytest.raises(SystemExit, match="is not a site"):
        build_site.build(tmp_path)
    assert (tmp_path / "mine.txt").exists()


def test_a_docstring_of_another_form_is_an_error():
    """So an entry cannot get lost on the way to the reference."""
    with pytest.raises(ValueError, match="expected NAME : TEXT"):
        docstrings.to_restructured_text(["One.", "", "Parameters", "----------", "k_test, pixels"])
    with pytest.raises(ValueError, match="'Yields'"):
        docstrings.to_restructured_text(["One.", "", "Yields", "------", "crops"])


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Browser]:
    program = browser.find()
    if not program:
        pytest.skip(f"no browser here: none of {', '.join(browser.NAMES)}")
    with contextlib.closing(Browser(program, tmp_path_factory.mktemp("profile"))) as running:
        yield running


def test_pages_fit_a_phone_and_a_desk(site, running):
    """As files, without a server: no error, no other host; what is wide scrolls in its box."""
    width = "document.documentElement.scrollWidth"
    tables = (
        "[...document.querySelectorAll('table')].filter(t => t.scrollWidth > innerWidth).length"
    )
    wide = 0
    for page in shown(site):
        running.size(1280, 900)
        running.open(page)
        assert running.run(width) <= 1280, page.name
        running.size(390, 900)
        assert running.run(width) == 390, page.name
        wide += running.run(tables)
        assert running.errors == [], page.name
        assert running.requests
        assert [a for a in running.requests if not a.startswith(("file:", "data:"))] == []
    assert wide > 5


def test_search_needs_no_server(site, running):
    running.open(site / "search.html")
    address = (site / "search.html").as_uri() + "?q=recommend+checkpoint"
    running.call("Page.navigate", url=address)
    results = "[...document.querySelectorAll('#search-results li a')].map(a => a.href)"
    end, found = time.monotonic() + browser.PATIENCE, []
    while not any("docs/recommend.html" in address for address in found):  # one after another
        assert time.monotonic() < end, found
        time.sleep(0.1)
        found = running.run(results)
    assert running.errors == []


# --- what builds it ------------------------------------------------------------------------------


def test_the_sites_lock_has_the_suites_versions():
    """What both need is in both, at one version: to build the site changes nothing of the suite."""
    pin = re.compile(r"^([a-z0-9-]+)==([^\s;]+)", re.MULTILINE)
    ours, sites = (
        set(pin.findall((ROOT / f"envs/{name}.lock").read_text(encoding="utf-8")))
        for name in ("requirements", "docs")
    )
    shared = {name for name, _ in ours} & {name for name, _ in sites}
    assert {"jinja2", "docutils"} <= shared
    assert {pin for pin in sites if pin[0] in shared} <= ours
    assert "sphinx" not in {name for name, _ in ours}
