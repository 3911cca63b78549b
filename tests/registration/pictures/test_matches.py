"""Pictures of a registration against the formulas that they stand for."""

import numpy as np
import pytest

from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.pictures import matches_picture, overlay_picture
from rkd_jax.registration.result import Registration
from rkd_jax.registration.transforms import Homography


def registered(fixed_size, moving_size, count=12):
    rng = np.random.default_rng(0)
    points = [
        rng.uniform(0, 1, (count, 2)) * (np.array(size[::-1]) - 1)
        for size in (fixed_size, moving_size)
    ]
    matches = Matches(*points, np.ones(count, np.float32))
    return Registration(
        ok=True,
        reason="",
        transform=Homography(np.eye(3)),
        matches=matches,
        inliers=np.arange(count) % 2 == 0,
        confidence=0.9,
        evidence={},
        fixed_size=fixed_size,
        moving_size=moving_size,
    )


@pytest.mark.parametrize("size", [(97, 61), (1, 9), (40, 333)])
def test_overlay_is_the_checkerboard_pixel_by_pixel(size):
    rng = np.random.default_rng(0)
    fixed = rng.integers(0, 256, (*size, 3), np.uint8)
    registered = rng.integers(0, 256, size, np.uint8)
    fields = rng.random((2, *size)) > 0.4
    picture = overlay_picture(fixed, registered, *fields, tiles=8)
    side = -(-max(size) // 8)
    for (row, column), both in np.ndenumerate(fields.all(axis=0)):
        odd = (row // side + column // side) % 2 == 1
        shown = fixed[row, column]
        if odd if both else fields[1, row, column]:
            shown = np.repeat(registered[row, column], 3)
        expected = shown if both else (0.45 * shown).astype(int)
        np.testing.assert_array_equal(picture[row, column], expected)


@pytest.mark.parametrize(
    ("fixed_size", "moving_size"),
    [((90, 3300), (90, 3300)), ((3300, 90), (3300, 90)), ((32, 70000), (300, 300))],
)
def test_strips_get_a_picture_of_a_bounded_size(fixed_size, moving_size):
    images = [np.full(size, 60, np.uint8) for size in (fixed_size, moving_size)]
    picture = matches_picture(*images, registered(fixed_size, moving_size), height=300)
    height, width = picture.shape[:2]
    assert 480 <= width <= 2 * 4 * 300 + 8
    assert 40 < height <= 340
    lines = picture[:-40].astype(int)
    assert (lines[..., 1] > lines[..., 0] + 60).any()
    text = picture[-40:]
    assert (text.max(axis=(0, 2)) > 100).sum() > 100  # columns with letters


def test_ordinary_photographs_are_drawn_at_the_height_asked_for():
    sizes = (200, 260), (240, 240)
    images = [np.full(size, 60, np.uint8) for size in sizes]
    picture = matches_picture(*images, registered(*sizes), height=300)
    assert picture.shape == (340, 390 + 8 + 300, 3)
