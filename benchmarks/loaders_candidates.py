"""One way to load crops, in a separate process. Part of loaders.py.

    python benchmarks/loaders_candidates.py CANDIDATE FOLDER

For each measurement it reads a line of JSON from its standard input, {"work": title}, and answers
with a line: processor milliseconds per crop and crops per second. For {"work": "pixels"} it
writes the crops of SHOWN validation images, under test DA at 224 px, to FOLDER/CANDIDATE.npy.

Each candidate uses one thread, or one worker process.
"""

import itertools
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

BATCH, SHOWN = 64, 64
BETON = {"train": "train.beton", "val": "val.beton"}  # FFCV's own format


class Work(NamedTuple):
    """What has to be cut."""

    resolutions: list[int]  # pixels
    train: bool  # training images under train DA, or validation images under test DA
    repeats: int = 1  # crops of each training image (RA)


WORKS = {
    "train DA at 128": Work([128], train=True),
    "train DA at 224": Work([224], train=True),
    "RA 3 at 128": Work([128], train=True, repeats=3),
    "RA 3 at 224": Work([224], train=True, repeats=3),
    "test DA at 224": Work([224], train=False),
    "test DA at seven sizes": Work([64, 128, 224, 288, 384, 448, 480], train=False),
}

# A candidate is a function (folder, work) -> iterator. Each item it yields is one epoch: an
# iterator over batches of uint8 crops. The first epoch is not timed: in it the suite compares each
# file with its checksum, and FFCV compiles. A new call starts over.
Epochs = Iterator[Iterator[np.ndarray]]


# --- the suite ------------------------------------------------------------------------------------


