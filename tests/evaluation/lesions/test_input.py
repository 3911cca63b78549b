"""Which photographs `evaluate lesions` takes, and what it refuses."""

import shutil

import numpy as np
import pytest
from made_lesion_scores import SIDE, Channels, run, scored, table
from PIL import Image


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


def test_a_photograph_with_a_mask_is_not_healthy(root, tmp_path, capsys):
    folder = root / "1. Original Images"
    message = refuse(root, tmp_path, capsys, "--healthy", folder)
    assert "IDRiD_55.png has a mask of lesions" in message
    assert Channels.calls == []


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
