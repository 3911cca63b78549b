"""`evaluate lesions` with a detector of three channels: scores, files, refusals."""

import csv
import dataclasses
import json
import shutil
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from scipy.special import logit

from rkd_jax.data.lesion_folders import LesionPhotograph
from rkd_jax.evaluate import main
from rkd_jax.evaluation import lesion_maps, lesion_scores
from rkd_jax.lesions import detector as detectors
from rkd_jax.lesions.settings import DetectorSettings

SIDE = 48


class Channels:
    """Takes the maps from the channels of a photograph: full, half, classifier."""

    calls: ClassVar[list[str]] = []

    def __init__(self, weights=None, **changes):
        self.cls = "cls" in str(weights)
        changes = {"haemorrhages": {"lesion": "haemorrhages"}}.get(weights, changes)
        self.settings = DetectorSettings(**{"threshold": 0.4, **changes})
        self.weights = str(weights)

    def facts(self):
        return {"weights_sha256": self.weights, "fusion": self.settings.fusion}

    def share_proposals(self, other):
        if ("other" in self.weights) != ("other" in other.weights):
            raise ValueError("the proposal networks differ")

    def maps(self, path, refined=True):
        self.calls.append(path.stem)
        image = np.asarray(Image.open(path), np.float32) / 255
        if not image.any():
            raise detectors.NoFundusError("nothing is lit")
        full, half, classifier = np.moveaxis(image, 2, 0)
        if self.cls:
            classifier = np.sqrt(classifier)
        return {
            "full": full,
            "half": half,
            "full_refined": np.where(full > 0.1, classifier, 0),
            "half_refined": np.where(half > 0.1, classifier, 0),
        }


def use_channels(patch):
    patch.setattr(detectors, "load_lesion_detector", Channels)
    patch.setattr(Channels, "calls", [])
    patch.setattr(lesion_scores.bootstrap, "RESAMPLES", 100)  # of 2000: seconds


@pytest.fixture(autouse=True)
def detector(monkeypatch):
    use_channels(monkeypatch)


def write_photograph(path, mask, seed):
    rng = np.random.default_rng(seed)
    blurred = ndimage.gaussian_filter(mask.astype(float), 1.0)[..., None]
    # Some lesions are faint, and some spots are none.
    strength = ndimage.gaussian_filter(rng.normal(1.0, 6.0, mask.shape), 5)[..., None]
    spots = ndimage.gaussian_filter((rng.random(mask.shape) < 0.004) * 6.0, 1.0)
    image = np.array([0.9, 1.0, 1.2]) * blurred * np.clip(strength, 0.2, 1)
    image += spots[..., None] + 0.3 * rng.random((*mask.shape, 3)) ** 2
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.uint8(255 * np.clip(image, 0, 1))).save(path)


