"""The labeling command, run as a user runs it, on made-up folders."""

import gzip
import io
import re
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from rkd_jax.junctions import vessel_masks
from rkd_jax.junctions.__main__ import main
from rkd_jax.junctions.labels import format_points

WIDTH, HEIGHT = 120, 100
CROSS = (60.0, 50.0)


def mask():
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.line(drawn, (20, 50), (100, 50), 255, 3)
    cv2.line(drawn, (60, 20), (60, 80), 255, 3)
    return drawn


def photograph(seed):
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    cv2.circle(image, (60, 50), 46, (180, 90, 40), -1)
    noise = np.random.default_rng(seed).integers(0, 20, image.shape)
    return np.where(image > 0, image + noise, 0).astype(np.uint8)


def field():
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(image, (60, 50), 46, 255, -1)
    return image


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def fake_drive(root, count=4):
    for i in range(21, 21 + count):
        save(root / f"training/images/{i}_training.tif", photograph(i))
        save(root / f"training/1st_manual/{i}_manual1.gif", mask())
        save(root / f"training/mask/{i}_training_mask.gif", field())
    return root


def fake_chase(root, children=4):
    for i in range(1, children + 1):
        for eye in "LR":
            save(root / f"Image_{i:02d}{eye}.jpg", photograph(i), quality=90)
            save(root / f"Image_{i:02d}{eye}_1stHO.png", mask())
            save(root / f"Image_{i:02d}{eye}_2ndHO.png", np.zeros_like(mask()))
    return root


def call(*args):
    return main([str(a) for a in args])


def lines_of(path):
    return path.read_text().splitlines()


def snapshot(root):
    return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_drive_end_to_end(tmp_path, capsys):
    data, out = fake_drive(tmp_path / "DRIVE"), tmp_path / "lab"
    args = ("--dataset", "drive", "--data_dir", data, "--out", out, "--val_every", 2)
    assert call(*args) == 0
    assert lines_of(out / "ImageSets/train.txt") == [
        "drive_21_training.png, drive_21_training.txt",
        "drive_23_training.png, drive_23_training.txt",
    ]
    assert lines_of(out / "ImageSets/val.txt") == [
        "drive_22_training.png, drive_22_training.txt",
        "drive_24_training.png, drive_24_training.txt",
    ]
    text = (out / "Annotations/drive_21_training.txt").read_text()
    xy = np.loadtxt(io.StringIO(text)) * (WIDTH, HEIGHT)
    np.testing.assert_allclose(xy, CROSS, atol=1.0)
    with Image.open(out / "ImageData/drive_21_training.png") as image:
        np.testing.assert_array_equal(np.asarray(image), photograph(21))
    with Image.open(out / "Pictures/drive_21_training.jpg") as picture:
        assert picture.size == (1200, 1000)
        ring = np.asarray(picture).astype(int)[480:520, 580:620]
    yellow = (ring[..., 0] > 180) & (ring[..., 1] > 180) & (ring[..., 2] < 110)
    assert yellow.any()
    assert not list(out.rglob("*.tmp"))
    report = capsys.readouterr()
    assert "drive: 4 images (2 train, 2 val), 4 points (4 crossings)" in report.out
    assert "4/4 drive_24_training.png: 1 points" in report.err


def test_both_eyes_of_a_child_stay_together(tmp_path):
    data, out = fake_chase(tmp_path / "CHASE"), tmp_path / "lab"
    args = ("--dataset", "chase_db1", "--data_dir", data, "--out", out)
    assert call(*args, "--val_every", 3) == 0
    val = [line.split(", ")[0] for line in lines_of(out / "ImageSets/val.txt")]
    assert val == ["chase_db1_Image_03L.jpg", "chase_db1_Image_03R.jpg"]
    assert len(lines_of(out / "ImageSets/train.txt")) == 6
    copied = out / "ImageData/chase_db1_Image_01L.jpg"
    assert copied.read_bytes() == (data / "Image_01L.jpg").read_bytes()


def test_hrf_with_and_without_masks(tmp_path):
    data = tmp_path / "HRF"
    for stem in ("01_h", "02_dr", "11_h"):
        save(data / f"images/{stem}.jpg", photograph(1))
    for stem in ("01_h", "02_dr"):
        save(data / f"manual1/{stem}.tif", mask())
    save(data / "mask/01_h_mask.tif", field())
    samples = vessel_masks.hrf(data)
    assert [s.name for s in samples] == ["01_h", "02_dr"]
    assert samples[0].field.name == "01_h_mask.tif"
    assert samples[1].field is None


