"""Face crops: where their pixels come from; sources of them."""

import cv2
import numpy as np
import pytest
from made_faces import write_wflw

from rkd_jax.data import wflw
from rkd_jax.tasks.faces import crops


def smooth_picture(seed=0, height=150, width=190):
    noise = np.random.default_rng(seed).uniform(0, 1, (height, width))
    return cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 4)


@pytest.mark.parametrize("box", [(40.0, 30.0, 99.0, 110.0), (-20.0, -9.5, 80.0, 70.25)])
def test_crops_show_the_picture_where_their_map_says(box):
    picture = smooth_picture()
    crop = crops.crop_face(picture, box, 96, scale=1.2)
    grid = np.stack(np.meshgrid(np.arange(6, 90, 7.0), np.arange(6, 90, 7.0)), -1)
    there = crop.to_picture(grid).astype(np.float32)
    height, width = picture.shape
    inside = (there >= 1).all(-1) & (there[..., 0] < width - 2)
    inside &= there[..., 1] < height - 2
    assert inside.sum() > 40
    expected = cv2.remap(picture, there[..., 0], there[..., 1], cv2.INTER_LINEAR)
    columns, rows = grid.astype(int)[..., 0], grid.astype(int)[..., 1]
    found = crop.image[rows, columns]
    np.testing.assert_allclose(found[inside], expected[inside], atol=0.01)
    np.testing.assert_allclose(crop.from_picture(there), grid, atol=1e-3)


def test_crops_are_square_about_the_box_with_the_margin():
    crop = crops.crop_face(smooth_picture(), (50, 20, 89, 119), 60, scale=1.2)
    assert crop.scale == pytest.approx(60 / 120)
    middle = crop.from_picture([[69.5, 69.5]])
    np.testing.assert_allclose(middle, [[29.5, 29.5]])


def test_what_lies_beyond_the_picture_is_black():
    crop = crops.crop_face(np.ones((40, 40), np.float32), (-30, 5, 19, 34), 50, scale=1)
    beyond = crop.to_picture(np.stack([np.arange(50), np.full(50, 25)], -1))[:, 0] < -2
    assert beyond.sum() > 20
    assert not crop.image[25][beyond].any()
    assert crop.image[25][~beyond][4:].min() > 0.99


def test_bad_boxes_are_refused():
    picture = smooth_picture()
    with pytest.raises(ValueError, match="is empty"):
        crops.crop_face(picture, (10, 10, 10, 40), 32)
    with pytest.raises(ValueError, match=r"outside its picture of 190x150"):
        crops.crop_face(picture, (300, 10, 340, 40), 32)
    with pytest.raises(ValueError, match=r"more than 2 times as large"):
        crops.crop_face(picture, (0, 0, 1e6, 1e6), 32)
    # Its middle lies outside, and the crop is smaller than the box.
    with pytest.raises(ValueError, match=r"0\.2 times the box .* outside its picture"):
        crops.crop_face(picture, (180, 10, 400, 40), 32, scale=0.2)


def test_grey_is_luma_of_any_depth():
    rng = np.random.default_rng(0)
    color = rng.integers(0, 255, (5, 4, 3), np.uint8)
    expected = cv2.cvtColor(color, cv2.COLOR_RGB2GRAY) / 255
    np.testing.assert_allclose(crops.grey(color), expected, atol=0.5 / 255)
    as_float = color.astype(np.float32) / 255
    np.testing.assert_allclose(crops.grey(as_float), crops.grey(color), atol=1e-6)


def test_synthetic_sources_hide_what_is_not_labeled():
    source = crops.make_source("synthetic", size=48, count=2, unlabeled=1)
    assert (len(source), source.n_labeled) == (3, 2)
    first, last = source[0], source[2]
    assert first["image"].shape == (48, 48, 1)
    assert first["image"].dtype == np.float32
    assert first["labeled"]
    assert (first["landmarks"] > 0).all()
    assert (first["landmarks"] < 47).all()
    assert not last["labeled"]
    assert not last["landmarks"].any()
    np.testing.assert_array_equal(source[0]["image"], first["image"])
    held = crops.make_source("synthetic", size=48, count=1, split="val")
    assert (held[0]["image"] != first["image"]).any()


def test_lists_make_sources_and_folds_part_them(tmp_path):
    write_wflw(tmp_path)
    whole = crops.make_source("wflw", data_dir=tmp_path, split="test", size=48)
    options = {"data_dir": tmp_path, "split": "test", "size": 48, "folds": 3}
    training = crops.make_source("wflw", fold=1, **options)
    held = crops.make_source("wflw", fold=1, held_out=True, **options)
    assert sorted(training.names + held.names) == sorted(whole.names)
    face = wflw.read_list(tmp_path, "test")[0]
    record = whole[0]
    image = crops.grey(cv2.imread(str(face.image))[..., ::-1])
    crop = crops.crop_face(image, face.box, 48)
    np.testing.assert_allclose(record["image"][..., 0], crop.image, atol=0.6 / 255)
    np.testing.assert_allclose(
        record["landmarks"], crop.from_picture(face.points), atol=1e-3
    )


def test_bad_sources_are_named(tmp_path):
    with pytest.raises(ValueError, match="unknown source 'superretina'"):
        crops.make_source("superretina", size=48)
    with pytest.raises(ValueError, match="needs data_dir"):
        crops.make_source("wflw", size=48)
    with pytest.raises(ValueError, match="no face"):
        crops.make_source("synthetic", size=48, count=0)
    write_wflw(tmp_path, pictures=1)
    picture = tmp_path / "WFLW_images" / "0--Event" / "face 0.png"
    picture.write_bytes(picture.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"face 0\.png"):
        crops.make_source("wflw", data_dir=tmp_path, split="test", size=48)[0]
