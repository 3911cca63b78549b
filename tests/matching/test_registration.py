"""The judgement of a fit, its confidence, the field of view and the pictures."""

import json

import numpy as np
import pytest

from rkd_jax.data.preprocess import fit_to
from rkd_jax.matching.field import field_of_view, prepared_field
from rkd_jax.matching.fit import Fit, fit
from rkd_jax.matching.pictures import matches_picture, overlay_picture
from rkd_jax.matching.registration import Matches, judge
from rkd_jax.matching.transforms import Homography

SIZE = (600, 700)
TURN = Homography([[0.9, -0.2, 80.0], [0.2, 0.95, -30.0], [0, 0, 1]])


def _judge(transform, *, right=100, wrong=40, noise=0.5, span=(50, 550), scale=1.0):
    rng = np.random.default_rng(0)
    moving = rng.uniform(*span, (right + wrong, 2))
    fixed = transform.apply(moving) + rng.normal(0, noise, moving.shape)
    fixed[right:] = rng.uniform(50, 550, (wrong, 2))
    inliers = np.arange(right + wrong) < right
    similarity = np.ones(len(moving), np.float32)
    return judge(
        Fit(transform, inliers),
        Matches(fixed, moving, similarity),
        fixed_size=SIZE,
        moving_size=SIZE,
        fixed_scale=scale,
        moving_scale=scale,
    )


def _scaled(x, y=None):
    return Homography(np.diag([x, y or x, 1.0]))


def test_good_fit_is_believed():
    result = _judge(TURN)
    assert result.ok
    assert result.reason == ""
    assert result.evidence["support"] == 100
    assert result.evidence["inlier_ratio"] == pytest.approx(100 / 140)
    assert result.confidence > 0.85
    assert json.loads(json.dumps(result.to_dict()))["inliers"] == 100


@pytest.mark.parametrize(
    ("transform", "reason"),
    [
        (Homography([[-1, 0, 600], [0, 1, 0], [0, 0, 1]]), "mirrors"),
        (_scaled(0.2), "scales"),
        (_scaled(0.5, 1.2), "shears"),
        (Homography([[1, 0, 0], [0, 1, 0], [-2e-3, 0, 1]]), "mirrors or folds|scales"),
    ],
)
def test_implausible_transforms_are_not_believed(transform, reason):
    result = _judge(transform)
    assert not result.ok
    assert any(word in result.reason for word in reason.split("|"))
    assert result.confidence == 0


def test_scale_is_judged_in_working_pixels():
    """A file four times as large is not a magnification of four."""
    rng = np.random.default_rng(0)
    moving = rng.uniform(50, 550, (100, 2))
    transform = _scaled(4.0)
    result = judge(
        Fit(transform, np.ones(100, bool)),
        Matches(transform.apply(moving), moving, np.ones(100, np.float32)),
        fixed_size=(2400, 2800),
        moving_size=SIZE,
        fixed_scale=0.25,
        moving_scale=1.0,
    )
    assert result.ok, result.reason


def test_few_matches_and_little_coverage_are_not_believed():
    few = _judge(TURN, right=12)
    assert not few.ok
    assert few.reason == "12 matches agree, at least 17 must"
    crowded = _judge(TURN, span=(300, 360))
    assert not crowded.ok
    assert "cover" in crowded.reason


def test_confidence_orders_as_documented():
    best = _judge(TURN, right=200).confidence
    fewer = _judge(TURN, right=30, wrong=10).confidence
    noisier = _judge(TURN, right=200, noise=1.2).confidence
    narrower = _judge(TURN, right=200, span=(240, 400)).confidence
    wronger = _judge(TURN, right=200, wrong=2000).confidence
    for worse in (fewer, noisier, narrower, wronger):
        assert 0 < worse < best <= 1


def test_random_matches_are_not_believed():
    rng = np.random.default_rng(3)
    for estimator in ("magsac", "lmeds"):
        for count in (4, 10, 100, 800):
            points = rng.uniform(0, 700, (2, count, 2))
            result = judge(
                fit(points[0], points[1], estimator=estimator),
                Matches(points[1], points[0], np.ones(count, np.float32)),
                fixed_size=SIZE,
                moving_size=SIZE,
                fixed_scale=1.0,
                moving_scale=1.0,
            )
            assert not result.ok
            assert result.confidence < 0.3


def _disc(height, width, x, y, radius):
    rows, columns = np.mgrid[:height, :width]
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_field_is_the_disc(kind):
    disc = _disc(900, 1300, 650, 450, 400)
    image = np.where(disc, 0.6, 0.01)[..., None] * np.array([1.0, 0.5, 0.2])
    image[440:460, 640:660] = 0  # a dark spot inside belongs to the field
    image = (image * 255).astype(np.uint8) if kind == np.uint8 else image.astype(kind)
    field = field_of_view(image)
    assert (field != disc).mean() < 0.01
    prepared = fit_to(image[..., 1].astype(np.float32), 130, box=(200, 0, 1100, 900))
    inner = prepared_field(image, prepared, rim_px=8)
    assert inner.shape == (130, 130)
    expected = _disc(130, 130, 64.5, 64.5, 400 * 130 / 900 - 8)
    assert (inner != expected).mean() < 0.03


def test_full_frame_image_is_all_field_but_padding_is_none():
    image = np.random.default_rng(0).integers(90, 200, (100, 160), np.uint8)
    assert field_of_view(image).all()
    prepared = fit_to(image / np.float32(255), 64)
    inner = prepared_field(image, prepared, rim_px=4)
    assert inner[:40].all()
    assert not inner[40:].any()


def test_overlay_alternates_inside_both_fields():
    fixed, registered = (
        np.full((64, 64), 200, np.uint8),
        np.full((64, 64), 100, np.uint8),
    )
    left, top = np.zeros((2, 64, 64), bool)
    left[:, :48], top[:32] = True, True
    picture = overlay_picture(fixed, registered, left, top, tiles=8)[..., 0]
    inside = picture[:32, :48]
    assert inside[0, 0] == 200
    assert inside[0, 8] == inside[8, 0] == 100
    assert (inside == 200).mean() == 0.5
    assert picture[40, 10] == int(200 * 0.45)
    assert picture[10, 60] == int(100 * 0.45)


def test_matches_picture_shows_lines_of_both_kinds():
    result = _judge(TURN)
    dark = np.zeros(SIZE, np.uint8)
    picture = matches_picture(dark, dark, result, height=300).astype(int)
    width = 2 * 350 + 8
    assert picture.shape == (340, width, 3)
    red, green = picture[:300, :350, 0], picture[:300, :350, 1]
    assert (green > red + 60).sum() > 200
    assert (red > green + 60).sum() > 200
    bar = picture[300:]
    assert (bar[..., 1] > bar[..., 0] + 60).sum() > 100
    refused = _judge(_scaled(0.2))
    bar = matches_picture(dark, dark, refused, height=300).astype(int)[300:]
    assert (bar[..., 0] > bar[..., 1] + 60).sum() > 100
