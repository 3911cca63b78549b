"""The evaluate door on a made benchmark in FIRE's layout."""

import csv
import itertools
import json
import shutil

import cv2
import numpy as np
import pytest
from made_pictures import texture

import rkd_jax
from rkd_jax.evaluate import main
from rkd_jax.evaluation import ablation_table, fire, multimodal
from rkd_jax.evaluation import predictions as predictions_file
from rkd_jax.files import own_files
from rkd_jax.registration.transforms import Homography

SHIFT = Homography([[0.98, 0.06, 8.0], [-0.05, 1.0, 14.0], [4e-5, 0.0, 1.0]])


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    """S01 and P02 share an eye and register; A03 is two flat noise images."""
    root = tmp_path_factory.mktemp("data") / "FIRE"
    (root / "Images").mkdir(parents=True)
    (root / "Ground Truth").mkdir()
    eye = texture(0, 240, 240)
    seen = SHIFT.warp(eye, (250, 250))
    dull = [np.tile(np.arange(240, dtype=np.uint8) // 60, (240, 1)) for _ in range(2)]
    images = {"S01": (seen, eye), "P02": (eye, eye), "A03": dull}
    x, y = np.meshgrid([60.0, 120, 180], [70.0, 130, 170])
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    maps = {"S01": SHIFT.apply(points), "P02": points + [3.3, 4.4], "A03": points}
    for name, pair in images.items():
        for i, image in enumerate(pair, start=1):
            path = root / "Images" / f"{name}_{i}.jpg"
            cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 97])
        path = root / "Ground Truth" / f"control_points_{name}_1_2.txt"
        np.savetxt(path, np.c_[maps[name], points], fmt="%.3f")
    return root


def _run(root, out, *more):
    arguments = [
        "fire",
        "--data_dir",
        str(root),
        "--out",
        str(out),
        "--working_size",
        "256",
    ]
    return main([*arguments, "--method", "sift", *more])


