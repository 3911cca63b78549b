"""Scores of `evaluate lesions`, against sums over all pixels."""

import dataclasses
import shutil

import numpy as np
import pytest
from made_lesion_scores import SIDE, geometric, photographs, run, scored, table
from PIL import Image
from scipy import ndimage

from rkd_jax.data.lesion_folders import LesionPhotograph
from rkd_jax.evaluation import lesion_scores
from rkd_jax.lesions import detector as detectors
from rkd_jax.lesions.settings import DetectorSettings


def average_precision(scores, lesion):
    """Return the step sum, threshold by threshold."""
    area = recall = 0.0
    for score in np.unique(scores)[::-1]:
        found = scores >= score
        hits = (found & lesion).sum()
        area += (hits / lesion.sum() - recall) * hits / found.sum()
        recall = hits / lesion.sum()
    return area


def test_scores_are_those_of_all_pixels_together(root, finished):
    found = photographs(root)
    scores = np.stack([geometric(*maps.values()) for maps, _ in found])
    lesion = np.stack([mask for _, mask in found])
    written = scored(finished)
    assert written["row"] == "refined_geometric"
    expected = average_precision(scores, lesion)
    assert 0.1 < expected < 0.99
    assert written["average_precision"] == pytest.approx(expected, abs=1e-3)
    mask = scores >= 0.4
    hits = (mask & lesion).sum()
    assert written["precision"] == pytest.approx(hits / mask.sum())
    assert written["recall"] == pytest.approx(hits / lesion.sum())
    assert written["f1"] == pytest.approx(2 * hits / (mask.sum() + lesion.sum()))
    assert written["best_f1"] >= written["f1"]
    low, high = written["intervals"]["average_precision"]
    assert low < written["average_precision"] < high
    assert (written["photographs"], written["photographs_with_lesions"]) == (4, 3)
    parts = sum(ndimage.label(one, np.ones((3, 3)))[1] for one in lesion)
    assert written["lesions"] == parts


def test_photographs_are_listed_one_by_one(root, finished):
    rows = table(finished / "photographs.csv")
    assert [row["photograph"] for row in rows] == [f"IDRiD_{n}" for n in range(55, 59)]
    for row, (maps, lesion) in zip(rows, photographs(root)):
        mask = geometric(*maps.values()) >= 0.4
        low = geometric(*maps.values()) >= 0.05
        parts, count = ndimage.label(low, np.ones((3, 3)))
        kept = [parts == i + 1 for i in range(count) if (mask & (parts == i + 1)).any()]
        true, number = ndimage.label(lesion, np.ones((3, 3)))
        hit = [any((k & (true == i + 1)).any() for k in kept) for i in range(number)]
        assert int(row["lesions"]) == number
        assert int(row["found"]) == sum(hit)
        assert int(row["false_positives"]) == sum(not (k & lesion).any() for k in kept)
    assert rows[3]["average_precision"] == rows[3]["f1"] == ""


def test_all_rows_stand_beside_the_paper(root, tmp_path, capsys):
    assert run(root, tmp_path, "--weights", "w", "--rows", "all", "--cls", "cls") == 0
    written = scored(tmp_path)
    found = photographs(root)
    lesion = np.stack([mask for _, mask in found])
    full, half = (np.stack([m[name] for m, _ in found]) for name in ("full", "half"))
    four = [np.stack([m[name] for m, _ in found]) for name in found[0][0]]
    expected = {
        "full": full,
        "half": half,
        "arithmetic": (full + half) / 2,
        "geometric": geometric(full, half),
        "refined_arithmetic": np.mean(four, axis=0),
        "cls_arithmetic": np.mean([*four[:2], *np.sqrt(four[2:])], axis=0),
    }
    assert len(written["rows"]) == 8
    for row, scores in expected.items():
        area = average_precision(scores, lesion)
        value = written["rows"][row]["average_precision"]
        assert value == pytest.approx(area, abs=1e-3), row
    lines = {line["row"]: line for line in table(tmp_path / "rows.csv")}
    key = "paper_27_test_photographs_average_precision"
    assert (lines["full"][key], lines["cls_geometric"][key]) == ("0.33740", "0.38950")
    text = capsys.readouterr().out
    assert "the paper, on the 27 test photographs" in text
    pairs = {(d["first"], d["second"]): d for d in written["differences"]}
    assert {second for first, second in pairs if first == "half"} == {"full"}
    gain = pairs["half", "full"]["difference"]["average_precision"]
    values = [written["rows"][r]["average_precision"] for r in ("half", "full")]
    assert gain == pytest.approx(values[0] - values[1])
    plain = [r for r in written["rows"] if not r.startswith(("refined", "cls"))]
    best = max(plain, key=lambda r: written["rows"][r]["average_precision"])
    assert ("refined_geometric", best) in pairs
    assert ("refined_geometric", "cls_geometric") in pairs
    saved = table(tmp_path / "differences.csv")
    assert [(d["first"], d["second"]) for d in saved] == list(pairs)


