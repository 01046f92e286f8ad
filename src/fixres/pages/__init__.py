"""Declarations + measured numbers -> Markdown, CSV, HTML, SVG."""
