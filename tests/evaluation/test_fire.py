"""FIRE from pictures to scores, resumed, refused, and with one camera."""

import csv
import json
import shutil

import numpy as np
import pytest
from made_fire import run_fire

from rkd_jax.evaluation import fire
from rkd_jax.evaluation import predictions as predictions_file
from rkd_jax.files import own_files


@pytest.fixture(scope="module")
def finished(benchmark, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    assert run_fire(benchmark, out) == 0
    return out


def test_scores_are_those_of_the_known_maps(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["S"] == 1.0 - 0 / 25
    # P02's annotation is off by exactly (3.3, 4.4): 5.5 px, missed at 1 to 5 px.
    assert metrics["P"] == pytest.approx(20 / 25)
    assert metrics["A"] == 0.0
    assert metrics["mAUC"] == pytest.approx((1 + 0.8 + 0) / 3)
    assert metrics["counts"] == {"failed": 1, "inaccurate": 0, "acceptable": 2}
    assert metrics["pairs"] == {"S": 1, "P": 1, "A": 1, "all": 3}
    assert metrics["eyes"] == 2
    assert metrics["settings"]["method"] == "sift"
    with open(finished / "pairs.csv", newline="") as file:
        rows = {row["pair"]: row for row in csv.DictReader(file)}
    assert float(rows["P02"]["mean_error"]) == pytest.approx(5.5, abs=0.05)
    assert rows["A03"]["outcome"] == "failed"
    assert rows["A03"]["ok"] == "False"
    assert rows["S01"]["eye"] == rows["P02"]["eye"] != rows["A03"]["eye"]


def test_second_loop_needs_the_saved_file_alone(finished, tmp_path):
    settings, predictions = predictions_file.load_predictions(
        finished / "predictions.npz"
    )
    metrics, rows = fire.score(predictions)
    saved = json.loads((finished / "metrics.json").read_text())
    assert saved.pop("camera") == "each pair for itself"
    assert {**json.loads(json.dumps(metrics)), "settings": settings} == saved
    assert [row["pair"] for row in rows] == ["A03", "P02", "S01"]
    again = tmp_path / "again.npz"
    predictions_file.save_predictions(again, settings, predictions)
    _, read = predictions_file.load_predictions(again)
    for one, other in zip(predictions, read, strict=True):
        np.testing.assert_array_equal(one.points_fixed, other.points_fixed)
        np.testing.assert_array_equal(one.control_predicted, other.control_predicted)
        assert one.images == other.images


def test_expected_errors_are_scored_by_class(finished):
    scores = json.loads((finished / "metrics.json").read_text())["expected_error"]
    assert scores["S"]["not_known"] == scores["P"]["not_known"] == 0
    assert scores["S"]["within_bound"] == 1.0
    # The annotation is wrong, not the registration: its bound is not for that.
    assert scores["P"]["median_error_px"] == pytest.approx(5.5, abs=0.05)
    assert scores["P"]["within_bound"] == 0.0
    assert scores["A"]["landmarks"] == 0  # refused


def test_predictions_of_a_version_without_expected_errors_are_read(finished, tmp_path):
    with np.load(finished / "predictions.npz") as file:
        arrays = {k: v for k, v in file.items() if "control_expected" not in k}
    np.savez(tmp_path / "old.npz", **arrays)
    _, old = predictions_file.load_predictions(tmp_path / "old.npz")
    scores = fire.score(old)[0]["expected_error"]
    assert scores["S"]["not_known"] == scores["S"]["landmarks"] > 0
    assert scores["S"]["within_bound"] is None


def test_finished_pairs_are_skipped(benchmark, finished, monkeypatch, capsys):
    from rkd_jax.registration.keypoints.sift import SiftKeypoints

    def refuse(*_, **__):
        raise AssertionError("an image of a finished pair was encoded")

    monkeypatch.setattr(SiftKeypoints, "__call__", refuse)
    before = (finished / "metrics.json").read_text()
    assert run_fire(benchmark, finished) == 0
    assert (finished / "metrics.json").read_text() == before
    assert "mAUC" in capsys.readouterr().out


def test_interrupted_run_goes_on_and_sees_each_photograph_once(
    benchmark, tmp_path, monkeypatch, capsys
):
    from rkd_jax.registration.keypoints.sift import SiftKeypoints

    encoded, stop_at = [], 3
    original = SiftKeypoints._one

    def count(self, photo):
        encoded.append(photo.image.tobytes())
        if len(encoded) == stop_at:
            raise KeyboardInterrupt
        return original(self, photo)

    monkeypatch.setattr(SiftKeypoints, "_one", count)
    assert run_fire(benchmark, tmp_path) == 130
    assert capsys.readouterr().err.endswith("stopped; what is finished is kept\n")
    # A03 is one photograph twice, P02 another; S01 shares that one.
    assert len(set(encoded)) == 3
    _, predictions = predictions_file.load_predictions(tmp_path / "predictions.npz")
    assert [prediction.name for prediction in predictions] == ["A03", "P02"]
    assert run_fire(benchmark, tmp_path) == 0
    assert len(encoded) == 3 + 2
    assert [p.name for p in tmp_path.glob(".*")] == [own_files.LIST]


def test_other_settings_are_refused_without_overwrite(
    benchmark, finished, tmp_path, capsys
):
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    assert run_fire(benchmark, out, "--estimator", "lmeds") == 2
    message = capsys.readouterr().err
    assert "estimator: 'magsac' there, 'lmeds' now" in message
    assert "--overwrite" in message
    assert run_fire(benchmark, out, "--estimator", "lmeds", "--overwrite") == 0
    settings, _ = predictions_file.load_predictions(out / "predictions.npz")
    assert settings["estimator"] == "lmeds"


def test_subset_scores_the_subset(benchmark, finished, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    chosen = tmp_path / "pairs.txt"
    text = "# two of them\r\ncontrol_points_S01_1_2\r\n\r\nP02  # and this\r\n"
    chosen.write_bytes(text.encode("utf-16"))
    assert run_fire(benchmark, out, "--pairs", str(chosen)) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["pairs"]["all"] == 2
    assert len(predictions_file.load_predictions(out / "predictions.npz")[1]) == 3


def test_changed_image_is_predicted_again(benchmark, finished, tmp_path):
    root, out = tmp_path / "FIRE", tmp_path / "out"
    shutil.copytree(benchmark, root)
    shutil.copytree(finished, out)
    image = root / "Images" / "P02_2.jpg"
    shutil.copy(root / "Images" / "S01_1.jpg", image)
    assert run_fire(root, out) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["P"] < 0.8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: shutil.rmtree(root / "Ground Truth"), "Ground Truth"),
        (lambda root: (root / "Images" / "S01_2.jpg").unlink(), "S01_2.jpg"),
        (
            lambda root: (root / "Images" / "S01_2.jpg").write_bytes(b"\xff\xd8\xff"),
            "S01_2.jpg",
        ),
        (
            lambda root: (
                root / "Ground Truth" / "control_points_S01_1_2.txt"
            ).write_text("1 2 3 four\n"),
            "control_points_S01_1_2.txt, line 1",
        ),
        (
            lambda root: (
                root / "Ground Truth" / "control_points_P02_1_2.txt"
            ).write_text("1 2 3 4\n1 2 3 9000\n"),
            "control_points_P02_1_2.txt: point 2 at (3, 9000) lies outside",
        ),
        (shutil.rmtree, "no such folder"),
    ],
)
def test_bad_benchmark_exits_2_and_names_the_file(
    benchmark, tmp_path, capsys, change, message
):
    root = tmp_path / "FIRE"
    shutil.copytree(benchmark, root)
    change(root)
    assert run_fire(root, tmp_path / "out") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error