def made_mask(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((SIDE, SIDE), bool)
    for x, y in rng.integers(3, SIDE - 6, (4, 2)):
        mask[y : y + 3, x : x + 2] = True
    return mask


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """IDRiD's layout; 58 has no microaneurysms."""
    folder = tmp_path_factory.mktemp("idrid")
    images = folder / "1. Original Images" / "b. Testing Set"
    masks = folder / "2. All Segmentation Groundtruths" / "b. Testing Set"
    masks = masks / "1. Microaneurysms"
    masks.mkdir(parents=True)
    for number in (55, 56, 57, 58):
        mask = made_mask(number) if number < 58 else np.zeros((SIDE, SIDE), bool)
        write_photograph(images / f"IDRiD_{number}.png", mask, number)
        if number < 58:
            picture = Image.fromarray(np.uint8(mask))
            picture.save(masks / f"IDRiD_{number}_MA.tif")
    return folder


def run(root, out, *more):
    return main(
        ["lesions", "--data_dir", str(root), "--out", str(out), *map(str, more)]
    )


def photographs(root, names=(55, 56, 57, 58)):
    """Return the four maps of each photograph, and its mask."""
    folder = root / "1. Original Images" / "b. Testing Set"
    found = []
    for number in names:
        maps = Channels("x").maps(folder / f"IDRiD_{number}.png")
        empty = np.zeros((SIDE, SIDE), bool)
        found.append((maps, made_mask(number) if number < 58 else empty))
    return found


def geometric(*maps):
    return np.prod([np.maximum(m, 1e-7).astype(float) for m in maps], 0) ** (
        1 / len(maps)
    )


def average_precision(scores, lesion):
    """Return the step sum, threshold by threshold."""
    area = recall = 0.0
    for score in np.unique(scores)[::-1]:
        found = scores >= score
        hits = (found & lesion).sum()
        area += (hits / lesion.sum() - recall) * hits / found.sum()
        recall = hits / lesion.sum()
    return area


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        use_channels(patch)
        assert run(root, out, "--weights", "w") == 0
    return out


def scored(out):
    return json.loads((out / "metrics.json").read_text())


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


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


def test_maps_are_saved_with_16_bits(root, finished):
    for number, (maps, _) in zip((55, 56, 57, 58), photographs(root)):
        path = finished / "maps" / "refined_geometric" / f"IDRiD_{number}.png"
        saved = np.asarray(Image.open(path))
        scores = geometric(*maps.values()) * ((maps["full"] + maps["half"]) > 0)
        inside = (scores > 0) & (scores < 1)
        expected = 32768 + 1560 * logit(scores[inside])
        assert np.abs(saved[inside] - expected).max() < 0.6
        np.testing.assert_array_equal(saved[~inside], 65535 * scores[~inside])
    settings, _ = lesion_maps.load_predictions(finished / "predictions.json")
    assert settings["weights_sha256"] == "w"


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


def test_finished_maps_are_not_made_again(root, finished, tmp_path, monkeypatch):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(Channels, "maps", None)
    assert run(root, tmp_path, "--weights", "w") == 0
    assert scored(tmp_path) == scored(finished)
    # Another threshold is another score of the same maps.
    assert run(root, tmp_path, "--weights", "w", "--threshold", "0.2") == 0
    assert scored(tmp_path)["recall"] > scored(finished)["recall"]


def test_a_map_that_is_gone_and_a_changed_photograph_are_made_again(root, tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(root, data)
    assert run(data, out, "--weights", "w") == 0
    (out / "maps" / "refined_geometric" / "IDRiD_55.png").unlink()
    folder = data / "1. Original Images" / "b. Testing Set"
    write_photograph(folder / "IDRiD_57.png", made_mask(57), seed=9)
    Channels.calls.clear()
    assert run(data, out, "--weights", "w") == 0
    assert Channels.calls == ["IDRiD_55", "IDRiD_57"]


def test_other_settings_are_refused_without_overwrite(root, finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    assert run(root, tmp_path, "--weights", "v") == 2
    assert "weights_sha256: 'w' there, 'v' now" in capsys.readouterr().err
    assert scored(tmp_path) == scored(finished)
    assert run(root, tmp_path, "--weights", "v", "--overwrite") == 0
    assert scored(tmp_path)["settings"]["weights_sha256"] == "v"


def test_the_second_classifier_changes_its_own_rows_alone(root, tmp_path, capsys):
    how = ("--weights", "w", "--rows", "all")
    assert run(root, tmp_path, *how) == 0
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("maps/*/*.png")}
    assert run(root, tmp_path, *how, "--cls", "cls") == 0
    assert len(scored(tmp_path)["rows"]) == 8
    Channels.calls.clear()
    assert run(root, tmp_path, *how, "--threshold", "0.2") == 0
    assert "at 0.2, --threshold" in capsys.readouterr().out
    assert len(scored(tmp_path)["rows"]) == 6
    assert run(root, tmp_path, *how, "--cls", "cls") == 0
    assert Channels.calls == []
    assert files == {path: path.stat().st_mtime_ns for path in files}
    assert run(root, tmp_path, *how, "--cls", "cls 2") == 2
    assert "'cls 2'" in capsys.readouterr().err


def test_a_stopped_run_keeps_what_is_done(root, tmp_path, monkeypatch):
    maps = Channels.maps

    def stop(self, path, **how):
        if path.stem == "IDRiD_57":
            raise KeyboardInterrupt
        return maps(self, path, **how)

    monkeypatch.setattr(Channels, "maps", stop)
    assert run(root, tmp_path, "--weights", "w") == 130
    monkeypatch.setattr(Channels, "maps", maps)
    Channels.calls.clear()
    assert run(root, tmp_path, "--weights", "w") == 0
    assert Channels.calls == ["IDRiD_57", "IDRiD_58"]


@pytest.mark.parametrize(
    "name",
    [
        *("metrics.json", "rows.csv", "froc.png", "predictions.json"),
        "maps/refined_geometric/IDRiD_55.png",
    ],
)
def test_files_of_others_are_named_and_kept(root, tmp_path, capsys, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    assert run(root, tmp_path, "--weights", "w", "--overwrite") == 2
    assert name in capsys.readouterr().err
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / name]
    assert (tmp_path / name).read_text() == "mine"


def test_photographs_of_a_list(root, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("IDRiD_56\nIDRiD_58.png  # with its extension\n")
    assert run(root, tmp_path / "out", "--weights", "w", "--images", names) == 0
    assert [r["photograph"] for r in table(tmp_path / "out" / "photographs.csv")] == [
        *("IDRiD_56", "IDRiD_58")
    ]


def test_the_plain_layout(root, finished, tmp_path):
    images = root / "1. Original Images" / "b. Testing Set"
    masks = root / "2. All Segmentation Groundtruths" / "b. Testing Set"
    options = ("--masks", masks / "1. Microaneurysms", "--suffix", "_MA")
    assert run(images, tmp_path, "--weights", "w", *options) == 0
    for name in ("average_precision", "aupr_11", "sensitivity_at_1"):
        assert scored(tmp_path)[name] == scored(finished)[name]


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


def test_a_photograph_with_a_mask_is_not_healthy(root, tmp_path, capsys):
    folder = root / "1. Original Images"
    message = refuse(root, tmp_path, capsys, "--healthy", folder)
    assert "IDRiD_55.png has a mask of lesions" in message
    assert Channels.calls == []


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


def refuse(root, tmp_path, capsys, *options):
    assert run(root, tmp_path / "out", *options) == 2
    assert not (tmp_path / "out" / "metrics.json").exists()
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--weights", "haemorrhages", "--lesion", "microaneurysms"), "trained for"),
        (("--lesion", "drusen"), "unknown lesion 'drusen'"),
        (("--split", "train"), "a. Training Set: no such folder"),
        (("--threshold", "1.5"), "threshold is 1.5"),
        (("--candidates", "1"), "--candidates 1"),
        (("--suffix", "_MA"), "--suffix without --masks"),
        (("--masks", "x", "--split", "test"), "leave it out with --masks"),
        (("--cls", "cls"), "--cls without --rows all"),
        (("--rows", "all", "--cls", "cls other"), "the proposal networks differ"),
        (("--images", "/nowhere.txt"), "check --images"),
    ],
)
def test_what_does_not_fit_is_refused(root, tmp_path, capsys, options, message):
    assert message in refuse(root, tmp_path, capsys, *options)


def test_unknown_photographs_are_named(root, tmp_path, capsys):
    names = tmp_path / "names.txt"
    names.write_text("IDRiD_55\nIDRiD_01\n")
    message = refuse(root, tmp_path, capsys, "--images", names)
    assert "no photographs ['IDRiD_01']" in message
    assert "IDRiD_55, IDRiD_56" in message
    names.write_text("# none\n")
    assert "the list is empty" in refuse(root, tmp_path, capsys, "--images", names)


def test_masks_without_any_lesion_are_refused_before_the_network_runs(
    root, tmp_path, capsys
):
    data = tmp_path / "data"
    shutil.copytree(root, data)
    for path in data.rglob("*_MA.tif"):
        Image.fromarray(np.zeros((SIDE, SIDE), np.uint8)).save(path)
    message = refuse(data, tmp_path, capsys)
    assert "average precision is not defined" in message
    assert "nan" not in message
    assert Channels.calls == []


def test_a_mask_of_another_size_is_refused_before_the_network_runs(
    root, tmp_path, capsys
):
    data = tmp_path / "data"
    shutil.copytree(root, data)
    path = next(data.rglob("IDRiD_56_MA.tif"))
    Image.fromarray(np.ones((SIDE, 20), np.uint8)).save(path)
    message = refuse(data, tmp_path, capsys)
    assert "IDRiD_56_MA.tif" in message
    assert Channels.calls == []


def test_saved_maps_that_do_not_fit_are_refused(finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    _, saved = lesion_maps.load_predictions(tmp_path / "predictions.json")
    name = "maps/refined_geometric/IDRiD_55.png"
    Image.fromarray(np.zeros((SIDE, SIDE + 1), np.uint16)).save(tmp_path / name)
    with pytest.raises(
        ValueError, match=r"IDRiD_55.*49x48 px; expected 16 bits and 48x"
    ):
        lesion_maps.load_map(tmp_path, name, saved)
    Image.fromarray(np.zeros((SIDE, SIDE), np.uint8)).save(tmp_path / name)
    with pytest.raises(ValueError, match="uint8"):
        lesion_maps.load_map(tmp_path, name, saved)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match="no map of this photograph"):
        lesion_maps.load_map(tmp_path, name, saved)
    with pytest.raises(FileNotFoundError, match="no map of this photograph"):
        lesion_maps.load_map(tmp_path, "maps/full/IDRiD_55.png", saved)


def test_a_damaged_list_of_predictions_is_named(finished, tmp_path):
    path = tmp_path / "predictions.json"
    text = (finished / "predictions.json").read_text()
    for damaged in (text[: len(text) // 2], "[]", '{"settings": {}, "maps": {"a": 1}}'):
        path.write_text(damaged)
        with pytest.raises(ValueError, match="not a complete file of predictions"):
            lesion_maps.load_predictions(path)


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
