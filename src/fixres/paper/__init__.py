"""TODO"""

from fixres.paper.old_pages import PAGES, plan_of

__all__ = ["PAGES", "plan_of"]
