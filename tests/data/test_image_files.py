"""What an image file is: by its content, for the listing and for both loaders alike."""

import base64
import io
import os

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, TiffImagePlugin, features

from fixres.data import building, image_files, loader, regions, validate
from fixres.data.sources import Listing
from fixres.jobs import JobError
from shared import ROOT, textured

dali = pytest.mark.skipif(not loader.dali_is_installed(), reason="DALI has no wheel here")
SIDE = 48
COLOUR = textured(SIDE, SIDE, 5)
GREY = COLOUR.convert("L")
DEEP = np.asarray(GREY).astype(np.uint16) * 257  # the same greys in 16 bits
FLOAT = (DEEP / 65535).astype(np.float32)
WEBP = base64.b64decode(
    "UklGRjAAAABXRUJQVlA4ICQAAACwAQCdASoMAAoAAsBMJaQAAuacumgAAP70X9belkxS+R7JAAA="
)


def encoded(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def tiff(values: np.ndarray, tags: dict) -> bytes:
    about = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        about[tag] = value
    return encoded(Image.fromarray(values), "TIFF", tiffinfo=about)


ODD = {  # name of a file -> its content
    "16 bits.png": encoded(Image.fromarray(DEEP), "PNG"),
    "16 bits.tif": encoded(Image.fromarray(DEEP), "TIFF"),
    "white is zero.tif": tiff(65535 - DEEP, {262: 0}),
    "float.tif": encoded(Image.fromarray(FLOAT), "TIFF"),
    "float to 4095.tif": tiff(FLOAT * 4095, {340: 0.0, 341: 4095.0}),
    "animated.jpg": encoded(GREY, "GIF"),
    "bitmap.jpg": encoded(GREY, "BMP"),
    "no ending": encoded(GREY, "PNG"),
    "portable.PGM": encoded(GREY, "PPM"),
    "sgi.sgi": encoded(GREY, "SGI"),
    "palette.png": encoded(GREY.convert("P"), "PNG"),
    "transparent.png": encoded(Image.merge("LA", (GREY, GREY)), "PNG"),
    "a.jfif": encoded(GREY, "JPEG", quality=100),
    "a.jpe": encoded(GREY, "JPEG", quality=100),
}
SCALED = 5  # the first of these


@pytest.fixture
def odd(tmp_path):
    """An image folder of odd files, all of the same picture; and its report."""
    folder(tmp_path / "set", ODD)
    data = building.build(tmp_path / "set", report=tmp_path / "report.md")
    return data, (tmp_path / "report.md").read_text(encoding="utf-8")


def folder(root, files: dict[str, bytes]) -> None:
    """The files as a class's training images, beside another class and validation images."""
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            COLOUR.save(root / split / name / "0.png")
    for name, content in files.items():
        (root / "train" / "cat" / name).write_bytes(content)


def crops(data, name: str, images) -> np.ndarray:
    """The whole images, as a loader hands them over."""
    h, w = data.height[images], data.width[images]
    whole = regions.Augmentation("test DA", crop_pct=1.0)
    request = loader.Crops(regions.rocs(whole, SIDE, images, h, w), SIDE)
    [(_, [pixels])] = loader.batches(data, [[request]], name)
    return pixels.numpy()


def rows_of(data) -> tuple[list[str], np.ndarray]:
    names = [os.path.basename(os.fsdecode(path)) for path in data.path]
    rows = np.array([row for row, name in enumerate(names) if name in ODD])
    return [names[row] for row in rows], rows


@pytest.mark.parametrize("name", ["pillow", pytest.param("dali", marks=dali)])
def test_every_file_gives_the_same_greys(odd, name):
    """Values of more than 8 bits are scaled, whatever the file is called, by both loaders."""
    data, _ = odd
    names, rows = rows_of(data)
    assert set(names) == set(ODD)
    for file, pixels in zip(names, crops(data, name, rows), strict=True):
        difference = np.abs(pixels.astype(int) - np.asarray(GREY.convert("RGB"))).max()
        assert difference <= (file.startswith("a.j")), file


@dali
def test_an_odd_file_leaves_its_neighbours_as_they_are(odd):
    data, _ = odd
    _, rows = rows_of(data)
    [plain] = crops(data, "dali", np.array([len(data.path) - 1]))
    mixed = crops(data, "dali", np.array([*rows, len(data.path) - 1]))
    assert np.array_equal(plain, mixed[-1])


def test_scaled_images_are_told(odd):
    data, report = odd
    [note] = data.notes
    assert (
        f"images of more than 8 bits for a value, scaled to 0 … 255 by their range: {SCALED}."
        in note
    )
    assert f"## scaled ({SCALED})" in report
    assert "- `train/cat/float to 4095.tif`: 0 to 4095" in report
    assert "- `train/cat/16 bits.png`: 0 to 65535" in report


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (encoded(Image.fromarray(FLOAT * 255), "TIFF"), "got values from .*, expected 0 to 1"),
        (tiff(FLOAT, {340: 0.5, 341: 1.0}), "got values from .*, expected 0.5 to 1"),
        (encoded(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF"), "from nan to nan"),
        (
            encoded(Image.fromarray(DEEP.astype(np.int32)), "TIFF"),
            "mode I without a range of values",
        ),
    ],
)
def test_values_without_a_known_range_are_no_image(tmp_path, content, expected):
    folder(tmp_path, {"x.tif": content})
    with pytest.raises(JobError, match=rf"x\.tif: cannot be decoded \(ValueError: .*{expected}"):
        building.build(tmp_path)


# --- formats that this Pillow cannot read ---------------------------------------------------------


@pytest.fixture
def without_libraries(monkeypatch):
    """Pillow as if it had been built without libwebp and libtiff."""

    def no_tiff(image):
        raise OSError("decoder libtiff not available")

    Image.init()
    factory, _ = Image.OPEN["WEBP"]
    lacking = "image file could not be identified because WEBP support not installed"
    no_webp = factory, lambda signature: signature[8:12] == b"WEBP" and lacking
    monkeypatch.setitem(Image.OPEN, "WEBP", no_webp)
    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "_load_libtiff", no_tiff)


