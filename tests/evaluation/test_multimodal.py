"""Pairs across modalities: scores by landmarks, files in any form."""

import csv
import json

import cv2
import numpy as np
import pytest
from made_fire import SHIFT
from made_pictures import texture

from rkd_jax.evaluate import main
from rkd_jax.evaluation import multimodal


def test_pairs_across_modalities_are_scored_by_their_landmarks(tmp_path, capsys):
    eye = texture(3, 240, 240)
    x, y = np.meshgrid([60.0, 120, 180], [70.0, 130, 170])
    moving = np.stack([x.ravel(), y.ravel()], axis=1)
    for name, shift in (("07", 0.0), ("12", 6.0)):
        cv2.imwrite(str(tmp_path / f"{name}_moving.png"), eye)
        cv2.imwrite(str(tmp_path / f"{name}_fixed.png"), SHIFT.warp(eye, (250, 250)))
        table = np.c_[SHIFT.apply(moving) + [shift, 0], moving]
        head = "x_fixed,y_fixed,x_moving,y_moving"
        np.savetxt(
            tmp_path / f"{name}_landmarks.csv",
            table,
            fmt="%.3f",
            delimiter=",",
            header=head,
            comments="",
        )
    out = tmp_path / "out"
    arguments = ["multimodal", "--data_dir", str(tmp_path), "--out", str(out)]
    arguments += ["--method", "sift", "--working_size", "256"]
    assert main(arguments) == 0
    assert "50.0% of 2 pairs below 5 px" in capsys.readouterr().out
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["success"], metrics["ok"]) == (0.5, 2)
    with open(out / "pairs.csv", newline="") as file:
        errors = [float(row["mean_error"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(errors, [0, 6], atol=0.3)
    (tmp_path / "07_landmarks.csv").write_text("x,y\n1,2\n")
    assert main([*arguments, "--overwrite"]) == 2
    assert "07_landmarks.csv: columns 'x, y'; expected" in capsys.readouterr().err
    (tmp_path / "07_landmarks.csv").write_text(head + "\n1,2,3\n")
    assert main([*arguments, "--overwrite"]) == 2
    assert "line 2: expected four finite numbers" in capsys.readouterr().err
    (tmp_path / "07_landmarks.csv").write_text(head + "\n1,20,20,20,20\n")
    assert main([*arguments, "--overwrite"]) == 2
    assert "line 2: 5 cells below 4 names" in capsys.readouterr().err
    (tmp_path / "07_moving.png").unlink()
    assert main(arguments) == 2
    assert "07_moving.*: image missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "x_fixed;y_fixed;x_moving;y_moving\n1,5;2;3;4\n",
        "# by hand\n\nname\tY_Fixed\tX_Fixed\tx_moving\ty_moving\np\t2\t1.5\t3\t4\n",
    ],
)
def test_landmarks_of_pairs_are_read_in_any_form(tmp_path, text):
    path = tmp_path / "01_landmarks.csv"
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_bytes(text.encode(encoding))
        found = multimodal.load_landmarks(path)
        np.testing.assert_array_equal(found, [[1.5, 2, 3, 4]])
    path.write_text(text + "\n1;2;3;nan")
    with pytest.raises(ValueError, match=r"01_landmarks\.csv, line \d: expected four"):
        multimodal.load_landmarks(path)


def test_a_second_image_of_a_name_is_refused(tmp_path, capsys):
    header = "x_fixed,y_fixed,x_moving,y_moving\n1,2,3,4\n"
    (tmp_path / "01_landmarks.csv").write_text(header)
    hidden = ("._01_moving.png", "._01_landmarks.csv")
    for name in ("01_fixed.png", "01_fixed.tif", "01_moving.png", *hidden):
        (tmp_path / name).touch()
    arguments = ["multimodal", "--data_dir", str(tmp_path), "--out", str(tmp_path)]
    assert main(arguments) == 2
    assert "both 01_fixed.png and 01_fixed.tif are there" in capsys.readouterr().err
