"""What the numbers of a page are about: networks and images, ours and the paper's."""

from fixres.graph.api import JobGraph, Label
from fixres.graph.asking import architecture
from fixres.models.catalogue.zoo import ZOO


def main_subject(plan: JobGraph) -> Label:
    """The ResNet-50 of this scale, and the paper's."""
    return f"{ZOO[plan.config.network].title} on {plan.config.dataset}", "ResNet-50 on ImageNet"


def subject(plan: JobGraph, paper: str, *names: str, images: str | None = None) -> Label:
    """The networks that stand for some of the paper's.

    Parameters
    ----------
    paper : the networks in words, as the paper's side shows them.
    names : the paper's networks, as the zoo calls them.
    images : the datasets; None: the main one, ImageNet in the paper.
    """
    titles = dict.fromkeys(ZOO[architecture(plan, name)].title for name in names)
    if len(titles) < 4:
        ours = ", ".join(titles)
    elif plan.config.twins:
        ours = "quarter-scale networks of the same classes"
    else:
        ours = paper
    theirs = "ImageNet" if images is None else "the sets named"
    return f"{ours} on {images or plan.config.dataset}", f"{paper} on {theirs}"


def images(plan: JobGraph) -> Label:
    """Only the images, for pages without a network."""
    return f"{plan.config.dataset}, training images", "ImageNet"
