"""What the suite knows of one network, and how libraries build theirs. Planning needs no torch."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

    Build = Callable[[int], torch.nn.Module]


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean, std of the normalised input
# The normalisation of the networks that TensorFlow trained.
HALVES = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
NON_COMMERCIAL = "CC-BY-NC-4.0"


class Network(NamedTuple):
    """One network of the suite.

    Attributes
    ----------
    stride : total stride; crops are multiples of it (Appendix B).
    classifier : name of the last layer.
    last_batch_norm : names of the batch-norms before the global pooling (§4.2).
    cells : names of the last three cells or blocks (Table 1, "3 cells", "3 conv.").
    build : number of classes -> network with random weights.
    mean, std : normalisation of the input.
    native : resolution that its published weights were trained at, pixels. Of a twin: a quarter
        of it.
    parameters : millions, for 1000 classes (Table 2); None where the paper gives none.
    source : where its weights come from, as in `published.fetch`; None: no download is known.
    licence : of those weights.
    twin : the embedded network of the same class.
    extra_data : whether its weights saw more than ImageNet (Table 2, "Extra Training Data").
    revision : raised when the code changes what the network computes: its jobs run again.
    """

    title: str
    stride: int
    classifier: str
    last_batch_norm: tuple[str, ...]
    cells: tuple[str, ...]
    build: "Build"
    mean: tuple[float, float, float] = IMAGENET[0]
    std: tuple[float, float, float] = IMAGENET[1]
    native: int = 224
    parameters: float | None = None
    source: dict | None = None
    licence: str | None = None
    twin: str | None = None
    extra_data: bool = False
    revision: int = 0


# --- how to build ------------------------------------------------------------------------------


def of_torchvision(name: str) -> "Build":
    """A network of torchvision."""

    def build(classes: int) -> "torch.nn.Module":
        from torchvision.models import get_model

        return get_model(name, weights=None, num_classes=classes)

    return build


def of_timm(name: str, padded_as_at: int | None = None, **options: object) -> "Build":
    """A network of timm. With `padded_as_at`, it pads at every size as at that one, pixels."""

    def build(classes: int) -> "torch.nn.Module":
        import timm

        network = timm.create_model(name, num_classes=classes, **options)
        if padded_as_at:
            from fixres.models.padding import fix_padding

            fix_padding(network, padded_as_at)
        return network

    return build


def timm_weights(name: str) -> dict[str, str]:
    """The source of weights that timm calls by this name, with its tag."""
    return {"timm": name}
