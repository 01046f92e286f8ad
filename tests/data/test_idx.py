"""IDX files: read as torchvision reads them; what is cut short or no IDX is an error."""

import gzip
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor

from fixres.data import idx

SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, max_side=6)


@given(arrays.arrays(np.uint8, SHAPES))
def test_an_array_is_what_torchvision_reads(tmp_path_factory, array):
    packed = idx.pack(array)
    file = tmp_path_factory.getbasetemp() / "array.idx"
    file.write_bytes(gzip.decompress(packed))
    found = idx.read(io.BytesIO(packed))
    assert np.array_equal(found, read_sn3_pascalvincent_tensor(str(file)).numpy())
    assert np.array_equal(found, array)


@given(arrays.arrays(np.uint8, SHAPES), st.data())
def test_a_file_that_is_cut_short_is_an_error(array, data):
    whole = gzip.decompress(idx.pack(array))
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(idx.IdxError, match=r"got .*, expected"):
        idx.read(io.BytesIO(gzip.compress(cut)))


def test_values_beyond_the_end_are_an_error():
    whole = gzip.decompress(idx.pack(np.zeros((2, 3), np.uint8)))
    with pytest.raises(idx.IdxError, match="got more values, expected 2 x 3"):
        idx.read(io.BytesIO(gzip.compress(whole + b"x")))


def test_another_format_is_an_error():
    with pytest.raises(idx.IdxError, match="got the magic number 89504e47, expected 000008"):
        idx.read(io.BytesIO(gzip.compress(b"\x89PNG\r\n")))
