"""IDX, the file format of MNIST and its successors: one array of bytes, gzipped.

http://yann.lecun.com/exdb/mnist: two zeros, the type (8: bytes), the number of dimensions, each
dimension as a big-endian integer of four bytes, then the values.
"""

import gzip
from typing import BinaryIO

import numpy as np

BYTES = 8  # the type of the values


class IdxError(Exception):
    """The content is not what the format says."""


def read(f: BinaryIO) -> np.ndarray:
    """The array of an open gzipped IDX file, uint8.

    Raises
    ------
    IdxError : another format or type, too few values or too many.
    OSError, EOFError, zlib.error : gzip's own, where the file is damaged.
    """
    with gzip.open(f) as content:
        head, data = content.read(4), content.read()
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] != BYTES or not head[3]:
        raise IdxError(
            f"found the magic number {head.hex() or 'nothing'}, expected 000008 and 1..3"
        )
    start = 4 * head[3]  # of the values
    if len(data) < start:
        raise IdxError(f"found {len(data)} bytes, expected {start} for the dimensions alone")
    shape = np.frombuffer(data[:start], ">u4").astype(int)
    values = np.frombuffer(data[start:], np.uint8)
    if values.size != shape.prod():
        raise IdxError(f"found {values.size} values, expected {' x '.join(map(str, shape))}")
    return values.reshape(shape)


def pack(array: np.ndarray) -> bytes:
    """A gzipped IDX file with this array of bytes; the same bytes every time."""
    head = bytes([0, 0, BYTES, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(head + array.astype(np.uint8).tobytes(), compresslevel=1, mtime=0)


def png_name(index: int) -> str:
    """The name of the file that an image is written to."""
    return f"{index:05}.png"
