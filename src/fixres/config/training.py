"""Settings of all stages that train or adapt a network."""

from typing import Any, Literal

from pydantic import Field

from fixres.config.fields import Count, Fraction, Name, NotNegative, Pair, Pixels, Positive, Section


class Augmentation(Section):
    """Train DA (§3.1.2, §5): random resized crop, horizontal flip, colour jitter."""

    area: Pair[Fraction] = Field([0.08, 1.0])
    """range of σ², the RoC's share of the image area (§3.1.2: σ in [0.28, 1])"""
    aspect: Pair[Positive] = Field([0.75, 4 / 3])
    """range of the RoC's aspect ratio α; ln α is uniform"""
    jitter: Fraction = 0.3
    """strength of brightness, contrast and saturation jitter"""


class Descent(Section):
    """Settings that all trainings by SGD with momentum share."""

    batch_size: Count = Field(512, description="B, over all devices")
    schedule: Literal["step", "cosine", "triangle"] = "step"
    """learning rate schedule. step: /10 every lr_step epochs (the paper); cosine: down to 0;
    triangle: linearly up, then linearly to 0"""
    lr_step: Count = Field(30, description="epochs between two drops of the step schedule")
    warmup: Fraction = 0.0
    """share of the training during which the rate rises linearly"""
    momentum: Fraction = 0.9
    nesterov: bool = False
    weight_decay: NotNegative = 1e-4
    label_smoothing: Fraction = 0.0
    micro_batch: Count = 64
    """images per batch-norm; a batch of B images consists of such micro-batches, divided among the
    devices (the paper: 64 per device)"""


class BaseTraining(Descent):
    """Training from scratch at one k_train (§5, "Training protocol"): SGD with momentum."""

    epochs: Count = 120
    samples_per_epoch: Count | None = 5005 * 512
    """crops per epoch; the paper: 5005·512/B batches of B; null: the number of training images"""
    lr_per_256: Positive = 0.1
    """learning rate for B = 256; the run uses lr_per_256 · B/256"""
    repeated_augmentation: Count = 3
    """RA: how often each drawn image appears in the batch stream"""
    repeats: Literal["spread", "together"] = "spread"
    """micro-batches of an image's copies (RA). spread: different ones, as in the released code;
    together: the same one, as in MultiGrain (Berman et al., 2019). No effect without RA or with a
    single micro-batch"""
    cutmix: Fraction = 0.0
    """probability that a batch uses CutMix (Yun et al., 2019)"""
    augmentation: Augmentation = Augmentation()


class FineTuning(Descent):
    """Adaptation of the last layers at one k_test (§4.2, §5): SGD with momentum."""

    layers: Literal["cls", "cls+bn", "cls+bn+cells"] = "cls+bn"
    """layers that train. cls: the classifier; bn: the last batch-norm; cells: the last three cells
    (Table 1)"""
    batch_norm: Literal["affine+statistics", "statistics"] = "affine+statistics"
    """part of the last batch-norm that adapts: all of it (the paper), or only the statistics (the
    released code)"""
    augmentation: Literal["train DA", "test DA", "test DA2"] = "test DA"
    """see "Fine-tuning data-augmentation" in §5"""
    jitter: Fraction = Field(0.05, description="colour jitter of test DA2")
    epochs: Count = 60
    images: Count | None = None
    """number of randomly drawn training images to fine-tune on; null: all (the paper)"""
    lr: Positive = 0.008


class Weights(Section):
    """The source of a network's published weights. Give exactly one (docs/networks.md)."""

    file: str = ""
    """a local file (.pth, .pt, .safetensors); ~ and $VARIABLES are expanded"""
    url: str = Field("", pattern=r"^(https?://\S+)?$", description="an address; needs sha256")
    sha256: str = Field("", pattern="^([0-9a-f]{64})?$")
    """checksum of the file or download, 64 hexadecimal digits"""
    timm: str = Field("", description="a timm name with its tag, such as resnet50.tv_in1k")
    torchvision: str = ""
    """a torchvision weights enum, such as ResNet50_Weights.IMAGENET1K_V1"""
    hub: str = Field("", pattern="^(.+:.+)?$")
    """a torch hub entry, such as owner/repository:entry"""


class NetworkSettings(Section):
    """Settings of one network: only the keys that differ."""

    base_training: dict[str, Any] = Field({}, description="changes to base_training")
    fine_tuning: dict[str, Any] = Field({}, description="changes to fine_tuning")
    fine_tuning_on: dict[Literal["train DA", "test DA", "test DA2"], dict[str, Any]] = Field({})
    """augmentation -> further changes to the network's fine_tuning when it is fine-tuned on this
    augmentation"""
    weights: Weights | None = None
    """replaces the source that the zoo has for the network; base trainings of `network` itself
    still start from random weights"""


class Transfer(Section):
    """Table 3 (§5.3): a pre-trained network is trained on a fine-grained dataset.

    First the whole network trains at k_train, then the last layers at a higher resolution.
    """

    datasets: dict[Literal["cars", "cub", "flowers", "pets", "birdsnap"], Name] = Field({})
    """dataset of the paper -> the entry of `datasets` that stands for it"""
    training: dict[str, Any] = Field({})
    """training of the whole network: changes to base_training"""
    fine_tuning: dict[str, Any] = Field({}, description="changes to fine_tuning")
    k_train: Pixels = 56
    k_test: Pixels = Field(80, description="resolution at which the last layers are fine-tuned")


class WeakSupervision(Section):
    """A substitute for the weakly supervised pre-training (WSL, billion-scale): noisy tags.

    Used if the paper's weights are not available. The network first trains on many images with
    noisy tags, then on the clean dataset.
    """

    dataset: Name | None = None
    """the entry of `datasets` with noisy tags; null: none, and cells that need it are missing"""
    training: dict[str, Any] = Field({})
    """training on the noisy tags: changes to base_training"""
    adaptation: dict[str, Any] = Field({})
    """later training on the clean dataset: changes to base_training"""


class Matching(Section):
    """Distribution matching (§4.2, Appendix A).

    It maps the distribution of activations at k_test to the distribution at k_train.
    """

    images: Count | None = 50000
    """number of training images on which the distributions are measured; null: all"""
