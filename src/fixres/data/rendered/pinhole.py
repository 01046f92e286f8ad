"""The `pinhole` images: the imaging model of §3.1, rendered to real JPEG files.

An object of size R at distance Z, seen by a camera of focal length f = k·sqrt(HW), spans
r = f·R/Z = k·sqrt(HW)·r1 pixels of an H×W image. Here k = 1, and r1 = R/Z is log-normal. So the
true apparent size of every object is known, and eqs. (4) and (5) can be measured.

A class is a silhouette × a hue. The hue is easy to learn, so training makes progress from the
start. The silhouettes (hexagon or circle? five points or seven?) reward resolution, without tying a
class to one spatial frequency. Everything else is a nuisance: pattern, light, rotation, background,
distractors, image size and aspect ratio.

Every image is a function of (seed, split, index), its class and the settings of its look. The
number of processes has no effect. `twins.py` decides which files the images become.
"""

import io
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from PIL import Image, ImageDraw

from fixres.artifacts.manifest import SPLITS
from fixres.config.datasets import Silhouette
from fixres.data.sources.base import Box
from fixres.hardware.pool import spread
from fixres.jobs import naming_in_errors, progress

POLYGONS = {"triangle": 3, "square": 4, "pentagon": 5, "hexagon": 6, "heptagon": 7, "octagon": 8}
SILHOUETTES = get_args(Silhouette)
HUES = {"red": 0.0, "orange": 27.0, "yellow": 55.0, "green": 120.0}  # degrees
HUES |= {"cyan": 180.0, "blue": 225.0, "violet": 270.0, "pink": 318.0}
# Rows and columns of an image -> the colours of a surface in them, h×w×3, 0..1.
Surface = Callable[[slice, slice], np.ndarray]
SUPERSAMPLING = 4  # a shape's mask is drawn this many times larger, so that its edge is smooth
CHUNK = 100  # images that a process renders at once


def class_names(settings: dict) -> list[str]:
    """The classes in label order: every silhouette in every hue, sorted as ImageFolder sorts."""
    return sorted(
        f"{silhouette}-{hue}" for silhouette in settings["silhouettes"] for hue in settings["hues"]
    )


# --- shapes and colours -------------------------------------------------------------------------


def outline(silhouette: str) -> np.ndarray:
    """Vertices of a silhouette, shape (n, 2), with unit area, about the origin."""
    if silhouette == "cross":
        arm = 0.36
        corners = [(arm, 1), (arm, arm), (1, arm), (1, -arm), (arm, -arm), (arm, -1)]
        points = np.array(corners + [(-x, -y) for x, y in corners])
    elif silhouette == "bar":
        points = np.array([(-3, -1), (3, -1), (3, 1), (-3, 1)])
    elif silhouette.startswith("star"):
        n = int(silhouette.removeprefix("star"))
        angles = np.arange(2 * n) * math.pi / n
        radii = np.where(np.arange(2 * n) % 2 == 0, 1.0, 0.72)
        points = np.stack([np.sin(angles) * radii, np.cos(angles) * radii], axis=1)
    else:
        n = POLYGONS[silhouette]
        angles = np.arange(n) * 2 * math.pi / n
        points = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    x, y = points.T
    area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    return points / math.sqrt(area)