def suite(name: str) -> Callable[[Path, Work], Epochs]:
    """This suite's loader `name`.

    An evaluation reads each image once, so each of its epochs is a new job, checksums included.
    """

    def epochs(folder: Path, work: Work) -> Epochs:
        from fixres.artifacts import manifest
        from fixres.data import loader, regions, sampling

        data = manifest.load(folder / "manifest.npz")
        rows = data.rows("train" if work.train else "val")
        augmentation = regions.Augmentation("train DA" if work.train else "test DA")

        def order(epoch: int) -> tuple[np.ndarray, np.ndarray | None]:
            if not work.train:
                return np.arange(len(rows)), None
            n = len(rows)
            return sampling.order(0, epoch, n, n * work.repeats, work.repeats)

        def requests(epochs: Iterator[int]) -> Iterator[list[loader.Crops]]:
            for epoch in epochs:
                image, repeat = order(epoch)
                for start in range(0, len(image), BATCH):
                    chosen = rows[image[start : start + BATCH]]
                    part = None if repeat is None else repeat[start : start + BATCH]
                    drawn = (chosen, data.height[chosen], data.width[chosen], 0, epoch, part)
                    yield [
                        loader.Crops(regions.rocs(augmentation, k, *drawn), k)
                        for k in work.resolutions
                    ]

        def cut(epochs: Iterator[int]) -> Iterator[np.ndarray]:
            for _, pixels in loader.batches(data, requests(epochs), name, 1):
                yield from (crops.numpy() for crops in pixels)

        if not work.train:
            yield from (cut(iter([0])) for _ in itertools.count())
        together = cut(itertools.count())
        batches = -(-len(rows) * work.repeats // BATCH)
        yield from (itertools.islice(together, batches) for _ in itertools.count())

    return epochs


# --- what a user would pick instead ---------------------------------------------------------------


def torchvision_loop(folder: Path, work: Work) -> Epochs:
    """ImageFolder, v2 transforms and a DataLoader, which decode an image again for each crop."""
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    from fixres.data import regions

    def once() -> Iterator[np.ndarray]:
        for k in work.resolutions:
            if work.train:
                split, crop = "train", [v2.RandomResizedCrop(k), v2.RandomHorizontalFlip()]
            else:
                split, crop = "val", [v2.Resize(regions.test_image_size(k)), v2.CenterCrop(k)]
            images = ImageFolder(folder / split, v2.Compose([*crop, v2.PILToTensor()]))
            for _ in range(work.repeats):
                batches = DataLoader(images, BATCH, num_workers=1, shuffle=work.train)
                yield from (crops.permute(0, 2, 3, 1).numpy() for crops, _ in batches)

    yield from (once() for _ in itertools.count())


def torchvision_io(folder: Path, work: Work) -> Epochs:
    """torchvision.io and v2 on tensors; the loop decodes each image once for all its crops."""
    import torch
    from torchvision import io
    from torchvision.transforms import v2

    from fixres.data import regions

    files = sorted(map(str, (folder / ("train" if work.train else "val")).rglob("*.jpg")))
    if work.train:
        looks = [
            v2.Compose([v2.RandomResizedCrop(k), v2.RandomHorizontalFlip()])
            for k in work.resolutions
            for _ in range(work.repeats)
        ]
    else:
        looks = [
            v2.Compose([v2.Resize(regions.test_image_size(k)), v2.CenterCrop(k)])
            for k in work.resolutions
        ]

    def once() -> Iterator[np.ndarray]:
        for start in range(0, len(files), BATCH):
            part = files[start : start + BATCH]
            images = [io.decode_jpeg(io.read_file(file), io.ImageReadMode.RGB) for file in part]
            for look in looks:
                yield torch.stack([look(image) for image in images]).permute(0, 2, 3, 1).numpy()

    yield from (once() for _ in itertools.count())


def ffcv(folder: Path, work: Work) -> Epochs:
    """FFCV on its own file of the same JPEGs; it decodes an image again for each crop."""
    from ffcv.fields.rgb_image import (
        CenterCropRGBImageDecoder,
        RandomResizedCropRGBImageDecoder,
        RGBImageField,
    )
    from ffcv.loader import Loader, OrderOption

    file = str(folder / BETON["train" if work.train else "val"])
    order = OrderOption.RANDOM if work.train else OrderOption.SEQUENTIAL
    loaders = [
        Loader(
            file,
            batch_size=BATCH,
            num_workers=1,
            order=order,
            drop_last=False,
            custom_fields={"image": RGBImageField},
            pipelines={
                "image": [
                    RandomResizedCropRGBImageDecoder((k, k))
                    if work.train
                    else CenterCropRGBImageDecoder((k, k), 224 / 256)
                ],
                "label": None,
            },
        )
        for k in work.resolutions
        for _ in range(work.repeats)
    ]

    def once() -> Iterator[np.ndarray]:
        for one in loaders:
            yield from (np.asarray(crops) for crops, *_ in one)

    yield from (once() for _ in itertools.count())


def write_beton(folder: Path) -> None:
    """Write FFCV's files: the JPEGs as they are."""
    from ffcv.fields import IntField
    from ffcv.fields.rgb_image import RGBImageField
    from ffcv.writer import DatasetWriter

    class AsTheyAre(RGBImageField):
        """The bytes of the file, in place of a JPEG that is encoded again."""

        def encode(self, destination, image, malloc):
            height, width, content = image
            destination["mode"], destination["height"], destination["width"] = 0, height, width
            content = np.frombuffer(content, np.uint8)
            destination["data_ptr"], storage = malloc(content.nbytes)
            storage[:] = content

    class Files:
        def __init__(self, split: str):
            self.files = sorted((folder / split).rglob("*.jpg"))

        def __len__(self) -> int:
            return len(self.files)

        def __getitem__(self, i: int) -> tuple:
            from PIL import Image

            with Image.open(self.files[i]) as image:
                width, height = image.size
            return (height, width, self.files[i].read_bytes()), 0

    for split, file in BETON.items():
        fields = {"image": AsTheyAre(), "label": IntField()}
        DatasetWriter(str(folder / file), fields, num_workers=1).from_indexed_dataset(Files(split))


CANDIDATES: dict[str, Callable[[Path, Work], Epochs]] = {
    "torchvision + DataLoader": torchvision_loop,
    "suite, Pillow-SIMD": suite("pillow"),
    "suite, plain Pillow": suite("pillow"),
    "suite, DALI": suite("dali"),
    "torchvision.io + v2, one decode": torchvision_io,
    "FFCV": ffcv,
}


# --- measuring ------------------------------------------------------------------------------------


def cpu() -> float:
    """Processor seconds of this process and its finished children."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def measure(epochs: Epochs, crops: int) -> dict:
    """Time one epoch."""
    started, before = time.perf_counter(), cpu()
    counted = sum(len(batch) for batch in next(epochs))
    if counted != crops:
        raise AssertionError(f"{counted} crops, expected {crops}")
    seconds = cpu() - before
    return {"ms": 1000 * seconds / crops, "rate": crops / (time.perf_counter() - started)}


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    if name.startswith("suite") or "torchvision" in name:
        import torch

        torch.set_num_threads(1)
    if name == "FFCV":
        write_beton(folder)
    started: dict[str, Epochs] = {}
    images = {split: len(list((folder / split).rglob("*.jpg"))) for split in ("train", "val")}
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        title = json.loads(line)["work"]
        if title == "pixels":
            first = next(next(CANDIDATES[name](folder, WORKS["test DA at 224"])))
            np.save(folder / f"{name}.npy", first[:SHOWN])
            print(json.dumps({}), flush=True)
            continue
        work = WORKS[title]
        if title not in started:
            started[title] = CANDIDATES[name](folder, work)
            for _ in next(started[title]):
                pass
        crops = images["train" if work.train else "val"] * work.repeats * len(work.resolutions)
        print(json.dumps(measure(started[title], crops)), flush=True)


if __name__ == "__main__":
    main()
