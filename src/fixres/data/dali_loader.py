"""TODO."""

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

from fixres.data.batch_layout import Crops, Layout, _layout, _slots
from fixres.data.listed_files import Listed
from fixres.data.manifest import Manifest
from fixres.jobs import JobError
from fixres.jobs.device import send

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


def _dali_pipeline(
    source: Iterator,
    slots: list[Slot],
    batch_size: int,
    threads: int,
    ahead: int,
    device: torch.device,
):
    """The graph: read, decode once, then one cut and one resize for each slot of an image."""
    from nvidia.dali import fn, pipeline_def, types

    mixed = device.type == "cuda"
    device_id = (device.index or 0) if mixed else None

    turns = {
        "exec_async": ahead > 1,
        "exec_pipelined": ahead > 1,
    }  # off: no thread of DALI's own but the workers

    @pipeline_def(
        batch_size=batch_size,
        num_threads=threads,
        device_id=device_id,
        prefetch_queue_depth=ahead,
        **turns,
    )
    def graph():
        files, *geometry = fn.external_source(
            source=source, num_outputs=1 + sum(slot.inputs for slot in slots), batch=True
        )
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
                crop = fn.resize(
                    fn.slice(image, start=start, end=end, axes=[0, 1]), size=size, **resize
                )
            else:
                crop = fn.resize(
                    image, size=size, roi_start=start, roi_end=end, roi_relative=False, **resize
                )
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
            feed += [
                list(np.stack([y0, x0], axis=1)),
                list(np.stack([y1, x1], axis=1)),
                list(flips[:, slot]),
            ]
            if views.into is not None:
                x0, y0, x1, y1 = views.into[rows[:, slot]].T
                feed += [
                    list(np.stack([y1 - y0, x1 - x0], axis=1).astype(np.float32)),
                    list(np.stack([-y0, -x0], axis=1).astype(np.int32)),
                ]
    return tuple(feed)


def _dali_batches(
    manifest: Manifest,
    requests: Iterable[list[Crops]],
    threads: int,
    ahead: int,
    device: torch.device,
) -> Iterator[tuple[list[Crops], list[torch.Tensor]]]:
    stream = iter(requests)
    first = next(stream, None)
    if first is None:
        return
    slots = _slots(first)
    under_way: deque[tuple[list[Crops], Layout]] = deque()
    listed = Listed(manifest)

    def compare(images: np.ndarray) -> None:
        fresh = [
            (file, checksum)
            for file, checksum in zip(manifest.files(images), listed.take(images), strict=True)
            if checksum
        ]
        for _ in pool.map(lambda work: listed.read(*work), fresh):
            pass

    def source() -> Iterator[tuple]:
        for request in itertools.chain([first], stream):
            layout = _layout(request, slots)
            compare(layout.images)
            under_way.append((request, layout))
            yield _dali_feed(manifest, request, layout)

    kinds = [
        Slot(k, views.cut, views.into is not None)
        for (views, k), n in zip(first, slots, strict=True)
        for _ in range(n)
    ]
    pipeline = _dali_pipeline(
        source(), kinds, max(len(views.image) for views, _ in first), threads, ahead, device
    )
    with ThreadPoolExecutor(threads) as pool:
        while True:
            try:
                # The outputs belong to torch's stream: its kernels wait for DALI's, and DALI takes the memory back only behind them.
                outputs = pipeline.run(
                    torch.cuda.current_stream(device) if device.type == "cuda" else None
                )
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
