"""The figures of the report: the SVG files, put into the page.

Several SVGs in one page share its ids and its style sheet. So each SVG gets unique ids, and its
style sheet applies only to itself.
"""

import re
from pathlib import Path
from xml.etree import ElementTree

from markupsafe import Markup

from fixres.jobs import REMAKE, JobError, record_inputs
from fixres.pages import web
from fixres.pages.report.reading import Contents, Part

HREF = ("href", "{http://www.w3.org/1999/xlink}href")
FORBIDDEN = ("metadata", "script", "foreignObject")


def first(contents: Contents, name: str) -> Part:
    """The figure that the report begins with."""
    shown = part(contents, name)
    return shown._replace(anchor=f"first-{name}", title=f"At a glance: {shown.title}")


def part(contents: Contents, name: str) -> Part:
    """A figure with its caption; behind a click, what it is drawn from, and the command."""
    view = contents.figures[name]
    page, read = view.page, dict.fromkeys(found.metrics for found in view.page.measurements())
    body = web.render(
        "report_figure",
        name=name,
        title=page.title,
        drawing=drawing(contents.results / f"{name}.svg", name, page.title),
        files=[f"results/{file}" for file in (*read, *page.files.values())],
        notes=view.notes,
    )
    return Part(name, page.title, page.caption, body)


def above(contents: Contents, name: str) -> Part:
    """A link to the figure that opens the report, in its usual place."""
    page = contents.figures[name].page
    return Part(name, page.title, page.caption, web.render("report_above", name=name))


def drawing(file: Path, name: str, title: str) -> Markup:
    """An SVG file as an element of the page. Raises JobError where it cannot be read as such."""
    record_inputs(file)
    try:
        root = ElementTree.fromstring(file.read_bytes())
    except (OSError, ElementTree.ParseError) as error:
        raise JobError(f"{file}: cannot be read as SVG ({error}). {REMAKE}") from None
    if _local(root.tag) != "svg":
        problem = f"wrong element (got {_local(root.tag)}, expected svg)"
        raise JobError(f"{file}: {problem}. {REMAKE}")
    svg = f"{name}-svg"
    _clean(root, name, svg)
    root.attrib |= {"id": svg, "role": "img", "aria-label": title}
    _fit(root)
    return Markup(ElementTree.tostring(root, encoding="unicode", method="html"))


def _local(tag: str) -> str:
    """A name without its namespace. HTML knows of none."""
    return tag.rpartition("}")[2]


def _clean(element: ElementTree.Element, name: str, svg: str) -> None:
    """Take namespaces and outside links away; make ids unique."""
    element.tag = _local(element.tag)
    element.attrib = dict(_attributes(element, name))
    if element.tag == "style":
        element.text = re.sub(r"[^{},]+(?=[^{}]*\{)", rf"#{svg} \g<0>", element.text or "")
    for child in list(element):
        if not isinstance(child.tag, str) or _local(child.tag) in FORBIDDEN:
            element.remove(child)
        else:
            _clean(child, name, svg)


def _attributes(element: ElementTree.Element, name: str):
    """The attributes of an element that the page may contain."""
    for key, value in element.attrib.items():
        if key in HREF:
            if value.startswith(("#", "data:image/")):
                yield "href", re.sub("^#", f"#{name}-", value)
        elif key == "id":
            yield key, f"{name}-{value}"
        elif _local(key) == key and not key.startswith("on"):
            yield key, value.replace("url(#", f"url(#{name}-")


def _fit(root: ElementTree.Element) -> None:
    """Let report.css set the width of the drawing, from the drawing's natural width."""
    sides = [root.attrib.pop(side, "") for side in ("width", "height")]
    numbers = [re.match(r"[\d.]+", side) for side in sides]
    if "viewBox" not in root.attrib and all(numbers):
        root.set("viewBox", f"0 0 {numbers[0][0]} {numbers[1][0]}")
    own = sides[0] if re.fullmatch(r"[\d.]+(pt|px|in|cm|mm)", sides[0]) else "48rem"
    root.set("style", f"--own: {own}")
