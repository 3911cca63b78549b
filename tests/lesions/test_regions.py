"""Regions: points, patches and the map between points, against plain loops."""

import numpy as np
import pytest

from rkd_jax.lesions.regions import Points, classify, fill, find_points, refine


def _proposals(height=41, width=50):
    rng = np.random.default_rng(3)
    return (rng.random((height, width)) ** 6).astype(np.float32)


def _plain_patch(image, x, y, side):
    patch = np.full((side, side, 3), 128, np.uint8)
    for row in range(side):
        for column in range(side):
            at = y + row - side // 2, x + column - side // 2
            if 0 <= at[0] < image.shape[0] and 0 <= at[1] < image.shape[1]:
                patch[row, column] = image[at]
    return patch


def _judge(patches):
    """A classifier that any other patch would change."""
    weights = np.linspace(0, 1, patches[0].size).reshape(patches[0].shape)
    return (patches * weights).sum(axis=(1, 2, 3)) / (255 * weights.sum())


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_points_are_those_of_a_plain_loop(stride):
    scores = _proposals()
    found = find_points(scores, threshold=0.5, stride=stride).xy
    plain = [
        [x, y]
        for y in range(0, scores.shape[0], stride)
        for x in range(0, scores.shape[1], stride)
        if scores[y : y + stride, x : x + stride].max() > 0.5
    ]
    assert found.tolist() == plain


@pytest.mark.parametrize("batch", [1, 7, 256])
def test_patches_are_those_of_a_plain_loop(batch):
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, (41, 50, 3), np.uint8)
    points = find_points(_proposals(), threshold=0.5, stride=2)
    found = classify(_judge, image, points, patch_px=12, batch=batch)
    patches = [_plain_patch(image, x, y, 12) for x, y in points.xy]
    np.testing.assert_allclose(found, _judge(np.array(patches)), rtol=1e-6)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_linear_map_is_filled_exactly(stride):
    height, width = 17, 25
    y, x = np.indices((height, width))
    plane = (0.01 * x + 0.02 * y).astype(np.float32)
    points = find_points(np.ones_like(plane), threshold=0.5, stride=stride)
    known = plane[points.xy[:, 1], points.xy[:, 0]]
    filled = fill(known, points, plane.shape)
    last = (height - 1) // stride * stride + 1, (width - 1) // stride * stride + 1
    inner = np.s_[: last[0], : last[1]]
    np.testing.assert_allclose(filled[inner], plane[inner], atol=1e-6)


def test_only_asked_points_count_in_the_map_between():
    lattice = np.zeros((6, 6), bool)
    lattice[2, 2:4] = lattice[3, 2] = True
    points = Points(lattice, 2, 0.1)
    filled = fill(np.full(3, 0.7), points, (12, 12))
    np.testing.assert_allclose(filled[4:8, 4:6], 0.7, rtol=1e-6)
    assert filled[0:3].max() == 0


def test_every_pixel_of_a_region_has_a_value():
    scores = _proposals()
    points = find_points(scores, threshold=0.5, stride=2)
    filled = fill(np.full(len(points.xy), 0.3), points, scores.shape)
    refined = refine({"full": scores}, filled, 0.5)["full_refined"]
    np.testing.assert_allclose(refined, np.where(scores > 0.5, 0.3, 0), rtol=1e-6)


def test_too_many_points_raise_the_threshold():
    scores = _proposals()
    all_points = find_points(scores, threshold=0.0, stride=1)
    found = find_points(scores, threshold=0.0, stride=1, most=100)
    assert len(all_points.xy) == scores.size
    assert len(found.xy) == 100
    assert found.threshold > 0
    best = np.sort(scores, axis=None)[-100:]
    x, y = found.xy.T
    np.testing.assert_array_equal(np.sort(scores[y, x]), best)


def test_no_point_is_no_patch():
    points = find_points(np.zeros((8, 8), np.float32), threshold=0.1, stride=2)
    assert classify(_judge, np.zeros((8, 8, 3), np.uint8), points, patch_px=4).size == 0
    assert not fill(np.empty(0), points, (8, 8)).any()
