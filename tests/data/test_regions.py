"""The geometry of the RoC and the random stream, against torchvision, Pillow and closed forms."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import v2

from fixres.data import regions, sampling

sides = st.integers(1, 900)
TRAIN_DA = regions.Augmentation("train DA", jitter=0.3)


def resized_size(height: int, width: int, k: int) -> torch.Size:
    """(height, width) of torchvision's Resize to the image size of test crop k."""
    image = torch.empty(1, height, width, device="meta")
    return v2.functional.resize(image, [regions.test_image_size(k)]).shape[1:]


@given(height=sides, width=sides, k=st.integers(1, 500))
@settings(max_examples=300)
def test_the_test_transform_is_torchvisions_resize_and_centre_crop(height, width, k):
    """The box, scaled to the resized image, is what CenterCrop cuts from Resize's image."""
    h, w = resized_size(height, width, k)
    top, left = round((h - k) / 2.0), round((w - k) / 2.0)
    resized = regions.Resized(np.array([height]), np.array([width]), k)
    x0, y0, x1, y1 = resized.boxes(*resized.centre)[0]
    assert np.allclose([x0 * w / width, x1 * w / width], [left, left + k], atol=1e-6)
    assert np.allclose([y0 * h / height, y1 * h / height], [top, top + k], atol=1e-6)


@given(height=sides, width=sides, k=st.integers(1, 500))
@settings(max_examples=300)
def test_the_released_transform_scales_the_height_and_pads_as_torchvision_does(height, width, k):
    """The box against Resize((h, w')); its place against CenterCrop of ones, padded with zeros."""
    size = regions.test_image_size(k)
    w = max(int(size * width / height), 1)
    resized = regions.Resized(np.array([height]), np.array([width]), k, "released")
    [[x0, y0, x1, y1]] = resized.boxes(*resized.centre)
    [[left, top, right, bottom]] = resized.places
    crop = v2.functional.center_crop(torch.ones(1, size, min(w, k)), [k, k])[0]
    y = round((size - k) / 2.0)
    assert (top, bottom) == (0, k)
    assert torch.equal(crop[0].nonzero()[:, 0], torch.arange(left, right))
    assert math.isclose((x1 - x0) * w / width, right - left, abs_tol=1e-6)
    assert math.isclose(x0 * w / width, round((w - k) / 2.0) if w > k else 0, abs_tol=1e-6)
    assert np.allclose([y0 * size / height, y1 * size / height], [y, y + k], atol=1e-6)


@given(height=sides, width=sides, k=st.integers(1, 300), seed=st.integers(0, 2**32))
@settings(max_examples=200)
def test_the_released_transform_of_test_da2_is_that_of_test_da_moved_sideways(
    height, width, k, seed
):
    """As high and as wide as the RoC of test DA, in the same place of the crop after the flip."""
    image, h, w = np.array([0]), np.array([height]), np.array([width])
    da, da2 = (
        regions.rocs(regions.Augmentation(name, test_resize="released"), k, image, h, w, seed)
        for name in ("test DA", "test DA2")
    )
    [[x0, y0, x1, y1]], [[left, top, right, bottom]] = da.box, da2.box
    assert (top, bottom) == (y0, y1)
    assert math.isclose(right - left, x1 - x0, abs_tol=1e-6)
    assert -1e-6 <= left <= right <= width + 1e-6
    picture = np.zeros(k, bool)
    for rocs in (da, da2):
        [[begin, _, end, _]], row = rocs.into, np.zeros(k, bool)
        row[begin:end] = True
        picture = row if rocs is da else picture
        assert np.array_equal(row[::-1] if rocs.flip[0] else row, picture)


