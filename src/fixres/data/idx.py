"""IDX, the file format of MNIST and its successors: one gzipped array of bytes.

http://yann.lecun.com/exdb/mnist: two zeros, the type (8: bytes), the number of dimensions, each
dimension as a big-endian four-byte integer, then the values.
"""

import gzip
import math
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

BYTES = 8  # the type of the values


class IdxError(Exception):
    """The content does not follow the format."""


def read(f: BinaryIO) -> np.ndarray:
    """The array of an open gzipped IDX file, uint8.

    Raises IdxError for another format or type, or a wrong number of values; and gzip's OSError,
    EOFError and zlib.error if the file is damaged.
    """
    return np.stack(list(rows(f)))


def rows(f: BinaryIO, most: float = math.inf) -> Iterator[np.ndarray]:
    """The array row by row: for a file of images, each image as it is read. Raises like `read`.

    Also raises IdxError if the file has no values or more than `most`, by its own header.
    """
    with gzip.open(f) as content:
        shape = _shape(content)
        size = math.prod(shape[1:])
        if not 0 < size * shape[0] <= most:
            raise IdxError(f"got {_words(shape)} values, expected 1 to {most}")
        for number in range(shape[0]):
            values = content.read(size)
            if len(values) < size:
                found = number * size + len(values)
                raise IdxError(f"got {found} values, expected {_words(shape)}")
            yield np.frombuffer(values, np.uint8).reshape(shape[1:])
        if content.read(1):  # at the end, gzip checks its own checksum
            raise IdxError(f"got more values, expected {_words(shape)}")


def _shape(content: BinaryIO) -> list[int]:
    """The dimensions."""
    head = content.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] != BYTES or not head[3]:
        found = head.hex() or "nothing"
        raise IdxError(f"got the magic number {found}, expected 000008 and 01 to 03")
    dimensions = content.read(4 * head[3])
    if len(dimensions) < 4 * head[3]:
        raise IdxError(f"got {len(dimensions)} bytes of dimensions, expected {4 * head[3]}")
    return np.frombuffer(dimensions, ">u4").tolist()


def _words(shape: list[int]) -> str:
    return " x ".join(map(str, shape))


def pack(array: np.ndarray) -> bytes:
    """A gzipped IDX file of an array of bytes; the result is reproducible."""
    head = bytes([0, 0, BYTES, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(head + array.astype(np.uint8).tobytes(), compresslevel=1, mtime=0)


def png_name(index: int) -> str:
    """The file name for an image."""
    return f"{index:05}.png"
