"""Two loaders, one geometry: DALI and Pillow-SIMD cut exactly the RoCs of `roc.py` and hand out uint8.

A request is one batch: the crops to cut, as one `Views` for each resolution. An image that several crops come from (the repeats of
RA, or several test resolutions) is read and decoded once. What is handed over is what the network will see before normalisation;
that and the colour jitter happen on the device (`to_device`), alike for both loaders.

DALI's own random crops depend on its batch size and threads; here it only executes rectangles that are given to it.

The first time that a file is read it is compared with the manifest's checksum: an image of other content is other training data.
"""

import functools
import io
import itertools
import math
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from fixres.data.manifest import Manifest
from fixres.data.roc import Views
from fixres.data.validate import checksum_of
from fixres.device import send
from fixres.job import JobError

CPU = torch.device("cpu")
PREFETCH = 3  # batches in memory while a GPU computes, with the one in use
PERMUTATIONS = torch.tensor([(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
GREY = (0.2989, 0.587, 0.114)  # ITU-R 601-2 luma, as torchvision and Pillow convert to grey


class Crops(NamedTuple):
    """One resolution of one batch: n crops of k×k pixels."""

    views: Views
    k: int


def resolve(loader: str) -> str:
    """`auto` is DALI where it is installed (Linux), else Pillow. Raises JobError where DALI is asked for and missing."""
    from importlib.util import find_spec

    installed = find_spec("nvidia") is not None and find_spec("nvidia.dali") is not None
    if loader == "dali" and not installed:
        raise JobError("hardware.loader: found dali, which is not installed here (its wheels are for Linux); take auto or pillow")
    return ("dali" if installed else "pillow") if loader == "auto" else loader


def batches(
    manifest: Manifest, requests: Iterable[list[Crops]], loader: str = "auto", threads: int = 1, device: torch.device = CPU
) -> Iterator[tuple[list[Crops], list[torch.Tensor]]]:
    """Cut the crops of each request: beside a GPU a few requests ahead of the consumer, on a CPU in turn with it.

    There the network computes on the same cores, with all the threads that the job was given: what is loaded meanwhile would take a core
    from the job beside it. (Measured: benchmarks/side_by_side.py.)

    Parameters
    ----------
    requests : one entry a batch; every entry has the same resolutions in the same order.
    threads : worker threads, on a CPU at most those of torch; they change nothing but the speed.

    Yields
    ------
    Each request with its pixels: one (n, k, k, 3) uint8 tensor per resolution, in memory, or on `device` where DALI decodes there.
    """
    ahead = PREFETCH
    if device.type == "cpu":
        ahead, threads = 1, min(threads, torch.get_num_threads())
    cut = _dali_batches if resolve(loader) == "dali" else _pillow_batches
    return cut(manifest, requests, threads, ahead, device)


def to_device(crops: torch.Tensor, views: Views, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """uint8 crops to what the network sees: jittered, scaled to [0, 1], normalised; (n, 3, k, k) float32 in channels_last."""
    x = send(crops, device).permute(0, 3, 1, 2).float() / 255
    if views.jitter is not None:
        x = colour_jitter(x, torch.from_numpy(views.jitter), torch.from_numpy(views.jitter_order))
    return (x - _channels(mean, device)) / _channels(std, device)


@functools.cache
def _channels(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """(1, 3, 1, 1), made once: a copy to a GPU waits for what it is computing."""
    return torch.tensor(values, device=device).view(1, 3, 1, 1)


def colour_jitter(x: torch.Tensor, factors: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Brightness, contrast and saturation of every image scaled by its own factors, in its own order.

    Each of the three is a blend f·x + (1 - f)·reference, clamped to [0, 1]; the reference is black, the image's mean grey, or each
    pixel's grey. Equals torchvision's adjust_brightness, adjust_contrast and adjust_saturation.

    Parameters
    ----------
    x : (n, 3, h, w) in [0, 1].
    factors : (n, 3) factors of brightness, contrast, saturation.
    order : (n,) in 0..5, which permutation of the three.
    """
    sequence = PERMUTATIONS[order]
    factors, sequence = send(factors.gather(1, sequence), x.device), send(sequence, x.device)
    for position in range(3):
        f, operation = (a[:, position].view(-1, 1, 1, 1) for a in (factors, sequence))
        grey = (x * _channels(GREY, x.device)).sum(dim=1, keepdim=True)
        flat = torch.where(operation == 0, 0.0, grey.mean(dim=(2, 3), keepdim=True))
        reference = torch.where(operation == 2, grey, flat)
        x = (f * x + (1 - f) * reference).clamp(0, 1)
    return x


# --- which image is decoded for which crops -------------------------------------------------------------------------------------


class Layout(NamedTuple):
    """A batch seen from its images: each is decoded once and cut into up to `slots` crops of every resolution."""

    images: np.ndarray  # (m,) row of the manifest
    crops: list[np.ndarray]  # for each resolution (m, slots): which crop of the request; -1: the slot is unused


def _slots(request: list[Crops]) -> list[int]:
    """For each resolution, how many crops of one image the request holds at most."""
    return [max(Counter(views.image.tolist()).values()) for views, _ in request]


def _layout(request: list[Crops], slots: list[int]) -> Layout:
    """Images in order of appearance; one with more crops than slots (an image drawn twice) is listed again."""
    wanted: dict[int, list[list[int]]] = {}
    for which, (views, _) in enumerate(request):
        for row, image in enumerate(views.image.tolist()):
            wanted.setdefault(image, [[] for _ in request])[which].append(row)
    images: list[int] = []
    crops: list[list[list[int]]] = [[] for _ in request]
    for image, rows in wanted.items():
        for turn in range(max(math.ceil(len(r) / s) for r, s in zip(rows, slots, strict=True))):
            images.append(image)
            for out, r, s in zip(crops, rows, slots, strict=True):
                part = r[turn * s : (turn + 1) * s]
                out.append(part + [-1] * (s - len(part)))
    return Layout(np.array(images, np.int64), [np.array(c, np.int64) for c in crops])


# --- whether a file is still the one that the manifest lists ---------------------------------------------------------------------


class Listed:
    """The checksums of a manifest's files, each handed out once: what has been compared is not compared again in this job."""

    def __init__(self, manifest: Manifest):
        self.folder, self.left = manifest.folder, manifest.checksum.copy()  # 0: nothing to compare (any more)

    def take(self, images: np.ndarray) -> list[int]:
        """The checksum of each of some rows."""
        taken = self.left[images].tolist()
        self.left[images] = 0
        return taken

    def read(self, file: str, checksum: int) -> bytes:
        """The content of a file. Raises `JobError` naming it where it cannot be read or is not what the manifest was built from."""
        try:
            data = Path(file).read_bytes()
        except OSError as error:
            raise JobError(f"{file}: cannot be read ({error.strerror}); it was there when the manifest was built: restore it") from None
        if checksum and checksum_of(data) != checksum:
            raise JobError(
                f"{file}: not the file that the manifest was built from: altered or cut short since. Restore it; or delete {self.folder}, "
                "where this suite made it, and the manifest, and let Snakemake make both again"
            )
        return data


# --- Pillow ------------------------------------------------------------------------------------------------------------------


def _cut_pillow(file: str, content: bytes, crops: list[np.ndarray], request: list[Crops], out: list[np.ndarray]) -> None:
    """Decode one image and write its crops where they belong in the batch."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as opened:
            image = opened.convert("RGB")
    except Exception as error:
        raise JobError(f"{file}: cannot be decoded ({error}); it was whole when the manifest was built: restore it") from None
    for (views, k), rows, batch in zip(request, crops, out, strict=True):
        for row in rows[rows >= 0].tolist():
            box = views.box[row].tolist()
            if views.cut:
                crop = image.crop(tuple(int(v) for v in box)).resize((k, k), Image.Resampling.BILINEAR)
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
    manifest: Manifest, requests: Iterable[list[Crops]], threads: int, ahead: int, device: torch.device
) -> Iterator[tuple[list[Crops], list[torch.Tensor]]]:
    def work(jobs: list[tuple], request: list[Crops], out: list[torch.Tensor]) -> None:
        arrays = [batch.numpy() for batch in out]
        for file, checksum, *crops in jobs:
            _cut_pillow(file, listed.read(file, checksum), crops, request, arrays)

    pinned = device.type == "cuda"  # so that the copy to the device does not wait for what it is computing
    listed = Listed(manifest)

    with ThreadPoolExecutor(threads) as pool:

        def submit(request: list[Crops]) -> tuple:
            out = [torch.empty((len(views.image), k, k, 3), dtype=torch.uint8, pin_memory=pinned) for views, k in request]
            images, crops = _layout(request, _slots(request))
            jobs = list(zip(manifest.files(images), listed.take(images), *crops, strict=True))
            return request, out, [pool.submit(work, jobs[i::threads], request, out) for i in range(threads)]

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


# --- DALI --------------------------------------------------------------------------------------------------------------------


class Slot(NamedTuple):
    """One crop of each image of a batch."""

    k: int
    cut: bool  # cut, then resize; else the other way round
    placed: bool  # in a rectangle of the crop, with black around it

    @property
    def inputs(self) -> int:
        """What the graph reads for it: start and end of the RoC, flip; where it is placed, its size and place in the crop."""
        return 5 if self.placed else 3


def _dali_pipeline(source: Iterator, slots: list[Slot], batch_size: int, threads: int, ahead: int, device: torch.device):
    """The graph: read, decode once, then one cut and one resize for each slot of an image."""
    from nvidia.dali import fn, pipeline_def, types

    mixed = device.type == "cuda"
    device_id = (device.index or 0) if mixed else None

    turns = {"exec_async": ahead > 1, "exec_pipelined": ahead > 1}  # off: no thread of DALI's own but the workers

    @pipeline_def(batch_size=batch_size, num_threads=threads, device_id=device_id, prefetch_queue_depth=ahead, **turns)
    def graph():
        files, *geometry = fn.external_source(source=source, num_outputs=1 + sum(slot.inputs for slot in slots), batch=True)
        image = fn.decoders.image(
            fn.io.file.read(files),
            device="mixed" if mixed else "cpu",
            output_type=types.RGB,
            adjust_orientation=False,  # neither ImageFolder nor Pillow's open() turns images by their EXIF tag
            jpeg_fancy_upsampling=True,  # on the GPU: the chroma filter that libjpeg uses
        )
        resize = {"interp_type": types.INTERP_LINEAR, "antialias": True}
        crops = []
        for slot in slots:
            start, end, flip, *place = (geometry.pop(0) for _ in range(slot.inputs))
            size = place[0] if slot.placed else [slot.k, slot.k]
            if slot.cut:
                crop = fn.resize(fn.slice(image, start=start, end=end, axes=[0, 1]), size=size, **resize)
            else:
                crop = fn.resize(image, size=size, roi_start=start, roi_end=end, roi_relative=False, **resize)
            if slot.placed:
                around = {"axes": [0, 1], "out_of_bounds_policy": "pad", "fill_values": 0}
                crop = fn.slice(crop, start=place[1], shape=[slot.k, slot.k], **around)
            crops.append(fn.flip(crop, horizontal=flip))
        return tuple(crops)

    return graph()


def _dali_feed(manifest: Manifest, request: list[Crops], layout: Layout) -> tuple:
    """What the graph reads for one batch: the files, then the inputs of every slot."""
    feed: list = [[np.frombuffer(os.fsencode(f), np.uint8) for f in manifest.files(layout.images)]]
    for (views, _), crops in zip(request, layout.crops, strict=True):
        # An unused slot cuts some crop's rectangle of the image's own first slot; it is dropped in `_assemble`.
        rows = np.where(crops >= 0, crops, crops[:, :1])
        boxes = views.box.astype(np.int32 if views.cut else np.float32)[rows]
        flips = views.flip.astype(np.int32)[rows]
        for slot in range(crops.shape[1]):
            x0, y0, x1, y1 = boxes[:, slot].T
            feed += [list(np.stack([y0, x0], axis=1)), list(np.stack([y1, x1], axis=1)), list(flips[:, slot])]
            if views.into is not None:
                x0, y0, x1, y1 = views.into[rows[:, slot]].T
                feed += [list(np.stack([y1 - y0, x1 - x0], axis=1).astype(np.float32)), list(np.stack([-y0, -x0], axis=1).astype(np.int32))]
    return tuple(feed)


def _dali_batches(
    manifest: Manifest, requests: Iterable[list[Crops]], threads: int, ahead: int, device: torch.device
) -> Iterator[tuple[list[Crops], list[torch.Tensor]]]:
    stream = iter(requests)
    first = next(stream, None)
    if first is None:
        return
    slots = _slots(first)
    under_way: deque[tuple[list[Crops], Layout]] = deque()
    listed = Listed(manifest)

    def compare(images: np.ndarray) -> None:
        fresh = [(file, checksum) for file, checksum in zip(manifest.files(images), listed.take(images), strict=True) if checksum]
        for _ in pool.map(lambda work: listed.read(*work), fresh):
            pass

    def source() -> Iterator[tuple]:
        for request in itertools.chain([first], stream):
            layout = _layout(request, slots)
            compare(layout.images)
            under_way.append((request, layout))
            yield _dali_feed(manifest, request, layout)

    kinds = [Slot(k, views.cut, views.into is not None) for (views, k), n in zip(first, slots, strict=True) for _ in range(n)]
    pipeline = _dali_pipeline(source(), kinds, max(len(views.image) for views, _ in first), threads, ahead, device)
    with ThreadPoolExecutor(threads) as pool:
        while True:
            try:
                # The outputs belong to torch's stream: its kernels wait for DALI's, and DALI takes the memory back only behind them.
                outputs = pipeline.run(torch.cuda.current_stream(device) if device.type == "cuda" else None)
            except StopIteration:
                return
            except JobError:
                raise
            except RuntimeError as error:
                # DALI names no file: name the ones that are gone, or else all of the batch.
                files = manifest.files(under_way[0][1].images)
                bad = [file for file in files if not os.path.isfile(file)] or files
                names = "\n  ".join(bad[:10])
                raise JobError(
                    f"one of these {len(bad)} files cannot be loaded; they were whole when the manifest was built: restore them\n"
                    f"  {names}\nDALI says: {str(error).strip().splitlines()[0]}"
                ) from None
            request, layout = under_way.popleft()
            yield request, _assemble(outputs, layout, device)


def _assemble(outputs: tuple, layout: Layout, device: torch.device) -> list[torch.Tensor]:
    """Slots back to crops, in the order of the request."""
    result, at = [], 0
    for crops in layout.crops:
        slots = outputs[at : at + crops.shape[1]]
        at += crops.shape[1]
        image, slot = np.nonzero(crops >= 0)
        order = np.argsort(crops[image, slot])
        index = send(torch.from_numpy(np.stack([slot[order], image[order]])), device)
        if device.type == "cuda":
            parts = torch.stack([torch.from_dlpack(s.as_tensor()) for s in slots])
        else:
            parts = torch.stack([torch.from_numpy(s.as_array()) for s in slots])
        result.append(parts[index[0], index[1]])
    return result