def test_a_portrait_has_another_roc_under_the_released_transform():
    """100×200 pixels at 56: the paper keeps the full width; the release scales 200 to 64."""
    image, h, w = np.array([0]), np.array([200]), np.array([100])
    for name in ("test DA", "test DA2"):
        paper, released = (
            regions.rocs(regions.Augmentation(name, test_resize=resize), 56, image, h, w)
            for resize in ("paper", "released")
        )
        assert paper.into is None
        [[x0, y0, x1, y1]] = paper.box
        assert (x1 - x0, y1 - y0) == (100 * 56 / 64, 200 * 56 / 128)
        [[x0, y0, x1, y1]] = released.box
        assert (x0, x1, y1 - y0) == (0, 100, 200 * 56 / 64)
        assert released.into[0, 2] - released.into[0, 0] == 32


@given(height=sides, width=sides, seed=st.integers(0, 2**32))
@settings(max_examples=300)
def test_a_random_roc_lies_in_the_image_and_keeps_its_area_and_aspect(height, width, seed):
    u = sampling.uniforms(seed, 0, np.array([5]), np.array([0]))
    x0, y0, x1, y1 = regions.random_resized_boxes(
        np.array([height]), np.array([width]), u, TRAIN_DA
    )[0]
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
    w, h = x1 - x0, y1 - y0
    assert w == int(w)
    # Rounding a side moves it by at most half a pixel.
    assert (
        (w + 0.5) * (h + 0.5) >= 0.08 * height * width - 1e-9
        or (w, h) == (width, height)
        or min(w, h) == min(width, height)
    )
    if min(w, h) >= 8:
        assert 0.75 * (w - 0.5) / (h + 0.5) <= (w / h) <= (4 / 3) * (w + 0.5) / (h - 0.5)
        assert (w - 0.5) / (h + 0.5) <= 4 / 3 + 1e-9
        assert (w + 0.5) / (h - 0.5) >= 3 / 4 - 1e-9


def test_random_rocs_have_torchvisions_distribution():
    """10,000 of ours and 10,000 of torchvision's: area, aspect and position, by two-sample KS."""
    from scipy.stats import ks_2samp

    n, height, width = 10_000, 300, 400
    u = sampling.uniforms(0, 0, np.arange(n), np.zeros(n, int))
    x0, y0, x1, y1 = regions.random_resized_boxes(
        np.full(n, height), np.full(n, width), u, TRAIN_DA
    ).T
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    transform = v2.RandomResizedCrop(10)
    drawn = [transform.make_params([image]) for _ in range(n)]
    keys = ("top", "left", "height", "width")
    top, left, h, w = np.array([[p[key] for key in keys] for p in drawn]).T
    for a, b in [
        ((x1 - x0) * (y1 - y0), h * w),
        ((x1 - x0) / (y1 - y0), w / h),
        (x0, left),
        (y0, top),
    ]:
        assert ks_2samp(a, b).pvalue > 0.001


@pytest.mark.parametrize(("height", "width"), [(10, 400), (400, 10), (1, 30)])
def test_no_fitting_roc_falls_back_to_torchvisions_centre_crop(height, width):
    u = np.full((1, sampling.NUMBERS), 0.999)  # the whole area at the widest aspect: nothing fits
    whole = regions.Augmentation("train DA", area=(1.0, 1.0), aspect=(3 / 4, 4 / 3))
    box = regions.random_resized_boxes(np.array([height]), np.array([width]), u, whole)[0]
    p = v2.RandomResizedCrop(10, scale=(1.0, 1.0)).make_params([torch.empty(3, height, width)])
    assert box.tolist() == [p["left"], p["top"], p["left"] + p["width"], p["top"] + p["height"]]


@given(height=st.integers(20, 600), width=st.integers(20, 600), k=st.integers(8, 300))
@settings(max_examples=100)
def test_da2_moves_the_crop_over_the_full_horizontal_margin_and_no_other(height, width, k):
    resized = regions.Resized(np.array([height]), np.array([width]), k)
    (middle, top), margin = resized.centre, resized.margins[0]
    edges = (regions.position(u, margin) for u in (0.0, 1.0 - 1e-12))
    left, right, centre = (resized.boxes(x, top)[0] for x in (*edges, middle))
    assert left[0] == 0
    assert math.isclose(right[2], width, abs_tol=1e-6)
    assert np.array_equal(left[[1, 3]], centre[[1, 3]])
    assert np.array_equal(right[[1, 3]], centre[[1, 3]])
    assert math.isclose(left[2] - left[0], centre[2] - centre[0], rel_tol=1e-9)


