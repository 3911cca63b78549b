"""The command `rkd_jax.lesions`, in this process, with thin untrained networks."""

import csv
import json

import cv2
import numpy as np
import pytest
from made_eyes import SPOTS, draw_eye
from PIL import Image

from rkd_jax.images.photograph_lists import Photograph, list_inputs
from rkd_jax.lesions import outputs
from rkd_jax.lesions.__main__ import main
from rkd_jax.lesions.detector import LesionDetector, load_lesion_detector


def _save(path, image):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(image).save(path)
    return path


@pytest.fixture
def eye(tmp_path):
    return _save(tmp_path / "photographs" / "eye.png", draw_eye())


def _rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _go(*arguments):
    return main([*map(str, arguments), "--compilation_cache_dir", ""])


def test_the_files_of_a_photograph(eye, tmp_path, weights_file, bright_spots, capsys):
    out, weights = tmp_path / "out", weights_file(stride=1)
    how = ("--weights", weights, "--um_per_px", 3, "--float")
    assert _go(eye, "--out", out, *how) == 0
    assert f"eye.png: {len(SPOTS)} microaneurysms, " in capsys.readouterr().out
    written = {path.name for path in out.iterdir() if path.name[0] != "."}
    assert written == set(outputs.ALL)

    found = load_lesion_detector(weights).detect(eye, um_per_px=3)
    levels = cv2.imread(str(out / "probability.png"), cv2.IMREAD_UNCHANGED)
    assert levels.dtype == np.uint16
    np.testing.assert_allclose(levels / 65535, found.probability, atol=0.51 / 65535)
    floats = cv2.imread(str(out / "probability.tif"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(floats, found.probability)
    mask = cv2.imread(str(out / "mask.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, 255 * found.mask.astype(np.uint8))
    rows = _rows(out / "lesions.csv")
    assert list(rows[0]) == ["x", "y", "area_px", "area_um2", "score"]
    for row, lesion in zip(rows, found.lesions, strict=True):
        assert float(row["x"]) == pytest.approx(lesion.x, abs=6e-4)
        assert float(row["score"]) == pytest.approx(lesion.score, rel=1e-5)
        assert float(row["area_um2"]) == 9 * int(row["area_px"])
    summary = json.loads((out / "summary.json").read_text())
    assert summary["status"] == "done"
    assert summary["count"] == len(SPOTS)
    assert summary["area_px"] == int(mask.astype(bool).sum())
    overlay = cv2.imread(str(out / "overlay.png"))[..., ::-1]
    drawn = (overlay != draw_eye()).any(axis=2)
    # Outlines stand around the lesions and leave them visible.
    assert drawn[100:].any()
    assert not drawn[found.mask].any()


def test_a_folder_a_page_and_a_broken_file(eye, tmp_path, weights_file, capsys):
    folder, out, weights = eye.parent, tmp_path / "out", weights_file()
    page = np.random.default_rng(0).integers(150, 255, (90, 120, 3), np.uint8)
    _save(folder / "page.png", page)
    how = ("--out", out, "--weights", weights, "--threshold", 0.9999)
    assert _go(folder, *how) == 3
    (folder / "broken.jpg").write_bytes(b"no image")
    assert _go(folder, *how) == 2
    shown = capsys.readouterr()
    assert "page.png: no photograph of a fundus: the lit part has corners" in shown.out
    assert "error: " in shown.err
    assert "broken.jpg" in shown.err
    rows = {row["name"]: row for row in _rows(out / "photographs.csv")}
    assert [rows[n]["status"] for n in ("broken", "eye", "page")] == [
        "error",
        "done",
        "refused",
    ]
    assert rows["eye"]["lesions"] == "0"
    assert "corners" in rows["page"]["reason"]
    # No lesion is a result: a table without rows.
    assert (out / "eye" / "lesions.csv").read_text() == ("x,y,area_px,area_um2,score\n")
    assert not (out / "page" / "mask.png").exists()


def test_a_photograph_of_few_pixels_has_a_note(tmp_path, weights_file, capsys):
    folder, out = tmp_path / "photographs", tmp_path / "out"
    _save(folder / "small.png", draw_eye(0.25))
    _save(folder / "whole.png", draw_eye())
    assert _go(folder, "--out", out, "--weights", weights_file()) == 0
    assert "small.png: the photograph has too few pixels" in capsys.readouterr().err
    notes = [row["note"] for row in _rows(out / "photographs.csv")]
    assert "enlarged 4.0 times" in notes[0]
    assert notes[1] == ""


def test_finished_photographs_are_skipped(
    eye, tmp_path, weights_file, bright_spots, monkeypatch
):
    out, weights = tmp_path / "out", weights_file()
    how = ("--out", out, "--weights", weights)
    assert _go(eye.parent, *how) == 0
    first = (out / "eye" / "summary.json").read_bytes()
    detected = []
    real = LesionDetector.detect

    def detect(self, *arguments, **options):
        detected.append(options["threshold"])
        return real(self, *arguments, **options)

    monkeypatch.setattr(LesionDetector, "detect", detect)
    assert _go(eye.parent, *how) == 0
    assert not detected
    assert (out / "eye" / "summary.json").read_bytes() == first
    (out / "eye" / "mask.png").unlink()
    assert _go(eye.parent, *how) == 0
    assert _go(eye.parent, *how, "--threshold", 0.7) == 0
    _save(eye, draw_eye(spots=SPOTS[:1]))
    assert _go(eye.parent, *how, "--threshold", 0.7) == 0
    assert detected == [None, 0.7, 0.7]
    assert _rows(out / "photographs.csv")[0]["lesions"] == "1"


def test_a_later_result_leaves_no_file_of_an_earlier_one(
    eye, tmp_path, weights_file, bright_spots
):
    out, how = tmp_path / "out", ("--weights", weights_file())
    assert _go(eye, "--out", out, *how, "--float") == 0
    assert (out / "probability.tif").exists()
    assert _go(eye, "--out", out, *how) == 0
    assert not (out / "probability.tif").exists()
    _save(eye, np.zeros((90, 90, 3), np.uint8))
    assert _go(eye, "--out", out, *how) == 3
    assert {path.name for path in out.iterdir() if path.name[0] != "."} == {
        "summary.json"
    }


def test_files_of_a_user_stay(eye, tmp_path, weights_file, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mask.png").write_text("mine")
    assert _go(eye, "--out", out, "--weights", weights_file()) == 2
    assert "mask.png: rkd_jax would replace this file" in capsys.readouterr().err
    assert (out / "mask.png").read_text() == "mine"
    assert [path.name for path in out.iterdir()] == ["mask.png"]


def test_results_beside_photographs_are_no_photographs(
    eye, tmp_path, weights_file, bright_spots
):
    how = ("--weights", weights_file())
    assert _go(eye, "--out", eye.parent, *how) == 0
    assert list_inputs(eye.parent) == [Photograph("eye", eye)]


def test_json_lines(eye, tmp_path, weights_file, bright_spots, capsys):
    how = ("--weights", weights_file(), "--json")
    assert _go(eye, "--out", tmp_path / "out", *how) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == json.loads((tmp_path / "out/summary.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lesion", "drusen"], "no weights for 'drusen' come with the package"),
        (["--weights", "none.safetensors"], "none.safetensors: no such weight file"),
        (["--weights", "small"], "weights of the model 'superretina'; lesions need"),
        (["--threshold", "2"], "threshold is 2.0; expected a probability"),
        (["--um_per_px", "-1"], "um_per_px is -1.0; expected micrometers"),
        (["--tile", "100"], "tile is 100; expected a positive multiple of 16"),
    ],
)
def test_bad_arguments(eye, tmp_path, capsys, arguments, message):
    assert _go(eye, "--out", tmp_path / "out", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_weights_for_another_lesion(eye, tmp_path, weights_file, capsys):
    how = ("--weights", weights_file(lesion="haemorrhages"))
    assert _go(eye, "--out", tmp_path / "out", *how, "--lesion", "microaneurysms") == 2
    message = "weights for haemorrhages, not for --lesion microaneurysms"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("workers", [["--jobs", "2"], ["--scheduler", "tcp://a:1"]])
def test_workers_are_for_many(eye, tmp_path, weights_file, capsys, workers):
    how = ("--weights", weights_file(), *workers)
    assert _go(eye, "--out", tmp_path / "out", *how) == 2
    assert "there is one photograph only" in capsys.readouterr().err


def test_a_table_with_a_photograph_that_is_gone(eye, tmp_path, weights_file, capsys):
    table, out = tmp_path / "list.csv", tmp_path / "out"
    table.write_text(f"image,name\n{eye},left\ngone.png,right\n")
    assert _go(table, "--out", out, "--weights", weights_file()) == 2
    assert "gone.png: no such image file; check the path" in capsys.readouterr().err
    rows = _rows(out / "photographs.csv")
    assert [row["status"] for row in rows] == ["done", "error"]
    assert (out / "left" / "lesions.csv").exists()
