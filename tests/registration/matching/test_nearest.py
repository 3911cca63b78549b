"""Matching against OpenCV's brute force matcher, NumPy and invariants."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.keypoints import Keypoints
from rkd_jax.registration.matching.nearest import match_keypoints, mutual_nearest


def _sets(count0=60, count1=75, dim=16, noise=0.6, seed=0, unit=True):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(max(count0, count1), dim))
    sets = [
        base[:count0] + noise * rng.normal(size=(count0, dim)),
        base[:count1] + noise * rng.normal(size=(count1, dim)),
    ]
    if unit:
        sets = [s / np.linalg.norm(s, axis=1, keepdims=True) for s in sets]
    return [s.astype(np.float32) for s in sets]


def _on(descriptors):
    return np.ones(len(descriptors), bool)


@pytest.mark.parametrize("unit", [True, False])
def test_mutual_equals_opencv_cross_check(unit, maybe_jit):
    a, b = _sets(unit=unit)
    matches = cv2.BFMatcher(cv2.NORM_L2, crossCheck=True).match(a, b)
    expected = np.full(len(a), -1)
    distances = np.full(len(a), np.inf)
    for m in matches:
        expected[m.queryIdx], distances[m.queryIdx] = m.trainIdx, m.distance
    index, distance = maybe_jit(mutual_nearest)(a, _on(a), b, _on(b))
    assert 10 < len(matches) < len(a)
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_allclose(distance, distances, atol=1e-5)


@pytest.mark.parametrize("ratio", [0.7, 0.9])
def test_ratio_equals_opencv_two_nearest(ratio):
    a, b = _sets()
    expected = np.full(len(a), -1)
    for best, second in cv2.BFMatcher(cv2.NORM_L2).knnMatch(a, b, k=2):
        if best.distance < ratio * second.distance:
            expected[best.queryIdx] = best.trainIdx
    index, _ = mutual_nearest(a, _on(a), b, _on(b), ratio=ratio, mutual=False)
    assert 0 < (expected >= 0).sum() < len(a)
    np.testing.assert_array_equal(index, expected)


def test_masked_rows_change_nothing():
    a, b = _sets()
    mask_a, mask_b = np.arange(len(a)) < 40, np.arange(len(b)) % 3 > 0
    index, distance = mutual_nearest(a, mask_a, b, mask_b, ratio=0.9)
    small, small_distance = mutual_nearest(
        a[:40], np.ones(40, bool), b[mask_b], _on(b[mask_b]), ratio=0.9
    )
    kept = np.flatnonzero(mask_b)
    small = np.where(np.asarray(small) >= 0, kept[np.asarray(small)], -1)
    np.testing.assert_array_equal(index[:40], small)
    np.testing.assert_allclose(distance[:40], small_distance, atol=1e-6)
    assert (np.asarray(index[40:]) == -1).all()
    changed = np.where(mask_b[:, None], b, np.float32(np.nan))
    again, _ = mutual_nearest(a, mask_a, changed, mask_b, ratio=0.9)
    np.testing.assert_array_equal(again, index)


def test_swapping_the_sets_transposes_the_matches():
    a, b = _sets()
    forward = np.asarray(mutual_nearest(a, _on(a), b, _on(b))[0])
    backward = np.asarray(mutual_nearest(b, _on(b), a, _on(a))[0])
    pairs = {(i, j) for i, j in enumerate(forward) if j >= 0}
    assert pairs == {(i, j) for j, i in enumerate(backward) if i >= 0}


def test_batched_equals_single():
    firsts = jnp.stack([_sets(seed=s)[0] for s in range(3)])
    seconds = jnp.stack([_sets(seed=s)[1] for s in range(3)])
    on0, on1 = jnp.ones(firsts.shape[:2], bool), jnp.ones(seconds.shape[:2], bool)
    batched, _ = jax.vmap(mutual_nearest)(firsts, on0, seconds, on1)
    for i in range(3):
        single, _ = mutual_nearest(firsts[i], on0[i], seconds[i], on1[i])
        np.testing.assert_array_equal(batched[i], single)


def test_too_few_candidates_match_nothing_under_the_ratio_test():
    a, b = _sets()
    one = np.arange(len(b)) == 5
    index, _ = mutual_nearest(a, _on(a), b, one, ratio=0.9, mutual=False)
    assert (np.asarray(index) == -1).all()
    index, _ = mutual_nearest(a, _on(a), b, one, mutual=True)
    assert (np.asarray(index) >= 0).sum() == 1
    index, distance = mutual_nearest(a, _on(a), b, np.zeros(len(b), bool))
    assert (np.asarray(index) == -1).all()
    assert np.isinf(distance).all()


def test_keypoint_pairs_are_rows_and_cosines():
    a, b = _sets()
    keypoints = [
        Keypoints(
            xy=np.zeros((len(d), 2), np.float32),
            scores=np.ones(len(d), np.float32),
            mask=_on(d),
            descriptors=d,
        )
        for d in (a, b)
    ]
    pairs, similarity = match_keypoints(*keypoints)
    np.testing.assert_allclose(
        similarity, np.sum(a[pairs[:, 0]] * b[pairs[:, 1]], axis=1), atol=1e-5
    )
    cosine = a @ b.T
    np.testing.assert_array_equal(cosine[pairs[:, 0]].argmax(axis=1), pairs[:, 1])
    with pytest.raises(ValueError, match="keypoints1: expected descriptors"):
        match_keypoints(keypoints[0], keypoints[1].replace(descriptors=None))