@given(
    height=st.integers(1, 600),
    width=st.integers(1, 600),
    k=st.integers(1, 300),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=200)
def test_da2_flips_shifts_and_jitters_and_does_nothing_else(height, width, k, seed):
    """Each view is the crop of test DA, moved sideways by whole pixels of the resized image.

    The crop stays inside the image.
    """
    n = 8
    images, h, w = np.arange(n), np.full(n, height), np.full(n, width)
    drawn = regions.rocs(regions.Augmentation("test DA2", jitter=0.05), k, images, h, w, seed)
    centre = regions.rocs(regions.Augmentation("test DA"), k, images, h, w)
    assert not drawn.cut
    assert np.array_equal(drawn.box[:, [1, 3]], centre.box[:, [1, 3]])
    np.testing.assert_allclose(
        drawn.box[:, 2] - drawn.box[:, 0], centre.box[:, 2] - centre.box[:, 0], rtol=1e-9
    )
    resized_w = regions.Resized(h, w, k).width
    left = drawn.box[:, 0] * resized_w / w
    np.testing.assert_allclose(left, np.rint(left), atol=1e-6)
    assert np.all((np.rint(left) >= 0) & (np.rint(left) <= resized_w - k))
    assert np.all(np.abs(drawn.jitter - 1) <= 0.05 + 1e-6)


@pytest.mark.parametrize(("name", "axes"), [("test DA2", (0,)), ("resize + random crop", (0, 1))])
def test_random_positions_are_torchvisions(name, axes):
    """Every whole position of the margin is equally likely, as in RandomCrop.

    The positions of both fit the uniform law by a chi-square test.
    """
    from scipy.stats import chisquare

    n, height, width, k = 6000, 300, 420, 42
    images = np.arange(n)
    heights, widths = np.full(n, height), np.full(n, width)
    box = regions.rocs(regions.Augmentation(name), k, images, heights, widths, 1).box
    resized = resized_size(height, width, k)
    torch.manual_seed(0)
    reference = [
        v2.RandomCrop(k).make_params([torch.empty(1, *resized, device="meta")]) for _ in range(n)
    ]
    for axis, key, full, side in ((0, "left", width, resized[1]), (1, "top", height, resized[0])):
        ours, positions = np.rint(box[:, axis] * side / full).astype(int), side - k + 1
        if axis in axes:
            for drawn in (ours, [p[key] for p in reference]):
                counts = np.bincount(drawn, minlength=positions)
                assert len(counts) == positions
                assert chisquare(counts).pvalue > 0.001
        else:
            assert len(set(ours)) == 1


@given(height=sides, width=sides, k=st.integers(1, 500), seed=st.integers(0, 2**32))
@settings(max_examples=200)
def test_resize_and_random_crop_is_a_whole_crop_of_torchvisions_resized_image(
    height, width, k, seed
):
    """Appendix D: a k×k crop of the image with shorter side floor(256/224 · k).

    It lies inside the image, at whole pixels.
    """
    images, h, w = np.arange(4), np.full(4, height), np.full(4, width)
    augmentation = regions.Augmentation("resize + random crop", jitter=0.3)
    drawn = regions.rocs(augmentation, k, images, h, w, seed)
    assert not drawn.cut
    h, w = resized_size(height, width, k)
    boxes = drawn.box * np.array([w / width, h / height] * 2)
    np.testing.assert_allclose(boxes, np.rint(boxes), atol=1e-6)
    x0, y0, x1, y1 = np.rint(boxes).T
    assert np.all((x1 - x0 == k) & (y1 - y0 == k))
    assert np.all((x0 >= 0) & (x1 <= w) & (y0 >= 0) & (y1 <= h))
    assert np.all(np.abs(drawn.jitter - 1) <= 0.3 + 1e-6)


