"""Sphinx's configuration for the site of the documentation (build_site.py)."""

import importlib.metadata
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
from build_site import FOLDERS

project = "FixRes Suite"
release = importlib.metadata.version("fixres")
extensions = ["myst_parser", "sphinx.ext.autodoc", "docstrings"]
root_doc = "index"
include_patterns = ["index.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "docs/*.rst"]
exclude_patterns = list(FOLDERS)

# Markdown as GitHub reads it: anchors of headings, and blocks without a language are plain.
myst_heading_anchors = 4
highlight_language = "text"

autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 80
default_role = "code"  # `name` in a docstring is code
add_module_names = False

html_theme = "pydata_sphinx_theme"
html_title = "FixRes Suite"
html_static_path = ["static"]
templates_path = ["templates"]
html_css_files = ["site.css"]
html_js_files = ["search.js"]
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system is
html_use_index = False
html_domain_indices = False
html_copy_source = False  # the pages are in the repository
html_sidebars = {"**": ["all-pages.html"]}
html_theme_options = {
    "navbar_center": [],  # all pages are in the sidebar
    "navbar_align": "left",
    "footer_start": [],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "search_bar_text": "Search",
}
