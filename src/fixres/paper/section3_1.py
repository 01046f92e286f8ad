"""§3.1 on real objects: what the crops show of objects of all sizes.

The paper takes objects that are far smaller than the image. Here the objects have boxes, so the
part that is in the crop is known, too.
"""

from fixres.artifacts.per_image import OBJECTS
from fixres.graph.api import JobGraph, Page, Sample, grid, line
from fixres.graph.asking import measure_objects, scaled
from fixres.paper.subjects import images

K = 224  # k_train and k_test
COLUMNS = {  # metric -> the heading
    "objects": "objects",
    "size_ratio": "r_test / r_train (%), eq. (4)",
    "visible_train": "visible r_train (px)",
    "visible_test": "visible r_test (px)",
    "visible_ratio": "visible r_test / r_train (%)",
    "in_crop_ratio": "the same, of crops with the object (%)",
    "shown_train": "shown in training (%)",
    "shown_test": "shown in testing (%)",
}


def section3_1(plan: JobGraph) -> Page:
    k = scaled(plan, K)

    def measure(objects: str, _: None) -> Sample:
        return Sample(measure_objects(plan, k, k), objects=objects)

    rows = [line(plan, name, name, value=name) for name in OBJECTS]
    columns = [line(plan, metric, name, metric=metric) for metric, name in COLUMNS.items()]
    title, heads = f"Objects in crops of {k} px, by their size", ["object over image"]
    return Page(
        "section3.1",
        "Section 3.1",
        "How large real objects look in the crops of train DA and of test DA. Size of an object: "
        "the root of the area of its box, over the root of the area of the image.",
        images(plan),
        [grid(plan, "section3.1", title, heads, rows, columns, measure)],
        notes=(
            "Eq. (4): an object of r pixels in the image has r_train = s · r in a training crop, "
            "where s is how much the crop enlarges the image, and r_test in a test crop. The size "
            "r cancels in the ratio. The paper expects 80%.",
            "Visible: the root of the area of the object that is inside the crop, in pixels of the "
            "crop. For example, an object that fills the image also fills all training and test "
            "crops: it is cut off at their edges, so it looks no larger in training. An object "
            "outside the crop counts as 0, and training crops miss small objects more often than "
            "test crops. So the next column skips crops that show nothing of the object. Each "
            "ratio is a ratio of means.",
            "Shown: the share of the object's area that is inside the crop.",
            "A box is larger than the object in it, so part of the visible box may be background.",
        ),
    )