def test_unknown_pair_and_broken_predictions_exit_2(benchmark, tmp_path, capsys):
    chosen = tmp_path / "pairs.txt"
    chosen.write_text("S99\n")
    assert run_fire(benchmark, tmp_path, "--pairs", str(chosen)) == 2
    assert "S99" in capsys.readouterr().err
    (tmp_path / "predictions.npz").write_bytes(b"PK\x03\x04 half a file")
    assert run_fire(benchmark, tmp_path) == 2
    assert "not a complete file of predictions" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["metrics.json", "pairs.csv", "predictions.npz"])
def test_files_of_others_are_named_and_kept(
    benchmark, tmp_path, capsys, monkeypatch, name
):
    def refuse(*_, **__):
        raise AssertionError("the matcher was loaded")

    monkeypatch.setattr("rkd_jax.registration.matcher.load_matcher", refuse)
    (tmp_path / name).write_text("mine")
    for more in ([], ["--overwrite"]):
        assert run_fire(benchmark, tmp_path, *more) == 2
        assert f"{name}: " in capsys.readouterr().err
        assert [p.name for p in tmp_path.iterdir()] == [name]
        assert (tmp_path / name).read_text() == "mine"


def test_predictions_of_a_version_without_a_list_go_on(
    benchmark, finished, tmp_path, monkeypatch
):
    shutil.copy(finished / "predictions.npz", tmp_path)
    monkeypatch.setattr(
        "rkd_jax.registration.keypoints.sift.SiftKeypoints.__call__", None
    )
    assert run_fire(benchmark, tmp_path) == 0
    assert (tmp_path / "metrics.json").exists()


def test_an_unexpected_error_names_the_pair(benchmark, tmp_path, capsys, monkeypatch):
    def fail(*_, **__):
        raise OverflowError("too large")

    monkeypatch.setattr(
        "rkd_jax.registration.keypoints.sift.SiftKeypoints.__call__", fail
    )
    assert run_fire(benchmark, tmp_path) == 2
    shown = capsys.readouterr().err.splitlines()[-1]
    assert shown.startswith("error: unexpected OverflowError: too large (A03: ")
    assert "A03_1.jpg" in shown


def test_one_camera_is_reported_and_its_results_are_kept(benchmark, tmp_path, capsys):
    options = ["--camera", "shared", "--transform", "radial"]
    assert run_fire(benchmark, tmp_path, *options) == 0
    assert "camera: one camera: k = " in capsys.readouterr().out
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert "from the matches of all 3 pairs" in metrics["camera"]
    settings, predictions = predictions_file.load_predictions(
        tmp_path / "predictions.npz"
    )
    k = settings["curvature"]["mean"]
    for prediction in predictions:
        if not prediction.failed:
            assert json.loads(prediction.transform)["curvature"] == k
    before = (tmp_path / "predictions.npz").read_bytes()
    assert run_fire(benchmark, tmp_path, *options) == 0
    assert (tmp_path / "predictions.npz").read_bytes() == before
    # Fewer pairs are another series.
    chosen = tmp_path / "pairs.txt"
    chosen.write_text("S01\n")
    assert run_fire(benchmark, tmp_path, *options, "--pairs", str(chosen)) == 0
    settings, _ = predictions_file.load_predictions(tmp_path / "predictions.npz")
    assert settings["calibrated_on"] == ["S01"]
