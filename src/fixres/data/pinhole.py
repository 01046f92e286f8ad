"""The `pinhole` set: the imaging model of §3.1 rendered to real JPEG files in ImageFolder layout.

An object of size R at distance Z, seen by a camera of focal length f = k·sqrt(HW), spans r = f·R/Z = k·sqrt(HW)·r1 pixels
of an H×W image. Here k = 1 and r1 = R/Z is log-normal, so that the true apparent size of every object is known and eqs. (4)
and (5) can be measured rather than assumed.

A class is a silhouette × a hue. The hue gives the gradient something to learn at once; the silhouettes (hexagon or circle?
five points or seven?) reward resolution without tying a class to one spatial frequency. Everything else is a nuisance: pattern,
light, rotation, background, distractors, image size and aspect ratio.

Every image is a function of (seed, split, index) alone, so the number of processes changes nothing.
"""

import csv
import math
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from fixres import job
from fixres.job import progress

SILHOUETTES = ("bar", "triangle", "hexagon", "cross", "star5", "star7")
HUES = ("red", "green", "blue", "yellow")
HUE_DEGREES = {"red": 0.0, "yellow": 55.0, "green": 120.0, "blue": 225.0}
SPLITS = ("train", "val")
SUPERSAMPLING = 4  # the mask of a shape is drawn this much larger, so that its edge is antialiased


def class_names() -> list[str]:
    """The classes in label order: names sorted, as ImageFolder does."""
    return sorted(f"{silhouette}-{hue}" for silhouette in SILHOUETTES for hue in HUES)


def outline(silhouette: str) -> np.ndarray:
    """Vertices of a silhouette, shape (n, 2), scaled to unit area about the origin."""
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
        n = {"triangle": 3, "hexagon": 6}[silhouette]
        angles = np.arange(n) * 2 * math.pi / n
        points = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    x, y = points.T
    area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    return points / math.sqrt(area)


def _rgb(hue_degrees: float, saturation: float, value: float) -> np.ndarray:
    """HSV to RGB, each in 0..1."""
    sector = (np.array([5.0, 3.0, 1.0]) + hue_degrees / 60.0) % 6.0
    return value - value * saturation * np.clip(np.minimum(sector, 4.0 - sector), 0.0, 1.0)


