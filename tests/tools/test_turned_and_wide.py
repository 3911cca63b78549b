"""Pairs turned and in wider fields: the map between them, and the two tables."""

import cv2
import made_pairs
import numpy as np
import pytest
import turned_and_wide

from rkd_jax.synthetic.fundus import photograph


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("photographs")
    for number in range(2):
        eye = photograph(8 * number, size=320).image
        cv2.imwrite(str(path / f"{number}.png"), eye[..., ::-1])
    return path


@pytest.mark.parametrize(("turn", "field"), [(0, 1.0), (60, 1.0), (200, 2.0)])
def test_landmarks_show_the_same_place(folder, turn, field):
    pair = made_pairs.turned(folder / "0.png", 3, turn_deg=turn, field=field, side=320)

    def vessels(image, points):
        """Return fine structure: the second visit has a light of its own."""
        green = image[..., 1].astype(np.float32)
        fine = cv2.GaussianBlur(green, (0, 0), 1.5) - cv2.GaussianBlur(green, (0, 0), 6)
        x, y = points.T.astype(np.float32)
        return cv2.remap(fine, x[None], y[None], cv2.INTER_LINEAR)[0]

    here = vessels(pair.fixed, pair.points[:, :2])

    def alike(beside_px):
        there = vessels(pair.moving, pair.points[:, 2:] + beside_px)
        return np.corrcoef(here, there)[0, 1]

    assert alike(0) > 0.6
    assert max(map(alike, (-6, 6))) < 0.3
    if field > 1:
        assert pair.moving.shape[:2] == (640, 640)


def test_tables(folder, capsys, monkeypatch):
    monkeypatch.setattr(turned_and_wide, "TURNS_DEG", (90.0,))
    monkeypatch.setattr(turned_and_wide, "FIELDS", (2.0,))
    common = ["--photographs", str(folder), "--method", "sift"]
    assert turned_and_wide.main([*common, "--count", "1"]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split(" | ")[1] for row in rows] == ["1 of 1"] * 2
    assert all(float(row.split(" | ")[2]) < 0.5 for row in rows)
    assert turned_and_wide.main([*common, "--unrelated", "1"]) == 0
    assert "0 of 1 accepted" in capsys.readouterr().out
