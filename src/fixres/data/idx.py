"""IDX, the file format of MNIST and its successors: one array of bytes, gzipped.

http://yann.lecun.com/exdb/mnist: two zeros, the type (8: bytes), the number of dimensions, each
dimension as a big-endian integer of four bytes, then the values.
"""

import gzip
import math
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

BYTES = 8  # the type of the values


class IdxError(Exception):
    """The content is not what the format says."""


def read(f: BinaryIO) -> np.ndarray:
    """The array of an open gzipped IDX file, uint8.

    Raises IdxError for another format or type, too few values or too many; and OSError, EOFError
    and zlib.error, which are gzip's own, where the file is damaged.
    """
    return np.stack(list(rows(f)))


def rows(f: BinaryIO, most: float = math.inf) -> Iterator[np.ndarray]:
    """The same, row by row: of a file of images, each image as it is read. Raises as `read`.

    Raises IdxError, too, where the file says that it has no values, or more than `most`.
    """
    with gzip.open(f) as content:
        shape = _shape(content)
        size = math.prod(shape[1:])
        if not 0 < size * shape[0] <= most:
            raise IdxError(f"found {_words(shape)} values, expected 1 to {most}")
        for number in range(shape[0]):
            values = content.read(size)
            if len(values) < size:
                found = number * size + len(values)
                raise IdxError(f"found {found} values, expected {_words(shape)}")
            yield np.frombuffer(values, np.uint8).reshape(shape[1:])
        if content.read(1):  # at the end, gzip compares its own checksum
            raise IdxError(f"found more values, expected {_words(shape)}")


def _shape(content: BinaryIO) -> list[int]:
    """The dimensions."""
    head = content.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] != BYTES or not head[3]:
        found = head.hex() or "nothing"
        raise IdxError(f"found the magic number {found}, expected 000008 and 01 to 03")
    dimensions = content.read(4 * head[3])
    if len(dimensions) < 4 * head[3]:
        raise IdxError(f"found {len(dimensions)} bytes of dimensions, expected {4 * head[3]}")
    return np.frombuffer(dimensions, ">u4").tolist()


def _words(shape: list[int]) -> str:
    return " x ".join(map(str, shape))


def pack(array: np.ndarray) -> bytes:
    """A gzipped IDX file with this array of bytes; the same bytes every time."""
    head = bytes([0, 0, BYTES, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(head + array.astype(np.uint8).tobytes(), compresslevel=1, mtime=0)


def png_name(index: int) -> str:
    """The name of the file that an image is written to."""
    return f"{index:05}.png"
