"""The DALI loader: one graph that decodes each image once and cuts all its crops.

DALI decodes 8-bit JPEGs and PNGs like Pillow. It receives all other images as decoded by Pillow,
and also the files of a batch that it cannot load, because Pillow reads some damaged files that DALI
does not.
"""

import itertools
import os
import resource
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, NamedTuple

import numpy as np
import torch

from fixres.artifacts.manifest import Manifest
from fixres.data.batch_layout import Crops, Layout, count_slots, lay_out
from fixres.data.listed_files import ListedFiles
from fixres.data.pillow_loader import decode
from fixres.hardware.device import send
from fixres.jobs import JobError


def dali_batches(
    manifest: Manifest,
    requests: Iterable[list[Crops]],
    threads: int,
    ahead: int,
    device: torch.device,
) -> Iterator[tuple[list[Crops], list[torch.Tensor]]]:
    """`loader.batches` with DALI; `ahead` is the number of batches in progress at once.

    The first request determines the graph: its resolutions and the slots per image.
    """
    stream = iter(requests)  # requests that are not in progress yet
    first = next(stream, None)
    if first is None:
        return
    slots_per_image = count_slots(first)
    slots = [
        Slot(k, rocs.cut, rocs.into is not None)
        for (rocs, k), n in zip(first, slots_per_image, strict=True)
        for _ in range(n)
    ]
    batch_size = max(len(rocs.image) for rocs, _ in first)
    in_work: deque[tuple[list[Crops], Layout, list[BinaryIO]]] = deque()
    listed = ListedFiles(manifest)

    def feed(requests: Iterable[list[Crops]]) -> Iterator[tuple]:
        for request in requests:
            layout = lay_out(request, slots_per_image)
            listed.compare(layout.images, pool)
            files = manifest.files(layout.images)
            odd = np.flatnonzero(~listed.plain[layout.images]).tolist()
            copies = list(pool.map(_decoded, [files[i] for i in odd], itertools.repeat(listed)))
            in_work.append((request, layout, copies))
            for i, copy in zip(odd, copies, strict=True):
                files[i] = f"/proc/self/fd/{copy.fileno()}"
            yield _graph_inputs(files, request, layout)

    def start(again: list[list[Crops]]):
        source = feed(itertools.chain(again, stream))
        return _pipeline(source, slots, batch_size, threads, ahead, device)

    pipeline = start([first])
    # Each copy is an open file, and the usual limit of a process is 1,024 unless it asks for more.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with ThreadPoolExecutor(threads) as pool:
        while True:
            # The outputs belong to torch's stream: its kernels wait for DALI's, and DALI reuses the
            # memory only after them.
            queue = torch.cuda.current_stream(device) if device.type == "cuda" else None
            try:
                outputs = pipeline.run(queue)
            except StopIteration:
                return
            except JobError:  # from `feed`; also a RuntimeError
                raise
            except RuntimeError as error:
                rows = np.array([row for _, layout, _ in in_work for row in layout.images], int)
                if not listed.plain[rows].any():
                    said = (str(error).strip() or type(error).__name__).splitlines()[0]
                    fix = "Set it to pillow."
                    problem = f"hardware.loader: DALI cannot load a batch ({said}). {fix}"
                    raise JobError(problem) from None
                # DALI does not name the file. So it receives all of these as decoded by Pillow, and
                # `_decoded` names the file that Pillow cannot read either.
                listed.plain[rows] = False
                again = [request for request, _, _ in in_work]
                in_work.clear()
                pipeline = start(again)
                continue
            request, layout, _ = in_work.popleft()
            yield request, _crops_of(outputs, layout, device)


def _decoded(file: str, listed: ListedFiles) -> BinaryIO:
    """An image as decoded by Pillow, in an in-memory PPM file that disappears when closed."""
    image = decode(file, listed.read(file, checksum=0))
    try:
        memory = open(os.memfd_create("image"), "w+b")  # noqa: SIM115
    except OSError as error:
        fix = "Raise the limit (ulimit -n), or set hardware.loader to pillow."
        raise JobError(f"{file}: cannot be passed to DALI ({error.strerror}). {fix}") from None
    image.save(memory, "PPM")
    memory.flush()
    return memory