def _rotated(points: np.ndarray, angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return points @ np.array([[c, s], [-s, c]])


def _rgb(hue_degrees: float, saturation: float, value: float) -> np.ndarray:
    """HSV to RGB; saturation, value and the result in 0..1."""
    sector = (np.array([5.0, 3.0, 1.0]) + hue_degrees / 60.0) % 6.0
    return value - value * saturation * np.clip(np.minimum(sector, 4.0 - sector), 0.0, 1.0)


def shape_mask(
    points: np.ndarray, height: int, width: int
) -> tuple[slice, slice, np.ndarray] | None:
    """The rows and columns that a polygon occupies, and its coverage there, in 0..1.

    The edge is antialiased. None if the polygon is outside the image.
    """
    x0, y0 = np.maximum(np.floor(points.min(axis=0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 1, (width, height))
    if x0 >= x1 or y0 >= y1:
        return None
    mask = Image.new("L", (int(x1 - x0) * SUPERSAMPLING, int(y1 - y0) * SUPERSAMPLING))
    ImageDraw.Draw(mask).polygon([tuple(p) for p in (points - (x0, y0)) * SUPERSAMPLING], fill=255)
    coverage = np.asarray(mask.reduce(SUPERSAMPLING), dtype=np.float32) / 255.0
    return slice(y0, y1), slice(x0, x1), coverage


def _paint(canvas: np.ndarray, points: np.ndarray, paint: np.ndarray | Surface) -> None:
    """Apply `paint`, a colour or a surface, to the canvas inside the polygon."""
    found = shape_mask(points, *canvas.shape[:2])
    if found is None:
        return
    rows, columns, coverage = found
    surface = paint(rows, columns) if callable(paint) else paint
    canvas[rows, columns] += coverage[..., None] * (surface - canvas[rows, columns])


# --- one image ----------------------------------------------------------------------------------


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Clutter: smooth colour noise at two scales, then a few small shapes. H×W×3, 0..1."""
    canvas = np.empty((height, width, 3), np.float32)
    grey = rng.uniform(50, 205, (3, 3, 1))
    coarse = np.clip(grey + rng.uniform(-30, 30, (3, 3, 3)), 0, 255).astype(np.uint8)
    canvas[:] = _enlarged(coarse, height, width, Image.BICUBIC) / 255.0
    fine = rng.uniform(96, 160, (max(height // 6, 2), max(width // 6, 2))).astype(np.uint8)
    canvas += (_enlarged(fine, height, width, Image.BILINEAR)[..., None] - 128.0) / 255.0
    for _ in range(rng.integers(3, 8)):
        angles = np.sort(rng.uniform(0, 2 * math.pi, rng.integers(3, 7)))
        radius = math.sqrt(height * width) * rng.uniform(0.02, 0.07)
        corners = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius
        points = corners + rng.uniform(0, 1, 2) * (width, height)
        colour = _rgb(rng.uniform(0, 360), rng.uniform(0, 0.5), rng.uniform(0.2, 0.9))
        _paint(canvas, points, colour)
    return canvas


def _enlarged(small: np.ndarray, height: int, width: int, resample: int) -> np.ndarray:
    """A small uint8 image, resized; float32, 0..255."""
    return np.asarray(Image.fromarray(small).resize((width, height), resample), np.float32)


def _surface(rng: np.random.Generator, hue: str, size: float) -> Surface:
    """The object's surface: a random pattern of light and dark in its hue."""
    degrees = HUES[hue] + rng.normal(0, 6)
    light = _rgb(degrees, rng.uniform(0.55, 0.95), rng.uniform(0.65, 1.0))
    dark = light * rng.uniform(0.75, 0.95)
    angle = rng.uniform(0, math.pi)
    frequency = rng.uniform(1.0, 5.0) / size
    phase = rng.uniform(0, 1)
    pattern = rng.integers(3)

    def part(rows: slice, columns: slice) -> np.ndarray:
        y, x = np.ogrid[rows, columns]
        along = (np.cos(angle) * x + np.sin(angle) * y) * frequency + phase
        across = (-np.sin(angle) * x + np.cos(angle) * y) * frequency + phase
        if pattern == 0:
            mix = np.zeros(along.shape)
        elif pattern == 1:
            mix = np.sin(2 * math.pi * along)
        else:
            mix = np.sin(2 * math.pi * along) * np.sin(2 * math.pi * across)
        weight = np.clip(0.5 + 2.0 * mix, 0, 1)[..., None].astype(np.float32)
        return dark + (light - dark) * weight

    return part


class Rendered(NamedTuple):
    """One image, and the truth about its object."""

    pixels: np.ndarray  # H×W×3 uint8
    r: float  # its apparent size, pixels
    box: Box  # around the part of the object in the image


def render(label: int, split: str, index: int, settings: dict) -> Rendered:
    """One image.

    Source: §3.1.1, r = k·sqrt(HW)·r1 with k = 1. `label` is an index into `class_names(settings)`;
    the settings are the pinhole section of the configuration (`fixres.config.Pinhole`), as a dict.
    """
    stream = np.random.Philox(key=[settings["seed"], SPLITS.index(split)], counter=[0, 0, 0, index])
    rng = np.random.Generator(stream)
    silhouette, hue = class_names(settings)[label].split("-")
    low, high = settings["shorter_side"]
    shorter, aspect = rng.uniform(low, high), math.exp(rng.uniform(0.0, math.log(1.45)))
    height, width = int(shorter), int(shorter * aspect)
    if rng.random() < 0.3:  # portraits
        height, width = width, height
    scale = math.sqrt(height * width)

    canvas = _background(rng, height, width)
    drawn = math.exp(rng.normal(math.log(settings["r1_median"]), settings["r1_sigma"]))
    r = scale * min(drawn, settings["r1_largest"])
    centre = np.array([width, height]) / 2 + rng.normal(0, settings["off_centre"], 2) * scale
    points = _rotated(outline(silhouette), rng.uniform(0, 2 * math.pi)) * r + centre
    _paint(canvas, points, _surface(rng, hue, r))

    slope = rng.normal(0, 0.25, 2)  # light: a gradient across the image, and an exposure
    y, x = np.ogrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    canvas *= ((1 + slope[0] * x + slope[1] * y) * rng.uniform(0.75, 1.2))[..., None]
    box = np.clip([points.min(axis=0), points.max(axis=0)] / np.array([width, height]), 0, 1)
    pixels = (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Rendered(pixels, r, tuple(box.ravel().tolist()))


# --- files --------------------------------------------------------------------------------------


class Truth(NamedTuple):
    """The truth about the object in a file."""

    r: float  # its apparent size in the file, pixels
    box: Box


class Drawing(NamedTuple):
    """One image to be rendered, and the file that it becomes."""

    path: str  # below the folder
    label: int  # the class that is drawn
    split: str
    index: int
    form: str = "RGB"  # RGB, L (grey) or CMYK: a JPEG of that mode. PNG: an RGB PNG
    side: int = 0  # pixels: the image is resized to this square; 0: not resized


def draw(
    folder: Path, drawings: Sequence[Drawing], settings: dict, processes: int = 1
) -> list[Truth]:
    """Render files below `folder`."""
    for parent in sorted({os.path.dirname(drawing.path) for drawing in drawings}):
        (folder / parent).mkdir(parents=True, exist_ok=True)
    starts = range(0, len(drawings), CHUNK)
    work = [(str(folder), drawings[i : i + CHUNK], settings) for i in starts]
    truths: list[Truth] = []
    with progress("rendering", len(drawings), "images") as bar:
        for part in spread(_write, work, processes):
            truths += part
            bar.update(len(part))
    return truths


def _write(work: tuple[str, Sequence[Drawing], dict]) -> list[Truth]:
    """Render and write some files below a folder."""
    folder, drawings, settings = work
    truths = []
    for drawing in drawings:
        pixels, r, box = render(drawing.label, drawing.split, drawing.index, settings)
        image, encoded = Image.fromarray(pixels), io.BytesIO()
        if drawing.side:
            r *= drawing.side / math.sqrt(image.width * image.height)
            image = image.resize((drawing.side, drawing.side), Image.BICUBIC)
        if drawing.form == "PNG":
            image.save(encoded, "PNG")
        else:
            converted = image if drawing.form == "RGB" else image.convert(drawing.form)
            converted.save(encoded, "JPEG", quality=settings["jpeg_quality"])
        # Pillow must not write the file itself, because it reports no error if the disk fills up in
        # the middle of a file.
        file = Path(folder, drawing.path)
        with naming_in_errors(file):
            file.write_bytes(encoded.getbuffer())
        truths.append(Truth(r, box))
    return truths
