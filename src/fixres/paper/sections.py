"""The order of the paper: which table and which figure belongs to which section.

The report (results/report.html) follows this order. Names that are not in a plan are skipped; pages
of a plan that are not listed here come last.
"""

from fixres.graph.api import Section

SECTIONS = (
    Section(
        "1 Introduction",
        "The crops that a network is trained on show objects larger than the crops that it is "
        "tested on. Either a smaller resolution in training or a larger one in testing makes the "
        "objects alike again.",
        ("figure1", "section1", "memory"),
    ),
    Section(
        "3.1 Scale and apparent object size",
        "How large a part of the image a crop shows, in training and in testing.",
        ("figure2", "section3.1"),
    ),
    Section(
        "3.2 Scale and activation statistics",
        "At a resolution other than in training, the activations of a network are distributed "
        "differently.",
        ("figure3",),
    ),
    Section(
        "3.3 Larger test crops result in better accuracy",
        "A network is most accurate at a test resolution above its training resolution.",
        ("section3.3",),
    ),
    Section(
        "4.1 Calibrating the object sizes by adjusting the crop size",
        "Objects are made larger by resizing the image to more pixels. Does the crop grow with it?",
        ("section4.1",),
    ),
    Section(
        "4.2 Adjusting the statistics before spatial pooling",
        "Fine-tuning the last layers at the test resolution brings the statistics back.",
        ("figure4",),
    ),
    Section(
        "5.1 Results",
        "Training at one resolution, testing at another, with and without fine-tuning the last "
        "layers; then the same for larger networks.",
        ("figure5", "table1", "section5", "curves"),
    ),
    Section(
        "5.2 Beyond the current state of the art",
        "The method compared with networks from the literature.",
        ("table2",),
    ),
    Section("5.3 Transfer learning tasks", "The method on fine-grained datasets.", ("table3",)),
    Section(
        "A.1 Parametric Fréchet model after average-pooling",
        "Adapting the activations by a formula, without any training.",
        ("figure6", "appendixA.1"),
    ),
    Section(
        "A.2 Gaussian model before the last ReLU activation",
        "Another formula, without and with fine-tuning.",
        ("table4",),
    ),
    Section(
        "B Border and round-off effects",
        "Accuracy as the test resolution grows pixel by pixel.",
        ("figure7",),
    ),
    Section(
        "C Additional result tables",
        "The numbers behind Figure 5, what each part of the fine-tuning gives, what it costs in "
        "time, and two ways to prepare its images.",
        ("table5", "table6", "table7", "table8"),
    ),
    Section(
        "D Impact of the random resized crop",
        "The same networks, trained on crops of a fixed size.",
        ("figure8", "table9"),
    ),
    Section(
        "The authors' released weights",
        "Not in the paper: the weights that its authors published later, measured here.",
        ("released",),
    ),
    Section(
        "Newer weights",
        "Not in the paper: networks that were trained with newer procedures, as they are and "
        "fixed.",
        ("modern",),
    ),
)