# --- the graph ----------------------------------------------------------------------------------


class Slot(NamedTuple):
    """One crop of each image of a batch."""

    k: int
    cut: bool  # True: cut, then resize. False: resize, then cut
    placed: bool  # the RoC fills only a rectangle of the crop, surrounded by black

    @property
    def inputs(self) -> int:
        """The number of graph inputs for this slot: the parameters of `_cut` after the slot."""
        return 5 if self.placed else 3


def _pipeline(
    feed: Iterator, slots: list[Slot], batch: int, threads: int, ahead: int, device: torch.device
):
    """The graph: read, decode once, then cut and resize for each slot of an image."""
    from nvidia.dali import fn, pipeline_def, types

    on_gpu = device.type == "cuda"
    pipelined = ahead > 1  # False: DALI has no threads except its workers

    @pipeline_def(
        batch_size=batch,
        num_threads=threads,
        device_id=(device.index or 0) if on_gpu else None,
        prefetch_queue_depth=ahead,
        exec_async=pipelined,
        exec_pipelined=pipelined,
    )
    def graph():
        files, *geometry = fn.external_source(
            source=feed, num_outputs=1 + sum(slot.inputs for slot in slots), batch=True
        )
        image = fn.decoders.image(
            fn.io.file.read(files),
            device="mixed" if on_gpu else "cpu",
            output_type=types.RGB,
            adjust_orientation=False,  # like ImageFolder and Pillow, which ignore EXIF orientation
            jpeg_fancy_upsampling=True,  # on the GPU: the same chroma filter as libjpeg
        )
        return tuple(
            _cut(image, slot, *(geometry.pop(0) for _ in range(slot.inputs))) for slot in slots
        )

    return graph()


def _cut(image, slot: Slot, start, end, flip, size=None, anchor=None):
    """The nodes of the graph for one slot: the RoC from start to end, resized, perhaps flipped.

    For a placed slot, `size` and `anchor` give the size of the rectangle and its place in the crop.
    """
    from nvidia.dali import fn, types

    k = [slot.k, slot.k]
    linear = {"interp_type": types.INTERP_LINEAR, "antialias": True}
    resize = linear | {"size": size if slot.placed else k}
    if slot.cut:
        crop = fn.resize(fn.slice(image, start=start, end=end, axes=[0, 1]), **resize)
    else:
        crop = fn.resize(image, roi_start=start, roi_end=end, roi_relative=False, **resize)
    if slot.placed:
        black = {"out_of_bounds_policy": "pad", "fill_values": 0}
        crop = fn.slice(crop, start=anchor, shape=k, axes=[0, 1], **black)
    return fn.flip(crop, horizontal=flip)


# --- from a request to the inputs of the graph, and from its outputs to crops --------------------


def _graph_inputs(files: list[str], request: list[Crops], layout: Layout) -> tuple:
    """The inputs of the graph for one batch: the files, then the inputs of every slot.

    The files are a list of arrays, because names differ in length. Every other input is one array
    with a row per image.
    """
    inputs: list = [[np.frombuffer(os.fsencode(file), np.uint8) for file in files]]
    for (rocs, _), crops in zip(request, layout.crops, strict=True):
        # An unused slot repeats the crop in the image's first slot; `_crops_of` drops the result.
        rows = np.where(crops >= 0, crops, crops[:, :1])
        boxes = rocs.box.astype(np.int32 if rocs.cut else np.float32)[rows]
        flips = rocs.flip.astype(np.int32)[rows]
        for slot in range(crops.shape[1]):
            x0, y0, x1, y1 = boxes[:, slot].T
            start, end = np.stack([y0, x0], axis=1), np.stack([y1, x1], axis=1)
            inputs += [start, end, flips[:, slot].copy()]
            if rocs.into is not None:
                x0, y0, x1, y1 = rocs.into[rows[:, slot]].T
                size = np.stack([y1 - y0, x1 - x0], axis=1).astype(np.float32)
                anchor = np.stack([-y0, -x0], axis=1).astype(np.int32)
                inputs += [size, anchor]
    return tuple(inputs)


def _crops_of(outputs: tuple, layout: Layout, device: torch.device) -> list[torch.Tensor]:
    """The crops of a batch for each resolution, in the order of the request."""
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