def _shape_mask(points: np.ndarray, height: int, width: int) -> tuple[slice, slice, np.ndarray] | None:
    """Antialiased coverage (0..1) of a polygon, with the rows and columns it occupies; None where it misses the image."""
    x0, y0 = np.maximum(np.floor(points.min(axis=0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 1, (width, height))
    if x0 >= x1 or y0 >= y1:
        return None
    mask = Image.new("L", (int(x1 - x0) * SUPERSAMPLING, int(y1 - y0) * SUPERSAMPLING))
    ImageDraw.Draw(mask).polygon([tuple(p) for p in (points - (x0, y0)) * SUPERSAMPLING], fill=255)
    coverage = np.asarray(mask.reduce(SUPERSAMPLING), dtype=np.float32) / 255.0
    return slice(y0, y1), slice(x0, x1), coverage


def _paint(canvas: np.ndarray, points: np.ndarray, paint: np.ndarray) -> None:
    """Lay `paint` (a colour, or an H×W×3 surface) over the canvas inside the polygon."""
    found = _shape_mask(points, *canvas.shape[:2])
    if found is None:
        return
    rows, columns, coverage = found
    surface = paint[rows, columns] if paint.ndim == 3 else paint
    canvas[rows, columns] += coverage[..., None] * (surface - canvas[rows, columns])


def _rotated(points: np.ndarray, angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return points @ np.array([[c, s], [-s, c]])


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Clutter: smooth colour noise at two scales, then a few small shapes in any colour. H×W×3, 0..1."""
    canvas = np.empty((height, width, 3), np.float32)
    grey = rng.uniform(50, 205, (3, 3, 1))
    coarse = np.clip(grey + rng.uniform(-30, 30, (3, 3, 3)), 0, 255).astype(np.uint8)
    canvas[:] = np.asarray(Image.fromarray(coarse).resize((width, height), Image.BICUBIC), np.float32) / 255.0
    fine = rng.uniform(96, 160, (max(height // 6, 2), max(width // 6, 2))).astype(np.uint8)
    canvas += (np.asarray(Image.fromarray(fine).resize((width, height), Image.BILINEAR), np.float32)[..., None] - 128.0) / 255.0
    for _ in range(rng.integers(3, 8)):
        angles = np.sort(rng.uniform(0, 2 * math.pi, rng.integers(3, 7)))
        radius = math.sqrt(height * width) * rng.uniform(0.02, 0.07)
        points = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius + rng.uniform(0, 1, 2) * (width, height)
        _paint(canvas, points, _rgb(rng.uniform(0, 360), rng.uniform(0, 0.5), rng.uniform(0.2, 0.9)))
    return canvas


def _surface(rng: np.random.Generator, hue: str, size: float, height: int, width: int) -> np.ndarray:
    """The object's surface: its hue with a random pattern of light and dark of the same hue. H×W×3, 0..1."""
    degrees = HUE_DEGREES[hue] + rng.normal(0, 6)
    light = _rgb(degrees, rng.uniform(0.55, 0.95), rng.uniform(0.65, 1.0))
    dark = light * rng.uniform(0.75, 0.95)
    angle, frequency, phase = rng.uniform(0, math.pi), rng.uniform(1.0, 5.0) / size, rng.uniform(0, 1)
    y, x = np.ogrid[:height, :width]
    along = (np.cos(angle) * x + np.sin(angle) * y) * frequency + phase
    across = (-np.sin(angle) * x + np.cos(angle) * y) * frequency + phase
    pattern = rng.integers(3)
    if pattern == 0:
        mix = np.zeros((height, width))
    elif pattern == 1:
        mix = np.sin(2 * math.pi * along)
    else:
        mix = np.sin(2 * math.pi * along) * np.sin(2 * math.pi * across)
    weight = np.clip(0.5 + 2.0 * mix, 0, 1)[..., None].astype(np.float32)
    return dark + (light - dark) * weight


def render(label: int, split: str, index: int, settings: dict) -> tuple[np.ndarray, float]:
    """One image and the true apparent size of its object.

    Parameters
    ----------
    label : index into `class_names()`.
    settings : the pinhole section of the configuration (`fixres.config.Pinhole`), as a dict.

    Returns
    -------
    (H×W×3 uint8, r in pixels of this image). Source: §3.1.1, r = k·sqrt(HW)·r1 with k = 1.
    """
    stream = np.random.Philox(key=[settings["seed"], SPLITS.index(split)], counter=[0, 0, 0, index])
    rng = np.random.Generator(stream)
    silhouette, hue = class_names()[label].split("-")
    low, high = settings["shorter_side"]
    shorter, aspect = rng.uniform(low, high), math.exp(rng.uniform(0.0, math.log(1.45)))
    height, width = int(shorter), int(shorter * aspect)
    if rng.random() < 0.3:  # portraits
        height, width = width, height
    scale = math.sqrt(height * width)

    canvas = _background(rng, height, width)
    r1 = min(math.exp(rng.normal(math.log(settings["r1_median"]), settings["r1_sigma"])), settings["r1_largest"])
    r = scale * r1
    centre = np.array([width, height]) / 2 + rng.normal(0, settings["off_centre"], 2) * scale
    points = _rotated(outline(silhouette), rng.uniform(0, 2 * math.pi)) * r + centre
    _paint(canvas, points, _surface(rng, hue, r, height, width))

    slope = rng.normal(0, 0.25, 2)  # light: a gradient across the image and an exposure
    y, x = np.ogrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    canvas *= ((1 + slope[0] * x + slope[1] * y) * rng.uniform(0.75, 1.2))[..., None]
    return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8), r


def _label_of(index: int) -> int:
    return index % len(class_names())


def relative_path(split: str, index: int) -> str:
    """Where an image lies below the image folder: ImageFolder's split/class/file."""
    name = class_names()[_label_of(index)]
    return f"{split}/{name}/{name}_{index:06d}.jpg"


def _write(job: tuple[str, str, range, dict]) -> list[tuple[str, float]]:
    folder, split, indices, settings = job
    rows = []
    for index in indices:
        pixels, r = render(_label_of(index), split, index, settings)
        path = relative_path(split, index)
        Image.fromarray(pixels).save(os.path.join(folder, path), quality=settings["jpeg_quality"])
        rows.append((path, r))
    return rows


def render_set(folder: Path, settings: dict, processes: int = 1) -> dict[str, float]:
    """Render both splits below `folder` and write `folder`/objects.csv (path, r in pixels); returns its content."""
    for split in SPLITS:
        for name in class_names():
            (folder / split / name).mkdir(parents=True, exist_ok=True)
    jobs = []
    for split in SPLITS:
        n = settings[f"{split}_images"]
        jobs += [(str(folder), split, range(i, min(i + 100, n)), settings) for i in range(0, n, 100)]
    sizes: dict[str, float] = {}
    total = sum(len(job[2]) for job in jobs)
    with ProcessPoolExecutor(processes) as pool, progress("rendering", total, "images") as bar:
        for rows in pool.map(_write, jobs):
            sizes.update(rows)
            bar.update(len(rows))
    with open(folder / "objects.csv", "w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(["path", "r"])
        writer.writerows((path, f"{r:.3f}") for path, r in sizes.items())
    return sizes


def main(arguments: list[str]) -> None:
    p = job.parser("render", __doc__, "out")
    args = p.parse_args(arguments)
    config = job.read_config(args.config, "render")
    sizes = render_set(args.out, config["pinhole"], args.threads)
    values = np.array(list(sizes.values()))
    job.log(f"rendered {len(values)} images; apparent size r: median {np.median(values):.1f}, {values.min():.1f} to {values.max():.1f} px")
