"""The picture of matches: bounded, with dots for all matches and lines for a few."""

import numpy as np
import pytest
from made_results import made_error, made_registration

from rkd_jax.registration.pictures.matches import (
    INLIER,
    OUTLIER,
    draw_matches,
    matches_picture,
)


@pytest.mark.parametrize(
    ("fixed_size", "moving_size"),
    [((90, 3300), (90, 3300)), ((3300, 90), (3300, 90)), ((32, 70000), (300, 300))],
)
def test_strips_get_a_picture_of_a_bounded_size(fixed_size, moving_size):
    images = [np.full(size, 60, np.uint8) for size in (fixed_size, moving_size)]
    registration = made_registration(fixed_size, moving_size)
    picture = matches_picture(*images, registration, height=300)
    height, width = picture.shape[:2]
    assert 480 <= width <= 2 * 4 * 300 + 8
    assert 40 < height <= 340 + 26
    lines = picture[:-40].astype(int)
    assert (lines[..., 1] > lines[..., 0] + 60).any()
    text = picture[-40:]
    assert (text.max(axis=(0, 2)) > 100).sum() > 100  # columns with letters


def test_ordinary_photographs_are_drawn_at_the_height_asked_for():
    sizes = (200, 260), (240, 240)
    images = [np.full(size, 60, np.uint8) for size in sizes]
    picture = matches_picture(*images, made_registration(*sizes), height=300)
    assert picture.shape == (340, 390 + 8 + 300, 3)


def test_every_match_has_a_dot_on_both_sides_and_few_have_a_line():
    rng = np.random.default_rng(0)
    size, count = 400, 300
    grid = np.stack(np.meshgrid(np.arange(8, 392, 20), np.arange(8, 392, 20)), -1)
    points = rng.permutation(grid.reshape(-1, 2))[:count].astype(float)
    inliers = np.arange(count) < 200
    eye = np.full((size, size), 90, np.uint8)
    picture = draw_matches(eye, eye, points, points, inliers, height=size)
    right = points + [size + 8, 0]
    for kind, color in ((True, INLIER), (False, OUTLIER)):
        x, y = np.concatenate([points[inliers == kind], right[inliers == kind]]).T
        shown = picture[y.astype(int), x.astype(int)]
        assert np.abs(shown - np.array(color)).max() <= 2
    # Lines alone cross the gap between the images: 40 of 300.
    crossings = picture[:, size + 4].astype(int)
    crossed = (np.ptp(crossings, axis=1) > 15).sum()
    assert 20 <= crossed <= 3 * 40


def _bar(registration, width):
    eye = np.full((100, width), 60, np.uint8)
    return matches_picture(eye, eye, registration, height=100)[100:]


def test_a_long_reason_goes_to_further_lines_and_is_red():
    long = "the reason " * 20
    refused = made_registration((100, 300), ok=False, reason=long)
    bar = _bar(refused, 300).astype(int)
    assert len(bar) > 40 + 26
    for line in range(len(bar) // 26):  # each has letters, and ends before the edge
        letters = bar[14 + 26 * line : 14 + 26 * (line + 1) - 6]
        assert (letters[..., 0] > letters[..., 1] + 60).sum() > 20
    assert (bar[:, -10:] == 24).all()
    accepted = _bar(made_registration((100, 300)), 300).astype(int)
    assert (accepted[..., 1] > accepted[..., 0] + 60).sum() > 100


def test_the_bar_has_the_expected_error(monkeypatch):
    from rkd_jax.registration.pictures import marks

    lines = []
    monkeypatch.setattr(marks, "text", lambda bar, words, *a, **k: lines.append(words))
    size = (100, 900)
    for expected, words in (
        (lambda x, y: 1 + x / 899, "expected error 1.5 px, worst 2.0 px"),
        (lambda x, y: x * np.nan, "expected error not known"),
    ):
        _bar(made_registration(size, error_map=made_error(size, expected)), 900)
        assert words in lines.pop()
    _bar(made_registration(size), 900)
    assert "expected error" not in lines.pop()
