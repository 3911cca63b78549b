"""Photographs turned or scaled against each other: proposed and judged."""

import dataclasses
import math

import cv2
import numpy as np
import pytest

from rkd_jax.images.prepare import Resized, fit_to
from rkd_jax.keypoints import Keypoints
from rkd_jax.registration.fitting.fit import residuals
from rkd_jax.registration.keypoints.dog import make_sift, root_sift, to_levels
from rkd_jax.registration.matcher import load_matcher
from rkd_jax.registration.search import propose, rectify
from rkd_jax.registration.search.similarity import Similarity, fit_similarity
from rkd_jax.registration.transforms import Frame, Homography
from rkd_jax.registration.transforms.frame import common_frames


def similarity(turn_deg, scale, shift=(0.0, 0.0)):
    """Return the map that turns clockwise on the screen, scales, then shifts."""
    cos, sin = (scale * f(math.radians(turn_deg)) for f in (math.cos, math.sin))
    return Homography([[cos, -sin, shift[0]], [sin, cos, shift[1]], [0, 0, 1.0]])


@pytest.fixture(scope="module")
def eye(moving):
    """A round photograph, `[480, 480]`, with a black margin."""
    large = cv2.resize(moving, (480, 480), interpolation=cv2.INTER_CUBIC)
    rows, columns = np.indices(large.shape) - 239.5
    return np.where(rows**2 + columns**2 < 225**2, large, 0).astype(np.uint8)


