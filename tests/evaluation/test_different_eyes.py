"""`evaluate unrelated` from photographs to the list of accepted pairs."""

import csv
import itertools
import json
import shutil

import cv2
import pytest
from made_fire import SHIFT
from made_pictures import texture

from rkd_jax.evaluate import main


def test_pairs_of_different_eyes_are_counted(tmp_path, capsys):
    (tmp_path / "eyes").mkdir()
    for number in range(3):
        for side in ("left", "right"):
            image = texture(10 * number + (side == "left"), 240, 240)
            cv2.imwrite(str(tmp_path / "eyes" / f"{number}_{side}.png"), image)
    cv2.imwrite(str(tmp_path / "eyes" / "0_mask.png"), texture(9, 240, 240))
    out = tmp_path / "out"
    arguments = [
        "unrelated",
        "--photographs",
        str(tmp_path / "eyes"),
        "--out",
        str(out),
    ]
    arguments += ["--count", "6", "--method", "sift", "--working_size", "256"]
    assert main(arguments) == 0
    assert "0 of 6 pairs of different eyes" in capsys.readouterr().out
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["ok"] == 0
    # Clopper and Pearson: 1 - .025^(1/6).
    assert metrics["ok_percent_high"] == pytest.approx(100 * (1 - 0.025 ** (1 / 6)))
    with open(out / "pairs.csv", newline="") as file:
        names = [row["pair"] for row in csv.DictReader(file)]
    eyes = [tuple(name.split()[1:]) for name in names]
    assert not any("mask" in part for pair in eyes for part in pair)
    assert all(first != second for first, second in eyes)
    assert sum(a.split("_")[0] == b.split("_")[0] for a, b in eyes) >= 2
    assert main([*arguments, "--count", "99"]) == 2
    assert "99 were asked for" in capsys.readouterr().err


@pytest.fixture
def one_eye(tmp_path):
    """Photographs of three eyes; 0_left and 0_right show one of them."""
    folder = tmp_path / "eyes"
    folder.mkdir()
    for number, side in itertools.product(range(2), ("left", "right")):
        image = texture(10 * number + 5 * number * (side == "left"), 240, 240)
        if (number, side) == (0, "right"):
            image = SHIFT.warp(image, (250, 250))
        cv2.imwrite(str(folder / f"{number}_{side}.png"), image)
    return [
        *("unrelated", "--photographs", str(folder), "--out", str(tmp_path / "out")),
        *("--count", "4", "--fellows", ".5"),
        *("--method", "sift", "--working_size", "256"),
    ]


def test_pairs_that_register_are_shown_and_can_be_listed(one_eye, tmp_path, capsys):
    out, answers = tmp_path / "out", tmp_path / "answers.csv"
    assert main(one_eye) == 0
    shown = capsys.readouterr().out
    assert "1 of 4 pairs of different eyes" in shown
    files = [str(tmp_path / "eyes" / name) for name in ("0_left.png", "0_right.png")]
    (picture,) = (out / "believed").glob("*.png")
    assert f"reported as registered: {files[0]} and {files[1]} (confidence " in shown
    assert f"see {picture}: if both show one eye, add the pair to --same_eye" in shown
    drawn = cv2.imread(str(picture))
    # Matches of 900 px height (and a bar), the checkerboard beside them.
    assert drawn.shape == (940, 900 + 8 + 900 + 940, 3)
    with open(out / "believed.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert [row["fixed"], row["moving"]] == files
    assert out / row["picture"] == picture
    before = (out / "predictions.npz").read_bytes()

    # The list itself is the answer; from where it was written it would be replaced.
    assert main([*one_eye, "--same_eye", str(out / "believed.csv")]) == 2
    assert "believed.csv: rkd_jax would replace this file" in capsys.readouterr().err
    shutil.copy(out / "believed.csv", answers)
    assert main([*one_eye, "--same_eye", str(answers)]) == 0
    shown = capsys.readouterr().out
    assert "0 of 3 pairs of different eyes" in shown
    assert "known to show one eye: 1 more, 1 reported" in shown
    assert "see " not in shown
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["same_eye"] == {"pairs": 1, "ok": 1}
    assert metrics["highest_confidence"] < 0.5
    assert not picture.exists()
    assert (out / "believed.csv").read_text() == "fixed,moving,confidence,picture\n"
    assert (out / "predictions.npz").read_bytes() == before


def test_files_of_others_among_the_accepted_stay(one_eye, tmp_path, capsys):
    out = tmp_path / "out"
    (out / "believed").mkdir(parents=True)
    (out / "believed.csv").write_text("mine")
    (out / "believed" / "mine.png").write_bytes(b"mine")
    assert main(one_eye) == 2
    assert "believed.csv: rkd_jax would replace this file" in capsys.readouterr().err
    assert not (out / "predictions.npz").exists()
    (out / "believed.csv").rename(tmp_path / "mine.csv")
    assert main(one_eye) == 0
    assert (out / "believed" / "mine.png").read_bytes() == b"mine"


def test_wrong_lists_of_one_eye_are_refused_before_any_work(one_eye, tmp_path, capsys):
    path = tmp_path / "same.csv"
    path.write_text("fixed,moving\n0_left,9_left\n")
    assert main([*one_eye, "--same_eye", str(path)]) == 2
    assert "same.csv, line 2: no photograph '9_left'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
