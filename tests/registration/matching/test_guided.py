"""Guided matching and its evidence on a constructed pair with a known map."""

import numpy as np
import pytest
from made_photos import blank_photo

from rkd_jax.keypoints import Keypoints
from rkd_jax.registration.fitting.fit import residuals
from rkd_jax.registration.matching.guided import fit_pair
from rkd_jax.registration.matching.nearest import GuidedMatcher, mutual_nearest
from rkd_jax.registration.matching.pair import Pair
from rkd_jax.registration.options import MatcherOptions
from rkd_jax.registration.transforms import Frame, Radial
from rkd_jax.registration.verdict.evidence import (
    asymmetry,
    drop_rim_matches,
    gather,
    nearness,
    support,
)

SIZE = 768
FRAME = Frame.of_size((SIZE, SIZE))
TURN = np.array([[0.98, 0.1, 0.15], [-0.1, 1.01, -0.2], [0.02, -0.01, 1.0]])
TRUTH = Radial(TURN, 0.1, FRAME, FRAME)
OPTIONS = MatcherOptions(min_similarity=0.6, align=False)


def _unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _keypoints(xy, descriptors, mask=None):
    mask = np.ones(len(xy), bool) if mask is None else mask
    scores = np.where(mask, np.float32(1), np.float32(0))
    return Keypoints(np.asarray(xy, np.float32), scores, mask, descriptors)


def _photo(xy, descriptors):
    return blank_photo((SIZE, SIZE), xy=xy, descriptors=descriptors)


def _pair(*, kinds, related=True, seed=0, count=500):
    """Points of an eye in two photographs, with `kinds` looks: many look alike."""
    rng = np.random.default_rng(seed)
    looks = _unit(rng.normal(size=(kinds, 32)))[rng.integers(kinds, size=count)]
    moving = rng.uniform(10, SIZE - 10, (count, 2))
    fixed = TRUTH.apply(moving) if related else rng.uniform(10, SIZE - 10, (count, 2))
    order = rng.permutation(count)
    sets = []
    for xy, which in ((fixed, order), (moving, np.arange(count))):
        noisy = _unit(looks[which] + 0.05 * rng.normal(size=looks.shape))
        xy = xy[which] + rng.normal(0, 0.4, xy.shape)
        sets.append(_photo(xy, noisy))
    return Pair(*sets, OPTIONS)


@pytest.mark.parametrize("radius", [5.0, 40.0])
def test_guided_matches_equal_brute_force(radius):
    rng = np.random.default_rng(0)
    sets = []
    for count in (90, 110):
        descriptors = _unit(rng.normal(size=(count, 6)))
        xy = rng.uniform(0, 200, (count, 2))
        sets.append(_keypoints(xy, descriptors, rng.random(count) < 0.9))
    mapped = rng.uniform(0, 200, (90, 2))
    mapped[3] = np.nan
    cosine = sets[0].descriptors @ sets[1].descriptors.T
    away = np.linalg.norm(mapped[:, None] - sets[1].xy[None], axis=-1)
    allowed = (away <= radius) & (cosine >= 0.2)
    allowed &= sets[0].mask[:, None] & sets[1].mask[None]
    allowed[3] = False
    best = np.where(allowed, cosine, -np.inf)
    expected = [
        (i, int(best[i].argmax()))
        for i in range(90)
        if allowed[i].any() and best[:, best[i].argmax()].argmax() == i
    ]
    pairs, similarity = GuidedMatcher(*sets)(mapped, radius=radius, min_similarity=0.2)
    assert [tuple(pair) for pair in pairs.tolist()] == expected
    assert len(expected) > 5
    np.testing.assert_allclose(similarity, cosine[tuple(pairs.T)], atol=1e-6)
    assert len(set(pairs[:, 1].tolist())) == len(pairs)


def test_guided_matcher_of_nothing_matches_nothing():
    nothing = _keypoints(
        np.zeros((4, 2)), np.zeros((4, 3), np.float32), np.zeros(4, bool)
    )
    some = _keypoints(np.ones((4, 2)), np.ones((4, 3), np.float32))
    for sets in ((nothing, some), (some, nothing)):
        pairs, similarity = GuidedMatcher(*sets)(
            np.ones((4, 2)), radius=5.0, min_similarity=0.0
        )
        assert pairs.shape == (0, 2)
        assert similarity.shape == (0,)


