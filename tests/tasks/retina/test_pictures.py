"""The picture of a pair: heatmaps above, matches below."""

import numpy as np

from rkd_jax.registration.pictures.matches import INLIER, OUTLIER
from rkd_jax.tasks.retina.pictures import matches_picture

IMAGES = np.stack([np.full((20, 30), 0.2), np.full((20, 30), 0.6)])


def draw(heatmaps=None, fixed_xy=(), moving_xy=(), inliers=()):
    heatmaps = np.zeros_like(IMAGES) if heatmaps is None else heatmaps
    points = (np.asarray(xy, float).reshape(-1, 2) for xy in (fixed_xy, moving_xy))
    return matches_picture(IMAGES, heatmaps, *points, np.asarray(inliers, bool))


def assert_line(picture, row, first, last, color):
    """A line lets 40 % of the images show through; at its ends there are dots."""
    clear = draw()[row, first:last].astype(int)
    found = picture[row, first:last]
    expected = 0.6 * np.array(color) + 0.4 * clear
    np.testing.assert_allclose(found[5:-5], expected[5:-5], atol=25)
    np.testing.assert_allclose(found[[0, -1]], [color] * 2, atol=25)


def test_without_keypoints_both_rows_show_the_images():
    picture = draw()
    assert (picture.dtype, picture.shape) == (np.uint8, (40, 60, 3))
    assert (picture[:, :30] == 51).all()
    assert (picture[:, 30:] == 153).all()


def test_heatmaps_are_laid_over_their_own_image():
    heatmaps = np.zeros_like(IMAGES)
    heatmaps[0, 5, 7], heatmaps[1, 8, 9] = 1.0, 3.0
    picture = draw(heatmaps)
    changed = np.argwhere((picture != draw()).any(-1))
    assert changed.tolist() == [[5, 7], [8, 39]]
    # The hottest color is a pale yellow: red and green above blue, all bright.
    for value in (picture[5, 7].astype(int), picture[8, 39].astype(int)):
        assert value.min() > 130
        assert value[:2].min() > value[2] + 30


def test_matches_join_their_points_in_the_color_of_their_kind():
    picture = draw(
        fixed_xy=[(4, 3), (6, 14)], moving_xy=[(9, 3), (2, 14)], inliers=[True, False]
    )
    np.testing.assert_array_equal(picture[:20], draw()[:20])
    for row, first, last, color in ((23, 4, 39, INLIER), (34, 6, 32, OUTLIER)):
        assert_line(picture, row, first, last + 1, color)
        assert (picture[row, last + 5 :] == 153).all()


def test_all_matches_are_red_where_no_transform_was_found():
    picture = draw(fixed_xy=[(4, 3)], moving_xy=[(9, 3)])
    assert_line(picture, 23, 4, 40, OUTLIER)
