"""The ablation: both protocols side by side, and what is refused."""

import csv

import cv2
import numpy as np
import pytest

import rkd_jax
from rkd_jax.evaluate import main
from rkd_jax.evaluation import ablation_table, fire
from rkd_jax.evaluation import predictions as predictions_file


@pytest.mark.parametrize("name", ["ablation.md", "sift/ours/pairs.csv"])
def test_the_ablation_keeps_files_of_others(benchmark, tmp_path, capsys, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    arguments = ["ablation", "--data_dir", str(benchmark), "--out", str(tmp_path)]
    assert main(arguments) == 2
    assert f"{name}: rkd_jax would replace this file" in capsys.readouterr().err
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / name]


def test_ablation_lays_both_protocols_side_by_side(benchmark, tmp_path, capsys):
    arguments = ["ablation", "--data_dir", str(benchmark), "--out", str(tmp_path)]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    with open(tmp_path / "ablation.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["network"], r["protocol"]) for r in rows] == [
        ("sift", "paper"),
        ("sift", "ours"),
    ]
    assert rows[0]["paper_mAUC"] == "0.573"
    assert rows[1]["paper_mAUC"] == ""
    text = (tmp_path / "ablation.md").read_text()
    assert "`python -m rkd_jax.evaluate ablation" in text
    assert rkd_jax.__version__ in text
    for row, protocol in zip(rows, ("paper", "ours"), strict=True):
        settings, predictions = predictions_file.load_predictions(
            tmp_path / "sift" / protocol / "predictions.npz"
        )
        assert (
            settings["transform"] == {"paper": "homography", "ours": "auto"}[protocol]
        )
        metrics, _ = fire.score(predictions)
        assert float(row["mAUC"]) == pytest.approx(metrics["mAUC"], abs=6e-4)
    assert (tmp_path / "ablation.md").read_text() in shown
    assert cv2.imread(str(tmp_path / "ablation.png")).shape[1] == 900


def test_ablation_refuses_names_it_cannot_use(benchmark, tmp_path, capsys):
    arguments = ["ablation", "--data_dir", str(benchmark), "--out", str(tmp_path / "o")]
    for more, message in (
        (["--weights", "file.safetensors"], "expected NAME=FILE"),
        (["--weights", "sift=small"], "is taken"),
        (["--weights", "a=none.safetensors"], "none.safetensors: no such weight file"),
        (["--compare", "sift", "swin"], "--compare swin: expected one of ['sift']"),
    ):
        assert main([*arguments, *more]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_ablation_counts_what_is_accepted_and_wrong_without_p37():
    def prediction(name, off, ok):
        true = np.array([[10.0, 20, 30, 40], [50, 60, 70, 80]])
        return predictions_file.Prediction(
            name=name,
            failed=False,
            ok=ok,
            reason="",
            confidence=1.0,
            transform='{"family": "homography"}',
            images=(f"{name}a", f"{name}b"),
            points_fixed=np.zeros((5, 2)),
            points_moving=np.zeros((5, 2)),
            inliers=np.ones(5, bool),
            control_true=true,
            control_predicted=true[:, :2] + off,
            control_expected=np.full((2, 2), np.nan),
        )

    found = [
        prediction("S01", 1.0, True),
        prediction("P01", 80.0, True),
        prediction("P02", 80.0, False),
        prediction("P37", 80.0, True),
    ]
    row = ablation_table.table_row("unet", "ours", found)
    assert (row["ok"], row["ok_wrong"], row["pairs"]) == (2, 1, 3)
    assert row["inaccurate"] == pytest.approx(200 / 3)