@given(height=sides, width=sides, k=st.integers(1, 60))
@settings(max_examples=200)
def test_ten_crops_are_torchvisions(height, width, k):
    """Which pixels of the resized image each crop shows, in TenCrop's order."""
    resized = regions.Resized(np.array([height]), np.array([width]), k)
    h, w = int(resized.height[0]), int(resized.width[0])
    pixels = torch.arange(h * w).view(1, h, w)
    cut = regions.ten_crops(np.array([7]), resized)
    assert cut.image.tolist() == [7] * 10
    for box, flip, expected in zip(
        cut.box, cut.flip, v2.functional.ten_crop(pixels, [k, k]), strict=True
    ):
        x0, y0, x1, y1 = np.rint(box * np.array([w / width, h / height] * 2)).astype(int)
        crop = pixels[:, y0:y1, x0:x1]
        assert torch.equal(crop.flip(2) if flip else crop, expected)


@given(height=sides, width=sides, k=st.integers(1, 300))
@settings(max_examples=100)
def test_ten_crops_of_the_released_transform_mirror_each_other(height, width, k):
    """The last five are the first five of the mirror image, with their black bars.

    The image takes the same columns in the first five crops.
    """
    resized = regions.Resized(np.array([height]), np.array([width]), k, "released")
    cut = regions.ten_crops(np.array([0]), resized)
    x0, x1 = cut.box[:, 0], cut.box[:, 2]
    assert cut.flip.tolist() == [False] * 5 + [True] * 5
    np.testing.assert_allclose(width - x1[5:], x0[:5], atol=1e-6 * width)
    assert np.array_equal(cut.box[5:, [1, 3]], cut.box[:5, [1, 3]])
    assert np.all(x0 >= -1e-9)
    assert np.all(x1 <= width * (1 + 1e-9))
    assert np.array_equal(k - cut.into[5:, 2], cut.into[:5, 0])
    assert np.array_equal(cut.into[:5], np.repeat(resized.places, 5, axis=0))


def test_random_numbers_depend_on_nothing_but_their_coordinates():
    images, repeats = np.array([7, 3, 3, 900_000]), np.array([0, 0, 1, 2])
    together = sampling.uniforms(1, 4, images, repeats)
    for i in range(4):
        [alone] = sampling.uniforms(1, 4, images[i : i + 1], repeats[i : i + 1])
        assert np.array_equal(together[i], alone)
    assert len({row.tobytes() for row in together}) == 4
    assert not np.array_equal(together, sampling.uniforms(1, 5, images, repeats))
    assert not np.array_equal(together, sampling.uniforms(2, 4, images, repeats))


def test_uniforms_are_uniform():
    from scipy.stats import kstest

    u = sampling.uniforms(0, 0, np.arange(3000), np.zeros(3000, int))
    assert kstest(u.ravel(), "uniform").pvalue > 0.001
    assert abs(np.corrcoef(u.T)[np.triu_indices(sampling.NUMBERS, 1)]).max() < 0.1


@given(
    n=st.integers(1, 60),
    repeats=st.integers(1, 4),
    samples=st.integers(1, 400),
    epoch=st.integers(0, 3),
)
@settings(max_examples=200)
def test_order_draws_without_replacement_and_repeats_in_a_row(n, repeats, samples, epoch):
    image, repeat = sampling.order(0, epoch, n, samples, repeats)
    assert len(image) == len(repeat) == samples
    drawn = image[::repeats]
    for start in range(0, len(drawn), n):
        one_round = drawn[start : start + n]
        assert len(set(one_round.tolist())) == len(one_round)
    assert np.array_equal(image, np.repeat(drawn, repeats)[:samples])
    crops = set(zip(image.tolist(), repeat.tolist(), strict=True))
    assert len(crops) == samples  # never the same crop twice in an epoch


