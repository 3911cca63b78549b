"""Small sets of images with one class each, in several layouts."""

import pathlib

import numpy as np
from made_pictures import photo
from PIL import Image

from rkd_jax.data.class_data import ClassData, Labeled


def touch(root, *names):
    """Make empty files of these names; return the folder."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def picture(path, seed=0, height=40, width=48):
    """Write a picture of noise; return its pixels, if the format keeps them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = photo(seed, height, width)
    Image.fromarray(pixels).save(path)
    return pixels


def table(path, *rows):
    """Write a CSV file; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def class_data(labels, groups=None, *, classes=("a", "b", "c"), prefix="image"):
    """Return images that are never read."""
    names = [f"{prefix} {number}" for number in range(len(labels))]
    groups = names if groups is None else groups
    items = [
        Labeled(name, pathlib.Path(name), int(label), group, where=f"row {number}")
        for number, (name, label, group) in enumerate(
            zip(names, labels, groups, strict=True)
        )
    ]
    return ClassData(tuple(items), tuple(classes), origin="made.csv")


def write_ham10000(root, parts=("HAM10000_images_part_1", "HAM10000_images_part_2")):
    """Write HAM10000's layout: four images of three lesions; return name to pixels."""
    table(
        root / "HAM10000_metadata.csv",
        "lesion_id,image_id,dx,dx_type,age,sex,localization",
        "HAM_2,ISIC_3,nv,histo,80.0,male,back",
        "HAM_1,ISIC_1,mel,histo,80.0,male,scalp",
        "HAM_1,ISIC_2,mel,histo,80.0,male,scalp",
        "HAM_3,ISIC_4,akiec,histo,,female,face",
    )
    places = {1: parts[0], 2: parts[-1], 3: parts[0], 4: parts[-1]}
    for n, part in places.items():
        picture(root / part / f"ISIC_{n}.jpg", n)
    return root


def write_aptos2019(root):
    """Write the layout of APTOS 2019: two images."""
    table(root / "train.csv", "id_code,diagnosis", "0f1,4", "a0b,0")
    for seed, name in enumerate(("0f1", "a0b")):
        picture(root / f"train_images/{name}.png", seed)
    return root


def write_eyepacs(root):
    """Write the layout of EyePACS: both eyes of a patient, and one of another."""
    table(
        root / "trainLabels.csv", "image,level", "10_left,0", "10_right,2", "7_left,1"
    )
    for seed, name in enumerate(("10_left", "10_right", "7_left")):
        picture(root / f"train/{name}.jpeg", seed)
    return root


def write_idrid(root):
    """Write the layout of IDRiD's grades: both parts use the same names."""
    part = root / "B. Disease Grading"
    for folder, name, grades in (
        ("a. Training Set", "a. IDRiD_Disease Grading_Training Labels.csv", "31"),
        ("b. Testing Set", "b. IDRiD_Disease Grading_Testing Labels.csv", "4"),
    ):
        rows = [f"IDRiD_00{n},{g},1,," for n, g in enumerate(grades, 1)]
        head = "Image name,Retinopathy grade,Risk of macular edema ,,"
        table(part / "2. Groundtruths" / name, head, *rows)
        for n in range(1, len(grades) + 1):
            picture(part / f"1. Original Images/{folder}/IDRiD_00{n}.jpg", n)
    return root


def medmnist_arrays(shape=(28, 28, 3), counts=(5, 2, 3)):
    """Return the arrays of a MedMNIST file of three classes."""
    rng = np.random.default_rng(0)
    arrays = {}
    for fold, count in zip(("train", "val", "test"), counts, strict=True):
        arrays[f"{fold}_images"] = rng.integers(0, 256, (count, *shape), np.uint8)
        arrays[f"{fold}_labels"] = (np.arange(count)[:, None] % 3).astype(np.uint8)
    return arrays
