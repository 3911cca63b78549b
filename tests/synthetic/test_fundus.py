"""The synthetic data set: determinism, geometry, keypoints that are really there."""

import pickle
from dataclasses import replace

import cv2
import numpy as np
import pytest

from rkd_jax.synthetic import fundus
from rkd_jax.synthetic.fundus import camera, vessel_tree
from rkd_jax.synthetic.fundus.session import Session

SIZE = 160
SEEDS = (0, 1, 2, 3)


@pytest.fixture(scope="module")
def photographs():
    return [fundus.photograph(seed, size=SIZE) for seed in SEEDS]


@pytest.fixture(scope="module")
def pairs():
    return [fundus.visits(seed, size=SIZE) for seed in SEEDS]


def _places(rng, count=200):
    return rng.uniform(0.1 * SIZE, 0.9 * SIZE, (count, 2))


def _homography_residual(pair):
    """Largest error of the best homography on a grid of the overlap, in pixels."""
    axis = np.linspace(0.2 * SIZE, 0.8 * SIZE, 9)
    moving = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    fixed = pair.moving_to_fixed(moving)
    h, _ = cv2.findHomography(moving, fixed, 0)
    mapped = cv2.perspectiveTransform(moving[None], h)[0]
    return np.abs(mapped - fixed).max()


def test_same_seed_same_photograph_other_seed_other_eye(photographs):
    again = fundus.photograph(SEEDS[0], size=SIZE)
    for name in ("image", "keypoints", "field", "vessels"):
        np.testing.assert_array_equal(
            getattr(again, name), getattr(photographs[0], name)
        )
    assert not np.array_equal(photographs[0].image, photographs[1].image)


def test_visits_are_deterministic_and_independent_of_global_randomness(pairs):
    np.random.seed(5)  # noqa: NPY002
    again = fundus.visits(SEEDS[1], size=SIZE)
    np.testing.assert_array_equal(again.moving.image, pairs[1].moving.image)
    np.testing.assert_array_equal(again.control_points, pairs[1].control_points)


def test_first_visit_is_the_photograph_of_that_seed(photographs, pairs):
    np.testing.assert_array_equal(pairs[2].fixed.image, photographs[2].image)


def test_types_and_shapes(photographs):
    for made in photographs:
        assert made.image.shape == (SIZE, SIZE, 3)
        assert made.image.dtype == np.uint8
        assert made.keypoints.dtype == np.float32
        assert made.field.dtype == made.vessels.dtype == bool


def test_keypoints_lie_on_vessels_within_the_field(photographs, pairs):
    for made in [*photographs, *(p.moving for p in pairs)]:
        assert len(made.keypoints) >= 8
        column, row = np.rint(made.keypoints).astype(int).T
        assert made.field[row, column].all()
        wide = cv2.dilate(made.vessels.astype(np.uint8), np.ones((3, 3), np.uint8))
        assert wide[row, column].mean() > 0.98


def test_keypoints_have_more_arms_than_other_vessel_pixels():
    """Around a fork or crossing three or more arms leave; on a plain vessel two."""
    made = fundus.photograph(6, size=640, lesions=False)

    def arms(x, y, radius):
        angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
        ring = np.rint([y + radius * np.sin(angle), x + radius * np.cos(angle)])
        on = made.vessels[tuple(ring.astype(int))]
        return np.count_nonzero(on & ~np.roll(on, 1))

    keypoints = made.keypoints.astype(float)
    row, column = np.nonzero(made.vessels)
    others = np.column_stack([column, row]).astype(float)
    gap = np.hypot(*(others[:, None] - keypoints[None]).transpose(2, 0, 1)).min(axis=1)
    others = others[gap > 24]
    inner = np.all((others > 20) & (others < 620), axis=1)
    others = np.random.default_rng(0).permutation(others[inner])[:300]
    at_keypoints = np.mean(
        [max(arms(x, y, r) for r in (7, 9, 12)) for x, y in keypoints]
    )
    elsewhere = np.mean([max(arms(x, y, r) for r in (7, 9, 12)) for x, y in others])
    assert at_keypoints > 2.7
    assert at_keypoints > elsewhere + 0.6