@pytest.mark.parametrize("flat", [True, False])
def test_stare_as_published_gzipped(tmp_path, flat):
    data, out = tmp_path / "STARE", tmp_path / "lab"
    data.mkdir()
    for folder, name, array in (
        ("images", "im0001", photograph(1)),
        ("labels-vk", "im0001.vk", mask()),
        ("labels-vk", "im0001.ah", np.zeros_like(mask())),
    ):
        stream = io.BytesIO()
        Image.fromarray(array).save(stream, "PPM")
        path = data / f"{name}.ppm.gz" if flat else data / folder / f"{name}.ppm.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(stream.getvalue()))
    assert call("--dataset", "stare", "--data_dir", data, "--out", out) == 0
    with Image.open(out / "ImageData/stare_im0001.png") as image:
        np.testing.assert_array_equal(np.asarray(image), photograph(1))
    assert len(lines_of(out / "Annotations/stare_im0001.txt")) == 1


def test_append_is_a_union_and_repeats_are_harmless(tmp_path):
    drive, chase = fake_drive(tmp_path / "D", 3), fake_chase(tmp_path / "C", 2)
    out = tmp_path / "lab"
    first = ("--dataset", "drive", "--data_dir", drive, "--out", out)
    second = ("--dataset", "chase_db1", "--data_dir", chase, "--out", out, "--append")
    assert call(*first) == 0
    alone = snapshot(out)
    assert call(*second) == 0
    both = snapshot(out)
    assert len(lines_of(out / "ImageSets/train.txt")) == 7
    for name, data in alone.items():
        assert both[name].startswith(data)  # lists grow, files stay
    assert call(*first, "--append") == 0
    assert call(*second) == 0
    assert snapshot(out) == both