@pytest.fixture(scope="module")
def finished(benchmark, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    assert _run(benchmark, out) == 0
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


def test_finished_pairs_are_skipped(benchmark, finished, monkeypatch, capsys):
    from rkd_jax.registration.keypoints.sift import SiftMatcher

    def refuse(*_, **__):
        raise AssertionError("looked at an image of a finished pair")

    monkeypatch.setattr(SiftMatcher, "_features", refuse)
    before = (finished / "metrics.json").read_text()
    assert _run(benchmark, finished) == 0
    assert (finished / "metrics.json").read_text() == before
    assert "mAUC" in capsys.readouterr().out


def test_interrupted_run_goes_on_and_sees_each_photograph_once(
    benchmark, tmp_path, monkeypatch, capsys
):
    from rkd_jax.registration.keypoints.sift import SiftMatcher

    seen, stop_at = [], 3
    original = SiftMatcher._one

    def count(self, prepared, field):
        seen.append(prepared.image.tobytes())
        if len(seen) == stop_at:
            raise KeyboardInterrupt
        return original(self, prepared, field)

    monkeypatch.setattr(SiftMatcher, "_one", count)
    assert _run(benchmark, tmp_path) == 130
    assert capsys.readouterr().err.endswith("stopped; what is finished is kept\n")
    # A03 is one photograph twice, P02 another; S01 shares that one.
    assert len(set(seen)) == 3
    _, predictions = predictions_file.load_predictions(tmp_path / "predictions.npz")
    assert [prediction.name for prediction in predictions] == ["A03", "P02"]
    assert _run(benchmark, tmp_path) == 0
    assert len(seen) == 3 + 2
    assert [p.name for p in tmp_path.glob(".*")] == [own_files.LIST]


def test_other_settings_are_refused_until_told(benchmark, finished, tmp_path, capsys):
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    assert _run(benchmark, out, "--estimator", "lmeds") == 2
    message = capsys.readouterr().err
    assert "estimator: 'magsac' there, 'lmeds' now" in message
    assert "--overwrite" in message
    assert _run(benchmark, out, "--estimator", "lmeds", "--overwrite") == 0
    settings, _ = predictions_file.load_predictions(out / "predictions.npz")
    assert settings["estimator"] == "lmeds"


def test_subset_scores_the_subset(benchmark, finished, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    chosen = tmp_path / "pairs.txt"
    text = "# two of them\r\ncontrol_points_S01_1_2\r\n\r\nP02  # and this\r\n"
    chosen.write_bytes(text.encode("utf-16"))
    assert _run(benchmark, out, "--pairs", str(chosen)) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["pairs"]["all"] == 2
    assert len(predictions_file.load_predictions(out / "predictions.npz")[1]) == 3


def test_changed_image_is_predicted_again(benchmark, finished, tmp_path):
    root, out = tmp_path / "FIRE", tmp_path / "out"
    shutil.copytree(benchmark, root)
    shutil.copytree(finished, out)
    image = root / "Images" / "P02_2.jpg"
    shutil.copy(root / "Images" / "S01_1.jpg", image)
    assert _run(root, out) == 0
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
    assert _run(root, tmp_path / "out") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error


def test_unknown_pair_and_broken_predictions_exit_2(benchmark, tmp_path, capsys):
    chosen = tmp_path / "pairs.txt"
    chosen.write_text("S99\n")
    assert _run(benchmark, tmp_path, "--pairs", str(chosen)) == 2
    assert "S99" in capsys.readouterr().err
    (tmp_path / "predictions.npz").write_bytes(b"PK\x03\x04 half a file")
    assert _run(benchmark, tmp_path) == 2
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
        assert _run(benchmark, tmp_path, *more) == 2
        assert f"{name}: " in capsys.readouterr().err
        assert [p.name for p in tmp_path.iterdir()] == [name]
        assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("name", ["ablation.md", "sift/ours/pairs.csv"])
def test_the_ablation_keeps_files_of_others(benchmark, tmp_path, capsys, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    arguments = ["ablation", "--data_dir", str(benchmark), "--out", str(tmp_path)]
    assert main(arguments) == 2
    assert f"{name}: rkd_jax would replace this file" in capsys.readouterr().err
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / name]


def test_predictions_of_a_version_without_a_list_go_on(
    benchmark, finished, tmp_path, monkeypatch
):
    shutil.copy(finished / "predictions.npz", tmp_path)
    monkeypatch.setattr(
        "rkd_jax.registration.keypoints.sift.SiftMatcher._features", None
    )
    assert _run(benchmark, tmp_path) == 0
    assert (tmp_path / "metrics.json").exists()


def test_an_unexpected_error_names_the_pair(benchmark, tmp_path, capsys, monkeypatch):
    def fail(*_, **__):
        raise OverflowError("too large")

    monkeypatch.setattr(
        "rkd_jax.registration.keypoints.sift.SiftMatcher._features", fail
    )
    assert _run(benchmark, tmp_path) == 2
    shown = capsys.readouterr().err.splitlines()[-1]
    assert shown.startswith("error: unexpected OverflowError: too large (A03: ")
    assert "A03_1.jpg" in shown


def test_one_camera_is_told_and_its_results_are_kept(benchmark, tmp_path, capsys):
    options = ["--camera", "shared", "--transform", "radial"]
    assert _run(benchmark, tmp_path, *options) == 0
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
    assert _run(benchmark, tmp_path, *options) == 0
    assert (tmp_path / "predictions.npz").read_bytes() == before
    # Fewer pairs are another series.
    chosen = tmp_path / "pairs.txt"
    chosen.write_text("S01\n")
    assert _run(benchmark, tmp_path, *options, "--pairs", str(chosen)) == 0
    settings, _ = predictions_file.load_predictions(tmp_path / "predictions.npz")
    assert settings["calibrated_on"] == ["S01"]


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
        (["--weights", "sift=default"], "is taken"),
        (["--weights", "a=none.safetensors"], "none.safetensors: no such weight file"),
        (["--compare", "sift", "swin"], "--compare swin: expected one of ['sift']"),
    ):
        assert main([*arguments, *more]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_ablation_counts_what_is_believed_and_wrong_without_p37():
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


def test_files_of_others_among_the_believed_stay(one_eye, tmp_path, capsys):
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
