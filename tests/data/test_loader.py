"""Both loaders cut exactly the RoCs of regions.py: as Pillow and torchvision, and as each other."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional
from torchvision.transforms import v2

from fixres.artifacts import manifest
from fixres.data import batch_layout, building, loader, pillow_loader, regions
from fixres.data.validate import checksum_of
from fixres.jobs import JobError
from shared import textured

dali = pytest.param(
    "dali",
    marks=pytest.mark.skipif(not loader.dali_is_installed(), reason="DALI has no wheel here"),
)
LOADERS = [dali, "pillow"]


def crops(
    data: manifest.Manifest,
    augmentation: regions.Augmentation,
    k: int,
    images=None,
    epoch: int = 0,
    repeats=None,
) -> loader.Crops:
    """The request of one resolution; of all images, unless some rows are given."""
    images = np.arange(len(data.path)) if images is None else np.asarray(images)
    h, w = data.height[images], data.width[images]
    return loader.Crops(regions.rocs(augmentation, k, images, h, w, 0, epoch, repeats), k)


def cut(data, *requests, name="pillow", threads=2) -> list[list[np.ndarray]]:
    """The pixels of every request, for each resolution."""
    batches = loader.batches(data, list(requests), name, threads)
    return [[p.numpy() for p in pixels] for _, pixels in batches]


def difference(a: np.ndarray, b: np.ndarray, ring: int = 0) -> int:
    """The largest difference of two crops in grey levels, without the outermost `ring` pixels."""
    inside = slice(ring, -ring or None)
    a, b = (x[..., inside, inside, :].astype(int) for x in (a, b))
    return int(np.abs(a - b).max(initial=0))


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("k", [17, 64, 112])
def test_test_da_is_torchvisions_transform(shapes, name, k):
    """Resize + CenterCrop of torchvision on Pillow images, for every shape."""
    [[ours]] = cut(shapes, [crops(shapes, regions.Augmentation("test DA"), k)], name=name)
    reference = v2.Compose([v2.Resize(regions.test_image_size(k)), v2.CenterCrop(k)])
    for i, file in enumerate(shapes.files(np.arange(len(shapes.path)))):
        with Image.open(file) as image:
            assert difference(ours[i], np.asarray(reference(image.convert("RGB")))) <= 1, file


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("k", [17, 64, 112])
def test_the_released_test_transform_is_torchvisions_resize_by_height_and_padded_crop(
    shapes, name, k
):
    """Resize((h, w')) + CenterCrop, which pads portraits with black, for every shape.

    The paper's transform is cut from the same decode and must not change. DALI may differ in the
    image's outermost columns: there its filter repeats the edge, and Pillow's is cut off.
    """
    released = crops(shapes, regions.Augmentation("test DA", test_resize="released"), k)
    plain = crops(shapes, regions.Augmentation("test DA"), k)
    [[ours, paper]] = cut(shapes, [released, plain], name=name)
    [[alone]] = cut(shapes, [plain], name=name)
    assert np.array_equal(paper, alone)
    size, padded = regions.test_image_size(k), 0
    for i, file in enumerate(shapes.files(np.arange(len(shapes.path)))):
        with Image.open(file) as image:
            width = max(int(size * image.width / image.height), 1)
            resized = v2.functional.resize(image.convert("RGB"), [size, width])
        expected = np.asarray(v2.functional.center_crop(resized, [k, k]))
        left = max((k - resized.width) // 2, 0)
        picture = slice(left, left + min(resized.width, k))
        bars, expected_bars = (np.delete(x, picture, axis=1) for x in (ours[i], expected))
        assert difference(bars, expected_bars) == 0, file
        ring = slice(picture.start + 1, picture.stop - 1) if name == "dali" else picture
        assert difference(ours[i][:, ring], expected[:, ring]) <= 1, file
        padded += resized.width < k
    assert padded >= 4


@pytest.mark.skipif(not pillow_loader.is_simd(), reason="Pillow-SIMD could not be built here")
def test_where_pillow_is_plain_torch_resizes_train_da_to_the_same_bits(shapes, monkeypatch):
    requests = [[crops(shapes, regions.Augmentation("train DA"), k)] for k in (17, 64, 112)]
    with_simd = cut(shapes, *requests)
    monkeypatch.setattr(pillow_loader, "is_simd", lambda: False)
    resized, interpolate = [], functional.interpolate
    monkeypatch.setattr(
        functional, "interpolate", lambda *a, **o: resized.append(1) or interpolate(*a, **o)
    )
    for [ours], [expected] in zip(cut(shapes, *requests), with_simd, strict=True):
        assert np.array_equal(ours, expected)
    assert len(resized) == 3 * len(shapes.path)


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("k", [17, 64])
def test_train_da_is_torchvisions_resized_crop(shapes, name, k):
    """The same RoC by torchvision's resized_crop and horizontal_flip.

    DALI may differ only on the outermost ring of pixels.
    """
    request = crops(shapes, regions.Augmentation("train DA"), k)
    [[ours]] = cut(shapes, [request], name=name)
    for i, file in enumerate(shapes.files(np.arange(len(shapes.path)))):
        x0, y0, x1, y1 = (int(v) for v in request.rocs.box[i])
        with Image.open(file) as image:
            rgb = image.convert("RGB")
        expected = v2.functional.resized_crop(rgb, y0, x0, y1 - y0, x1 - x0, [k, k])
        if request.rocs.flip[i]:
            expected = v2.functional.horizontal_flip(expected)
        ring = 1 if name == "dali" else 0
        assert difference(ours[i], np.asarray(expected), ring) <= 1, file


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("augmentation", ["test DA2", "resize + random crop"])
def test_a_moved_crop_is_a_crop_of_the_resized_image(shapes, name, augmentation):
    request = crops(shapes, regions.Augmentation(augmentation), 48)
    [[ours]] = cut(shapes, [request], name=name)
    for i, file in enumerate(shapes.files(np.arange(len(shapes.path)))):
        with Image.open(file) as image:
            resized = v2.functional.resize(image.convert("RGB"), regions.test_image_size(48))
        left = round(request.rocs.box[i, 0] * resized.width / shapes.width[i])
        top = round(request.rocs.box[i, 1] * resized.height / shapes.height[i])
        expected = np.asarray(resized)[top : top + 48, left : left + 48]
        if request.rocs.flip[i]:
            expected = expected[:, ::-1]
        # Between its two passes DALI keeps fractions and Pillow rounds. On noise, that makes about
        # one pixel differ by 2 grey levels.
        assert difference(ours[i], expected) <= (2 if name == "dali" else 1), file


@pytest.mark.parametrize("name", LOADERS)
def test_on_a_cpu_nothing_is_loaded_while_the_network_computes(shapes, name):
    """So a job keeps no more cores busy than it was given."""
    requests = [[crops(shapes, regions.Augmentation("train DA"), 32, epoch=e)] for e in range(4)]
    asked = []
    cut_in_turn = loader.batches(shapes, (asked.append(r) or r for r in requests), name, threads=4)
    assert [len(asked) for _ in cut_in_turn] == [1, 2, 3, 4]


@pytest.mark.skipif(not loader.dali_is_installed(), reason="DALI has no wheel here")
def test_workers_and_prefetching_change_nothing(shapes):
    requests = [[crops(shapes, regions.Augmentation("train DA"), 32, epoch=e)] for e in range(6)]
    for name in ("dali", "pillow"):
        one, four = (cut(shapes, *requests, name=name, threads=t) for t in (1, 4))
        for a, b in zip(one, four, strict=True):
            assert np.array_equal(a[0], b[0])


def test_kept_images_are_decoded_once_and_change_nothing(shapes, monkeypatch):
    requests = [[crops(shapes, regions.Augmentation("train DA"), 32, epoch=e)] for e in range(3)]
    decoded, decode = [], pillow_loader.decode
    monkeypatch.setattr(
        pillow_loader, "decode", lambda file, content: decoded.append(file) or decode(file, content)
    )
    images = len(shapes.path)
    pixels = {}
    for keep, times in ((False, 3), (True, 1)):
        decoded.clear()
        cut_in_turn = loader.batches(shapes, requests, "pillow", threads=1, keep=keep)
        pixels[keep] = [batch.numpy() for _, [batch] in cut_in_turn]
        assert len(decoded) == times * images
        assert len(set(decoded)) == images
    assert all(map(np.array_equal, pixels[False], pixels[True]))


def test_images_are_kept_where_all_fit(shapes):
    """Pillow takes four bytes for a pixel of an RGB image."""
    rows = np.arange(4)
    needed = 4 * int((shapes.height[rows] * shapes.width[rows]).sum())
    assert loader.room_for(shapes, rows, needed)
    assert not loader.room_for(shapes, rows, needed - 1)
    assert not loader.room_for(shapes, rows, 0)


@pytest.mark.parametrize("name", LOADERS)
@given(
    images=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    more=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    k=st.just(16),
)
@settings(max_examples=8)
def test_any_batch_of_repeats_comes_back_in_its_order(shapes, name, images, more, k):
    """Each crop is as if it were cut alone.

    The repeats of an image stand in a row or apart, or are more than in the first batch.
    """
    augmentation, requests = regions.Augmentation("train DA"), []
    for batch in (images, more[: len(images)]):
        repeats = np.array([batch[:i].count(image) for i, image in enumerate(batch)])
        requests.append([crops(shapes, augmentation, k, batch, repeats=repeats)])
    together = cut(shapes, *requests, name=name)
    for request, [pixels] in zip(requests, together, strict=True):
        for i in range(len(request[0].rocs.image)):
            [[alone]] = cut(shapes, [loader.Crops(request[0].rocs[i : i + 1], k)], name=name)
            assert np.array_equal(pixels[i], alone[0])


@pytest.mark.parametrize("name", LOADERS)
def test_several_resolutions_share_one_decode(shapes, name):
    da = regions.Augmentation("test DA")
    together = cut(shapes, [crops(shapes, da, k) for k in (16, 32, 96)], name=name)
    for k, pixels in zip((16, 32, 96), together[0], strict=True):
        [[alone]] = cut(shapes, [crops(shapes, da, k)], name=name)
        assert np.array_equal(pixels, alone)
    layout = batch_layout.lay_out([crops(shapes, da, k) for k in (16, 32, 96)], [1, 1, 1])
    assert len(layout.images) == len(shapes.path)


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("damage", ["gone", "cut short"])
def test_a_file_damaged_after_the_manifest_is_named(tmp_path, shapes, name, damage):
    shutil.copytree(shapes.folder, tmp_path / "set")
    data = building.build(tmp_path / "set")
    victim = tmp_path / "set" / "val" / "class 1" / "3é.jpg"
    victim.unlink() if damage == "gone" else victim.write_bytes(victim.read_bytes()[:60])
    with pytest.raises(JobError, match=r"3é\.jpg"):
        cut(data, [crops(data, regions.Augmentation("test DA"), 32)], name=name)


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("batch", [0, 1])
def test_only_a_file_that_cannot_be_decoded_is_named(tmp_path, shapes, name, batch):
    """The manifest lists it as it is, so that nothing finds it before the decoder."""
    data, victim = with_undecodable_file(shapes, tmp_path / "set", row=5 * batch)
    da = regions.Augmentation("test DA")
    requests = [[crops(data, da, 32, np.arange(i, i + 5))] for i in (0, 5)]
    with pytest.raises(JobError) as raised:
        cut(data, *requests, name=name)
    assert str(raised.value).startswith(f"{victim}: cannot be decoded")
    assert str(raised.value).count(str(tmp_path)) == 1


@pytest.mark.skipif(not loader.dali_is_installed(), reason="DALI has no wheel here")
@pytest.mark.parametrize("batch", [0, 1])
def test_what_dali_alone_cannot_load_pillow_decodes_for_it(tmp_path, shapes, batch):
    """A PNG whose checksum is wrong: Pillow reads it, as when the images were listed."""
    shutil.copytree(shapes.folder, tmp_path / "set")
    data = building.build(tmp_path / "set")
    [victim] = data.files(np.array([5 * batch]))
    content = io.BytesIO()
    textured(40, 50).save(content, "PNG")
    damaged = bytearray(content.getvalue())
    damaged[damaged.index(b"IEND") - 5] ^= 1  # of the pixels' checksum
    Path(victim).write_bytes(damaged)
    data = building.build(tmp_path / "set")
    da = regions.Augmentation("test DA")
    requests = [[crops(data, da, 32, np.arange(i, i + 5))] for i in (0, 5)]
    both = zip(cut(data, *requests, name="dali"), cut(data, *requests), strict=True)
    assert all(difference(ours, theirs) <= 1 for [ours], [theirs] in both)


@pytest.mark.skipif(not loader.dali_is_installed(), reason="DALI has no wheel here")
def test_where_dali_fails_for_another_reason_that_is_told(shapes, monkeypatch):
    from fixres.data import dali_loader

    class Pipeline:
        def __init__(self, feed, *_):
            self.feed = feed

        def run(self, _):
            next(self.feed)
            raise RuntimeError("out of memory\nat 0x1")

    monkeypatch.setattr(dali_loader, "_pipeline", Pipeline)
    request = [crops(shapes, regions.Augmentation("test DA"), 32)]
    expected = (
        r"^hardware\.loader: DALI cannot load a batch \(out of memory\)\. Set it to pillow\.$"
    )
    with pytest.raises(JobError, match=expected):
        cut(shapes, request, name="dali")


def with_undecodable_file(shapes, folder, row: int) -> tuple[manifest.Manifest, str]:
    """A copy of the images in which the file of one row is no image; and that file."""
    shutil.copytree(shapes.folder, folder)
    data = building.build(folder)
    [victim] = data.files(np.array([row]))
    content = b"\xff\xd8\xff\xe0 no image" * 10
    Path(victim).write_bytes(content)
    data.checksum[row] = checksum_of(content)
    return data, victim


def test_auto_is_what_is_fastest_for_the_device(monkeypatch):
    gpu, processor = torch.device("cuda", 0), torch.device("cpu")
    monkeypatch.setattr(loader, "dali_is_installed", lambda: True)
    assert loader.resolve("auto", gpu) == "dali"
    assert loader.resolve("auto", processor) == "pillow"
    assert loader.resolve("dali", processor) == "dali"
    assert loader.resolve("pillow", gpu) == "pillow"


def test_a_loader_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert loader.resolve("auto", torch.device("cuda", 0)) == "pillow"
    with pytest.raises(JobError, match="Use auto or pillow"):
        loader.resolve("dali")


def test_colour_jitter_is_torchvisions():
    x = torch.rand(12, 3, 20, 20)
    factors, order = 0.5 + torch.rand(12, 3), torch.arange(12) % 6
    ours = loader.colour_jitter(x, factors, order)
    operations = [
        v2.functional.adjust_brightness,
        v2.functional.adjust_contrast,
        v2.functional.adjust_saturation,
    ]
    for i in range(12):
        expected = x[i]
        for operation in loader.PERMUTATIONS[order[i]].tolist():
            expected = operations[operation](expected, float(factors[i, operation]))
        # torchvision rounds the grey weights to three digits.
        torch.testing.assert_close(ours[i], expected, atol=2e-4, rtol=0)


def test_normalisation(shapes):
    request = crops(shapes, regions.Augmentation("test DA"), 32)
    [[pixels]] = cut(shapes, [request])
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.1)
    x = loader.to_device(torch.from_numpy(pixels), request.rocs, mean, std, torch.device("cpu"))
    scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    expected = v2.functional.normalize(scaled, list(mean), list(std))
    torch.testing.assert_close(x, expected)
    assert x.is_contiguous(memory_format=torch.channels_last)