def test_vessels_cover_a_plausible_share_and_are_dark_in_green(photographs):
    for made in photographs:
        share = made.vessels.sum() / made.field.sum()
        assert 0.04 < share < 0.16
        green = made.image[..., 1].astype(float)
        near = cv2.dilate(made.vessels.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        beside = near & ~made.vessels & made.field
        assert green[made.vessels].mean() < 0.97 * green[beside].mean()


def test_colour_is_that_of_a_fundus(photographs):
    for made in photographs:
        red, green, blue = made.image[made.field].mean(axis=0)
        assert red > green > blue
        dark = cv2.erode((~made.field).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        assert made.image[dark].mean() < 12


def test_density_and_lesions_are_options():
    few, normal, many = (
        np.mean(
            [
                len(vessel_tree.grow(np.random.default_rng(seed), density=d).keypoints)
                for seed in range(2)
            ]
        )
        for d in (0.4, 1.0, 2.0)
    )
    assert few < 0.8 * normal
    assert normal < 0.9 * many
    sparse = fundus.photograph(1, size=SIZE, vessels=0.4)
    dense = fundus.photograph(1, size=SIZE, vessels=2.0)
    assert not np.array_equal(sparse.vessels, dense.vessels)
    seeds = range(6)
    differ = [
        not np.array_equal(
            fundus.photograph(s, size=64).image,
            fundus.photograph(s, size=64, lesions=False).image,
        )
        for s in seeds
    ]
    assert any(differ)


def test_mapping_round_trip(pairs):
    rng = np.random.default_rng(0)
    for pair in pairs:
        xy = _places(rng)
        back = pair.fixed_to_moving(pair.moving_to_fixed(xy))
        np.testing.assert_allclose(back, xy, atol=1e-6)


def test_control_points_obey_the_mapping_and_are_spread(pairs):
    for pair in pairs:
        fixed, moving = pair.control_points[:, :2], pair.control_points[:, 2:]
        assert len(fixed) == 12
        np.testing.assert_allclose(pair.moving_to_fixed(moving), fixed, atol=1e-3)
        for made, xy in ((pair.fixed, fixed), (pair.moving, moving)):
            column, row = np.rint(xy).astype(int).T
            assert made.field[row, column].all()
        gap = np.hypot(*(fixed[:, None] - fixed[None]).transpose(2, 0, 1))
        assert gap[~np.eye(12, dtype=bool)].min() > 0.03 * SIZE


def test_both_visits_see_the_same_keypoints(pairs):
    for pair in pairs:
        mapped = pair.moving_to_fixed(pair.moving.keypoints)
        inner = np.all((mapped > 25) & (mapped < SIZE - 26), axis=1)
        inner &= np.hypot(*(mapped - SIZE / 2).T) < 0.4 * SIZE
        gap = np.hypot(
            *(mapped[inner][:, None] - pair.fixed.keypoints[None]).transpose(2, 0, 1)
        )
        assert np.mean(gap.min(axis=1) < 0.01) > 0.8  # the rest is at the visible limit


def test_no_motion_and_no_change_give_the_same_picture():
    pair = fundus.visits(4, size=SIZE, motion=0.0, change=0.0)
    np.testing.assert_array_equal(pair.fixed.image, pair.moving.image)
    np.testing.assert_array_equal(pair.fixed.keypoints, pair.moving.keypoints)
    changed = fundus.visits(4, size=SIZE, motion=0.0)
    assert not np.array_equal(changed.fixed.image, changed.moving.image)
    np.testing.assert_array_equal(changed.fixed.vessels, changed.moving.vessels)


def test_the_true_mapping_registers_the_vessels(pairs):
    """Warped by OpenCV along the mapping, the vessel masks fall upon each other."""
    axis = np.arange(SIZE, dtype=float)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)
    for pair in pairs:
        lookup = pair.fixed_to_moving(grid).astype(np.float32)

        def warp(mask, lookup=lookup):
            source = mask.astype(np.float32)
            return cv2.remap(source, lookup[..., 0], lookup[..., 1], cv2.INTER_LINEAR)

        overlap = pair.fixed.field & (warp(pair.moving.field) > 0.99)
        fixed = pair.fixed.vessels[overlap]
        after = np.corrcoef(fixed, warp(pair.moving.vessels)[overlap])[0, 1]
        before = np.corrcoef(fixed, pair.moving.vessels[overlap])[0, 1]
        assert after > 0.75
        assert after > before + 0.3


@pytest.mark.parametrize("seed", SEEDS)
def test_overlap_is_as_asked(seed):
    axis = np.arange(SIZE, dtype=float)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)
    pair = fundus.visits(seed, size=SIZE, overlap=(0.5, 0.6))
    lookup = pair.fixed_to_moving(grid).astype(np.float32)
    seen = cv2.remap(
        pair.moving.field.astype(np.float32), lookup[..., 0], lookup[..., 1], 1
    )
    share = (pair.fixed.field & (seen > 0.5)).sum() / pair.fixed.field.sum()
    assert 0.4 < share < 0.72


def test_curved_retina_is_no_homography_and_flat_one_is():
    curved = fundus.visits(2, size=SIZE, overlap=(0.5, 0.6))
    flat = fundus.visits(2, size=SIZE, overlap=(0.5, 0.6), curvature=0.0)
    assert _homography_residual(curved) > 0.004 * SIZE  # 12 px of a 2912-pixel file
    assert _homography_residual(flat) < 1e-4


