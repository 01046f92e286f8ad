"""Settings of a custom network and its images (docs/recommend.md)."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from fixres.config.fields import Count, Distinct, Name, Pixels, Positive, Section, Several


def _number(is_right: Callable[[float], bool], expected: str, **schema: float) -> Any:
    """A number in a range, with its own error (errors.py). `schema`: the range for JSON schemas."""

    def check(value: float) -> float:
        if not is_right(value):
            raise PydanticCustomError("range", "expected " + expected)
        return value

    return Annotated[float, AfterValidator(check), Field(json_schema_extra=schema)]


Mean = _number(lambda x: 0 <= x <= 1, "0 to 1", minimum=0, maximum=1)
Std = _number(lambda x: 0 < x <= 1, "more than 0, at most 1", exclusiveMinimum=0, maximum=1)
Three = Field(min_length=3, max_length=3)
OF_INPUT = "of the input, which is in [0, 1]; three numbers"
Share = Annotated[float, Field(ge=0.1, le=1)]


class CustomNetwork(Section):
    """What a job must know about a network. `fixres recommend` finds it; correct it here."""

    source: str = Field(pattern=r"^(timm:[^:]+|torchvision:[^:]+|python:[\w.]+:\w+)$")
    """where the network is built: timm:NAME[.TAG], torchvision:NAME[.WEIGHTS], or
    python:package.module:function, your constructor"""
    weights: str = "pretrained"
    """pretrained (downloaded by timm or torchvision), none, a file, or hf-hub:USER/NAME@COMMIT"""
    path: str = ""
    """folder in which python:package.module is found; ~ and $VARIABLES too"""
    title: str = Field("", description="name on the pages; empty: the source")
    stride: Count = Field(description="total stride; every k_test is a multiple of it (Appendix B)")
    off_stride: bool = False
    """whether it takes crops that are not a multiple of its stride; if so, these may be measured"""
    classifier: str = Field(description="name of the last layer")
    other_heads: Distinct[str] = Field([])
    """names of the other classifiers, if the network averages several"""
    last_norm: Distinct[str]
    """names of the last normalisation before the global pooling (§4.2); [] if there is none"""
    mean: Annotated[list[Mean], Three] = Field(description=OF_INPUT)
    std: Annotated[list[Std], Three] = Field(description=OF_INPUT)
    native: Pixels = Field(description="side of the crops that its weights are meant for")
    crop_pct: Share
    """crop over resized image in its own evaluation: the shorter side becomes floor(k_test /
    crop_pct)"""
    any_size: bool = Field(True, description="whether it takes crops of any size")
    has_statistics: bool = True
    """whether last_norm has running statistics, like a batch-norm"""
    options: dict[str, Any] = Field({})
    """arguments of the constructor, such as {dynamic_img_size: true}"""
    outputs: Count = Field(1000, description="number of classes before any change")
    multiply_adds: Positive = 4e9
    """per image at `native`; only estimates of time use them"""
    parameters: Count = Field(25_000_000, description="only estimates of disk space use them")

    @property
    def has_file(self) -> bool:
        """Whether the weights are one of the user's files."""
        return self.weights not in ("pretrained", "none") and not self.weights.startswith("hf-hub:")


class Custom(Section):
    """A custom network and images: the best k_test, and what fixing gains and costs."""

    name: Name = Field(description="names the runs and results/recommend/<name>.md")
    network: CustomNetwork
    train: bool = False
    """true: the network does not know these classes, so first the whole network trains at k_train
    from its weights, with a fresh classifier (§5.3, step 2; base_training)"""
    k_train: Pixels | None = None
    """resolution of that training; null: the network's native resolution"""
    k_test: Several[Pixels]
    """test resolutions; the network is measured and fixed at each"""
    crop_pct: Several[Share] = Field([0.875, 0.95, 1.0])
    """crop over resized image; each ratio is measured at each k_test"""
    batch: Count = Field(32, description="size of the large batch whose throughput is measured")

    @property
    def native(self) -> int:
        """The usual test resolution, with which all others are compared."""
        return (self.k_train if self.train else None) or self.network.native

    @property
    def k_tests(self) -> list[int]:
        """The test resolutions that are measured: `k_test` and `native`."""
        return sorted({*self.k_test, self.native})

    @property
    def off_stride(self) -> list[int]:
        """The measured test resolutions that are not a multiple of the network's stride."""
        return [k for k in self.k_tests if k % self.network.stride]

    @property
    def ratios(self) -> list[float]:
        """The ratios that are measured: `crop_pct` and the network's own."""
        return sorted({*self.crop_pct, self.network.crop_pct})