def test_second_best_must_be_another_place():
    """Two points on one spot rule each other out, unless they count as one."""
    descriptors = _unit(np.array([[1, 0, 0], [1, 0.05, 0], [0, 1, 0.0]]))
    xy = np.array([[5.0, 5], [6, 5], [80, 80]], np.float32)
    on = np.ones(3, bool)
    query = _unit(np.array([[1, 0.02, 0], [0, 1, 0.0]]))
    for separation, expected in ((0.0, [-1, 2]), (0.5, [-1, 2]), (4.0, [0, 2])):
        index, _ = mutual_nearest(
            query,
            on[:2],
            descriptors,
            on,
            ratio=0.6,
            mutual=False,
            positions1=xy,
            separation=separation,
        )
        np.testing.assert_array_equal(index, expected)


def test_guided_rounds_find_what_the_ratio_test_dropped():
    pair = _pair(kinds=60)
    free = pair.match()
    grid = np.stack(np.meshgrid(*[np.linspace(60, 700, 9)] * 2), axis=-1).reshape(-1, 2)
    errors, counts = {}, {}
    for guided in (False, True):
        result, matches = fit_pair(
            pair, free, family="radial", estimator="magsac", guided=guided
        )
        counts[guided] = int(result.inliers.sum())
        errors[guided] = residuals(result.transform, grid, TRUTH.apply(grid)).mean()
        assert len(result.inliers) == len(matches)
    assert counts[True] > 3 * counts[False]
    assert errors[True] < errors[False]
    # 9 parameters from more than 300 pairs, each .57 px off.
    assert errors[True] < 2 * 0.57 * np.sqrt(9 / 300)


@pytest.mark.parametrize(
    "family", ["homography", "quadratic", "radial_quadratic", "thin_plate"]
)
def test_guided_ends_in_the_family_asked_for(family):
    pair = _pair(kinds=400)
    result, _ = fit_pair(
        pair, pair.match(), family=family, estimator="magsac", guided=True
    )
    assert result.transform.family == family


def test_evidence_tells_truth_from_chance():
    related, unrelated = _pair(kinds=20), _pair(kinds=20, related=False)
    true = nearness(TRUTH, related)
    chance = nearness(TRUTH, unrelated)
    assert true["near"] > 10 * true["near_by_chance"]
    assert chance["near"] < 3 * (chance["near_by_chance"] + 3)
    assert true["near_error_px"] < 1.0 < chance["near_error_px"]
    assert true["near_coverage"] > 0.6


def test_there_and_back_is_near_for_a_true_fit_only():
    for related, low, high in ((True, 0, 1.0), (False, 5.0, 100.0)):
        pair = _pair(kinds=400, related=related)
        free = drop_rim_matches(pair.match(), pair)
        off = asymmetry(TRUTH, free, pair, estimator="magsac", curvature=None)
        assert low <= off <= high
    everything = gather(TRUTH, pair.match(), pair, estimator="magsac", curvature=None)
    assert everything["asymmetry_px"] == off
    assert {**support(TRUTH, free, pair)}.items() <= everything.items()


def test_two_eyes_that_share_the_rim_of_the_camera_share_nothing():
    rng = np.random.default_rng(0)
    angle, radius = rng.uniform(0, 2 * np.pi, 300), rng.uniform(0.91, 0.99, 300)
    rim = np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None]
    rim = FRAME.from_field(rim)
    looks = _unit(rng.normal(size=(400, 32)))
    sets = []
    for _ in range(2):
        inside = FRAME.from_field(rng.uniform(-0.6, 0.6, (100, 2)))
        sets.append(_photo(np.concatenate([rim, inside]), looks))
    pair = Pair(*sets, OPTIONS)
    identity = Radial(np.eye(3), 0.0, FRAME, FRAME)
    assert support(identity, pair.match(), pair)["support"] >= 300
    found = gather(identity, pair.match(), pair, estimator="magsac", curvature=None)
    assert found["support"] < 5
    assert found["near"] < 5


def test_points_at_one_rim_only_count():
    # An eye that has turned: what lies at one rim lies inside the other field.
    shift = Radial(
        np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), 0.0, FRAME, FRAME
    )
    rng = np.random.default_rng(0)
    moving = FRAME.from_field(rng.uniform(-0.6, 0.6, (200, 2)) - [0.3, 0.0])
    looks = _unit(rng.normal(size=(200, 32)))
    sets = [_photo(xy, looks) for xy in (shift.apply(moving), moving)]
    pair = Pair(*sets, OPTIONS)
    assert np.any(np.linalg.norm(FRAME.to_field(moving), axis=1) > 0.9)
    assert len(drop_rim_matches(pair.match(), pair)) == len(pair.match()) == 200


def test_similarity_of_true_matches_lowers_the_bar_only():
    pair = _pair(kinds=400, related=False)
    counts = []
    for similarity in (np.zeros(0), np.full(50, 0.9), np.linspace(-1, -0.9, 50)):
        pair.calibrate_similarity(similarity.astype(np.float32))
        counts.append(len(pair.match_near(TRUTH, 60.0)))
    assert counts[0] == counts[1] < counts[2]