def test_the_papers_epoch():
    """§5: 5005·512/B batches; with RA 3 that is 2/3 of 1,281,167 images, each three times."""
    image, repeat = sampling.order(0, 0, 1_281_167, 5005 * 512, 3)
    assert len(image) // 512 == 5005
    assert len(np.unique(image)) == 854_187
    assert repeat.max() == 2


@given(world=st.sampled_from([1, 2, 4, 8]), steps=st.integers(1, 5))
def test_ranks_share_every_global_batch(world, steps):
    stream = np.arange(steps * 16)
    for step in range(steps):
        parts = [stream[sampling.rank_slice(step, 16, rank, world)] for rank in range(world)]
        assert np.array_equal(np.concatenate(parts), stream[step * 16 : step * 16 + 16])
    with pytest.raises(ValueError, match="not divisible among the ranks"):
        sampling.rank_slice(0, 16, 0, 3)


def test_expected_apparent_size_ratio():
    """Eq. (5): F = 0.708 for areas from 0.08 to 1, so 0.81 at 224 → 224. A measured mean agrees."""
    assert math.isclose(regions.expected_size_ratio(224, 224), 0.8094, abs_tol=1e-4)
    n = 20_000
    u = sampling.uniforms(0, 0, np.arange(n), np.zeros(n, int))
    side = np.full(n, 4000)
    square = regions.Augmentation("train DA", aspect=(1.0, 1.0))
    x0, _, x1, _ = regions.random_resized_boxes(side, side, u, square).T
    resized = regions.Resized(side[:1], side[:1], 224)
    a0, _, a1, _ = resized.boxes(*resized.centre)[0]
    measured = (224 / (a1 - a0)) / (224 / (x1 - x0))  # scale at test over scale at train, eq. (1)
    assert math.isclose(measured.mean(), regions.expected_size_ratio(224, 224), rel_tol=0.01)


@given(seed=st.integers(0, 2**40), step=st.integers(0, 2**40), k=st.integers(1, 400))
@settings(max_examples=300)
def test_cutmix_boxes_lie_in_the_crop_and_their_share_is_counted(seed, step, k):
    mix = sampling.cutmix(seed, step, 1.0, k)
    assert mix == sampling.cutmix(seed, step, 1.0, k)
    assert 0 <= mix.x0 <= mix.x1 <= k
    assert 0 <= mix.y0 <= mix.y1 <= k
    kept = np.ones((k, k), bool)
    kept[mix.y0 : mix.y1, mix.x0 : mix.x1] = False
    assert math.isclose(mix.share, kept.mean(), abs_tol=1e-12)


def test_cutmix_is_drawn_as_published():
    """As often as asked for, with the boxes of timm's rand_bbox for λ ~ U(0, 1), by KS tests."""
    from scipy.stats import ks_2samp
    from timm.data.mixup import rand_bbox

    drawn = [sampling.cutmix(3, step, 0.5, 224) for step in range(8000)]
    mixed = [m for m in drawn if m]
    assert 0.47 < len(mixed) / len(drawn) < 0.53
    assert [sampling.cutmix(3, step, 0.0, 224) for step in range(50)] == [None] * 50
    rng = np.random.default_rng(0)
    np.random.seed(0)
    theirs = np.array([rand_bbox((1, 3, 224, 224), lam) for lam in rng.random(len(mixed))])
    ours = np.array([(m.y0, m.y1, m.x0, m.x1) for m in mixed])
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 0.001
    area, expected = ((b[:, 1] - b[:, 0]) * (b[:, 3] - b[:, 2]) for b in (ours, theirs))
    assert ks_2samp(area, expected).pvalue > 0.001


def test_unknown_augmentation():
    size = np.array([50])
    with pytest.raises(ValueError, match="expected 'train DA'"):
        regions.rocs(regions.Augmentation("test DA3"), 32, np.arange(1), size, size)
