"""choice.json: how to test a custom network, and what fixing it gains, as `choose` found it."""

from pathlib import Path

from pydantic import BaseModel

from fixres import jobs


class Setting(BaseModel, frozen=True):
    """One way to test: what was done to the network, and how it looks at an image."""

    method: str  # graph/recommendation.py
    k_test: int  # pixels
    crop_pct: float

    @property
    def alone(self) -> "Setting":
        """It without what a class below it knows of it."""
        return Setting(method=self.method, k_test=self.k_test, crop_pct=self.crop_pct)


class Gain(BaseModel, frozen=True):
    """What a way to choose gains, in points, with its 95% interval.

    The setting is chosen on all images. The gain is measured on the `halves`: what is chosen in the
    same way on one half of the images, measured on the other.
    """

    setting: Setting
    gain: float
    low: float
    high: float
    halves: tuple[Setting, Setting]  # chosen on the first half, and on the second


class Point(Setting, frozen=True):
    """The top-1 of a setting, in per cent, and what it costs."""

    top1: float  # on all validation images, with its 95% interval
    low: float
    high: float
    not_told_apart: bool  # from the best of those that may be recommended
    latency_ms: float  # of one image
    images_per_second: float  # in batches
    megabytes: float  # of a batch
    # The shortest and the longest round of these times.
    latency_ms_low: float
    latency_ms_high: float
    images_per_second_low: float
    images_per_second_high: float


class Exported(Setting, frozen=True):
    """The network that is written for other programs."""

    run: str
    top1: float  # on all validation images
    masked: float | None = None  # the same, if only logits of classes that have images count


class AmongAll(Setting, frozen=True):
    """The top-1 of a setting among all classes of the network, where `Point` has it masked."""

    top1: float


class Times(BaseModel, frozen=True):
    """How many times as long a batch takes, and what single rounds say of it."""

    ratio: float
    low: float
    high: float


class Images(BaseModel, frozen=True):
    """What is known of the images."""

    validation: int
    leaked: int  # validation images that are, byte for byte, training images
    classes: int  # of the network
    absent: int  # of these: classes that no image has
    notes: tuple[str, ...]


class Choice(BaseModel, frozen=True):
    """All that the answer shows."""

    run: str  # the id of the job
    halves: tuple[int, int]  # validation images; on each half a setting is chosen for the other
    usual: Setting  # as the network is used now
    recommended: Setting  # what was chosen; the usual, if that is shown to be better
    chosen: Gain  # of the cheapest that is not told apart from the best, over the usual
    most_accurate: Gain  # over what was chosen
    as_it_is: Gain  # of what is chosen without a change of weights, over the usual
    fixing: Gain  # of what was chosen, over the network as it is at the same k_test
    may_fix: bool  # whether fine-tunings were among what was chosen from: too few images leaked
    masked: bool  # whether accuracies count logits of classes that have images alone
    images: Images
    times_as_long: dict[int, Times]  # k_test -> time of a batch over the time at the usual k_test
    disagree: tuple[str, ...]  # what rounds disagree about; else no conclusion is drawn from times
    speed: str  # the file with the times, below results/
    best_crop_pct: dict[str, dict[int, float]]  # method -> k_test -> the most accurate one
    points: tuple[Point, ...]
    among_all: tuple[AmongAll, ...]  # of the network as it is, where it is masked
    exported: Exported
    batch: int  # images, of the times
    notes: tuple[str, ...]  # on the times


def write(file: Path, choice: Choice) -> None:
    """Write choice.json."""
    jobs.write_json(file, choice.model_dump(mode="json"))


def read(file: Path) -> Choice:
    """Read choice.json. Raises OSError or ValueError, as `jobs.read_json`."""
    return Choice.model_validate(jobs.read_json(file))