@pytest.mark.filterwarnings("ignore:image file could not be identified")
@pytest.mark.parametrize("on_bad", ["stop", "exclude"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x.webp", "this Pillow cannot read WebP: apt install libwebp-dev"),
        ("no ending", "this Pillow cannot read WebP: apt install libwebp-dev"),
        ("x.tif", "this Pillow cannot read compressed TIFF: apt install libtiff-dev"),
    ],
)
def test_a_good_image_that_this_pillow_cannot_read(
    tmp_path, without_libraries, on_bad, name, expected
):
    """It is not left out as bad: with another Pillow the dataset would be another one."""
    content = compressed_tiff() if name == "x.tif" else WEBP
    folder(tmp_path, {name: content, "cut.png": ODD["palette.png"][:99]})
    with pytest.raises(JobError, match=rf"1 bad file.*\n.*{name}.*{expected}.*PILLOW=plain") as e:
        building.build(tmp_path, on_bad=on_bad)
    assert "Replace or remove" not in str(e.value)


def compressed_tiff() -> bytes:
    """A TIFF that says it is compressed by PackBits: that takes a library to read."""
    content = bytearray(encoded(GREY, "TIFF"))
    at = content.index(b"\x03\x01\x03\x00\x01\x00\x00\x00\x01\x00")  # Compression: none
    content[at + 8 : at + 10] = (32773).to_bytes(2, "little")
    return bytes(content)


@pytest.mark.skipif(not features.check("webp"), reason="this Pillow was built without libwebp")
def test_webp_is_read_where_pillow_has_the_library(tmp_path):
    folder(tmp_path, {"x.webp": WEBP})
    assert len(building.build(tmp_path).rows("train")) == 3


# --- what is no image -----------------------------------------------------------------------------


def test_postscript_starts_no_ghostscript(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **o: started.append(a))
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    folder(tmp_path, {"x.jpg": script, "y.eps": script, "z": script})
    with pytest.raises(JobError, match=r"1 bad file.*\n.*x\.jpg: cannot be decoded"):
        building.build(tmp_path)
    (tmp_path / "train/cat/x.jpg").unlink()
    assert "skipped: 1 .eps, 1 without an ending." in building.build(tmp_path).notes[0]
    assert not started


def test_a_text_that_begins_like_an_image_is_none(tmp_path):
    folder(
        tmp_path, {"README": b"Python reads these: P5, BMP, II* ...", "BUGS": b"BM is no bitmap"}
    )
    assert "skipped: 2 without an ending" in building.build(tmp_path).notes[0]


def test_a_listed_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "1.jpg")
    listing = Listing(("a",), [("1.jpg", 0, 0)], ("t", "v"))
    [remark] = validate.inspect(tmp_path, listing).remarks
    assert remark == ("unreadable", "1.jpg", "OSError: not a regular file")


def test_a_long_thin_image_is_not_resized_as_a_whole(tmp_path, monkeypatch):
    folder(tmp_path, {"x.png": encoded(Image.new("L", (65000, 1), 7), "PNG")})
    data = building.build(tmp_path)
    [row] = [r for r, path in enumerate(data.path) if path.endswith(b"x.png")]
    sizes, resize = [], Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda image, *a, **o: sizes.append(a[0]) or resize(image, *a, **o)
    )
    [pixels] = crops(data, "pillow", np.array([row]))
    assert np.all(pixels == 7)
    assert sizes == [(SIDE, SIDE)]


def test_endings_are_pillows():
    Image.init()
    for name, endings in image_files.FORMATS.items():
        assert name in Image.OPEN
        assert {Image.EXTENSION.get(ending, name) for ending in endings} <= {name, "MPO"}


def test_the_documentation_names_every_ending():
    words = {word.strip(",") for word in (ROOT / "docs/datasets.md").read_text("utf-8").split()}
    assert not set(image_files.ENDINGS) - words