def seen(eye, turn_deg, wide, shift=(0, 0)):
    """Return the eye turned, in a field `wide` times as wide, and the map to it."""
    side = round(len(eye) * wide)
    to_middle = Homography([[1, 0, -239.5], [0, 1, -239.5], [0, 0, 1.0]])
    turn = similarity(turn_deg, 1.0, np.array([side - 1, side - 1]) / 2 + shift)
    way = Homography(turn.matrix @ to_middle.matrix)
    drawn = way.warp(eye, (side, side), interpolation="cubic")
    if wide > 1:
        disc = np.zeros_like(drawn)
        cv2.circle(disc, (side // 2, side // 2), side // 2 - 2, 60, -1)
        drawn = np.where(drawn > 12, drawn, disc)
    return drawn, way


@pytest.fixture(scope="module")
def grid():
    """Points within the eye, `[25, 2]`."""
    x, y = np.meshgrid(np.linspace(120, 360, 5), np.linspace(120, 360, 5))
    return np.stack([x, y], axis=-1).reshape(-1, 2)


@pytest.fixture(scope="module")
def sift():
    return load_matcher(method="sift", working_size=320)


def test_similarity_between_files_is_that_of_the_working_images(rng_points):
    fixed = Resized(np.zeros((64, 64)), (48, 64), (10, 20, 210, 170), (200, 220))
    moving = Resized(np.zeros((64, 64)), (64, 64), (0, 0, 500, 500), (500, 500))
    between = Similarity(similarity(30, 1.7, (5, -3)).matrix)
    by_hand = fixed.to_file(
        similarity(30, 1.7, (5, -3)).apply(moving.from_file(rng_points))
    )
    found = between.between(fixed, moving).apply(rng_points)
    np.testing.assert_allclose(found, by_hand, atol=1e-9)
    assert between.scale == pytest.approx(1.7)
    assert between.turn_deg == pytest.approx(30)


@pytest.fixture
def rng_points():
    return np.random.default_rng(3).uniform(0, 300, (40, 2))


def test_fit_similarity_finds_turn_and_scale_among_wrong_matches(rng_points):
    truth = similarity(-140, 0.4, (300, 200))
    fixed = truth.apply(rng_points)
    fixed[:24] = np.random.default_rng(4).uniform(0, 300, (24, 2))
    found, agree = fit_similarity(rng_points, fixed, 0.5)
    np.testing.assert_allclose(found.matrix, truth.matrix, atol=1e-6)
    assert agree[24:].all()
    assert agree[:24].sum() <= 1
    assert fit_similarity(rng_points[:4], fixed[:4], 0.5) is None


@pytest.mark.parametrize(
    ("turn", "wide"), [(75, 1.0), (180, 1.0), (0, 3.0), (250, 2.0)]
)
def test_sift_proposes_the_turn_and_the_scale(sift, eye, grid, turn, wide):
    other, way = seen(eye, turn, wide)
    fixed, moving = sift.photos([eye, other])
    best = max(propose.by_sift(fixed, moving), key=lambda found: found.support)
    assert residuals(best.transform, way.apply(grid), grid).max() < 4
    assert best.scale == pytest.approx(1.0, rel=0.02)
    assert best.support >= 20


def test_sift_proposes_nothing_for_strangers(sift, eye, unrelated):
    assert propose.by_sift(*sift.photos([eye, unrelated])) == []


def upright(photos):
    """Find SIFT's points but not their orientation: turns of 45 degrees blind it."""
    sift, found = make_sift(), []
    for photo in photos:
        image = to_levels(photo)
        mask = photo.field[: image.shape[0], : image.shape[1]].astype(np.uint8)
        points = [
            cv2.KeyPoint(*point.pt, point.size, 0.0)
            for point in sift.detect(image, mask)
        ]
        points, raw = sift.compute(image, points)
        xy = cv2.KeyPoint.convert(points).astype(np.float32)
        on = np.ones(len(xy), bool)
        found.append(Keypoints(xy, on.astype(np.float32), on, root_sift(raw)))
    return found


@pytest.mark.parametrize("turn", [100, 180, 300])
def test_an_upright_network_sees_the_turned_photograph(sift, eye, grid, turn):
    other, way = seen(eye, turn, 1.0)
    fixed, moving = sift.photos([eye, other])
    (best,) = propose.by_network(upright, fixed, moving, ratio=0.9, mutual=True)
    assert residuals(best.transform, way.apply(grid), grid).max() < 6
    assert best.source == "network"


def test_an_upright_network_proposes_nothing_for_strangers(sift, eye, unrelated):
    fixed, moving = sift.photos([eye, unrelated])
    assert propose.by_network(upright, fixed, moving, ratio=0.9, mutual=True) == []


@pytest.mark.parametrize(
    ("turn", "wide", "swapped"),
    [
        *((turn, 1.0, False) for turn in (30, 45, 60, 90, 135, 180)),
        *((0, wide, swapped) for wide in (1.5, 3.0, 5.0) for swapped in (False, True)),
        (200, 4.0, True),
    ],
)
def test_turned_and_wide_photographs_are_registered(
    sift, eye, grid, turn, wide, swapped
):
    other, way = seen(eye, turn, wide, shift=(20 * (wide - 1), -15 * (wide - 1)))
    images, points = (eye, other), (grid, way.apply(grid))
    if swapped:
        images, points = images[::-1], points[::-1]
    result = sift.register(*images)
    assert result.ok, result.reason
    assert residuals(result.transform, points[1], points[0]).max() < 0.7
    # Matches lie in the files, whatever was cut out and turned for them.
    kept = result.matches.points_moving[result.inliers]
    to_fixed = way.apply if swapped else way.apply_inverse
    off = to_fixed(kept) - result.matches.points_fixed[result.inliers]
    assert np.median(np.hypot(*off.T)) < 0.7
    # The map of the error is as fine where a narrow field lies in a wide one.
    errors = residuals(result.transform, points[1], points[0])
    _, bound = result.expected_error(points[1])
    assert np.isfinite(bound).all()
    assert np.mean(errors <= bound) > 0.8
    assert result.error_map.overlap.sum() > 100


def test_without_the_search_a_wide_field_is_refused(eye):
    other, _ = seen(eye, 0, 5.0)
    plain = load_matcher(method="sift", working_size=320, search=False)
    assert not plain.register(eye, other).ok


def test_a_reason_says_what_was_tried(sift, eye, unrelated):
    result = sift.register(eye, unrelated)
    assert not result.ok
    assert "tried too: any turn and scales up to 8 by SIFT" in result.reason
    plain = dataclasses.replace(sift.options, search=False)
    assert (
        "turn"
        not in load_matcher(method="sift", options=plain)
        .register(eye, unrelated)
        .reason
    )


@pytest.mark.parametrize("turn", [0, 120])
def test_a_mirrored_eye_stays_refused(sift, eye, turn):
    other, _ = seen(np.ascontiguousarray(eye[:, ::-1]), turn, 1.0)
    assert not sift.register(eye, other).ok


def test_a_part_is_cut_with_the_pixels_and_the_places_of_the_file(sift, eye):
    photo = sift.photo(eye)
    box = (100, 150, 260, 280)
    part = rectify.cut(photo, box, 240)
    x0, y0, x1, y1 = box
    crop = photo.levels[y0:y1, x0:x1] / np.float32(255)
    expected = fit_to(crop, 240)
    np.testing.assert_array_equal(part.image, expected.image)
    assert part.to_file([[-0.5, -0.5]]).tolist() == [[x0 - 0.5, y0 - 0.5]]
    assert part.file_size == eye.shape
    # The field: inside the circle of radius 225 px, less a rim of some pixels.
    rows, columns = np.indices(part.field.shape)
    file = part.to_file(np.stack([columns, rows], axis=-1))
    radius = np.hypot(*(file - 239.5).transpose(2, 0, 1))
    height, width = part.size
    inside = (rows < height) & (columns < width)
    assert part.field[inside & (radius < 210)].all()
    assert not part.field[~inside | (radius > 228)].any()


def test_parts_that_both_photographs_share(sift, eye):
    wide, way = seen(eye, 0, 4.0, shift=(200, 100))
    narrow, wide = sift.photos([eye, wide])
    fixed, moving = rectify.shared_parts(
        narrow, wide, Homography(np.linalg.inv(way.matrix)), 320
    )
    assert fixed is narrow
    box = np.array(moving.box).reshape(2, 2)
    corners = way.apply(np.array([[0.0, 0.0], [480.0, 480.0]]))
    assert np.abs(box - corners).max() < 0.08 * 480
    apart = similarity(0, 1, (9000, 0))
    assert rectify.shared_parts(narrow, wide, apart, 320) is None


def test_the_distortion_has_the_unit_of_the_narrower_field():
    narrow, wide = Frame.of_size((400, 400)), Frame.of_size((1600, 2000))
    assert common_frames(wide, narrow, 0.2) == (wide, narrow)
    moving, fixed = common_frames(wide, narrow, 1.0)
    assert (moving.radius, fixed.radius) == (200.0, 200.0)
    assert (moving.x, moving.y) == (999.5, 799.5)
    moving, fixed = common_frames(narrow, wide, 1.0)
    assert (moving.radius, fixed.radius) == (200.0, 200.0)
