"""The page of Section 3.1: planned where there are boxes, missing with a reason where not."""

from types import SimpleNamespace

import pytest

from fixres.artifacts.per_image import OBJECTS
from fixres.config import parse
from fixres.graph.api import JobGraph
from fixres.graph.pages import Page
from fixres.pages.layout import shown
from fixres.pages.numbers import Number
from fixres.paper.printed import printed
from fixres.paper.section3_1 import COLUMNS, section3_1


def page_of(**dataset: object) -> Page:
    """The page for a dataset that stands for ImageNet."""
    given = {"dataset": "photos", "datasets": {"photos": dataset}}
    return section3_1(JobGraph(parse(given), printed))


@pytest.mark.parametrize("source", ["tiny-imagenet", "imagenet"])
def test_sets_with_boxes_are_measured_by_the_job_of_figure_1(source):
    page = page_of(source=source, rendered={})
    assert [row.key[0] for row in page.blocks[0].rows] == [*OBJECTS]
    assert {cell.source for cell in page.cells()} == {"measured"}
    assert {one.run for one in page.measurements()} == {"sizes/photos/k56-k56"}
    first = page.blocks[0].cells[0]
    assert [cell.metric for cell in first] == [f"{metric}, all" for metric in COLUMNS]


def test_a_set_without_boxes_says_so():
    [reason] = {cell.note for cell in page_of(rendered={}).cells()}
    assert reason.startswith("boxes around the objects of photos: there are none")


@pytest.mark.parametrize("given", ["", "ILSVRC2012_bbox_train_v2.tar.gz", "boxes/val"])
def test_imagenets_boxes_are_looked_for_in_the_folder(tmp_path, given):
    if given:
        (tmp_path / given).mkdir(parents=True)
    found = {cell.source for cell in page_of(source="imagenet", root=str(tmp_path)).cells()}
    assert found == {"measured" if given else "missing"}


def test_a_group_without_objects_has_a_dash():
    page = page_of(source="tiny-imagenet", rendered={})
    [objects, ratio, *_] = page.blocks[0].cells[0]

    numbers = {objects.place: Number(12345.0, None), ratio.place: Number(None, None)}
    view = SimpleNamespace(page=page, numbers=numbers, reasons=[], turned=(), bold=())
    assert shown(view, objects).ours == "12,345"
    assert shown(view, ratio).ours == "–"
