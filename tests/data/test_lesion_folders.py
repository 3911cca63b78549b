"""Folders of photographs and masks of lesions, and the masks themselves."""

import shutil

import numpy as np
import pytest
from PIL import Image

from rkd_jax.data import lesion_folders as folders
from rkd_jax.files import own_files

PHOTOGRAPHS = folders.PHOTOGRAPHS
MASKS = folders.MASKS


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def idrid(root):
    """Make the names of the official layout: the second eye has no microaneurysms."""
    for part, numbers in (("a. Training Set", "12"), ("b. Testing Set", "3")):
        for n in numbers:
            touch(root, f"{PHOTOGRAPHS}/{part}/IDRiD_0{n}.jpg")
            for kind in (*folders.LESIONS.values(), folders.OPTIC_DISC):
                if (n, kind.suffix) != ("2", "MA"):
                    name = f"IDRiD_0{n}_{kind.suffix}.tif"
                    touch(root, f"{MASKS}/{part}/{kind.folder}/{name}")
    return root


def masked(found):
    """Name of each photograph to the name of its mask's file."""
    return {one.name: one.mask and one.mask.name for one in found}


@pytest.mark.parametrize("below", [".", "A. Segmentation"])
def test_idrid(tmp_path, below):
    root = idrid(tmp_path / below)
    found = folders.idrid_photographs(tmp_path, "microaneurysms", "train")
    assert masked(found) == {"IDRiD_01": "IDRiD_01_MA.tif", "IDRiD_02": None}
    assert found[0].image == root / PHOTOGRAPHS / "a. Training Set/IDRiD_01.jpg"
    for lesion, suffix in (
        ("haemorrhages", "HE"),
        ("hard_exudates", "EX"),
        ("soft_exudates", "SE"),
    ):
        found = folders.idrid_photographs(tmp_path, lesion, "test")
        assert masked(found) == {"IDRiD_03": f"IDRiD_03_{suffix}.tif"}
    assert folders.idrid_photographs(root, "haemorrhages", "train")[1].mask


def test_idrid_names_what_is_wrong(tmp_path):
    with pytest.raises(ValueError, match="unknown lesion 'drusen'; known: microan"):
        folders.idrid_photographs(tmp_path, "drusen", "train")
    with pytest.raises(ValueError, match="unknown split 'val'; known: train, test"):
        folders.idrid_photographs(tmp_path, "haemorrhages", "val")
    with pytest.raises(FileNotFoundError, match="absent: no such folder"):
        folders.idrid_photographs(tmp_path / "absent", "haemorrhages", "train")
    with pytest.raises(FileNotFoundError, match=r'no folder "1\. Original Images"'):
        folders.idrid_photographs(tmp_path, "haemorrhages", "train")
    idrid(tmp_path)
    (tmp_path / PHOTOGRAPHS / "a. Training Set/IDRiD_02.jpg").unlink()
    with pytest.raises(ValueError, match=r"IDRiD_02_HE\.tif: no photograph of this"):
        folders.idrid_photographs(tmp_path, "haemorrhages", "train")
    assert len(folders.idrid_photographs(tmp_path, "microaneurysms", "train")) == 1
    shutil.rmtree(tmp_path / MASKS / "b. Testing Set/2. Haemorrhages")
    with pytest.raises(FileNotFoundError, match=r"the test part of .* not complete"):
        folders.idrid_photographs(tmp_path, "haemorrhages", "test")


def test_results_of_the_package_are_no_photographs(tmp_path):
    """Without a mask, a saved map would count as a photograph without lesions."""
    touch(tmp_path, "eyes/a.jpg", "eyes/b.jpg", "masks/a.png")
    for name in ("a/overlay.png", "out/maps/full/b.png", "froc.png"):
        own_files.write_bytes(tmp_path / "eyes" / name, b"picture")
    found = folders.plain_photographs(tmp_path / "eyes", tmp_path / "masks")
    assert masked(found) == {"a": "a.png", "b": None}
    assert list(masked(folders.healthy_photographs(tmp_path / "eyes"))) == ["a", "b"]


