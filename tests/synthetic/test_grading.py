"""Drawn eyes of a grade: the lesions that the grade asks for, and no others."""

import collections
import itertools

import cv2
import numpy as np
import pytest

from rkd_jax.synthetic import fundus
from rkd_jax.synthetic.fundus import grading
from rkd_jax.synthetic.fundus.session import Session

SINGLE = ("microaneurysms", "haemorrhages", "soft_exudates")


def session(seed, size=64):
    return Session(seed, size, 0.3, False, 0.12, (0.4, 0.97), 1.0, 1.0)


@pytest.mark.parametrize("grade", range(5))
def test_counts_are_those_of_the_grade(grade):
    signs = grading.SIGNS[grade]._asdict()
    for seed in range(12):
        spots = grading.graded_spots(session(seed), grade, 1.5)
        found = collections.Counter(spot.kind for spot in spots)
        for kind in SINGLE:
            least, most = signs[kind]
            assert least <= found[kind] <= most, (seed, kind)
        assert bool(found["hard_exudates"]) <= bool(signs["clusters"][1])
        assert signs["clusters"][0] <= found["hard_exudates"]


def test_the_number_of_haemorrhages_tells_the_higher_grades():
    ranges = [signs.haemorrhages for signs in grading.SIGNS]
    assert ranges[0] == ranges[1] == (0, 0)
    for (_, most), (least, _) in itertools.pairwise(ranges[1:]):
        assert most < least


def test_the_picture_shows_them_and_nothing_else_changes():
    plain = fundus.photograph(4, size=96, lesions=False).image
    np.testing.assert_array_equal(fundus.graded(4, 0, size=96).image, plain)
    covered = []
    for grade in range(1, 5):
        eye = fundus.graded(4, grade, size=96)
        lesion = np.any(list(eye.lesions.values()), axis=0)
        near = cv2.dilate(lesion.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        change = np.abs(eye.image.astype(int) - plain).max(axis=2)
        assert change[~near].max() <= 3
        assert np.median(change[lesion]) > 4
        covered.append(lesion.sum())
    assert covered == sorted(covered)


def test_contrast_is_of_the_lesions_alone():
    faint, clear = (fundus.graded(1, 2, size=128, contrast=c) for c in (0.5, 1.5))
    plain = fundus.graded(1, 0, size=128).image
    for kind, mask in faint.lesions.items():
        np.testing.assert_array_equal(mask, clear.lesions[kind])
    change = [np.abs(eye.image.astype(int) - plain)[..., 1] for eye in (faint, clear)]
    dark = faint.lesions["haemorrhages"]
    assert np.mean(change[1][dark]) > 1.8 * np.mean(change[0][dark])


def test_options_out_of_range():
    for grade in (-1, 5):
        with pytest.raises(ValueError, match=r"grade is -?\d; it must be in 0\.\.4"):
            fundus.graded(0, grade)
    for contrast in (0.0, 4.0):
        with pytest.raises(
            ValueError, match=r"contrast is \d\.0; it must be above 0, "
        ):
            fundus.graded(0, 1, contrast=contrast)
