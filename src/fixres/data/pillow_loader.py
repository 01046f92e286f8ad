"""The Pillow loader: each thread decodes some images of a batch and cuts their crops."""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from fixres.artifacts.manifest import Manifest
from fixres.data import image_files
from fixres.data.batch_layout import Crops, count_slots, lay_out
from fixres.data.listed_files import ListedFiles
from fixres.data.regions import Rocs
from fixres.jobs import JobError

# Pixels of the largest image that is resized as a whole, 64 MB. For larger images only the RoC is
# resized, and values may differ by a level (`Rocs.whole`).
LARGEST = 2**24

if TYPE_CHECKING:  # imported where it is used, so that stages with DALI start sooner
    from PIL.Image import Image as PillowImage


def pillow_batches(
    manifest: Manifest,
    requests: Iterable[list[Crops]],
    threads: int,
    ahead: int,
    device: torch.device,
    keep: bool = False,
) -> Iterator[tuple[list[Crops], list[torch.Tensor]]]:
    """`loader.batches` with Pillow; `ahead` is the number of batches in progress at once."""
    listed = ListedFiles(manifest)
    kept: dict[str, PillowImage] = {}  # file -> decoded image
    pinned = device.type == "cuda"  # pinned memory can be copied while the GPU computes

    def cut_images(work: list[tuple], request: list[Crops], pixels: list[torch.Tensor]) -> None:
        arrays = [batch.numpy() for batch in pixels]
        for file, checksum, *crops in work:
            image = kept.get(file) or decode(file, listed.read(file, checksum))
            if keep:
                kept[file] = image
            _cut(image, crops, request, arrays)

    with ThreadPoolExecutor(threads) as pool:

        def submit(request: list[Crops]) -> tuple:
            pixels = [
                torch.empty((len(rocs.image), k, k, 3), dtype=torch.uint8, pin_memory=pinned)
                for rocs, k in request
            ]
            images, crops = lay_out(request, count_slots(request))
            work = list(zip(manifest.files(images), listed.take(images), *crops, strict=True))
            parts = [work[i::threads] for i in range(threads)]
            return request, pixels, [pool.submit(cut_images, p, request, pixels) for p in parts]

        pending: deque = deque()
        submitted = map(submit, requests)
        try:
            while True:
                pending.extend(itertools.islice(submitted, ahead - len(pending)))
                if not pending:
                    return
                request, pixels, futures = pending.popleft()
                for future in futures:
                    future.result()
                yield request, pixels
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def decode(file: str, content: bytes) -> "PillowImage":
    """Decode an RGB image. Raises JobError, which names the file."""
    try:
        with image_files.load(content) as opened:
            return image_files.to_rgb(opened)
    except Exception as error:
        restore = "It was valid when the manifest was built, so restore it."
        raise JobError(f"{file}: cannot be decoded ({error}). {restore}") from None


def _cut(
    image: "PillowImage", crops: list[np.ndarray], request: list[Crops], pixels: list[np.ndarray]
) -> None:
    """Cut the crops of one image, and write them into `pixels`: (n, k, k, 3) per resolution.

    `crops` has the image's rows in the request, per resolution; -1 is an unused slot (`Layout`).
    """
    for (rocs, k), rows, batch in zip(request, crops, pixels, strict=True):
        for row in rows[rows >= 0].tolist():
            batch[row] = np.asarray(crop_of(image, rocs, row, k))


def crop_of(image: "PillowImage", rocs: Rocs, row: int, k: int) -> "PillowImage":
    """One crop of k×k pixels."""
    from PIL import Image

    box = rocs.box[row].tolist()
    if rocs.cut:
        crop = resize(image.crop(tuple(int(v) for v in box)), k)
    elif rocs.whole is not None and np.prod(rocs.whole[row, :2]) <= LARGEST:
        # With the installed Pillow, like timm.
        *size, left, top = rocs.whole[row].tolist()
        crop = image.resize(tuple(size), Image.Resampling.BILINEAR)
        crop = crop.crop((left, top, left + k, top + k))
    else:
        x0, y0, x1, y1 = (0, 0, k, k) if rocs.into is None else rocs.into[row].tolist()
        crop = image.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR, box=box)
        if crop.size != (k, k):
            black = Image.new("RGB", (k, k))
            black.paste(crop, (x0, y0))
            crop = black
    return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rocs.flip[row] else crop


def resize(image: "PillowImage", k: int) -> "PillowImage":
    """Resize a whole RGB image to k×k pixels with Pillow-SIMD.

    If Pillow-SIMD could not be built, torch gives bit-identical pixels, in a third of plain
    Pillow's time (docs/speed.md).
    """
    from PIL import Image

    if is_simd():
        return image.resize((k, k), Image.Resampling.BILINEAR)
    x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    x = functional.interpolate(x, (k, k), mode="bilinear", antialias=True)
    return Image.fromarray(x[0].permute(1, 2, 0).numpy())


def is_simd() -> bool:
    """Whether the installed Pillow is Pillow-SIMD, whose versions end in .post0, .post1 …"""
    import PIL

    return ".post" in PIL.__version__