# Photographs, masks, suffix, files and what they must give: e-ophtha, DDR, DIARETDB1,
# all in one folder, masks below the photographs, and photographs below the masks.
LAYOUTS = [
    (
        *("MA", "Annotation_MA", ""),
        ["MA/E04/C03.JPG", "MA/E04/C05.jpg", "MA/E06/C03.jpg", "healthy/E08/C07.jpg"],
        ["Annotation_MA/E04/C03.png", "Annotation_MA/E06/C03.png"],
        {"E04/C03": "C03.png", "E04/C05": None, "E06/C03": "C03.png"},
    ),
    (
        *("train/image", "train/label/EX", ""),
        ["train/image/007-1.jpg", "train/image/007-2.jpg"],
        ["train/label/EX/007-2.tif", "train/label/MA/007-1.tif"],
        {"007-1": None, "007-2": "007-2.tif"},
    ),
    (
        *("ddb1_fundusimages", "ddb1_groundtruth/redsmalldots", ""),
        ["ddb1_fundusimages/image001.png", "ddb1_fundusimages/notes.txt"],
        ["ddb1_groundtruth/redsmalldots/image001.png"],
        {"image001": "image001.png"},
    ),
    (
        *(".", ".", "_MA"),
        ["eye1.jpg", "left/eye2.tif"],
        ["eye1_MA.gif", "left/eye2_MA.png"],
        {"eye1": "eye1_MA.gif", "left/eye2": "eye2_MA.png"},
    ),
    (
        *(".", "masks", ""),
        ["a/eye1.jpg", "b/eye2.jpg"],
        ["masks/eye1.png", "masks/other/eye2.png.gz"],
        {"a/eye1": "eye1.png", "b/eye2": "eye2.png.gz"},
    ),
    (
        *("photographs", ".", "_EX"),
        ["photographs/one/eye1.jpg"],
        ["eye1_EX.png", "eye1_HE.png", "nobody_HE.png"],
        {"one/eye1": "eye1_EX.png"},
    ),
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout[0])
def test_plain_layouts(tmp_path, layout):
    images, masks, suffix, photographs, files, expected = layout
    touch(tmp_path, *photographs, *files)
    found = folders.plain_photographs(tmp_path / images, tmp_path / masks, suffix)
    assert masked(found) == expected
    for one in found:
        assert one.image.parent == (tmp_path / images / one.name).parent


@pytest.mark.parametrize(
    ("files", "suffix", "message"),
    [
        (["i/a.jpg", "m/a.png", "m/b.png"], "", r"b\.png: no photograph of this mask"),
        (["i/a.jpg", "m/b_MA.png"], "_MA", r"b_MA\.png: no photograph .* add b\.jpg"),
        (["i/a.jpg", "m/a.png", "m/a.tif"], "", r"a\.tif: a second mask of .*a\.jpg"),
        (["i/a.jpg", "m/a.png", "m/x/a.png"], "", "a second mask of .*keep one"),
        (["i/a.jpg", "m/a_MA.png"], "", r"such as a\.png, found a_MA\.png; give the"),
        (["i/a.jpg", "m/a.png"], "_MA", r"such as a_MA\.png, found a\.png.*'_MA'"),
        (["i/x/a.jpg", "i/y/a.jpg", "m/a.png"], "", "a mask of x/a or y/a"),
        (["i/a.jpg", "i/a.png", "m/a.png"], "", r"a second photograph named 'a'"),
        (["i/a.jpg", "m/notes.txt"], "", "m: no image in this folder"),
        (["i/notes.txt", "m/a.png"], "", "i: no image in this folder"),
    ],
)
def test_plain_layout_names_what_is_wrong(tmp_path, files, suffix, message):
    touch(tmp_path, *files)
    with pytest.raises(ValueError, match=message):
        folders.plain_photographs(tmp_path / "i", tmp_path / "m", suffix)


def test_plain_layout_of_folders_that_cannot_be_told_apart(tmp_path):
    touch(tmp_path, "m/a_MA.png")
    with pytest.raises(ValueError, match="photographs and masks in one folder"):
        folders.plain_photographs(tmp_path, tmp_path)
    with pytest.raises(ValueError, match="no photograph beside the masks"):
        folders.plain_photographs(tmp_path, tmp_path / "m", "_MA")
    with pytest.raises(FileNotFoundError, match="absent: no such folder"):
        folders.plain_photographs(tmp_path, tmp_path / "absent", "_MA")


