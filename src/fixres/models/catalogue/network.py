"""What the suite knows of one network. `models/construct.py` builds it."""

from typing import Any, NamedTuple

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
    other_heads : names of the other classifiers, if the network averages several.
    last_batch_norm : names of the batch-norms before the global pooling (§4.2).
    cells : names of the last three cells or blocks (Table 1, "3 cells", "3 conv.").
    constructor : what builds it: timm:NAME, torchvision:NAME, fixres:MODULE:FUNCTION of
        fixres.models, or python:package.module:function of the user's code.
    options : further arguments of the constructor.
    path : the folder that holds the user's code.
    code : a digest of that code, which is compared before it runs; "" without a plan.
    mean, std : normalisation of the input.
    native : resolution that its published weights were trained at, pixels. A twin's is a quarter
        of that.
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
    constructor: str
    options: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    other_heads: tuple[str, ...] = ()
    path: str = ""
    code: str = ""
    mean: tuple[float, float, float] = IMAGENET[0]
    std: tuple[float, float, float] = IMAGENET[1]
    native: int = 224
    parameters: float | None = None
    source: dict | None = None
    licence: str | None = None
    twin: str | None = None
    extra_data: bool = False
    revision: int = 0

    @property
    def classifiers(self) -> tuple[str, ...]:
        """The names of the layers that give logits: nearly always one."""
        return (self.classifier, *self.other_heads)
