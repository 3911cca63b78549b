"""Transforms and robust fitting against known maps, SciPy and bad input."""

import json

import numpy as np
import pytest
from scipy import ndimage

from rkd_jax.registration.fitting import fit as fitting
from rkd_jax.registration.transforms import (
    Frame,
    Homography,
    Quadratic,
    Radial,
    RadialQuadratic,
    ThinPlate,
    Transform,
)

TILTED = np.array([[1.05, 0.12, -20.0], [-0.10, 0.98, 35.0], [4e-5, -3e-5, 1.0]])
BENT = Quadratic(
    TILTED,
    [[1.0, 3.0, -2.0, 9.0, -5.0, 4.0], [-2.0, 1.0, 2.0, -3.0, 8.0, -7.0]],
    [400.0, 380.0],
    400.0,
)
FRAME = Frame(390.0, 380.0, 400.0)
CURVED = Radial(
    FRAME.matrix() @ TILTED @ np.linalg.inv(FRAME.matrix()), 0.12, *[FRAME] * 2
)
PLATE = ThinPlate(
    CURVED,
    [[-0.5, -0.4], [0.5, -0.5], [0.1, 0.6], [0.2, 0.0]],
    [[3, -2, 1, -2, 2.0, 1, 0], [-1, 2, 2, -3, 0, 1, 2.0]],
    [400.0, 380.0],
    400.0,
)
TRANSFORMS = [
    Homography(TILTED),
    BENT,
    CURVED,
    RadialQuadratic(CURVED, BENT.residual, BENT.center, BENT.scale),
    PLATE,
    ThinPlate(CURVED, np.zeros((0, 2)), [[1, 0.5, 0], [2, 0, 0]], [400, 380], 400.0),
]


def _grid(size=768, step=48.0):
    axis = np.arange(20.0, size - 20.0, step)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def test_homography_equals_homogeneous_arithmetic():
    points = _grid()
    homogeneous = np.c_[points, np.ones(len(points))] @ TILTED.T
    expected = homogeneous[:, :2] / homogeneous[:, 2:]
    np.testing.assert_allclose(Homography(TILTED).apply(points), expected, rtol=1e-12)
    np.testing.assert_allclose(Homography(3 * TILTED).apply(points), expected)


def test_quadratic_equals_its_formula():
    u = Homography(TILTED).apply(_grid())
    x, y = ((u - [400.0, 380.0]) / 400.0).T
    expected = u + np.stack(
        [
            1 + 3 * x - 2 * y + 9 * x**2 - 5 * x * y + 4 * y**2,
            -2 + x + 2 * y - 3 * x**2 + 8 * x * y - 7 * y**2,
        ],
        axis=1,
    )
    np.testing.assert_allclose(BENT.apply(_grid()), expected, rtol=1e-12)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: t.family)
def test_inverse_and_dictionary_round_trip(transform):
    points = _grid()
    mapped = transform.apply(points)
    np.testing.assert_allclose(transform.apply_inverse(mapped), points, atol=1e-6)
    again = Transform.from_dict(json.loads(json.dumps(transform.to_dict())))
    assert type(again) is type(transform)
    np.testing.assert_allclose(again.apply(points), mapped, atol=1e-9)


def test_quadratic_beyond_its_fold_is_undefined():
    folded = Quadratic(np.eye(3), [[0, 0, 0, 60.0, 0, 0], [0] * 6], [0, 0], 100.0)
    there = folded.apply([[-50.0, 3.0]])
    np.testing.assert_allclose(folded.apply_inverse(there), [[-50.0, 3.0]], atol=1e-6)
    assert np.isnan(folded.apply_inverse([[-1000.0, 0.0]])).all()


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: t.family)
def test_warp_equals_scipy_sampling(transform):
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.random((760, 800)), 3).astype(np.float32)
    warped = transform.warp(image, (700, 780))
    rows, columns = np.mgrid[100:600:25, 100:680:25]
    source = transform.apply_inverse(np.stack([columns, rows], axis=-1))
    expected = ndimage.map_coordinates(image, [source[..., 1], source[..., 0]], order=1)
    assert warped.shape == (700, 780)
    # OpenCV rounds the weights of the four neighbors to 1/32.
    np.testing.assert_allclose(warped[rows, columns], expected, atol=2e-3)


def test_warp_keeps_type_channels_and_strips():
    image = np.random.default_rng(1).integers(0, 255, (1100, 1200, 3), np.uint8)
    shift = Homography([[1, 0, 7], [0, 1, -4], [0, 0, 1]])
    warped = shift.warp(image, (1096, 1300))
    np.testing.assert_array_equal(warped[:, 7:1207], image[4:])
    assert warped.dtype == np.uint8
    assert not warped[:, :6].any()
    assert shift.warp(image[..., 0] * 257.0, (10, 10)).dtype == np.float64


