"""Which photographs count, which pairs are chosen, and how they are scored."""

import pathlib

import numpy as np
import pytest

from rkd_jax.evaluation.predictions import Prediction
from rkd_jax.evaluation.unrelated import eye_of, list_pairs, photographs, score
from rkd_jax.files import own_files


def test_photographs_are_images_but_no_masks_labels_or_hidden_files(tmp_path):
    wanted = ["1.png", "2.PGM", "3.webp", "sub/4.tif", "sub/deeper/5.jpeg"]
    others = ["._1.png", ".hidden.jpg", "__MACOSX/sub/._4.tif", "__MACOSX/6.png"]
    others += [".cache/7.png", "1_mask.png", "sub/manual1/8.tif", "notes.txt"]
    for name in wanted + others:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path).as_posix() for path in photographs([tmp_path])]
    assert found == wanted


def test_pictures_of_an_earlier_run_below_the_folders_are_no_photographs(tmp_path):
    (tmp_path / "1.png").touch()
    for name in ("results/believed/1_2.png", "registered.png"):
        own_files.write_text(tmp_path / name, "of a run")
    (tmp_path / "results" / "believed" / "mine.png").touch()
    found = [path.relative_to(tmp_path).as_posix() for path in photographs([tmp_path])]
    assert found == ["1.png", "results/believed/mine.png"]


def test_a_file_under_several_paths_is_one_photograph(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "1.png").touch()
    (tmp_path / "b" / "link.png").symlink_to(tmp_path / "a" / "1.png")
    (tmp_path / "b" / "round.png").symlink_to("round.png")
    monkeypatch.chdir(tmp_path)
    found = photographs(["a", tmp_path / "a", "b"])
    assert [path.as_posix() for path in found] == ["a/1.png", "b/round.png"]


def test_folders_without_photographs_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none: no such folder"):
        photographs([tmp_path / "none"])
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match="no image in this folder"):
        photographs([tmp_path])
    (tmp_path / "1_mask.png").touch()
    with pytest.raises(ValueError, match="all images there are masks or labels"):
        photographs([tmp_path])


def test_a_name_of_two_lines_tells_the_eye():
    assert eye_of(pathlib.Path("a\n1_left.png")) == ("a\n1", "left")


CHOSEN = [  # by version 0.2.0, with seed 3
    "0 7_left.png 7_right.png",
    "1 0_left.png 0_right.png",
    "2 2_left.png 3_left.png",
    "3 1_left.png 6_left.png",
    "4 3_right.png 8_left.png",
    "5 3_left.png 5_right.png",
    "6 6_left.png 8_left.png",
    "7 5_right.png 8_left.png",
]


def test_choice_depends_on_seed_and_photographs_alone(tmp_path):
    paths = [tmp_path / f"{n}_{eye}.png" for n in range(9) for eye in ("left", "right")]
    names = [pair.name for pair in list_pairs(paths, 8, seed=3)]
    assert names == CHOSEN
    assert names != [pair.name for pair in list_pairs(paths, 8, seed=4)]


def prediction(name, ok, confidence):
    return Prediction(
        name=name,
        failed=False,
        ok=ok,
        reason="" if ok else "few",
        confidence=confidence,
        transform='{"family": "homography"}',
        images=("a", "b"),
        points_fixed=np.zeros((4, 2)),
        points_moving=np.zeros((4, 2)),
        inliers=np.ones(4, bool),
        control_true=np.zeros((0, 4)),
        control_predicted=np.zeros((0, 2)),
        control_expected=np.zeros((0, 2)),
    )


PREDICTIONS = [
    prediction("a", False, 0.2),
    prediction("b", True, 0.97),
    prediction("c", True, 0.84),
    prediction("d", False, 0.1),
    prediction("e", False, 0.3),
]


def test_pairs_of_one_eye_are_counted_apart():
    metrics, rows = score(PREDICTIONS)
    assert (metrics["pairs"], metrics["ok"], metrics["ok_percent"]) == (5, 2, 40.0)
    assert metrics["same_eye"] == {"pairs": 0, "ok": 0}
    # Of 2 in 5, by the table of Clopper and Pearson.
    assert metrics["ok_percent_low"] == pytest.approx(5.27, abs=0.01)
    assert metrics["ok_percent_high"] == pytest.approx(85.34, abs=0.01)
    metrics, rows = score(PREDICTIONS, same_eye={"b", "d"})
    assert (metrics["pairs"], metrics["ok"]) == (3, 1)
    assert metrics["same_eye"] == {"pairs": 2, "ok": 1}
    assert metrics["highest_confidence"] == 0.84
    shown = [(row["pair"], row["same_eye"]) for row in rows]
    assert shown == [("b", True), ("c", False), ("e", False), ("a", False), ("d", True)]
    metrics, _ = score(PREDICTIONS, same_eye={"b", "c"})
    # None in 3: 1 - .025^(1/3).
    assert metrics["ok_percent_high"] == pytest.approx(100 * (1 - 0.025 ** (1 / 3)))
    assert metrics["ok_percent_low"] == 0


def test_a_score_needs_pairs_of_different_eyes():
    with pytest.raises(ValueError, match="--same_eye lists all pairs"):
        score(PREDICTIONS, same_eye={"a", "b", "c", "d", "e"})
