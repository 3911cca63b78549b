"""Sources of training photographs: one function for each kind."""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from rkd_jax.data import superretina_layout
from rkd_jax.data.records import Item, Records
from rkd_jax.images import image_files

KINDS = ("synthetic", "superretina", "folder", "tfds")
# The synthetic data set draws photograph i of part p of seed s from the integer
# 4 * (s * 2**20 + i) + p, so that no part ever shows an eye of another part.
PARTS = {"train": 0, "val": 1, "pairs": 2}


def synthetic_seed(part: str, seed: int, i: int) -> int:
    """Return the integer from which synthetic photograph or pair `i` is drawn.

    >>> synthetic_seed("train", 0, 1), synthetic_seed("pairs", 0, 1)
    (4, 6)
    """
    if part not in PARTS:
        raise ValueError(
            f"split {part!r} of the synthetic data; known: {', '.join(PARTS)}"
        )
    if not (0 <= i < 2**20 and seed >= 0):
        raise ValueError(f"seed {seed}, image {i}; expected seed >= 0, image < 2**20")
    return 4 * (seed * 2**20 + i) + PARTS[part]


def make_source(
    kind: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    auxiliary_dir: str
    | os.PathLike[str]
    | Sequence[str | os.PathLike[str]]
    | None = None,
    name: str | None = None,
    split: str = "train",
    size: int = 768,
    max_labels: int = 512,
    crop_field: bool = True,
    resize_mode: str = "fit",
    cache_mb: float = 2048,
    seed: int = 0,
    count: int = 64,
    unlabeled: int = 0,
    skip_missing: bool = False,
) -> Records:
    """Make a random-access source of training examples.

    Args:
        kind: "synthetic": procedural photographs (`synthetic.fundus`), drawn when
            they are read; "superretina": the layout of SuperRetina and MeDAL-Retina;
            "folder": all images of a folder, unlabeled; "tfds": a prepared TFDS data
            set (`rkd_jax.data.builders`), labeled where it has keypoints.
        data_dir: root of the data (superretina, folder), TFDS data folder (tfds).
        auxiliary_dir: folder, or several, of further images without labels; added if
            the split's name holds "train".
        name: TFDS data set, for example "medal_retina".
        split: split file without ".txt" (superretina), TFDS split, or "train" or "val"
            (synthetic).
        size, max_labels, crop_field, resize_mode, cache_mb: see `Records`.
        seed, count, unlabeled: the synthetic data: which, how many labeled and how
            many further ones without labels.
        skip_missing: superretina: leave out samples whose files are missing.

    Returns:
        A `Records`: labeled images first.

    Raises:
        FileNotFoundError, ValueError: unknown kind, missing or empty folder, bad
            split or annotation file; the message names the file.

    >>> make_source("synthetic", count=3, unlabeled=2, size=64).groups.tolist()
    [1, 1, 1, 0, 0]
    """
    if kind == "synthetic":
        items = [
            _synthetic_item(synthetic_seed(split, seed, i), size, i < count)
            for i in range(count + unlabeled)
        ]
    elif kind == "superretina":
        items = _superretina_items(_required(data_dir, kind), split, skip_missing)
    elif kind == "folder":
        items = _folder_items(_required(data_dir, kind))
    elif kind == "tfds":
        items = _tfds_items(_required(data_dir, kind), name, split)
    else:
        raise ValueError(f"unknown source {kind!r}; known: {', '.join(KINDS)}")
    if auxiliary_dir and "train" in split:
        several = not isinstance(auxiliary_dir, (str, os.PathLike))
        for folder in auxiliary_dir if several else (auxiliary_dir,):
            items += _folder_items(folder)
    if not items:
        raise ValueError(f"the {kind} source holds no image; raise count")
    return Records(
        items,
        size=size,
        max_labels=max_labels,
        crop_field=crop_field,
        resize_mode=resize_mode,
        cache_mb=cache_mb,
    )


def synthetic_pair(
    number: int, *, size: int = 512, seed: int = 0
) -> dict[str, np.ndarray]:
    """Draw a held-out pair of synthetic photographs: two visits of one eye.

    The eye is never one of `make_source("synthetic")`, whatever the seeds.

    Args:
        number: which pair.
        size: side of the photographs, px.
        seed: of all pairs.

    Returns:
        "fixed" and "moving", uint8 `[size, size, 3]` RGB, and "control_points", float32
        `[M, 4]`: x_fixed, y_fixed, x_moving, y_moving, px.
    """
    from rkd_jax.synthetic import fundus

    pair = fundus.visits(synthetic_seed("pairs", seed, number), size=size)
    return {
        "fixed": pair.fixed.image,
        "moving": pair.moving.image,
        "control_points": np.asarray(pair.control_points, np.float32),
    }


