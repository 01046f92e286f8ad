"""Figures: what is drawn is what was measured; the same numbers give the same bytes."""

import numpy as np
import pytest

from fixres import jobs, paper
from fixres.artifacts.per_image import PerImage
from fixres.config import load
from fixres.graph.pages import Figure
from fixres.pages.figures import accuracy, areas, crop_sheet, style, sweep
from fixres.pages.view import Measured, View
from shared import ROOT

PLAN = paper.plan_of(load(ROOT / "config.yaml"))


def view_of(page: Figure, measured: Measured, results=ROOT) -> View:
    """A figure whose runs have left this."""
    view = View(page, results)
    view.measured = measured
    return view


def planned(name: str) -> Figure:
    """A figure as its job reads it."""
    return Figure.of(PLAN.resolved(f"pages/{name}"))


def measured(page: Figure, images: int = 200, first: int = 60) -> Measured:
    """Some hits for every cell of a page of accuracies: cell i is right about i images more.

    The first cell is right about `first` of the images.
    """
    metrics: dict = {}
    hits: dict = {}
    for i, cell in enumerate(page.cells()):
        right = np.arange(images) < first + i
        for found in cell.runs:
            k_tests = metrics.setdefault(found.run, {"k_test": {}})["k_test"]
            k_tests[str(cell.k_test)] = {"top1": 100 * right.mean(), "top1_std": 0.1}
            hits.setdefault(found.run, {})[f"top1 {cell.k_test}"] = right
    paths = np.array([f"{i}.jpg".encode() for i in range(images)])
    return Measured(metrics, {run: PerImage(paths, values) for run, values in hits.items()})


@pytest.mark.parametrize(("name", "lines"), [("figure5", [5, 4]), ("figure8", [4])])
def test_every_cell_of_its_table_is_drawn(name, lines):
    """Ours in the panels above, and the paper's numbers below them."""
    page = planned(name)
    figure, numbers = accuracy.draw(view_of(page, measured(page)))
    curves = [[x for x in axis.lines if x.get_label()[0] != "_"] for axis in figure.axes]
    assert [len(found) for found in curves] == 2 * lines
    for whose, panels in (("ours", curves[: len(lines)]), ("paper", curves[len(lines) :])):
        drawn = {float(y) for found in panels for line in found for y in line.get_ydata()}
        assert drawn == set(numbers[whose].dropna())
    assert len(numbers) == len(list(PLAN.figures[name].cells()))
    assert len(texts_apart(figure)) > 20


def test_colours_keep_the_order_in_grey():
    """Luminance (Rec. 709) rises with the resolution, by enough to be seen."""
    found = style.colours([96, 16, 56, 40, 32])
    grey = [np.dot(found[k][:3], (0.2126, 0.7152, 0.0722)) for k in sorted(found)]
    assert (np.diff(grey) > 0.08).all()


# --- Figures 1, 2 and 7 ---------------------------------------------------------------------------


def texts_apart(figure) -> list[str]:
    """The texts of a figure, none of which overlaps another or is cut by the edge."""
    figure.canvas.draw()
    hidden = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if not axis.axes.axison or not low <= tick.get_loc() <= high:
                hidden |= {tick.label1, tick.label2}
    texts = set(figure.findobj(style.plt.Text)) - hidden
    shown = [t for t in texts if t.get_visible() and t.get_text().strip()]
    boxes = [(t.get_text(), t.get_window_extent()) for t in shown]
    whole = figure.bbox
    for i, (text, box) in enumerate(boxes):
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1, text
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1, text
        for other, its in boxes[i + 1 :]:
            assert not box.overlaps(its), (text, other)
    return [text for text, _ in boxes]


def test_figure_7_draws_every_resolution_and_marks_the_stride():
    page = planned("figure7")
    figure, numbers = sweep.draw(view_of(page, measured(page, images=400, first=300)))
    [axis] = figure.axes
    ours = next(line for line in axis.lines if line.get_label() == "ours")
    assert dict(zip(ours.get_xdata(), ours.get_ydata(), strict=True)) == dict(
        zip(numbers["column"].astype(int), numbers["ours"], strict=True)
    )
    assert list(ours.get_xdata()) == list(PLAN.config.figure7.k_test)
    dashed = {line.get_xdata()[0] for line in axis.lines if line.get_linestyle() == "--"}
    assert dashed == {40, 48, 56, 64, 72, 80, 88, 96}
    # The paper's numbers of section 3.3, at the resolutions that stand for its own.
    theirs = next(line for line in axis.lines if "paper" in line.get_label())
    assert dict(zip(theirs.get_xdata(), theirs.get_ydata(), strict=True)) == {
        56: 77.0,
        64: 78.0,
        72: 78.4,
        80: 78.3,
        96: 77.7,
    }
    assert "64" in texts_apart(figure)


def test_figure_7_leaves_out_the_papers_numbers_where_they_would_flatten_ours():
    page = planned("figure7")
    figure, numbers = sweep.draw(view_of(page, measured(page)))  # 30 to 58%
    assert not any("paper" in line.get_label() for line in figure.axes[0].lines)
    assert numbers["paper"].notna().sum() == 5  # the CSV has them


