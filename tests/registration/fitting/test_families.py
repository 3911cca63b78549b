"""Each family recovers a truth of its own kind, and the choice finds the kind."""

import numpy as np
import pytest
from scipy.special import xlogy

from rkd_jax.registration.fitting import fit as fitting
from rkd_jax.registration.fitting.calibrate import combine, curvature_of
from rkd_jax.registration.fitting.curvature import Curvature, expected_curvature
from rkd_jax.registration.fitting.estimate import estimate_homography, lmeds_inliers
from rkd_jax.registration.fitting.problem import Problem
from rkd_jax.registration.fitting.projective import _terms, curvature_error
from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.result import Registration
from rkd_jax.registration.transforms import (
    Frame,
    Homography,
    Quadratic,
    Radial,
    RadialQuadratic,
    ThinPlate,
    Transform,
)
from rkd_jax.synthetic.fundus.camera import Camera, Mapping, aim

SIZE = 768
FRAME = Frame.of_size((SIZE, SIZE))
TURN = np.array([[0.98, 0.1, 0.15], [-0.1, 1.01, -0.2], [0.02, -0.01, 1.0]])
FLAT = Homography(Radial(TURN, 0.0, FRAME, FRAME).projective())
CURVED = Radial(TURN, 0.15, FRAME, FRAME)
SHIFT = (
    np.array([[0.0, 0, 0, 9, -6, 4], [0, 0, 0, 3, 7, -8.0]]),
    np.array([384.0, 384.0]),
    384.0,
)
BENT = RadialQuadratic(CURVED, *SHIFT)
# Four dents of the fixed image, some 6 px deep and 200 px wide: nothing low-order.
_KNOTS = np.array([[-0.4, -0.4], [0.4, -0.3], [-0.3, 0.4], [0.4, 0.4]])


class Dented(Transform):
    family = "dented"

    def apply(self, points):
        mapped = CURVED.apply(points)
        v = (mapped - 384.0) / 384.0
        near = np.exp(-np.sum((v[:, None] - _KNOTS) ** 2, axis=-1) / (2 * 0.25**2))
        return mapped + 6.0 * near @ np.array([[1, 1], [-1, 1], [1, -1], [-1, -1.0]])


def _pairs(transform, *, count=500, outliers=0.4, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    moving = rng.uniform(20, SIZE - 20, (count, 2))
    fixed = transform.apply(moving) + rng.normal(0, noise, (count, 2))
    wrong = rng.permutation(count)[: int(outliers * count)]
    fixed[wrong] = rng.uniform(20, SIZE - 20, (len(wrong), 2))
    return moving, fixed


def _grid(low=60, high=SIZE - 60):
    axis = np.linspace(low, high, 12)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def _fit(transform, family, **how):
    return fitting.fit(*_pairs(transform, **how), family=family, frames=(FRAME, FRAME))


def _error(found, truth):
    return fitting.residuals(found, _grid(), truth.apply(_grid()))


def test_radial_is_what_the_camera_of_synthetic_eyes_does():
    """That camera goes through a chart of the eye, and has its own matrices."""
    views = [
        Camera(SIZE, 0.12, aim((0.1, 0.05), turn_rad=0.05)),
        Camera(SIZE, 0.12, aim((0.4, -0.2), turn_rad=-0.1, scale=1.04)),
    ]
    truth = Mapping(views[1], views[0])
    matrix = np.linalg.inv(views[0].matrix) @ views[1].matrix
    np.testing.assert_allclose(
        Radial(matrix, 0.12, FRAME, FRAME).apply(_grid()), truth(_grid()), atol=1e-8
    )


def test_thin_plate_equals_its_formula():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(2, 7))
    plate = ThinPlate(FLAT, _KNOTS, weights, [384.0, 384.0], 384.0)
    mapped = FLAT.apply(_grid())
    v = (mapped - 384.0) / 384.0
    r = np.linalg.norm(v[:, None] - _KNOTS, axis=-1)
    terms = np.concatenate([r * xlogy(r, r), np.ones((len(v), 1)), v], axis=1)
    np.testing.assert_allclose(plate.apply(_grid()), mapped + terms @ weights.T)


