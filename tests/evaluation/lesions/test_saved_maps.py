"""Maps of `evaluate lesions`: saved, read again, made again where they must."""

import shutil

import numpy as np
import pytest
from made_lesion_scores import (
    SIDE,
    Channels,
    geometric,
    made_mask,
    photographs,
    run,
    scored,
    write_photograph,
)
from PIL import Image
from scipy.special import logit

from rkd_jax.evaluation import lesion_maps


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
