"""FIRE's files of control points: read whole, or refused by file and line."""

import numpy as np
import pytest

from rkd_jax.data import fire


def test_control_points_round_trip(tmp_path):
    points = np.random.default_rng(0).uniform(0, 2912, (10, 4)).round(3)
    path = tmp_path / "control_points_S01_1_2.txt"
    np.savetxt(path, points, fmt="%.3f")
    path.write_text("\n" + path.read_text() + "\n\n")
    np.testing.assert_array_equal(fire.load_control_points(path), points)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3 4\n1 2 three 4\n", "line 2.*1 2 three 4.*four finite numbers"),
        ("1 2 3\n", "line 1.*four finite numbers"),
        ("1 2 3 4 5\n", "line 1"),
        ("1 2 3 nan\n", "line 1"),
        ("\n \n", "is empty"),
        ("", "is empty"),
    ],
)
def test_bad_control_points_name_file_and_line(tmp_path, text, message):
    path = tmp_path / "points.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"points.txt.*{message}"):
        fire.load_control_points(path)


def test_missing_and_binary_control_points(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.txt.*Ground Truth"):
        fire.load_control_points(tmp_path / "absent.txt")
    (tmp_path / "image.txt").write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match=r"image\.txt"):
        fire.load_control_points(tmp_path / "image.txt")
