"""Image files: which formats are read, and how their pixels become 8-bit RGB.

Both loaders and the check of a dataset use this module, so all read the same files. The formats
are Pillow's formats for photographs that begin with a signature; `Image.open` tries no others.
(Otherwise it would start Ghostscript for PostScript, whatever the file's name.)
"""

import io
import os
import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # imported where it is used, because planning needs only names from here
    from PIL.Image import Image as PillowImage

FORMATS = {  # Pillow's name -> endings
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "AVIF": (".avif", ".avifs"),
    "JPEG2000": (".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"),
    "QOI": (".qoi",),
    "SGI": (".sgi",),
}
ENDINGS = frozenset(ending for endings in FORMATS.values() for ending in endings)
LIBRARIES = {  # formats for which Pillow needs a library: its name, and Debian's headers
    "WEBP": ("WebP", "libwebp-dev"),
    "AVIF": ("AVIF", "libavif-dev"),
    "JPEG2000": ("JPEG 2000", "libopenjp2-7-dev"),
    "TIFF": ("compressed TIFF", "libtiff-dev"),
}
SIGNATURE = 16  # bytes that identify a format
DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # Pillow's modes with more than 8 bits
# TIFF's tags: PhotometricInterpretation (0: white is zero), SMinSampleValue, SMaxSampleValue.
WHITE_IS_ZERO, SMALLEST, LARGEST = 262, 340, 341
# Pillow's warning about a missing library, which `UnsupportedError` reports.
warnings.filterwarnings("ignore", "image file could not be identified")


class UnsupportedError(Exception):
    """This Pillow was built without the library that an image needs."""


def is_image(file: str) -> bool:
    """Whether a file is an image, by its ending, or by its content if it has no ending."""
    ending = os.path.splitext(file)[1].lower()
    return ending in ENDINGS or (ending in ("", ".") and _has_signature(file))


def _has_signature(file: str) -> bool:
    from PIL import Image, UnidentifiedImageError

    try:
        with open(file, "rb") as f:
            try:
                Image.open(f, formats=tuple(FORMATS))
            except UnidentifiedImageError as error:
                f.seek(0)
                return bool(_lacking(f.read(SIGNATURE), error))
    except Exception:  # reported when the file is decoded
        pass
    return True


def is_plain(content: bytes) -> bool:
    """Whether DALI decodes an image like Pillow: a JPEG, or a PNG with up to 8 bits."""
    png = content.startswith(b"\x89PNG") and content[24:25] <= b"\x08"
    return png or content.startswith(b"\xff\xd8\xff")


def load(content: bytes) -> "PillowImage":
    """The image in a file, or the first picture of an animation.

    Raises UnsupportedError if this Pillow lacks a library, otherwise whatever Pillow raises.
    """
    from PIL import Image

    Image.preinit()  # otherwise the first JPEG imports the readers of all formats
    try:
        image = Image.open(io.BytesIO(content), formats=tuple(FORMATS))
        image.load()
    except Exception as error:
        if lacking := _lacking(content[:SIGNATURE], error):
            raise UnsupportedError(lacking) from None
        raise
    return image


def _lacking(signature: bytes, error: Exception) -> str | None:
    """The library that this Pillow lacks, and the fix; None if `error` has another reason."""
    from PIL import Image

    Image.init()
    for name, (title, headers) in LIBRARIES.items():
        accepted = Image.OPEN[name][1](
            signature
        )  # a text if the image would be accepted with the library
        if isinstance(accepted, str) or (accepted and "not available" in str(error)):
            setup = "sh envs/setup.sh"
            return (
                f"this Pillow cannot read {title}: apt install {headers}, then {setup}; "
                f"or use Pillow's wheel: PILLOW=plain {setup}"
            )
    return None


def to_rgb(image: "PillowImage") -> "PillowImage":
    """An image as 8-bit RGB, without transparency.

    With more than 8 bits, Pillow's own `convert` would clip all values above 255. Raises ValueError
    if the range of such values is unknown (`value_range`).
    """
    if image.mode in DEEP:
        image = _scaled(image)
    # `convert` would copy an image that is already RGB.
    return image if image.mode == "RGB" else image.convert("RGB")


def value_range(image: "PillowImage") -> tuple[float, float]:
    """The values of black and white in an image with more than 8 bits (`DEEP`).

    A TIFF may state them. Otherwise they are 0 and 65,535 for 16 bits, and 0 and 1 for floating
    point. Raises ValueError if there is no such range, for example for 32 bits.
    """
    tags = getattr(image, "tag_v2", {})
    if SMALLEST in tags and LARGEST in tags:
        black, white = float(np.min(tags[SMALLEST])), float(np.max(tags[LARGEST]))
    elif image.mode == "F":
        black, white = 0.0, 1.0
    elif image.mode != "I" or image.format in ("PNG", "PPM"):
        black, white = 0.0, 65535.0
    else:
        black = white = 0.0
    if not black < white:
        raise ValueError(f"mode {image.mode} without a range of values; save it with 8 bits")
    return (white, black) if tags.get(WHITE_IS_ZERO) == 0 else (black, white)


def _scaled(image: "PillowImage") -> "PillowImage":
    """A grey image with more than 8 bits, its range scaled to 0 … 255."""
    from PIL import Image

    (black, white), values = value_range(image), np.asarray(image)
    smallest, largest = float(values.min()), float(values.max())
    if not min(black, white) <= smallest <= largest <= max(black, white):
        got = f"got values from {smallest:g} to {largest:g}"
        raise ValueError(f"{got}, expected {black:g} to {white:g}; save it with 8 bits")
    scaled = (values.astype(np.float64) - black) * (255 / (white - black))
    return Image.fromarray(np.rint(scaled).astype(np.uint8))
