"""The register command: files, exit codes, messages."""

import csv
import json
import re
import shutil

import cv2
import numpy as np
import pytest
from made_pictures import texture

import rkd_jax
from rkd_jax.evaluate import main as evaluate_main
from rkd_jax.models.tiles import apply_in_tiles
from rkd_jax.register import main
from rkd_jax.registration.transforms import Homography, Transform

TRUTH = Homography([[0.97, 0.1, 10.0], [-0.08, 1.01, 22.0], [8e-5, -4e-5, 1.0]])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    moving = texture(0, 260, 260, 3)
    images = {
        "moving": moving,
        "fixed": TRUTH.warp(moving, (280, 300)),
        "other": texture(1, 260, 260, 3),
        "constant": np.full((90, 90, 3), 7, np.uint8),
    }
    for name, image in images.items():
        cv2.imwrite(str(folder / f"{name}.png"), image[..., ::-1])
    (folder / "zero.png").write_bytes(b"")
    (folder / "points.csv").write_text("x,y\n60,70\n200.5, 90\n\n100;180\n")
    return folder


def _run(files, fixed, moving, out, *more):
    arguments = [str(files / fixed), str(files / moving), "--out", str(out)]
    return main([*arguments, "--method", "sift", *more])


def _visible(folder):
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))


def _read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("family", ["homography", "quadratic"])
def test_success_writes_all_files(files, tmp_path, capsys, family):
    points = ["--points", str(files / "points.csv")]
    code = _run(
        files, "fixed.png", "moving.png", tmp_path, "--transform", family, *points
    )
    assert code == 0
    assert "registered: " + family in capsys.readouterr().out
    assert _visible(tmp_path) == [
        "matches.csv",
        "matches.png",
        "overlay.png",
        "points.csv",
        "registered.png",
        "transform.json",
    ]
    summary = json.loads((tmp_path / "transform.json").read_text())
    assert summary["ok"] is True
    moving = np.array([[60, 70], [200.5, 90], [100, 180]])
    expected = TRUTH.apply(moving)
    mapped = Transform.from_dict(summary["transform"]).apply(moving)
    np.testing.assert_allclose(mapped, expected, atol=0.7)
    with open(tmp_path / "points.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    names = ("x_moving", "y_moving", "x_fixed", "y_fixed", "among_matches")
    table = [[float(row[name]) for name in names] for row in rows]
    np.testing.assert_allclose(table, np.c_[moving, mapped, np.ones(3)], atol=1e-3)
    saved = rkd_jax.load_transform(tmp_path)
    for name, errors in zip(
        ("expected_error_px", "error_bound_90_px"), saved.expected_error(moving)
    ):
        for row, error in zip(rows, errors):
            if np.isnan(error):
                assert row[name] == "not known"
            else:
                assert float(row[name]) == pytest.approx(error, abs=0.02)
    matches = np.genfromtxt(tmp_path / "matches.csv", delimiter=",", names=True)
    assert len(matches) == summary["matches"]
    assert matches["inlier"].sum() == summary["inliers"]
    kept = matches[matches["inlier"] == 1]
    off = saved.warp_points(np.c_[kept["x_moving"], kept["y_moving"]])
    off = np.linalg.norm(off - np.c_[kept["x_fixed"], kept["y_fixed"]], axis=1)
    assert np.median(off) < 1
    fixed, registered = _read(files / "fixed.png"), _read(tmp_path / "registered.png")
    assert registered.shape == fixed.shape
    inside = TRUTH.overlap((260, 260), (280, 300), margin_px=5)
    assert np.abs(registered.astype(float) - fixed)[inside].mean() < 4
    overlay = _read(tmp_path / "overlay.png")
    assert np.abs(overlay.astype(float) - fixed)[inside].mean() < 4


def test_json_is_one_line_of_the_summary(files, tmp_path, capsys):
    assert _run(files, "moving.png", "moving.png", tmp_path, "--json") == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    printed = json.loads(out)
    summary = json.loads((tmp_path / "transform.json").read_text())
    # The map of the error is long: the file alone has it.
    assert len(summary["expected_error"].pop("map")["x"]) > 2
    assert printed == summary
    assert printed["expected_error"]["median_px"] > 0
    mapped = Transform.from_dict(printed["transform"]).apply([[3.0, 250.0]])
    np.testing.assert_allclose(mapped, [[3.0, 250.0]], atol=0.1)


def test_unrelated_pair_exits_3_and_removes_old_results(files, tmp_path, capsys):
    points = ["--points", str(files / "points.csv")]
    assert _run(files, "fixed.png", "moving.png", tmp_path, *points) == 0
    capsys.readouterr()
    assert _run(files, "fixed.png", "other.png", tmp_path, *points) == 3
    assert capsys.readouterr().out.startswith("not registered: ")
    left = _visible(tmp_path)
    assert left == ["matches.csv", "matches.png", "transform.json"]
    summary = json.loads((tmp_path / "transform.json").read_text())
    assert summary["ok"] is False
    assert summary["reason"]


@pytest.mark.parametrize(
    ("fixed", "moving", "message"),
    [
        ("none.png", "moving.png", r"none\.png: no such image file"),
        ("moving.png", "zero.png", r"zero\.png: .*empty"),
        ("constant.png", "moving.png", r"constant\.png: constant image"),
    ],
)
def test_bad_images_exit_2_with_one_line(
    files, tmp_path, capsys, fixed, moving, message
):
    out = tmp_path / "out"
    assert _run(files, fixed, moving, out) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert re.search(message, captured.err)
    assert not out.exists()


def test_missing_weights_and_a_file_as_folder_exit_2(files, tmp_path, capsys):
    pair = [str(files / "fixed.png"), str(files / "moving.png")]
    for name in (str(tmp_path / "none.safetensors"), "enormous"):
        assert main([*pair, "--weights", name, "--out", str(tmp_path)]) == 2
        message = capsys.readouterr().err
        found = rf"{name}: no such weight file; .* names .*unet_robust"
        assert re.search(found, message)
    assert _run(files, "fixed.png", "moving.png", files / "fixed.png") == 2
    assert "must be a folder" in capsys.readouterr().err


@pytest.mark.parametrize("command", [main, evaluate_main])
@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--working_size", "16", "at least 32, found '16'"),
        ("--working_size", "half", "at least 32, found 'half'"),
        ("--tile", "40", "positive multiple of 16, found '40'"),
        ("--tile", "0", "positive multiple of 16, found '0'"),
    ],
)
def test_bad_sizes_are_refused_by_the_name_of_their_flag(
    capsys, command, flag, value, message
):
    words = ["a.png", "b.png"] if command is main else ["fire", "--data_dir", "x"]
    with pytest.raises(SystemExit) as caught:
        command([*words, "--out", "out", flag, value])
    assert caught.value.code == 2
    message_shown = capsys.readouterr().err.splitlines()[-1]
    assert f"argument {flag}: " in message_shown
    assert message_shown.endswith(message)


