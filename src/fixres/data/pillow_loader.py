"""TODO."""

import io
import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from fixres.data.batch_layout import Crops, _layout, _slots
from fixres.data.listed_files import Listed
from fixres.data.manifest import Manifest
from fixres.jobs import JobError

# --- Pillow ------------------------------------------------------------------------------------------------------------------


def _cut_pillow(
    file: str, content: bytes, crops: list[np.ndarray], request: list[Crops], out: list[np.ndarray]
) -> None:
    """Decode one image and write its crops where they belong in the batch."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as opened:
            image = opened.convert("RGB")
    except Exception as error:
        raise JobError(
            f"{file}: cannot be decoded ({error}); it was whole when the manifest was built: restore it"
        ) from None
    for (views, k), rows, batch in zip(request, crops, out, strict=True):
        for row in rows[rows >= 0].tolist():
            box = views.box[row].tolist()
            if views.cut:
                crop = image.crop(tuple(int(v) for v in box)).resize(
                    (k, k), Image.Resampling.BILINEAR
                )
            else:
                x0, y0, x1, y1 = (0, 0, k, k) if views.into is None else views.into[row].tolist()
                crop = image.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR, box=box)
                if crop.size != (k, k):
                    black = Image.new("RGB", (k, k))
                    black.paste(crop, (x0, y0))
                    crop = black
            if views.flip[row]:
                crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            batch[row] = np.asarray(crop)


def _pillow_batches(
    manifest: Manifest,
    requests: Iterable[list[Crops]],
    threads: int,
    ahead: int,
    device: torch.device,
) -> Iterator[tuple[list[Crops], list[torch.Tensor]]]:
    def work(jobs: list[tuple], request: list[Crops], out: list[torch.Tensor]) -> None:
        arrays = [batch.numpy() for batch in out]
        for file, checksum, *crops in jobs:
            _cut_pillow(file, listed.read(file, checksum), crops, request, arrays)

    pinned = (
        device.type == "cuda"
    )  # so that the copy to the device does not wait for what it is computing
    listed = Listed(manifest)

    with ThreadPoolExecutor(threads) as pool:

        def submit(request: list[Crops]) -> tuple:
            out = [
                torch.empty((len(views.image), k, k, 3), dtype=torch.uint8, pin_memory=pinned)
                for views, k in request
            ]
            images, crops = _layout(request, _slots(request))
            jobs = list(zip(manifest.files(images), listed.take(images), *crops, strict=True))
            return (
                request,
                out,
                [pool.submit(work, jobs[i::threads], request, out) for i in range(threads)],
            )

        pending: deque = deque()
        under_way = map(submit, requests)
        try:
            while True:
                pending.extend(itertools.islice(under_way, ahead - len(pending)))
                if not pending:
                    return
                request, out, futures = pending.popleft()
                for future in futures:
                    future.result()
                yield request, out
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