def test_healthy_photographs(tmp_path):
    touch(tmp_path, "b.jpg", "a/b.png", "a/._b.png", "list.csv")
    found = folders.healthy_photographs(tmp_path)
    assert masked(found) == {"a/b": None, "b": None}
    touch(tmp_path, "b.png")
    with pytest.raises(ValueError, match="a second photograph named 'b'"):
        folders.healthy_photographs(tmp_path)


def lesions():
    """Where the lesions of the files below are."""
    rng = np.random.default_rng(0)
    return rng.random((40, 56)) < 0.2


def palette(truth, *, swapped):
    """Red on black, as IDRiD has it; swapped: the lesions have the index 0."""
    image = Image.fromarray((truth ^ swapped).astype(np.uint8) * 76, "P")
    colors = np.zeros((256, 3), np.uint8)
    colors[0 if swapped else 76] = 255, 0, 0
    image.putpalette(colors.ravel().tolist())
    return image


FORMS = {
    "zero_one.tif": lambda t: Image.fromarray(t.astype(np.uint8)),
    "grey.png": lambda t: Image.fromarray(t.astype(np.uint8) * 255),
    "one_bit.png": lambda t: Image.fromarray(t),
    "one_bit.tif": lambda t: Image.fromarray(t),
    "deep.png": lambda t: Image.fromarray(t.astype(np.uint16)),
    "deep.tif": lambda t: Image.fromarray(t.astype(np.uint16) * 65535),
    "float.tif": lambda t: Image.fromarray(t.astype(np.float32)),
    "red.png": lambda t: Image.fromarray(
        np.stack([t * 255, 0 * t, 0 * t], 2).astype(np.uint8)
    ),
    "opaque.png": lambda t: Image.fromarray(
        np.stack([t * 9, 0 * t, 0 * t, 0 * t + 255], 2).astype(np.uint8)
    ),
    "transparent.png": lambda t: Image.fromarray(
        np.stack([0 * t + 255] * 3 + [t * 255], 2).astype(np.uint8)
    ),
    "palette.png": lambda t: palette(t, swapped=False),
    "palette.tif": lambda t: palette(t, swapped=False),
    "swapped.gif": lambda t: palette(t, swapped=True),
}


@pytest.mark.parametrize("name", FORMS)
def test_masks_of_any_form(tmp_path, name):
    FORMS[name](lesions()).save(tmp_path / name)
    eye = folders.LesionPhotograph("eye", tmp_path / "eye.jpg", tmp_path / name)
    found = folders.read_mask(eye, (40, 56, 3))
    assert found.dtype == bool
    np.testing.assert_array_equal(found, lesions())


def test_a_jpeg_mask_has_no_halo(tmp_path):
    truth = np.kron(lesions()[:8, :8], np.ones((5, 7), bool))
    Image.fromarray(truth.astype(np.uint8) * 255).save(tmp_path / "m.jpg", quality=80)
    decoded = np.asarray(Image.open(tmp_path / "m.jpg"))
    assert (decoded > 0)[~truth].mean() > 0.1  # there is something to leave out
    eye = folders.LesionPhotograph("eye", tmp_path / "eye.jpg", tmp_path / "m.jpg")
    np.testing.assert_array_equal(folders.read_mask(eye, (40, 56)), truth)


def test_masks_that_do_not_fit(tmp_path):
    path = tmp_path / "m.png"
    eye = folders.LesionPhotograph("eye", tmp_path / "eye.jpg", path)
    Image.fromarray(lesions()).save(path)
    with pytest.raises(ValueError, match=r"m\.png: the mask is 56x40 px, .*56x41 px"):
        folders.read_mask(eye, (41, 56))
    Image.fromarray(np.zeros((40, 56), np.uint8)).save(path)
    assert not folders.read_mask(eye, (40, 56)).any()
    Image.fromarray(~lesions() | (np.arange(56) > 5)).save(path)
    with pytest.raises(ValueError, match=r"m\.png: the mask marks 9\d%.*inverted"):
        folders.read_mask(eye, (40, 56))
    path.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"m\.png"):
        folders.read_mask(eye, (40, 56))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"m\.png: no such image"):
        folders.read_mask(eye, (40, 56))
