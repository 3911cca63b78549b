"""FROC against a closed form and against sets of pixels, lesion by lesion."""

import numpy as np
import pytest
from scipy import ndimage

from rkd_jax.metrics.lesions import froc

EIGHT = np.ones((3, 3))


def labels(mask):
    return ndimage.label(mask, EIGHT)[0]


def test_a_map_made_by_hand():
    """Two lesions by one candidate, one lesion by two, one missed, one false."""
    levels = np.zeros((9, 20), np.uint16)
    lesion = np.zeros((9, 20), bool)
    lesion[1, 1:3] = lesion[1, 5:7] = True
    levels[1, 2:6] = 100, 300, 100, 100  # its largest value is on neither lesion
    lesion[4, 1:9] = True
    levels[4, 1:3], levels[4, 6:8] = 500, 200  # duplicates
    lesion[7, 7] = True  # missed
    levels[7, 12] = 400  # false
    levels[8, 13] = 450  # joined to it by a corner
    found = froc.detections(levels, labels(levels > 0), labels(lesion))
    assert found.lesions.tolist() == [300, 300, 500, 0]
    assert found.false.tolist() == [450]
    curve = froc.detection_curve([found]).together()
    values = froc.sensitivities(curve, 1, rates=(0.5, 1.0, 8.0))
    assert values.tolist() == [0.25, 0.75, 0.75]
    # The same false positive is half a one of two images.
    values = froc.sensitivities(curve, 2, rates=(0.25, 0.5))
    assert values.tolist() == [0.25, 0.75]


def brute_force(photographs, threshold):
    """Return sensitivity and false positives an image, by sets of pixels."""
    found = lesions = false = 0
    for levels, low, mask in photographs:
        parts, count = ndimage.label(levels > low, EIGHT)
        true, number = ndimage.label(mask, EIGHT)
        sets = [set(map(tuple, np.argwhere(parts == i + 1))) for i in range(count)]
        kept = [s for s in sets if max(levels[p] for p in s) > threshold]
        wanted = [set(map(tuple, np.argwhere(true == i + 1))) for i in range(number)]
        lesions += number
        found += sum(any(s & w for s in kept) for w in wanted)
        false += sum(not any(s & w for w in wanted) for s in kept)
    return found / lesions, false / len(photographs)


@pytest.mark.parametrize("seed", range(4))
def test_random_maps_against_sets_of_pixels(seed):
    rng = np.random.default_rng(seed)
    photographs = []
    for _ in range(3):
        levels = rng.integers(0, 14, (14, 17)).astype(np.uint16)
        levels[rng.random(levels.shape) < 0.45] = 0
        photographs.append((levels, 6, rng.random(levels.shape) < 0.08))
    points = [brute_force(photographs, t) for t in range(6, 15)]
    curve = froc.detection_curve(
        [
            froc.detections(levels, labels(levels > low), labels(mask))
            for levels, low, mask in photographs
        ]
    ).together()
    rates = (*froc.RATES, 20.0)
    found = froc.sensitivities(curve, 3, rates=rates)
    expected = [max(s for s, false in points if false <= rate) for rate in rates]
    np.testing.assert_allclose(found, expected)
    assert 0 < found[0] < found[-1] or len(set(expected)) > 2


def test_without_lesions_there_is_no_sensitivity():
    nothing = np.zeros((3, 3), np.int32)
    levels = np.full((3, 3), 9, np.uint16)
    found = froc.detections(levels, np.ones((3, 3), np.int32), nothing)
    assert (found.lesions.size, found.false.tolist()) == (0, [9])
    curve = froc.detection_curve([found]).together()
    assert np.isnan(froc.sensitivities(curve, 1)).all()


def test_an_empty_map_finds_nothing():
    lesion = np.eye(3, dtype=bool)
    nothing = np.zeros((3, 3), np.int32)
    found = froc.detections(nothing.astype(np.uint16), nothing, labels(lesion))
    assert (found.lesions.tolist(), found.false.size) == ([0], 0)
    curve = froc.detection_curve([found, found]).together()
    assert not froc.sensitivities(curve, 2).any()
