"""A page as Markdown, for a terminal or a code host."""

from tabulate import tabulate

from fixres.graph.pages import Block, Cell
from fixres.jobs.quoting import plain
from fixres.pages import layout
from fixres.pages.view import View


def markdown(view: View) -> str:
    """The page, with one table a block."""

    def text(cell: Cell | None) -> str:
        if cell is None:
            return ""
        s = layout.shown(view, cell)
        ours = {"best": f"**{s.ours}**", "reported": f"*{s.ours}*"}.get(s.kind, s.ours)
        return " ".join(filter(None, (ours, s.half, s.mark, s.paper and f"({s.paper})")))

    def table(block: Block) -> str:
        n, columns = len(block.heads), block.columns
        head = [*block.heads, *map(layout.label, columns)]
        # Names are to the left, numbers to the right; a single leading column holds numbers.
        align = ["right" if n == 1 else "left"] * n + ["right"] * len(columns)
        rows = [
            [*(plain(layout.label(x)) for x in row.labels), *map(text, line)]
            for row, line in zip(block.rows, block.cells, strict=True)
        ]
        return tabulate(rows, head, tablefmt="pipe", disable_numparse=True, colalign=align)

    parts = [f"# {view.page.title}", view.page.caption, layout.headline(view)]
    for block in view.page.blocks:
        parts += [f"**{block.title}**", table(block)]
    if view.reasons:
        lines = (f"{i}. Missing: {plain(reason)}" for i, reason in enumerate(view.reasons, 1))
        parts.append("\n".join(lines))
    if view.notes:
        parts.append("\n".join(f"- {plain(note)}" for note in view.notes))
    return "\n\n".join(parts) + "\n"