def test_candidates_that_cover_a_photograph_are_said(root, finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    how = ("--weights", "w", "--candidates")
    assert run(root, tmp_path, *how, "0.00001") == 0
    shown = capsys.readouterr().out
    assert "FROC of refined_geometric: candidates cover more than 10%" in shown
    assert scored(tmp_path)["sensitivity_at_1"] == 1
    assert run(root, tmp_path, *how, "0.3") == 0
    assert "candidates cover" not in capsys.readouterr().out


def test_the_row_of_the_weights_is_the_same_alone_and_among_all(
    root, finished, tmp_path
):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    assert run(root, tmp_path, "--weights", "w", "--rows", "all") == 0
    alone, among = scored(finished), scored(tmp_path)
    assert len(among["rows"]) == 6
    for name in ("average_precision", "aupr_11", "sensitivity_mean", "intervals"):
        assert among[name] == alone[name]


def test_false_positives_on_healthy_photographs(root, tmp_path, capsys):
    healthy = tmp_path / "healthy"
    for number, spots in enumerate((0, 1, 3)):
        image = np.full((SIDE, SIDE, 3), 9, np.uint8)
        for spot in range(spots):
            image[10 * spot + 5, 7] = 250
        healthy.mkdir(exist_ok=True)
        Image.fromarray(image).save(healthy / f"{number}.png")
    options = ("--weights", "w", "--healthy", healthy)
    assert run(root, tmp_path / "out", *options) == 0
    found = scored(tmp_path / "out")["healthy"]
    assert found["false_positives"] == {"0": 0, "1": 1, "2": 3}
    assert found["false_positives_per_image"] == pytest.approx(4 / 3)
    assert found["photographs_without"] == 1
    low, high = found["interval"]
    assert 0 <= low < 4 / 3 < high <= 3
    assert "1.33 false positives an image" in capsys.readouterr().out
    assert scored(tmp_path / "out")["photographs"] == 4


def test_what_is_no_fundus_has_an_empty_map(root, tmp_path, capsys):
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(root, data)
    path = data / "1. Original Images" / "b. Testing Set" / "IDRiD_56.png"
    Image.fromarray(np.zeros((SIDE, SIDE, 3), np.uint8)).save(path)
    assert run(data, out, "--weights", "w") == 0
    assert scored(out)["refused"] == ["IDRiD_56"]
    assert "an empty map: IDRiD_56" in capsys.readouterr().out
    row = table(out / "photographs.csv")[1]
    assert (row["found"], row["recall"]) == ("0", "0.00000")


def test_one_photograph_has_scores_without_intervals(root, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("IDRiD_56\n")
    assert run(root, tmp_path / "out", "--images", names) == 0
    written = scored(tmp_path / "out")
    assert written["average_precision"] > 0
    assert written["intervals"]["average_precision"] is None


def test_points_of_the_froc_curve_hold_the_sensitivities(root, finished):
    photographs = [LesionPhotograph(f"{i}", root / "none.png", None) for i in range(2)]
    levels = np.zeros((9, 9), np.uint16)
    levels[2, 2], levels[6, 6] = 50000, 60000
    counted = lesion_scores.count(photographs, ["a"], lambda *_: levels)["a"]
    assert [d.false.tolist() for d in counted.detections] == 2 * [[50000, 60000]]
    lesion = np.zeros((9, 9), bool)
    lesion[2, 2] = True
    found = [
        lesion_scores.froc.detections(
            levels, lesion_scores.components(levels > 0), lesion_scores.components(m)
        )
        for m in (lesion, np.zeros_like(lesion))
    ]
    inside, outside = lesion_scores.count_pixels(levels, lesion)
    nothing, every = lesion_scores.count_pixels(levels, np.zeros_like(lesion))
    one = lesion_scores.Counted(["a", "b"], [inside, nothing], [outside, every], found)
    score = lesion_scores.score_row(one, 0.5)
    false, sensitivity = score.froc
    # By falling threshold: nothing; two false ones; then the lesion and a third.
    np.testing.assert_allclose(false, [0, 1, 1.5])
    np.testing.assert_allclose(sensitivity, [0, 0, 1])
    assert score.numbers["sensitivity_at_1"] == 0
    assert score.numbers["sensitivity_at_2"] == 1


def test_settings_of_the_fake_are_those_of_a_detector():
    fields = {field.name for field in dataclasses.fields(DetectorSettings)}
    assert {"fusion", "threshold", "lesion"} <= fields
    for name in ("facts", "maps", "share_proposals"):
        assert callable(getattr(detectors.LesionDetector, name))
