"""Files of points: what is not known is said so; matches there and back."""

import numpy as np

from rkd_jax.registration.files.point_files import (
    matches_text,
    points_text,
    read_matches,
)
from rkd_jax.registration.files.transform_file import SavedTransform
from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.transforms import Homography


def test_a_point_without_a_partner_is_not_known():
    """Beyond a fold of the transform there is no way back."""
    pair = SavedTransform.of(Homography(np.eye(3)), (9, 9), (9, 9))
    moving, fixed = np.array([[1.0, 2], [np.nan, np.nan]]), np.array([[1.0, 2], [5, 6]])
    unknown = ",not known,not known,not known"
    assert points_text(pair, moving, fixed).splitlines()[1:] == [
        f"1.000,2.000,1.000,2.000{unknown}",
        f"not known,not known,5.000,6.000{unknown}",
    ]


def test_matches_there_and_back(tmp_path):
    rng = np.random.default_rng(0)
    fixed, moving = rng.uniform(0, 3000, (2, 40, 2))
    matches = Matches(fixed, moving, rng.uniform(-1, 1, 40).astype(np.float32))
    inliers = rng.random(40) < 0.5
    path = tmp_path / "matches.csv"
    path.write_text(matches_text(matches, inliers))
    again, kept = read_matches(path)
    np.testing.assert_array_equal(kept, inliers)
    np.testing.assert_allclose(again.points_fixed, fixed, atol=6e-4)
    np.testing.assert_allclose(again.points_moving, moving, atol=6e-4)
    np.testing.assert_allclose(again.similarity, matches.similarity, atol=6e-5)
    none = matches.subset(np.zeros(40, bool))
    path.write_text(matches_text(none, np.zeros(0, bool)))
    assert len(read_matches(path)[0]) == 0
