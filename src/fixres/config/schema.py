"""TODO."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_FILE = Path("configs/schema.json")

Pixels = Annotated[int, Field(gt=0, description="pixels")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Pinhole(Section):
    """What a rendered set looks like (§3.1's imaging model). Sizes are fractions of sqrt(HW) unless they say pixels."""

    seed: int = Field(0, ge=0)
    train_images: Count = Field(7200, description="training images, spread evenly over the classes")
    val_images: Count = Field(2400, description="validation images, spread evenly over the classes")
    silhouettes: Annotated[list[str], Field(min_length=1)] = Field(
        ["bar", "triangle", "hexagon", "cross", "star5", "star7"],
        description="a class is a silhouette × a hue",
    )
    hues: Annotated[list[str], Field(min_length=1)] = Field(["red", "green", "blue", "yellow"])
    mislabelled: Fraction = Field(
        0.0, description="share of the training images that stand under a wrong class: noisy tags"
    )
    shorter_side: Annotated[list[Pixels], Field(min_length=2, max_length=2)] = Field(
        [88, 120], description="range of an image's shorter side, pixels"
    )
    r1_median: Positive = Field(
        0.25, description="median of the log-normal r1 = R/Z: the object's size over sqrt(HW)"
    )
    r1_sigma: NotNegative = Field(0.35, description="standard deviation of ln r1")
    r1_largest: Positive = Field(0.46, description="r1 is cut off here")
    off_centre: NotNegative = Field(
        0.08, description="standard deviation of the object's offset from the centre"
    )
    jpeg_quality: int = Field(90, ge=1, le=100)


class Dataset(Section):
    """A set of images: where it lies, in which layout, and what to do about bad files (docs/datasets.md)."""

    source: Literal["imagefolder", "imagenet", "cars", "cub", "flowers", "pets", "birdsnap"] = (
        Field(
            "imagefolder",
            description="the layout of the files: train/CLASS/* and val/CLASS/*, or a dataset's official release",
        )
    )
    root: str = Field(
        "", description="the folder with its archives or files; may use ~ and $VARIABLES"
    )
    rendered: Pinhole | None = Field(
        None, description="in place of root: the suite renders a pinhole set in that layout"
    )
    on_bad: Literal["stop", "exclude"] = Field(
        "stop",
        description="files that cannot be decoded: an error, or left out and told on the pages",
    )
    checksums: Literal["published", "listed"] = Field(
        "published",
        description="what archives are checked against: the published md5s, or the md5sums.txt beside them",
    )


class Augmentation(Section):
    """Train DA (§3.1.2, §5): random resized crop, horizontal flip, colour jitter."""

    area: Annotated[list[Fraction], Field(min_length=2, max_length=2)] = Field(
        [0.08, 1.0],
        description="range of σ², the RoC's share of the image area (§3.1.2: σ in [0.28, 1])",
    )
    aspect: Annotated[list[Positive], Field(min_length=2, max_length=2)] = Field(
        [0.75, 4 / 3], description="range of the RoC's aspect ratio α; ln α is uniform"
    )
    jitter: Fraction = Field(
        0.3, description="strength of brightness, contrast and saturation jitter"
    )


class BaseTraining(Section):
    """Training from scratch at one k_train (§5, "Training protocol"): SGD with momentum."""

    epochs: Count = Field(120)
    samples_per_epoch: Count | None = Field(
        5005 * 512,
        description="crops an epoch; the paper: 5005·512/B batches of B; null: as many as the set has images",
    )
    batch_size: Count = Field(512, description="B, over all devices")
    lr_per_256: Positive = Field(
        0.1, description="learning rate for B = 256; the run uses lr_per_256 · B/256"
    )
    schedule: Literal["step", "cosine", "triangle"] = Field(
        "step",
        description="step: /10 every lr_step epochs (the paper); cosine to 0; triangle: linear up, then linear to 0",
    )
    lr_step: Count = Field(30, description="epochs between the tenfold drops of the step schedule")
    warmup: Fraction = Field(0.0, description="share of the training with a linearly rising rate")
    momentum: Fraction = Field(0.9)
    nesterov: bool = Field(False)
    weight_decay: NotNegative = Field(1e-4)
    label_smoothing: Fraction = Field(0.0)
    repeated_augmentation: Count = Field(
        3, description="RA: how often each drawn image appears in the batch stream"
    )
    micro_batch: Count = Field(
        64,
        description="images that batch-norm sees at once; B is made of them, over the devices (the paper: 64 a device)",
    )
    cutmix: Fraction = Field(
        0.0, description="probability of CutMix for a batch (Yun et al., 2019)"
    )
    augmentation: Augmentation = Augmentation()


class FineTuning(Section):
    """Adaptation of the last layers at one k_test (§4.2, §5): SGD with momentum on the training set."""

    layers: Literal["cls", "cls+bn", "cls+bn+cells"] = Field(
        "cls+bn",
        description="what trains: the classifier; the last batch-norm; the last three cells (Table 1)",
    )
    batch_norm: Literal["affine+statistics", "statistics"] = Field(
        "affine+statistics",
        description="of the last batch-norm, what adapts: all (the paper) or the statistics (released code)",
    )
    augmentation: Literal["train DA", "test DA", "test DA2"] = Field(
        "test DA", description='§5, "Fine-tuning data-augmentation"'
    )
    jitter: Fraction = Field(0.05, description="colour jitter of test DA2")
    epochs: Count = Field(60)
    images: Count | None = Field(
        None,
        description="fine-tune on this many training images, drawn at random; null: on all (the paper)",
    )
    batch_size: Count = Field(512)
    lr: Positive = Field(0.008)
    schedule: Literal["step", "cosine", "triangle"] = Field("step")
    lr_step: Count = Field(30)
    warmup: Fraction = Field(0.0)
    momentum: Fraction = Field(0.9)
    nesterov: bool = Field(False)
    weight_decay: NotNegative = Field(1e-4)
    label_smoothing: Fraction = Field(0.0)
    micro_batch: Count = Field(
        64, description="images that batch-norm sees at once (the paper: 64 a device)"
    )


class Weights(Section):
    """Where a network's published weights come from: one of these (docs/networks.md)."""

    file: str = Field(
        "", description="a local file (.pth, .pt, .safetensors); may use ~ and $VARIABLES"
    )
    url: str = Field("", description="an address; needs sha256")
    sha256: str = Field(
        "",
        description="of the file or of what the address gives, 64 hexadecimal digits",
        pattern="^([0-9a-f]{64})?$",
    )
    timm: str = Field("", description="a timm name with its tag, as resnet50.tv_in1k")
    torchvision: str = Field(
        "", description="a torchvision weights enum, as ResNet50_Weights.IMAGENET1K_V1"
    )
    hub: str = Field("", description="a torch hub entry, as owner/repository:entry")


class NetworkSettings(Section):
    """What is different for one network of the paper: only the differing keys."""

    base_training: dict[str, Any] = Field({}, description="laid over base_training")
    fine_tuning: dict[str, Any] = Field({}, description="laid over fine_tuning")
    weights: Weights | None = Field(None, description="in place of the source that the zoo names")


class Transfer(Section):
    """Table 3: a pre-trained network trains entirely on a fine-grained dataset, then its last layers at a higher resolution (§5.3)."""

    datasets: dict[Literal["cars", "cub", "flowers", "pets", "birdsnap"], Name] = Field(
        {}, description="which entry of `datasets` stands for each of the paper's"
    )
    training: dict[str, Any] = Field(
        {}, description="of the whole network; laid over base_training"
    )
    fine_tuning: dict[str, Any] = Field({}, description="laid over fine_tuning")
    k_train: Pixels = Field(56)
    k_test: Pixels = Field(80, description="where the last layers are fine-tuned")


class WeakSupervision(Section):
    """What stands for the weakly supervised pre-training (WSL, billion-scale) where the paper's weights do not: noisy tags, many images."""

    dataset: Name | None = Field(
        None,
        description="the entry of `datasets` with noisy tags; null: none, such cells are missing",
    )
    training: dict[str, Any] = Field({}, description="on that set; laid over base_training")
    adaptation: dict[str, Any] = Field(
        {}, description="then on the clean set; laid over base_training"
    )


class Matching(Section):
    """Parametric adaptation (§4.2, Appendix A): the distribution of activations at k_test mapped onto that at k_train."""

    images: Count | None = Field(
        50000, description="how many training images the distributions are measured on; null: all"
    )


class Evaluation(Section):
    """How accuracy is measured (§5)."""

    folds: int = Field(
        10, ge=2, description="folds of the standard deviation: each is left out in turn (§5)"
    )


class Table5(Section):
    """Table 5 and Figure 5: top-1 over k_train × k_test, without and with adaptation."""

    k_train: Annotated[list[Pixels], Field(min_length=1)] = Field(
        [16, 32, 40, 56, 96], description="left half"
    )
    k_train_adapted: list[Pixels] = Field(
        [16, 32, 56, 96], description="right half: fine-tuned at every k_test"
    )
    k_test: Annotated[list[Pixels], Field(min_length=1)] = Field([16, 32, 56, 72, 96, 112, 120])


class Released(Section):
    """results/released.md: the weights that the paper's authors published, on the main dataset."""

    test_resize: Literal["released", "paper"] = Field(
        "released",
        description="released: the image's height is scaled to k_test_image, which these weights were tuned with; paper: its shorter side",
    )
    files: dict[Name, str] = Field(
        {}, description="name of the released network -> its file; see the page for the names"
    )


class Pages(Section):
    """How the pages look; changing it runs nothing but the pages."""

    decimals: int = Field(
        1, ge=0, le=4, description="digits after the point of an accuracy in per cent"
    )
    captions: dict[Name, str] = Field(
        {}, description="page (table5, figure5 …) -> what replaces its caption"
    )
    allow_missing: bool = Field(
        False,
        description="cells whose weights or images were not given: shown as missing, with the reason; false: an error",
    )
    allow_failed: bool = Field(
        False,
        description="cells whose run failed when it was last tried: shown as missing, with run and log, and not tried again",
    )


class Hours(Section):
    """For a scheduler: the time limit of one job of each stage, hours."""

    render: Positive = 1.0
    manifest: Positive = 1.0
    pretrained: Positive = 1.0
    train: Positive = 2.0
    match: Positive = 1.0
    finetune: Positive = 1.0
    evaluate: Positive = 1.0
    time: Positive = 1.0


class Memory(Section):
    """For a scheduler: the memory of one job of each stage, gigabytes; a fine-tuning gets cache_gb on top."""

    render: Positive = 2.0
    manifest: Positive = 2.0
    pretrained: Positive = 4.0
    train: Positive = 4.0
    match: Positive = 4.0
    finetune: Positive = 4.0
    evaluate: Positive = 4.0
    time: Positive = 4.0


class Hardware(Section):
    """How the work is spread over the machine. It changes no result and reruns nothing."""

    loader: Literal["auto", "dali", "pillow"] = Field(
        "auto", description="auto: DALI where it is installed, else Pillow"
    )
    workers: Count | None = Field(
        None,
        description="threads that decode and cut images (on a CPU: at most the job's); null: the job's",
    )
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="auto: bf16 autocast where the processor has it"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: a GPU where there is one"
    )
    gpus: int = Field(
        0,
        ge=0,
        description="devices of one training, fine-tuning or evaluation, asked of the scheduler or leased; 0: one, if there is one",
    )
    nodes: Count = Field(
        1, description="machines of one base training, with that many devices each (SLURM only)"
    )
    processes: Count | None = Field(
        None, description="processes of such a job; B stays the global batch; null: one a device"
    )
    compile: bool = Field(
        False, description="torch.compile the networks: slower to start, faster on a GPU"
    )
    render_threads: Count = Field(
        64, description="processes that render and validate; Snakemake caps them at --cores"
    )
    train_threads: Count = Field(1, description="threads of one base training")
    finetune_threads: Count = Field(1, description="threads of one fine-tuning")
    evaluate_threads: Count = Field(1, description="threads of one evaluation")
    hours: Hours = Hours()
    memory_gb: Memory = Memory()
    cache_gb: NotNegative = Field(
        2.0,
        description="memory for the activations of one fine-tuning; beyond it they are recomputed",
    )
    checkpoint_seconds: NotNegative = Field(
        20.0, description="a running job saves its state this often"
    )