def test_figure_7_names_k_train_as_the_other_figures_do():
    """At an eighth 32 px stand for 224, as in Figure 3, and not for 256; 28 px do not."""
    extra = {"datasets": {"fashion-mnist": {"root": "."}}}
    plan = paper.plan_of(load(ROOT / "config.yaml", ROOT / "configs/fashion.yaml", extra=extra))
    page = Figure.of(plan.resolved("pages/figure7"))
    papers = {cell.column: cell.paper for cell in page.cells()}
    assert papers["32"] == 77.0
    assert papers["28"] is None
    assert papers["40"] == 78.3  # 320
    figure, _ = sweep.draw(view_of(page, measured(page, images=400, first=300)))
    [upper] = figure.axes[0].child_axes
    named = dict(zip(upper.get_xticks(), upper.get_xticklabels(), strict=True))
    labels = {int(at): label.get_text() for at, label in named.items()}
    assert labels == {24: "192", 32: "224", 40: "320", 48: "384", 56: "448"}
    rows = {cell.row: cell.paper_row for cell in plan.figures["figure3"].cells()}
    assert rows["32"] == labels[32]


def of_images(page: Figure, **metrics: object) -> Measured:
    runs = {found.run for cell in page.cells() for found in cell.runs}
    return Measured(dict.fromkeys(runs, metrics), {})


def test_figure_2_draws_the_histograms():
    page = planned("figure2")
    train, test = np.full(100, 0.01), np.eye(100)[76]
    means = {"train_area": 0.5, "test_area": 0.766}
    found = of_images(page, train_areas=train.tolist(), test_areas=test.tolist(), **means)
    figure, numbers = areas.draw(view_of(page, found))
    assert numbers["train DA"].tolist() == train.tolist()
    assert numbers["test DA"].tolist() == test.tolist()
    assert numbers["area_to"].iloc[76] == pytest.approx(0.77)
    texts = texts_apart(figure)
    assert "mean 0.50" in texts
    assert "mean 0.77" in texts


@pytest.fixture
def cut(tmp_path) -> Figure:
    """The resolved Figure 1, and a file with crops of a white image."""
    page = planned("figure1")
    found = {"image": np.full((90, 120, 3), 255, np.uint8), "object_size": np.float32(30)}
    found |= {"train_box": np.array([10, 20, 80, 90]), "test_box": np.array([20, 5, 99, 84.0])}
    for name, k, scale in (("train", 40, 4 / 7), ("train", 56, 0.8), ("test", 56, 0.72)):
        found |= {f"{name} {k}": np.zeros((k, k, 3), np.uint8), f"{name} {k} scale": scale}
    found |= {"test 72": np.zeros((72, 72, 3), np.uint8), "test 72 scale": 0.92}
    file = tmp_path / page.files["crops"]
    file.parent.mkdir(parents=True)
    np.savez(file, **found)
    return page


@pytest.mark.parametrize("known", [True, False])
def test_figure_1_says_how_large_the_object_is_in_each_crop(cut, known, tmp_path):
    file = tmp_path / cut.files["crops"]
    if not known:
        with np.load(file) as archive:
            np.savez(file, **{**archive, "object_size": np.float32("nan")})
    one = dict.fromkeys(("expected_ratio", "log_ratio", "least_ratio", "margin"), 0.5)
    figure, numbers = crop_sheet.draw(view_of(cut, of_images(cut, ratio=0.83, **one), tmp_path))
    texts = texts_apart(figure)
    sizes = ["object: 24.0 px", "object: 17.1 px", "object: 21.6 px", "object: 27.6 px"]
    scales = ["objects × 0.80", "objects × 0.57", "objects × 0.72", "objects × 0.92"]
    for said in sizes if known else scales:
        assert any(said in text for text in texts), said
    assert "at test time 0.90 × as large" in texts
    assert numbers["ratio"].tolist() == pytest.approx([0.9, 1.26, 1.15])
    assert numbers["object_test"].notna().all() == known
    assert numbers["mean_ratio"].tolist() == [0.83] * 3
    image, sheet = figure.axes
    assert "the object's box" not in [text.get_text() for text in image.get_legend().get_texts()]
    # One scale for all: a crop is drawn as wide as it has pixels.
    widths = sorted(abs(x1 - x0) for x0, x1, _, _ in (i.get_extent() for i in sheet.images))
    assert widths == [40, 56, 56, 56, 56, 72]


def test_figure_1_frames_an_object_with_a_box(cut, tmp_path):
    with np.load(tmp_path / cut.files["crops"]) as archive:
        found = dict(archive) | {"object_box": np.array([20, 30, 60, 70], np.float32)}
    image, _ = crop_sheet.sheet(found, [0.8] * 3, cut).axes
    boxes = {patch.get_label(): patch.get_bbox().extents.tolist() for patch in image.patches}
    assert boxes["the object's box"] == [20, 30, 60, 70]
    assert "the object's box" in [text.get_text() for text in image.get_legend().get_texts()]


def test_figure_1_names_a_damaged_file(cut, tmp_path):
    file = tmp_path / cut.files["crops"]
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(jobs.JobError, match=r"crops\.npz: cannot be read"):
        crop_sheet.draw(view_of(cut, of_images(cut), tmp_path))