def test_tiles_are_refused_with_the_reason(files, tmp_path, capsys):
    pair = [str(files / "fixed.png"), str(files / "moving.png"), "--tile", "64"]
    out = tmp_path / "out"
    # The packaged weights have instance norm.
    assert main([*pair, "--out", str(out)]) == 2
    message = capsys.readouterr().err
    assert "norm='instance' cannot run in tiles: each layer takes statistics" in message
    assert main([*pair, "--out", str(out), "--method", "sift"]) == 2
    assert "--tile 64: expected --method network, found sift" in capsys.readouterr().err
    assert not out.exists()


def test_tiles_and_working_size_reach_the_network(
    files, tmp_path, save_untrained, monkeypatch
):
    sizes = []

    def spy(module, variables, images, *, tile):
        sizes.append((max(images.shape[1:3]), tile))
        return apply_in_tiles(module, variables, images, tile=tile)

    monkeypatch.setattr("rkd_jax.models.tiles.apply_in_tiles", spy)
    options = {"widths": (4, 4, 8, 8), "descriptor_dim": 8}
    path, _ = save_untrained(options, size=64, recipe={})
    pair = [str(files / "fixed.png"), str(files / "moving.png"), "--no-pictures"]
    pair += ["--no-search"]
    found = []
    # 256 px is more than a tile of 32 px with its surroundings.
    for number, more in enumerate(([], ["--tile", "32"])):
        out = tmp_path / str(number)
        arguments = [*pair, "--weights", str(path), "--working_size", "256", *more]
        assert main([*arguments, "--out", str(out)]) == 3  # it is not trained
        found.append(json.loads((out / "transform.json").read_text()))
    whole, tiled = found
    assert sizes == [(256, 32)]
    assert whole["settings"]["working_size"] == 256
    assert (whole["settings"]["tile"], tiled["settings"]["tile"]) == (None, 32)
    assert whole["matches"] > 0
    # Rounding may move a keypoint.
    assert tiled["matches"] == pytest.approx(whole["matches"], rel=0.1)