@pytest.mark.parametrize("free_k", [False, True])
def test_derivatives_are_those_of_differences(free_k):
    u = np.random.default_rng(1).uniform(-0.9, 0.9, (20, 2))
    parameters = np.append(TURN.ravel()[:8], 0.13)
    _, jacobian = _terms(parameters, u, free_k)
    step = 1e-6
    for column in range(8 + free_k):
        ahead, behind = parameters.copy(), parameters.copy()
        ahead[column] += step
        behind[column] -= step
        slope = (_terms(ahead, u, free_k)[0] - _terms(behind, u, free_k)[0]) / (
            2 * step
        )
        np.testing.assert_allclose(jacobian[:, :, column], slope, atol=1e-7)


PARAMETERS = {"radial": 9, "quadratic": 20, "radial_quadratic": 21, "thin_plate": 80}


@pytest.mark.parametrize(
    ("family", "truth"),
    [
        ("radial", CURVED),
        ("radial", FLAT),
        ("quadratic", Quadratic(FLAT.matrix, *SHIFT)),
        ("radial_quadratic", BENT),
        ("thin_plate", CURVED),
        ("thin_plate", Dented()),
    ],
)
def test_family_recovers_the_truth_among_wrong_matches(family, truth):
    """Least squares on n pairs is off by noise * sqrt(p / n) in the mean square.

    Twice that for the weights' loss and for points at the rim.
    """
    noise = 0.5
    result = _fit(truth, family, noise=noise, count=600)
    bound = 2.0 * noise * np.sqrt(PARAMETERS[family] / (0.6 * 600))
    if isinstance(truth, Dented):
        bound += 0.5  # 32 knots 130 px apart follow the dents not quite to their ground
    error = _error(result.transform, truth)
    assert np.sqrt(np.mean(error**2)) < bound
    again = _fit(truth, family, noise=noise, count=600)
    np.testing.assert_array_equal(
        again.transform.apply(_grid()), result.transform.apply(_grid())
    )


def test_curvature_is_found_and_its_error_is_honest():
    moving, fixed = _pairs(CURVED, noise=0.5)
    result = _fit(CURVED, "radial", noise=0.5)
    problem = Problem(moving, fixed, (FRAME, FRAME), "magsac", 3.0, Curvature(0.1, 1.0))
    spread = curvature_error(result.transform, problem)
    assert 0 < spread < 0.01
    assert abs(result.transform.curvature - 0.15) < 4 * spread
    # Without a turn of the eye k cancels: the pairs say nothing, the prior stands.
    still = Radial(np.eye(3), 0.15, FRAME, FRAME)
    result = _fit(still, "radial", noise=0.5)
    assert abs(result.transform.curvature - Curvature.prior().mean) < 0.06


def test_known_curvature_is_kept():
    found = fitting.fit(
        *_pairs(CURVED),
        family="radial",
        frames=(FRAME, FRAME),
        curvature=Curvature(0.11, 0.0),
    )
    assert found.transform.curvature == 0.11


