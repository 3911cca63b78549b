"""Photographs with masks of one lesion, brought to the scale that is trained on."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from rkd_jax.config import as_dict
from rkd_jax.data import lesion_folders
from rkd_jax.data.source import CachedSource, Example
from rkd_jax.data.sources import open_prepared, synthetic_seed
from rkd_jax.images.pictures import visible_rgb8
from rkd_jax.images.reading import read_image
from rkd_jax.lesions.prepare import Scale, field_box, half, prepare
from rkd_jax.tasks.lesions.config import LesionsData

Read = Callable[[], tuple[np.ndarray, np.ndarray]]
"""Returns a photograph, uint8 RGB, and its mask, bool."""

_known: weakref.WeakValueDictionary[str, CachedSource] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def training_eyes(data: LesionsData, *, seed: int, scale: str) -> CachedSource:
    """Return the photographs that a run trains on.

    Each is "image" uint8 `[h, w, 3]`, enhanced and cut to the field; "target" uint8
    `[h, w]`, the share of a pixel that is lesion, times 255; "field" bool `[h, w]`.

    Args:
        data: which ones.
        seed: of drawn eyes.
        scale: "full" or "half".

    Raises:
        FileNotFoundError, ValueError: the data are missing or bad.
    """
    return _scaled(data, seed, None, scale)


def held_out_eyes(
    data: LesionsData, *, seed: int, scale: str, most: int
) -> CachedSource | None:
    """Return the photographs that a run is evaluated on, or None; see `training_eyes`.

    Args:
        data, seed, scale: see there.
        most: at most so many, spread over all that are held out.
    """
    if not most or (data.kind != "synthetic" and not data.hold_out_every):
        return None
    return _scaled(data, seed, most, scale)


def _scaled(
    data: LesionsData, seed: int, held_out: int | None, scale: str
) -> CachedSource:
    full = _shared(data, seed, held_out)
    if scale == "full":
        return full
    return CachedSource(
        lambda index: halved(full[index]), full.names, cache_mb=data.cache_mb
    )


def _shared(data: LesionsData, seed: int, held_out: int | None) -> CachedSource:
    """Return prepared photographs; the runs of an experiment share them in memory."""
    # How they are batched does not matter.
    key = f"{as_dict(dataclasses.replace(data, batch_size=1))} {seed} {held_out}"
    with _lock:
        found = _known.get(key)
        if found is None:
            found = _known[key] = _prepared(data, seed, held_out)
    return found


def _prepared(data: LesionsData, seed: int, held_out: int | None) -> CachedSource:
    items = _items(data, seed, held_out)
    if not items:
        raise ValueError(
            f"{data.data_dir}: no photograph to {'train' if held_out is None else ''}"
            f"{'evaluate' if held_out else ''} on; change config.data.hold_out_every"
        )
    scale = Scale(float(data.size), data.sigma_px, data.gain)
    names, reads = list(items), list(items.values())

    def make(index: int) -> Example:
        image, mask = reads[index]()
        try:
            return prepared(image, mask, scale)
        except ValueError as error:
            raise ValueError(
                f"{names[index]}: {error}; expected a photograph of a fundus: leave it "
                "out"
            ) from error

    return CachedSource(make, names, cache_mb=data.cache_mb)


def prepared(image: np.ndarray, mask: np.ndarray, scale: Scale) -> Example:
    """Return a photograph at full scale with its mask; see `training_eyes`.

    Args:
        image: uint8 `[H, W, 3]`.
        mask: bool `[H, W]`.
        scale: what it is brought to.
    """
    made = prepare(image, scale)
    rows, columns = field_box(made.field)
    height, width = made.field.shape
    how = cv2.INTER_AREA if height < mask.shape[0] else cv2.INTER_LINEAR
    target = cv2.resize(255 * mask.astype(np.uint8), (width, height), interpolation=how)
    return {
        "image": np.ascontiguousarray(made.image[rows, columns]),
        "target": target[rows, columns] * made.field[rows, columns],
        "field": made.field[rows, columns].copy(),
    }


def halved(eye: Example) -> Example:
    """Return a photograph of `training_eyes` at half scale.

    A pixel is in the field where all four that it covers are.
    """
    return {
        "image": half(eye["image"]),
        "target": half(eye["target"]),
        "field": half(255 * eye["field"].astype(np.uint8)) == 255,
    }


def read_all(eyes: CachedSource, threads: int) -> list[Example]:
    """Return all photographs, prepared by several threads."""
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        return list(pool.map(eyes.__getitem__, range(len(eyes))))


def _items(data: LesionsData, seed: int, held_out: int | None) -> dict[str, Read]:
    """Return how to read each photograph, by name."""
    if data.kind == "synthetic":
        return _drawn(data, seed, held_out)
    found = _tfds(data) if data.kind == "tfds" else _files(data)
    names, every = list(found), data.hold_out_every
    kept_back = names[every - 1 :: every] if every else []
    if held_out is None:
        chosen = [name for name in names if name not in set(kept_back)]
        reads = {name: found[name] for name in chosen}
        return _joined(reads, _healthy(data) if data.healthy_dir else {})
    at = np.linspace(0, len(kept_back) - 1, min(len(kept_back), held_out))
    return {
        name: found[name] for name in (kept_back[i] for i in at.round().astype(int))
    }


def _joined(reads: dict[str, Read], healthy: dict[str, Read]) -> dict[str, Read]:
    if both := sorted(reads.keys() & healthy.keys()):
        raise ValueError(
            f"config.data.healthy_dir: {both[0]!r} is the name of a photograph in "
            "config.data.data_dir, too; rename one"
        )
    return reads | healthy


def _drawn(data: LesionsData, seed: int, held_out: int | None) -> dict[str, Read]:
    """Return drawn eyes: with lesions, then without (`synthetic_unlabeled`)."""

    def read(part: str, number: int, healthy: bool) -> tuple[np.ndarray, np.ndarray]:
        from rkd_jax.synthetic import fundus

        eye = synthetic_seed(part, seed, number)
        made = fundus.diabetic(eye, size=data.size, healthy=healthy)
        return made.image, made.lesions[data.lesion]

    if held_out is not None:
        parts = [("val", i, False) for i in range(held_out)]
    else:
        sick = data.synthetic_labeled
        count = sick + data.synthetic_unlabeled
        parts = [("train", i, i >= sick) for i in range(count)]
    return {
        f"synthetic photograph {part} {i}": functools.partial(read, part, i, healthy)
        for part, i, healthy in parts
    }


def _files(data: LesionsData) -> dict[str, Read]:
    if data.kind == "idrid":
        found = lesion_folders.idrid_photographs(data.data_dir, data.lesion, "train")
    else:
        found = lesion_folders.plain_photographs(
            data.data_dir, data.masks_dir, data.suffix
        )
    return {one.name: functools.partial(_read, one) for one in found}


def _healthy(data: LesionsData) -> dict[str, Read]:
    found = lesion_folders.healthy_photographs(data.healthy_dir)
    return {f"healthy {one.name}": functools.partial(_read, one) for one in found}


def _read(photograph: lesion_folders.LesionPhotograph) -> tuple[np.ndarray, np.ndarray]:
    image = visible_rgb8(read_image(photograph.image))
    return image, lesion_folders.read_mask(photograph, image.shape)


def _tfds(data: LesionsData) -> dict[str, Read]:
    name, split = "idrid_segmentation", data.train_split
    root = pathlib.Path(data.data_dir)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; check config.data.data_dir")
    _, examples = open_prepared(root, name, split)

    def read(index: int) -> tuple[np.ndarray, np.ndarray]:
        example = examples[index]
        mask = np.asarray(example[data.lesion])
        return visible_rgb8(read_image(example["image"])), mask.reshape(
            mask.shape[:2]
        ) > 0

    return {
        f"{name} {split} {i}": functools.partial(read, i) for i in range(len(examples))
    }