def test_two_folders(tmp_path):
    save(tmp_path / "i/a.png", photograph(0))
    save(tmp_path / "m/a.gif", mask() // 255)
    out = tmp_path / "lab"
    pair = ("--images", tmp_path / "i", "--masks", tmp_path / "m", "--out", out)
    assert call(*pair, "--name", "mine") == 0
    assert lines_of(out / "ImageSets/train.txt") == ["mine_a.png, mine_a.txt"]
    assert lines_of(out / "ImageSets/val.txt") == []
    copied = out / "ImageData/mine_a.png"
    assert copied.read_bytes() == (tmp_path / "i/a.png").read_bytes()


def test_annotation_text_round_trip():
    rng = np.random.default_rng(0)
    xy = (rng.random((50, 2)) * (998, 959)).astype(np.float32)
    text = format_points(xy, 999, 960)
    values = np.loadtxt(io.StringIO(text))
    assert values.min() >= 0
    assert values.max() < 1
    np.testing.assert_allclose(values * (999, 960), xy, atol=1e-5)
    assert format_points(np.zeros((0, 2)), 9, 9) == ""


def test_masks_without_a_junction_are_left_out_and_named(tmp_path, capsys):
    save(tmp_path / "i/a.png", photograph(0))
    save(tmp_path / "m/a.png", mask())
    save(tmp_path / "i/b.png", photograph(1))
    line = np.zeros_like(mask())
    cv2.line(line, (20, 50), (100, 50), 255, 3)
    save(tmp_path / "m/b.png", line)
    out = tmp_path / "lab"
    pair = ("--images", tmp_path / "i", "--masks", tmp_path / "m", "--out", out)
    assert call(*pair) == 0
    assert lines_of(out / "ImageSets/train.txt") == ["images_a.png, images_a.txt"]
    assert [p.name for p in (out / "ImageData").iterdir()] == ["images_a.png"]
    report = capsys.readouterr()
    assert "left out, no junction found in" in report.err
    assert "m/b.png; check the mask" in report.err
    assert "images: 1 images (1 train, 0 val)" in report.out
    assert "1 images without a junction left out" in report.out


def bad_usage(tmp_path):
    return ("--dataset", "drive", "--out", tmp_path / "lab"), "needs --data_dir"


def bad_folder(tmp_path):
    args = ("--dataset", "hrf", "--data_dir", tmp_path / "none")
    return (*args, "--out", tmp_path / "lab"), "none: no such folder"


def bad_layout(tmp_path):
    (tmp_path / "empty").mkdir()
    args = ("--dataset", "drive", "--data_dir", tmp_path / "empty")
    return (
        *args,
        "--out",
        tmp_path / "lab",
    ), "vessel mask; expected training/images/21_"


def two_folders(tmp_path, image, drawn):
    if image is not None:
        save(tmp_path / "i/a.png", image)
    if drawn is not None:
        save(tmp_path / "m/a.png", drawn)
    folders = ("--images", tmp_path / "i", "--masks", tmp_path / "m")
    return (*folders, "--out", tmp_path / "lab")


def bad_size(tmp_path):
    return two_folders(tmp_path, photograph(0), mask()[:-2]), "mask is 120x98 px"


def bad_mask(tmp_path):
    return two_folders(tmp_path, photograph(0), 0 * mask()), "a.png: the mask is empty"


def white_mask(tmp_path):
    args = two_folders(tmp_path, photograph(0), 0 * mask() + 255)
    return args, "m/a.png: 100% of the mask are vessel"


def inverted_mask(tmp_path):
    args = two_folders(tmp_path, photograph(0), 255 - mask())
    return args, r"m/a.png: 9\d% of the mask are vessel.*inverted"


def no_junction(tmp_path):
    line = np.zeros_like(mask())
    cv2.line(line, (20, 50), (100, 50), 255, 3)
    return two_folders(tmp_path, photograph(0), line), "no junction found in any"


def bad_dot(tmp_path):
    args = two_folders(tmp_path, photograph(0)[:1, :1], mask()[:1, :1])
    return args, r"error: \S*i/a.png: image is 1x1 px; both sides"


def bad_hrf(tmp_path):
    (tmp_path / "HRF").mkdir()
    args = ("--dataset", "hrf", "--data_dir", tmp_path / "HRF")
    return (*args, "--out", tmp_path / "lab"), "mask; expected images/01_h.jpg, manual1"


def bad_image(tmp_path):
    args = two_folders(tmp_path, photograph(0), mask())
    path = tmp_path / "i/a.png"
    path.write_bytes(path.read_bytes()[:300])
    return args, r"error: \S*i/a.png: damaged"  # the file is named once


def bad_constant(tmp_path):
    args = two_folders(tmp_path, 0 * photograph(0) + 9, mask())
    return args, "i/a.png: the image is constant"


def no_mask(tmp_path):
    args = two_folders(tmp_path, photograph(0), mask())
    save(tmp_path / "i/b.png", photograph(1))
    return args, r"no vessel mask for 1 image\(s\): b"


def same_stem(tmp_path):
    args = two_folders(tmp_path, photograph(0), mask())
    save(tmp_path / "i/a.jpg", photograph(1))
    return args, "a second image named 'a'"


def not_empty(tmp_path):
    args = two_folders(tmp_path, photograph(0), mask())
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/mine.txt").write_text("x")
    return args, "lab: not empty; give --append"


def other_content(tmp_path):
    args = two_folders(tmp_path, photograph(0), mask())
    (tmp_path / "lab/Annotations").mkdir(parents=True)
    (tmp_path / "lab/Annotations/images_a.txt").write_text("0.5 0.5\n")
    return (*args, "--append"), "images_a.txt: exists with other content"


def other_side(tmp_path):
    args = two_folders(tmp_path, photograph(0), mask())
    (tmp_path / "lab/ImageSets").mkdir(parents=True)
    (tmp_path / "lab/ImageSets/val.txt").write_text("images_a.png, images_a.txt\n")
    return (*args, "--append"), "is listed there, now it belongs to train"


def negative(tmp_path):
    args = two_folders(tmp_path, photograph(0), mask())
    return (*args, "--val_every", -1), "must be 0 or more"


@pytest.mark.parametrize(
    "case",
    [
        bad_usage, bad_folder, bad_layout, bad_size, bad_mask, bad_image, bad_constant,
        white_mask, inverted_mask, no_junction, bad_dot, bad_hrf,
        no_mask, same_stem, not_empty, other_content, other_side, negative,
    ],
)  # fmt: skip
def test_errors_are_one_line_and_write_nothing(tmp_path, capsys, case):
    args, message = case(tmp_path)
    before = snapshot(tmp_path)
    assert call(*args) == 2
    report = capsys.readouterr()
    assert report.out == ""
    line = report.err.splitlines()[-1]
    assert line.startswith("error: ")
    assert re.search(message, line), line
    assert snapshot(tmp_path) == before


def test_a_missing_extra_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.morphology", None)
    fake_drive(tmp_path / "DRIVE")
    data = ("--dataset", "drive", "--data_dir", tmp_path / "DRIVE")
    assert call(*data, "--out", tmp_path / "out") == 2
    assert "pip install 'rkd_jax[data]'" in capsys.readouterr().err.splitlines()[-1]