def test_usage_errors_exit_2(capsys):
    for words, message in (
        ([], "the following arguments are required: FIXED, --out"),
        (["a.png", "b.png"], "the following arguments are required: --out"),
        (["a.png", "--out", "out", "--transform", "bent"], "invalid choice: 'bent'"),
        (["a.png", "--out", "out", "--pictures", "x"], "unknown picture 'x'; expected"),
        (["a.png", "--out", "out", "--format", "bmp"], "invalid choice: 'bmp'"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 2
        assert message in capsys.readouterr().err


def test_landmarks_outside_the_moving_image_are_refused(files, tmp_path, capsys):
    points = tmp_path / "p.csv"
    points.write_text("5 5\n261.5 20\n-3 20\n")
    out = tmp_path / "out"
    options = ["--points", str(points)]
    assert _run(files, "fixed.png", "moving.png", out, *options) == 2
    message = capsys.readouterr().err
    assert re.search(r"p\.csv: point 2 at \(261\.5, 20\) lies outside", message)
    assert "260x260 px (2 such points)" in message
    assert not out.exists()


def test_a_folder_that_cannot_be_written_exits_2(files, tmp_path, capsys):
    (tmp_path / "file").write_text("kept")
    out = tmp_path / "file" / "out"
    assert _run(files, "moving.png", "moving.png", out) == 2
    assert "cannot write there" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "kept"


def test_a_crash_while_drawing_leaves_earlier_results(files, tmp_path, monkeypatch):
    assert _run(files, "fixed.png", "moving.png", tmp_path) == 0
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def fail(*_):
        raise ValueError("no memory")

    monkeypatch.setattr("rkd_jax.registration.pictures.overlay.checkerboard", fail)
    assert _run(files, "moving.png", "moving.png", tmp_path) == 2
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.fixture
def folder(files, tmp_path):
    """Pairs a and b, which register, and c, which does not."""
    root = tmp_path / "pairs"
    root.mkdir()
    for name, fixed, moving in (
        ("a", "fixed", "moving"),
        ("b", "moving", "moving"),
        ("c", "fixed", "other"),
    ):
        shutil.copy(files / f"{fixed}.png", root / f"{name}_1.png")
        shutil.copy(files / f"{moving}.png", root / f"{name}_2.png")
    return root


def _many(out, *arguments):
    return main([*map(str, arguments), "--out", str(out), "--method", "sift"])


def test_folder_of_pairs_is_registered_and_finished_pairs_skipped(
    folder, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "out"
    assert _many(out, folder, "--no-pictures") == 3
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in printed] == ["a", "b", "c"]
    assert "not registered" in printed[2]
    with open(out / "pairs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["ok"]) for row in rows] == [
        ("a", "True"),
        ("b", "True"),
        ("c", "False"),
    ]
    assert _visible(out / "a") == ["matches.csv", "transform.json"]
    before = (out / "a" / "transform.json").read_bytes()

    def refuse(*_, **__):
        raise AssertionError("a finished pair was registered")

    with monkeypatch.context() as patch:
        patch.setattr("rkd_jax.registration.matcher.Matcher.photos", refuse)
        assert _many(out, folder, "--no-pictures") == 3
    assert (out / "a" / "transform.json").read_bytes() == before
    assert _many(out, folder) == 3
    drawn = {p.name for p in (out / "a").iterdir()}
    assert {"matches.png", "overlay.png", "registered.png"} < drawn
    # Done again if a picture is missing, and only then.
    more = ["--pictures", "overlay,matches", "--format", "jpg"]
    assert _many(out, folder, *more) == 3
    pictures = ["matches.jpg", "overlay.jpg"]
    pictures.insert(0, "matches.csv")
    assert _visible(out / "a") == [*pictures, "transform.json"]
    assert _visible(out / "c") == ["matches.csv", "matches.jpg", "transform.json"]
    with monkeypatch.context() as patch:
        patch.setattr("rkd_jax.registration.matcher.Matcher.photo", refuse)
        for names in ("overlay", "matches", "none"):
            assert _many(out, folder, "--pictures", names, "--format", "jpg") == 3
    assert _visible(out / "a") == [*pictures, "transform.json"]
    # Another image, or another setting, and it is done again.
    shutil.copy(folder / "c_2.png", folder / "a_2.png")
    assert _many(out, folder, "--no-pictures") == 3
    assert (out / "a" / "transform.json").read_bytes() != before
    more = ["--no-pictures", "--transform", "homography", "--export", "qupath"]
    assert _many(out, folder, *more) == 3
    assert (out / "b" / "qupath.json").is_file()
    assert not (out / "c" / "qupath.json").exists()
    with monkeypatch.context() as patch:
        patch.setattr("rkd_jax.registration.matcher.Matcher.photos", refuse)
        assert _many(out, folder, *more) == 3
        # What is not there yet is made, by registering again.
        assert _many(out, folder, *more[:-1], "qupath,bigwarp") == 2
    summary = json.loads((out / "b" / "transform.json").read_text())
    assert summary["settings"]["transform"] == "homography"


def test_table_of_pairs_goes_on_past_a_bad_image(files, tmp_path, capsys):
    table = files / "table.csv"
    table.write_text("name,fixed,moving\nx,fixed.png,zero.png\n,fixed.png,moving.png\n")
    out = tmp_path / "out"
    assert _many(out, table, "--no-pictures") == 2
    captured = capsys.readouterr()
    assert "error: x: " in captured.err
    assert "zero.png" in captured.err
    assert captured.out.startswith("fixed_moving: registered")
    assert "empty" in (out / "pairs.csv").read_text()


def test_two_folders_and_one_image_with_a_folder(files, tmp_path):
    for name in ("fixed", "moving"):
        (tmp_path / name).mkdir()
        shutil.copy(files / f"{name}.png", tmp_path / name / "eye.png")
    for first in (tmp_path / "fixed", tmp_path / "fixed" / "eye.png"):
        out = tmp_path / f"out{first.suffix}"
        assert _many(out, first, tmp_path / "moving", "--no-pictures") == 0
        summary = json.loads((out / "eye" / "transform.json").read_text())
        mapped = Transform.from_dict(summary["transform"]).apply([[100.0, 90.0]])
        np.testing.assert_allclose(mapped, TRUTH.apply([[100.0, 90.0]]), atol=0.5)


def test_one_camera_shares_its_curvature(folder, tmp_path, monkeypatch):
    out = tmp_path / "out"
    options = ["--one_camera", "--no-pictures", "--transform", "radial"]
    assert _many(out, folder, *options) == 3
    camera = json.loads((out / "camera.json").read_text())
    # b is one photograph twice: without a turn of the eye it says nothing of k.
    assert camera["curvature"]["source"] == "one camera, 1 pairs"
    for name in ("a", "b"):
        summary = json.loads((out / name / "transform.json").read_text())
        assert summary["transform"]["curvature"] == camera["curvature"]["mean"]

    def refuse(*_, **__):
        raise AssertionError("calibrated again")

    monkeypatch.setattr("rkd_jax.registration.all_pairs.combine", refuse)
    assert _many(out, folder, *options) == 3


def test_wrong_arguments_for_many_pairs(files, folder, tmp_path, capsys):
    table = tmp_path / "t.csv"
    out = tmp_path / "out"
    for text, message in (
        ("fixed,other\na,b\n", "expected fixed, moving"),
        ("fixed,moving\na.png,\n", "line 2: expected two image paths"),
        ("fixed,moving\n", "no pairs below"),
        ("fixed,moving\na.png,b.png\na.png,b.png\n", "two pairs are named 'a_b'"),
        ("name,fixed,moving\n..,a.png,b.png\n", "cannot be the name of a folder"),
    ):
        table.write_text(text)
        assert _many(out, table) == 2
        assert message in capsys.readouterr().err
    points = ["--points", str(files / "points.csv")]
    for arguments, message in (
        ([tmp_path / "none"], "no such CSV file or folder"),
        ([files / "fixed.png"], "MOVING is missing"),
        ([folder, files / "fixed.png"], "must be one as well"),
        ([folder, *points], "landmarks are of one pair"),
        ([files / "fixed.png", files / "moving.png", "--one_camera"], "one pair only"),
    ):
        assert _many(out, *arguments) == 2
        assert message in capsys.readouterr().err
    assert not out.exists()
