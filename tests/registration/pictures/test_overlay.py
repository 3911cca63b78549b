"""The checkerboard against its definition; seams, hull, contours, unknown places."""

import numpy as np
import pytest
from made_pictures import texture
from made_results import made_error, made_registration

from rkd_jax.registration.pictures import marks, overlay
from rkd_jax.registration.pictures.error_grid import (
    contour,
    levels,
    sampled,
    to_file,
)
from rkd_jax.registration.pictures.scene import Scene
from rkd_jax.registration.transforms import Homography


@pytest.mark.parametrize("size", [(97, 61), (1, 9), (40, 333)])
def test_checkerboard_pixel_by_pixel(size):
    rng = np.random.default_rng(0)
    fixed = rng.integers(0, 256, (*size, 3), np.uint8)
    registered = rng.integers(0, 256, size, np.uint8)
    fields = rng.random((2, *size)) > 0.4
    picture = overlay.checkerboard(fixed, registered, *fields, tiles=8)
    side = -(-max(size) // 8)
    for (row, column), both in np.ndenumerate(fields.all(axis=0)):
        odd = (row // side + column // side) % 2 == 1
        shown = fixed[row, column]
        if odd if both else fields[1, row, column]:
            shown = np.repeat(registered[row, column], 3)
        expected = shown if both else (0.45 * shown).astype(int)
        np.testing.assert_array_equal(picture[row, column], expected)


def _eye(size, middle, radius, seed=0):
    """Return a bright disc with texture whose rim fades to black, as cameras' do."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    distance = np.hypot(columns - middle[0], rows - middle[1])
    fade = np.clip((radius - distance) / 6, 0, 1)
    return (fade * (90 + 0.5 * texture(seed, *size))).astype(np.uint8)


def test_no_black_at_the_seams_where_a_field_ends_inside_a_tile():
    size = (400, 400)
    fixed = _eye(size, (200, 200), 195)
    moving = _eye(size, (200, 200), 150)
    shift = Homography([[1, 0, 60.4], [0, 1, -20.7], [0, 0, 1]])
    scene = Scene(made_registration(size, transform=shift), fixed, moving)
    picture = overlay.checkerboard(
        scene.fixed_view, scene.matched_view, scene.field_fixed, scene.field_registered
    )
    # Well inside both discs all is as bright as there; between them nothing is darker
    # than the fixed image, dimmed.
    rows, columns = np.mgrid[:400, :400]
    in_fixed = np.hypot(columns - 200, rows - 200) < 180
    beside = np.abs(np.hypot(columns - 260.4, rows - 179.3) - 150) < 12
    assert (in_fixed & beside).sum() > 3000
    darkest = (0.45 * fixed[in_fixed & beside]).min() * 0.85
    assert picture[in_fixed & beside].min() >= darkest
    inside = scene.overlap
    assert 0.3 < inside.mean() < 0.5
    assert picture[inside].min() > 70


def test_an_image_over_itself_with_another_light_is_near_the_image():
    size = (240, 240)
    fixed = np.stack([texture(seed, *size) for seed in (3, 4, 5)], axis=-1) // 2 + 60
    ramp = np.linspace(0.6, 1.1, 240)[None, :, None]
    moving = np.clip(fixed * ramp * [0.7, 1.0, 0.9] + [30, -10, 5], 0, 255)
    moving = moving.astype(np.uint8)
    scene = Scene(made_registration(size), fixed, moving)
    shown = overlay.checkerboard(
        scene.fixed_view, scene.matched_view, scene.field_fixed, scene.field_registered
    )
    before = np.abs(moving.astype(int) - fixed)[scene.overlap].mean()
    after = np.abs(shown.astype(int) - fixed)[scene.overlap].mean()
    assert before > 15
    assert after < 2.5


def _drawn(error=None, points=(), size=(400, 600)):
    """Return the marks over a grey picture: where it is not grey any more."""
    grey = np.full((*size, 3), 120, np.uint8)
    scene = Scene(
        made_registration(size, points=points, error_map=error),
        *np.full((2, *size), 120, np.uint8),
    )
    picture = grey.copy()
    overlay.add_marks(picture, scene)
    return picture.astype(int), scene


def test_the_hull_is_outlined_where_it_is():
    corners = [[100, 80], [500, 80], [500, 300], [100, 300], [300, 200]]
    picture, _ = _drawn(points=corners)
    for x, y in ((300, 80), (500, 200), (300, 300), (100, 200)):
        np.testing.assert_allclose(picture[y, x], marks.HULL, atol=40)
    blue = picture[..., 2] > picture[..., 0] + 60
    outside = np.ones_like(blue)
    outside[78:303, 98:503] = False
    outside[300:, :260] = False  # the legend
    outside[82:298, 102:498] = True
    assert not (blue & outside).any()
    none, _ = _drawn(points=corners[:2])
    assert not (none[..., 2] > none[..., 0] + 60).any()


def test_contours_lie_where_the_error_has_their_value():
    size = (400, 600)
    error = made_error(size, lambda x, y: 1 + 9 * x / 599)
    picture, _ = _drawn(error)
    yellow = (picture[..., 0] > picture[..., 2] + 60) & (picture[..., 0] > 180)
    columns = yellow[100:300].mean(axis=0)
    found = np.flatnonzero(columns > 0.6)
    expected = [(level - 1) / 9 * 599 for level in levels(error)]
    assert len(expected) == 3
    for place in expected:
        assert np.abs(found - place).min() <= 1.5
    assert np.abs(found[:, None] - expected).min(axis=1).max() <= 2


def test_unknown_places_are_hatched_and_known_ones_are_not():
    size = (400, 600)
    error = made_error(size, lambda x, y: np.where(x < 299, 2.0, np.nan), nodes=21)
    picture, scene = _drawn(error)
    assert scene.overlap[50:350, 50:550].all()
    marked = np.abs(picture - 120).max(axis=2) > 5
    tiles = (np.arange(600) % 75 < 4) | (np.arange(600) % 75 > 72)
    rows = (np.arange(400) % 75 >= 4) & (np.arange(400) % 75 <= 72)
    inside = marked[:320][rows[:320]][:, ~tiles]
    left, right = np.split(inside, [np.flatnonzero(~tiles).searchsorted(280)], axis=1)
    assert not left.any()
    right = right[:, np.flatnonzero(~tiles)[left.shape[1] :] > 320]
    assert 0.04 < right.mean() < 0.2
    nowhere, _ = _drawn(made_error(size, lambda x, y: x * np.nan))
    assert (np.abs(nowhere - 120).max(axis=2) > 5)[:300].mean() > 0.04


def test_contour_of_a_cone_is_a_circle():
    rows, columns = np.mgrid[:41, :41]
    lines = contour(np.hypot(columns - 20.0, rows - 20.0), 13.3)
    np.testing.assert_allclose(np.hypot(*(lines - 20).T), 13.3, atol=0.03)
    length = np.linalg.norm(lines[:, 1] - lines[:, 0], axis=1).sum()
    assert length == pytest.approx(2 * np.pi * 13.3, rel=0.01)
    holed = np.where(columns < 20, np.nan, np.hypot(columns - 20.0, rows - 20.0))
    assert (contour(holed, 13.3)[..., 0] >= 20).all()
    assert contour(np.full((5, 5), np.nan), 1.0).shape == (0, 2, 2)
    saddle = contour(np.array([[0.0, 1.0], [1.0, 0.0]]), 0.5)
    assert saddle.shape == (2, 2, 2)


def test_error_of_a_picture_is_that_of_the_file():
    size = (300, 500)
    error = made_error(
        size, lambda x, y: np.where(y < 200, x / 100 + y / 50, np.nan), nodes=31
    )
    values, known = sampled(error, (150, 250), np.array([0.5, 0.5]))
    rows, columns = np.mgrid[:150, :250]
    in_file = np.stack([columns, rows], axis=-1) * 2 + 0.5
    expected, _ = error.at(in_file)
    sure = np.isfinite(expected)
    assert known[sure].all()
    # Older OpenCV rounds places to 1/32 of a cell.
    np.testing.assert_allclose(values[sure], expected[sure], atol=0.02)
    # Half a cell of the grid beyond the last known points.
    assert known.mean() - sure.mean() < 0.06
    np.testing.assert_allclose(
        to_file(error, np.array([3.5, 30.0])), [3.5 * 499 / 30, 299]
    )
