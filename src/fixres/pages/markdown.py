"""A page as Markdown, for a terminal or a code host."""

from tabulate import tabulate

from fixres.jobs.quoting import plain
from fixres.pages import layout
from fixres.pages.numbers import Number, Place


def markdown(
    page: dict, numbers: dict[Place, Number], turned: set[Place], footnotes: list[str]
) -> str:
    """The page, with one table a block.

    Parameters
    ----------
    turned : the places of the cells whose trends are not the paper's.
    footnotes : what stands below the tables (`layout.notes`).
    """
    shown = layout.shower(page, numbers, turned)

    def text(cell: dict | None) -> str:
        s = shown(cell)
        ours = {"best": f"**{s.ours}**", "reported": f"*{s.ours}*"}.get(s.kind, s.ours)
        ours += f" {s.half}" if s.half else ""
        mark = f" {layout.TURNED}" if s.turned else ""
        return ours + mark + (f" ({s.paper})" if s.paper else "")

    def table(block: dict) -> str:
        n, columns = len(block["heads"]), block["columns"]
        head = [*block["heads"], *map(layout.label, columns)]
        # Names are to the left, numbers to the right; a single leading column holds numbers.
        align = ["right" if n == 1 else "left"] * n + ["right"] * len(columns)
        rows = layout.rows(block, text, lambda x: plain(layout.label(x)))
        return tabulate(rows, head, tablefmt="pipe", disable_numparse=True, colalign=align)

    above = layout.headline(page, numbers, bool(turned))
    parts = [f"# {page['title']}", page["caption"], above]
    for block in page["blocks"]:
        parts += [f"**{block['title']}**", table(block)]
    reasons = layout.missing(page)
    if reasons:
        lines = (f"{i}. Missing: {plain(reason)}" for i, reason in enumerate(reasons, 1))
        parts.append("\n".join(lines))
    if footnotes:
        parts.append("\n".join(f"- {plain(note)}" for note in footnotes))
    return "\n\n".join(parts) + "\n"