def test_overlap_is_where_the_inverse_lands():
    shift = Homography([[1, 0, 7], [0, 1, -4], [0, 0, 1]])
    overlap = shift.overlap((50, 60), (50, 60))
    assert overlap[:46, 7:].all()
    assert not overlap[46:].any()
    assert not overlap[:, :7].any()


def _noisy_pairs(transform, *, outliers, noise, seed=0, count=300):
    rng = np.random.default_rng(seed)
    moving = rng.uniform(20, 748, (count, 2))
    fixed = transform.apply(moving) + rng.normal(0, noise, (count, 2))
    wrong = rng.permutation(count)[: int(outliers * count)]
    fixed[wrong] = rng.uniform(20, 748, (len(wrong), 2))
    right = np.ones(count, bool)
    right[wrong] = False
    return moving, fixed, right


@pytest.mark.parametrize(("estimator", "outliers"), [("magsac", 0.6), ("lmeds", 0.3)])
def test_homography_survives_wrong_matches(estimator, outliers):
    truth = Homography(TILTED)
    moving, fixed, right = _noisy_pairs(truth, outliers=outliers, noise=0.5)
    result = fitting.fit(moving, fixed, estimator=estimator)
    error = fitting.residuals(result.transform, _grid(), truth.apply(_grid()))
    assert error.max() < 1.0
    assert (result.inliers == right).mean() > 0.95
    again = fitting.fit(moving, fixed, estimator=estimator)
    np.testing.assert_array_equal(again.transform.matrix, result.transform.matrix)


def test_quadratic_explains_what_the_homography_cannot():
    moving, fixed, _ = _noisy_pairs(BENT, outliers=0.4, noise=0.3)
    errors = {}
    for family in ("homography", "quadratic"):
        result = fitting.fit(moving, fixed, family=family)
        error = fitting.residuals(result.transform, _grid(), BENT.apply(_grid()))
        errors[family] = error.mean()
    assert errors["homography"] > 1.0
    assert errors["quadratic"] < 0.3


def test_quadratic_of_few_points_is_the_homography():
    moving, _, _ = _noisy_pairs(BENT, outliers=0.0, noise=0.0, count=8)
    fixed = Homography(TILTED).apply(moving)
    result = fitting.fit(moving, fixed, family="quadratic")
    assert isinstance(result.transform, Quadratic)
    np.testing.assert_array_equal(result.transform.residual, 0)
    np.testing.assert_allclose(result.transform.apply(moving), fixed, atol=1e-3)


LINE = np.stack([np.arange(30.0), 2 * np.arange(30.0) + 1], axis=1)
BAD = {
    "empty": (np.zeros((0, 2)), "0 matches"),
    "three": (LINE[:3], "3 matches"),
    "line": (LINE, "one line"),
    "same": (np.full((30, 2), 5.0), "1 distinct"),
    "three distinct": (np.repeat([[0, 0], [5, 0], [0, 5.0]], 9, axis=0), "3 distinct"),
    "not finite": (np.full((30, 2), np.nan), "0 matches"),
}


@pytest.mark.parametrize("family", sorted(fitting.CHOICES))
@pytest.mark.parametrize("estimator", sorted(fitting.ESTIMATORS))
@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_points_give_a_reason(name, family, estimator):
    bad, reason = BAD[name]
    good = np.random.default_rng(0).uniform(0, 100, bad.shape)
    for moving, fixed in ((bad, good), (good, bad)):
        result = fitting.fit(
            moving, fixed, family=family, estimator=estimator, frames=(FRAME, FRAME)
        )
        assert result.transform is None
        assert reason in result.reason
        assert result.inliers.shape == (len(bad),)
        assert not result.inliers.any()


def test_wrong_arguments_name_what_is_known():
    points = np.random.default_rng(0).uniform(0, 100, (10, 2))
    with pytest.raises(ValueError, match=r"homography.*quadratic.*cubic"):
        fitting.fit(points, points, family="cubic")
    with pytest.raises(ValueError, match=r"lmeds.*magsac.*ransac"):
        fitting.fit(points, points, estimator="ransac")
    with pytest.raises(ValueError, match=r"\[M, 2\]"):
        fitting.fit(points, points[:5])
    with pytest.raises(ValueError, match="more than 0"):
        fitting.fit(points, points, threshold_px=0.0)
    with pytest.raises(ValueError, match=r"homography.*quadratic.*rigid"):
        Transform.from_dict({"family": "rigid"})