class Config(Section):
    """The whole suite at one scale."""

    scale: Name = Field(
        "embedded", description="printed on every page: what the numbers were measured on"
    )
    seed: int = Field(0, ge=0, description="every random number follows from it")
    resolution_divisor: Count = Field(
        4, description="a resolution of this scale times this is the paper's that it stands for"
    )
    k_largest: Pixels = Field(
        120, description="no crop is larger: a resolution of Tables 1 and 2 beyond it becomes this"
    )
    dataset: Name = Field("pinhole", description="the entry of `datasets` that stands for ImageNet")
    datasets: dict[Name, Dataset] = Field(
        {"pinhole": Dataset(rendered=Pinhole())}, description="the sets of images by name"
    )
    protocol: Annotated[str, Field(pattern=r"^[A-Za-z0-9]*$")] = Field(
        "",
        description="a name for these training settings, appended to the runs' names, so that several stand beside each other",
    )
    network: Name = Field(
        "resnet10q", description="the ResNet-50 of this scale: a name of fixres.models.zoo"
    )
    twins: bool = Field(
        True,
        description="small networks of the same classes stand for the paper's others (docs/networks.md)",
    )
    networks: dict[Name, NetworkSettings] = Field(
        {}, description="the paper's network -> what is different for it"
    )
    base_training: BaseTraining = BaseTraining()
    fine_tuning: FineTuning = FineTuning()
    matching: Matching = Matching()
    weak_supervision: WeakSupervision = WeakSupervision()
    transfer: Transfer = Transfer()
    released: Released = Released()
    evaluation: Evaluation = Evaluation()
    table5: Table5 = Table5()
    pages: Pages = Pages()
    hardware: Hardware = Hardware()
