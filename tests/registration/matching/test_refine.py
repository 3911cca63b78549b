"""Patch alignment on images in closed form: two views of one function of the plane."""

import numpy as np
import pytest
from made_photos import blank_photo

from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.matching.refine import PatchRefiner, normalize_contrast
from rkd_jax.registration.matching.warp import source_pixels
from rkd_jax.registration.transforms import Frame, Homography, Radial

SIDE = 384
TURN = np.array([[0.995, 0.08, 6.3], [-0.08, 0.99, 9.7], [1e-5, -2e-5, 1.0]])
RNG = np.random.default_rng(0)
WAVES = RNG.normal(0, 0.5, (60, 2))
PHASES = RNG.uniform(0, 2 * np.pi, 60)


def texture(xy):
    """Waves of about 12 px: values in 0..1 of points `[..., 2]`."""
    waves = np.cos(xy @ WAVES.T + PHASES).sum(axis=-1) / np.sqrt(len(WAVES))
    return np.clip(0.5 + 0.15 * waves, 0, 1).astype(np.float32)


def grid(side=SIDE):
    return np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).astype(
        float
    )


def photograph(image, scale=1):
    height, width = image.shape
    file_size = (scale * height, scale * width)
    return blank_photo(file_size, image=image)


def pair(change=lambda image: image):
    """The moving image is the texture; the fixed one sees it through `TURN`."""
    truth = Homography(TURN)
    moving = photograph(texture(grid()))
    fixed = photograph(change(texture(truth.apply_inverse(grid()))))
    return truth, fixed, moving


def matches(truth, noise, count=200):
    rng = np.random.default_rng(1)
    moving = rng.uniform(60, SIDE - 60, (count, 2))
    fixed = truth.apply(moving) + noise * rng.normal(size=(count, 2))
    return Matches(fixed, moving, np.ones(count, np.float32))


def off(found, truth):
    return np.linalg.norm(found.points_fixed - truth.apply(found.points_moving), axis=1)


def darker(image):
    rows = np.arange(SIDE)[:, None] / SIDE
    return ((0.3 + 0.4 * rows) * image + 0.2 * rows).astype(np.float32)


@pytest.mark.parametrize(
    "change",
    [lambda image: image, darker, lambda image: 1 - image],
    ids=["same", "other light", "bright vessels"],
)
def test_points_are_moved_to_where_the_images_agree(change):
    truth, fixed, moving = pair(change)
    given = matches(truth, noise=0.7)
    near = Homography(TURN + [[0, 0, 0.5], [0, 0, -0.4], [0, 0, 0]])
    found = PatchRefiner(fixed, moving)(given, near)
    assert np.median(off(given, truth)) > 0.5
    assert np.median(off(found, truth)) < 0.05
    np.testing.assert_array_equal(found.points_moving, given.points_moving)
    np.testing.assert_array_equal(found.similarity, given.similarity)


def test_points_whose_images_do_not_agree_stay():
    truth, fixed, _ = pair()
    other = photograph(texture(grid() + 5000.0))
    given = matches(truth, noise=0.7)
    found = PatchRefiner(fixed, other)(given, truth)
    stayed = np.all(found.points_fixed == given.points_fixed, axis=1)
    assert stayed.mean() > 0.8
    # And one that moves stays within reach of where the transform puts it.
    assert np.all(off(found, truth)[~stayed] < 2.0)
    blank = photograph(np.full((SIDE, SIDE), 0.5, np.float32))
    unmoved = PatchRefiner(fixed, blank)(given, truth).points_fixed
    np.testing.assert_array_equal(unmoved, given.points_fixed)


def test_no_matches_stay_none():
    truth, fixed, moving = pair()
    assert len(PatchRefiner(fixed, moving)(matches(truth, 0.0, count=0), truth)) == 0


def test_flat_images_do_not_depend_on_light():
    image, field = texture(grid()), np.ones((SIDE, SIDE), bool)
    flat = normalize_contrast(image, field, unit=1.0).astype(int)
    other = normalize_contrast(0.5 * image + 0.3, field, unit=1.0).astype(int)
    # What is left of the difference is the floor of the contrast.
    assert np.abs(flat - other).max() < 0.15 * np.abs(flat - 128).max()
    half = field & (np.arange(SIDE) < SIDE // 2)
    inside = normalize_contrast(image, half, unit=1.0)
    masked = normalize_contrast(
        np.where(half, image, 0.9).astype(np.float32), half, unit=1.0
    )
    np.testing.assert_array_equal(inside, masked)
    assert (inside[~half] == 128).all()


@pytest.mark.parametrize("curved", [False, True])
def test_source_pixels_lie_where_the_transform_comes_from(curved):
    frame = Frame.of_size((3 * SIDE, 3 * SIDE))
    matrix = np.array([[0.98, 0.1, 0.15], [-0.1, 1.01, -0.2], [0.02, -0.01, 1.0]])
    transform = Homography(TURN)
    if curved:
        transform = Radial(matrix, 0.15, frame, frame)
    fixed, moving = (photograph(np.zeros((SIDE, SIDE)), scale=3) for _ in range(2))
    maps = source_pixels(fixed, moving, transform)
    truth = moving.from_file(transform.apply_inverse(fixed.to_file(grid())))
    assert maps.shape == (SIDE, SIDE, 2)
    seen = np.isfinite(truth).all(axis=-1) & (np.abs(truth) < SIDE).all(axis=-1)
    assert np.abs(maps - truth)[seen].max() < 0.02
