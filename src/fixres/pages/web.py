"""Pages as HTML: the templates in templates/, filled.

What is put into a template is shown as text: HTML in it is escaped, and what cannot be printed is
written as Python writes it.
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fixres.jobs.quoting import visible

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: object) -> Markup:
    """The text of templates/<template>.html with these values."""
    return Markup(ENVIRONMENT.get_template(f"{template}.html").render(values))


def source(name: str) -> Markup:
    """A style sheet or script from the folder of the templates, unchanged."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def counted(n: int, one: str) -> str:
    """`3 cells`, `1 cell`."""
    return f"{n:,} {one}{'s' * (n != 1)}"


def _shown(value: object) -> object:
    return visible(value) if type(value) is str else value


ENVIRONMENT = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_shown,
)
ENVIRONMENT.globals |= {"source": source, "counted": counted}