def test_radial_correction_of_both_images_makes_it_a_homography():
    """The published recipe, written independently: p' = c + (p - c)(1 + k r^2)."""
    pair = fundus.visits(2, size=SIZE, overlap=(0.5, 0.6), curvature=0.12)
    moving = _places(np.random.default_rng(1))
    center, half = (SIZE - 1) / 2, SIZE / 2

    def correct(xy):
        r2 = ((xy - center) ** 2).sum(axis=1, keepdims=True) / half**2
        return center + (xy - center) * (1 + 0.12 * r2)

    source, target = correct(moving), correct(pair.moving_to_fixed(moving))
    h, _ = cv2.findHomography(source, target, 0)
    mapped = cv2.perspectiveTransform(source[None], h)[0]
    np.testing.assert_allclose(mapped, target, atol=1e-5)


def test_mapping_pickles_and_keeps_leading_shape(pairs):
    mapping = pickle.loads(pickle.dumps(pairs[0].moving_to_fixed))
    grid = np.zeros((3, 4, 2)) + 30
    assert mapping(grid).shape == (3, 4, 2)
    np.testing.assert_array_equal(mapping(grid), pairs[0].moving_to_fixed(grid))


def test_size_changes_sampling_but_not_the_eye():
    small = fundus.visits(5, size=96)
    large = fundus.visits(5, size=192)
    xy = _places(np.random.default_rng(2)) * 96 / SIZE
    doubled = (small.moving_to_fixed(xy) + 0.5) * 2 - 0.5
    np.testing.assert_allclose(
        large.moving_to_fixed((xy + 0.5) * 2 - 0.5), doubled, atol=1e-6
    )


def test_view_inverts_at_the_center_and_scales_locally():
    view = camera.Camera(100, 0.2, camera.aim((0.3, -0.2), turn_rad=0.3))
    center = np.array([[49.5, 49.5], [70.0, 20.0]])
    np.testing.assert_allclose(view.from_chart(view.to_chart(center)), center)
    np.testing.assert_allclose(view.to_chart(center)[0], [0.3, -0.2], atol=1e-12)
    flat = replace(view, curvature=0.0, matrix=np.eye(3))
    np.testing.assert_allclose(flat.pixels_per_field(np.zeros((1, 2))), 50, rtol=1e-9)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_shift_for_overlap_against_counted_pixels(share):
    shift = camera.shift_for_overlap(share)
    axis = np.linspace(-1, 1, 801)
    x, y = np.meshgrid(axis, axis)
    first = np.hypot(x, y) < 1
    both = first & (np.hypot(x - shift, y) < 1)
    assert both.sum() / first.sum() == pytest.approx(share, abs=0.005)


def test_daughters_obey_murray_and_start_on_their_mother():
    tree = vessel_tree.grow(np.random.default_rng(3))
    everything = np.concatenate(tree.branches)
    assert (everything[:, 2] > 0.5 * vessel_tree.MIN_RADIUS).all()
    for branch in tree.branches:
        assert branch[0, 2] >= branch[-1, 2]
    gap = np.hypot(
        *(tree.keypoints[:, None, :2] - everything[None, :, :2]).transpose(2, 0, 1)
    )
    assert gap.min(axis=1).max() < 0.012
    near = np.hypot(
        *(tree.keypoints[:, None, :2] - tree.keypoints[None, :, :2]).transpose(2, 0, 1)
    )
    assert near[~np.eye(len(near), dtype=bool)].min() > 0.5 * vessel_tree.MERGE


def test_crossing_is_one_keypoint():
    """Two straight vessels that cross have one keypoint, at their intersection."""
    t = np.linspace(-1, 1, 68)[:, None]
    across = np.column_stack([t, 0 * t, 0 * t + 0.01])
    down = np.column_stack([0 * t + 0.1, t, 0 * t + 0.004])
    found = vessel_tree._crossings([across, down])
    assert found.shape == (1, 3)
    np.testing.assert_allclose(found[0], [0.1, 0.0, 0.004], atol=1e-9)
    merged = vessel_tree.merge(
        np.array([[0.1, 0, 1], [0.11, 0, 3], [0.4, 0, 2.0]]), 0.02
    )
    assert len(merged) == 2


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("seed", -1),
        ("size", 32),
        ("overlap", (0.9, 0.5)),
        ("curvature", -0.1),
        ("motion", 2.0),
        ("change", -1.0),
        ("vessels", 0.0),
    ],
)
def test_options_out_of_range_are_refused(option, value):
    options = {"seed": 0, option: value}
    with pytest.raises(ValueError, match=option):
        fundus.visits(options.pop("seed"), **options)


def test_fields_of_left_and_right_eyes_hold_the_middle_of_the_eye():
    """Half of the eyes are mirrored; disc and fovea stay near every field."""
    sides = []
    for seed in range(8):
        session = Session(seed, SIZE, 1.0, False, 0.12, (0.6, 0.9), 1.0, 1.0)
        sides.append(session.eye.mirrored)
        for view in session.views:
            disc = view.from_chart(np.array(session.eye.disc[:2]))
            fovea = view.from_chart(np.zeros(2))
            assert (disc[0] < fovea[0]) == session.eye.mirrored
            off = np.abs((disc + fovea) / 2 - (SIZE - 1) / 2) / (SIZE / 2)
            assert off.max() < 0.8
    assert len(set(sides)) == 2