def _required(data_dir: Any, kind: str) -> pathlib.Path:
    if not data_dir:
        raise ValueError(f"a source of kind {kind!r} needs data_dir; give its folder")
    if not pathlib.Path(data_dir).is_dir():
        raise FileNotFoundError(f"{data_dir}: no such folder; check data_dir")
    return pathlib.Path(data_dir)


def _synthetic_item(number: int, size: int, labeled: bool) -> Item:
    def read():
        from rkd_jax.synthetic import fundus

        shot = fundus.photograph(number, size=size)
        height, width = shot.image.shape[:2]
        xy = np.asarray(shot.keypoints, np.float64) / (width, height)
        return shot.image, xy.clip(0, 1) if labeled else None

    return Item(f"synthetic photograph {number}", read, labeled)


def _superretina_items(
    root: pathlib.Path, split: str, skip_missing: bool
) -> list[Item]:
    items = []
    for image, label in superretina_layout.read_split(
        root, split, skip_missing=skip_missing
    ):
        points = superretina_layout.read_annotation(label)
        if not len(points):
            superretina_layout.logger.warning("%s: no keypoint in this file", label)
        items.append(Item(str(image), functools.partial(_pair, image, points), True))
    return items


def _folder_items(folder: str | os.PathLike[str]) -> list[Item]:
    return [
        Item(str(path), functools.partial(_pair, path, None), False)
        for path in image_files.list_images(folder)
    ]


def _pair(image: Any, points: np.ndarray | None) -> tuple[Any, np.ndarray | None]:
    return image, points


def open_prepared(
    data_dir: pathlib.Path, name: str | None, split: str
) -> tuple[Any, Any]:
    """Return features and random access to a split of a prepared TFDS data set.

    Images come as their encoded bytes.

    Raises:
        FileNotFoundError, ValueError: not prepared, no name, or no such split.
        OSError: array_record is missing.
    """
    import tensorflow_datasets as tfds

    builder = _prepared(data_dir, name)
    if split not in builder.info.splits:
        raise ValueError(
            f"{name}: no split {split!r}; known: {', '.join(builder.info.splits)}"
        )
    if "image" not in builder.info.features:
        raise ValueError(
            f"{name}: its examples have no single image to train on; features: "
            f"{', '.join(builder.info.features)}"
        )
    raw = {"image": tfds.decode.SkipDecoding()}
    data = builder.as_data_source(split=split, decoders=raw)
    return builder.info.features, data


def prepared_splits(data_dir: pathlib.Path, name: str | None) -> tuple[str, ...]:
    """Return the names of the splits of a prepared TFDS data set.

    Raises:
        OSError, ValueError: see `open_prepared`.
    """
    return tuple(_prepared(data_dir, name).info.splits)


def _prepared(data_dir: pathlib.Path, name: str | None) -> Any:
    """Return the builder of the newest version of a prepared data set."""
    from rkd_jax.data.builders import check_array_record

    check_array_record()
    import tensorflow_datasets as tfds

    if not name:
        raise ValueError("a source of kind 'tfds' needs name, for example medal_retina")
    prepared = sorted(
        (info.parent for info in (data_dir / name).glob("**/dataset_info.json")),
        key=lambda folder: [int(n) for n in folder.name.split(".") if n.isdigit()],
    )
    if not prepared:
        raise FileNotFoundError(
            f"{data_dir / name}: no prepared data set here; prepare it with "
            f"python -m rkd_jax.data.builders {name} RAW_DIR {data_dir}"
        )
    return tfds.builder_from_directory(prepared[-1])


def _tfds_items(data_dir: pathlib.Path, name: str | None, split: str) -> list[Item]:
    features, data = open_prepared(data_dir, name, split)
    labeled = "keypoints" in features and split != "auxiliary"

    def read(i: int):
        example = data[i]
        return example["image"], example["keypoints"] if labeled else None

    return [
        Item(f"{name} {split} {i}", functools.partial(read, i), labeled)
        for i in range(len(data))
    ]