@pytest.mark.parametrize(
    ("truth", "chosen"),
    [
        (FLAT, "homography"),
        (CURVED, "radial"),
        (Quadratic(FLAT.matrix, *SHIFT), "quadratic"),
        (BENT, "radial_quadratic"),
        (Dented(), "thin_plate"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_choice_finds_the_family_that_made_the_pairs(truth, chosen):
    result = _fit(truth, "auto", count=900, noise=0.4)
    assert result.transform.family == chosen
    again = _fit(truth, "auto", count=900, noise=0.4)
    np.testing.assert_array_equal(
        again.transform.apply(_grid()), result.transform.apply(_grid())
    )


def test_few_pairs_leave_the_homography():
    result = _fit(CURVED, "auto", count=16, outliers=0.0)
    assert isinstance(result.transform, Homography)


def test_radial_families_need_frames():
    pairs = _pairs(CURVED)
    for family in ("radial", "radial_quadratic"):
        with pytest.raises(ValueError, match="needs `frames`"):
            fitting.fit(*pairs, family=family)
    assert fitting.fit(*pairs, family="auto").transform.family == "quadratic"
    base = fitting.fit(*pairs, family="thin_plate").transform.base
    assert isinstance(base, Homography)


def test_geometry_expects_what_two_cameras_have():
    # tan(phi) by intersecting the ray with the sphere, another way than the law of
    # sines; the ratio at the rim over that near the axis is 1 + k.
    for projection, shown in (("perspective", np.tan), ("equidistant", lambda a: a)):
        for field in (30.0, 45.0, 60.0):
            stretch = []
            for theta in (1e-5, np.radians(field / 2)):
                ray = np.array([np.sin(theta), np.cos(theta)])
                along = np.roots([1.0, -2 * 5.0 * ray[1], 5.0**2 - 12.0**2]).max()
                x, z = along * ray - np.array([0.0, 5.0])
                stretch.append(x / z / shown(theta))
            expected = stretch[1] / stretch[0] - 1
            found = expected_curvature(field, projection=projection)
            assert found == pytest.approx(expected, rel=1e-4)
    prior = Curvature.prior()
    for value in (expected_curvature(30), expected_curvature(60)):
        assert abs(value - prior.mean) < 2.5 * prior.sd
    with pytest.raises(ValueError, match="field_deg"):
        expected_curvature(0)
    with pytest.raises(ValueError, match="projection"):
        expected_curvature(45, projection="fisheye")


def _registered(truth, seed, ok=True):
    moving, fixed = _pairs(truth, count=200, outliers=0.0, seed=seed)
    matches = Matches(fixed, moving, np.ones(200, np.float32))
    size = (SIZE, SIZE)
    kept = np.ones(200, bool)
    return Registration(
        ok, "", truth, matches, kept, 1.0, {}, size, size, frames=(FRAME, FRAME)
    )


def test_one_camera_is_calibrated_from_all_its_pairs():
    from rkd_jax.registration.fitting.calibrate import calibrate

    runs = [_registered(CURVED, seed) for seed in range(4)]
    runs.append(_registered(Radial(TURN, 0.0, FRAME, FRAME), 9, ok=False))
    found = calibrate(runs)
    assert found.mean == pytest.approx(0.15, abs=0.01)
    assert (found.sd, found.source) == (0.0, "one camera, 4 pairs")
    assert curvature_of(runs[-1]) is None
    nothing = combine([])
    assert nothing.mean == pytest.approx(Curvature.prior().mean)


def test_median_of_squares_takes_its_own_inliers():
    """OpenCV 5 gives none where every pair is off by more than the threshold."""
    rng = np.random.default_rng(0)
    moving = rng.uniform(0, 2000, (200, 2))
    fixed = CURVED_FILE.apply(moving) + rng.normal(0, 8.0, moving.shape)
    matrix, inliers, reason = estimate_homography(moving, fixed, "lmeds", 0.01)
    assert reason == ""
    assert inliers.sum() > 100
    mapped = Homography(matrix).apply(moving)
    distance = np.linalg.norm(mapped - fixed, axis=1)
    limit = 2.5 * 1.4826 * (1 + 5 / 196) * np.median(distance)
    np.testing.assert_array_equal(inliers, distance <= limit)
    np.testing.assert_array_equal(inliers, lmeds_inliers(matrix, moving, fixed))


CURVED_FILE = Radial(TURN, 0.15, Frame(1000, 1000, 1000), Frame(1000, 1000, 1000))


@pytest.mark.parametrize(
    "transform",
    [
        CURVED,
        BENT,
        ThinPlate(CURVED, _KNOTS, np.full((2, 7), 2.0), [384.0, 384.0], 384.0),
    ],
    ids=lambda t: t.family,
)
def test_warped_image_shows_the_moving_one(transform):
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    # A linear ramp is sampled without error: the warped value is the source's place.
    ramp = np.stack([columns, rows, rows], axis=-1)
    warped = transform.warp(ramp, (SIZE, SIZE), fill=-1)
    inside = transform.overlap((SIZE, SIZE), (SIZE, SIZE), margin_px=2)
    y, x = np.nonzero(inside)
    source = transform.apply_inverse(np.stack([x, y], axis=-1).astype(float))
    assert inside.mean() > 0.4
    # OpenCV rounds places to 1/32 px; the coarse grid adds less than .01 px.
    np.testing.assert_allclose(warped[y, x][:, :2], source, atol=1 / 32 + 0.01)


def test_bad_parameters_are_named():
    with pytest.raises(ValueError, match=r"curvature: expected 0 to 0\.5"):
        Radial(TURN, -0.1, FRAME, FRAME)
    with pytest.raises(ValueError, match="radius above 0"):
        Frame(0, 0, 0)
    with pytest.raises(ValueError, match="weights: expected"):
        ThinPlate(FLAT, _KNOTS, np.zeros((2, 5)), [0, 0], 1.0)
    with pytest.raises(ValueError, match="at least 0"):
        Curvature(-0.1, 0.1)
