"""Crops of faces: from a picture and a box to the network's input, and back."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rkd_jax.data import wflw
from rkd_jax.data.source import CachedSource, unpack_image
from rkd_jax.data.sources import open_prepared, synthetic_seed
from rkd_jax.geometry.resize import resize_points
from rkd_jax.images.reading import read_image
from rkd_jax.synthetic.faces.points import COUNT

KINDS = ("synthetic", "wflw", "tfds")
BOX_SCALE = 1.2
"""Side of the crop to the longer side of the box: the usual margin for WFLW."""
_LARGEST_BOX = 2  # longer sides of the picture
_PICTURE = 1.35  # of a synthetic face to its crop: the face fills half of its picture


@dataclasses.dataclass(frozen=True)
class FaceCrop:
    """A square part of a picture at the working size, with the exact way back.

    Attributes:
        image: `[S, S]` float32 in 0..1, grey; zeros beyond the picture.
        corner: (x, y) px of the picture where the crop's first pixel begins; a pixel
            covers half a pixel on each side of its centre.
        scale: pixels of the crop to one of the picture.
    """

    image: np.ndarray
    corner: tuple[float, float]
    scale: float

    def to_picture(self, xy: Any) -> np.ndarray:
        """Map points (x, y) `[..., 2]` of the crop to the picture, float64."""
        return resize_points(xy, 1 / self.scale) + self.corner

    def from_picture(self, xy: Any) -> np.ndarray:
        """Map points (x, y) `[..., 2]` of the picture to the crop, float64."""
        return resize_points(np.asarray(xy, np.float64) - self.corner, self.scale)


def grey(image: np.ndarray) -> np.ndarray:
    """Return `[H, W]` float32 luma (Rec. 601) in 0..1 of what `read_image` gives.

    >>> grey(np.full((1, 1, 3), 255, np.uint8)).tolist()
    [[1.0]]
    """
    top = np.float32(255.0 if image.dtype == np.uint8 else 1.0)
    if image.ndim == 3:
        image = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return (image.astype(np.float32) / top).clip(0, 1)


def crop_face(
    image: np.ndarray, box: Any, side: int, *, scale: float = BOX_SCALE
) -> FaceCrop:
    """Cut a square around a box out of a picture and resize it (antialiased).

    The square has the box's centre and `scale` times its longer side, so that the crop
    is not distorted; what lies beyond the picture is black.

    Args:
        image: `[H, W]` float32 in 0..1.
        box: `[4]` x_min, y_min, x_max, y_max in px of the picture.
        side: of the crop, S, px.
        scale: margin.

    Raises:
        ValueError: a box that is empty, wholly outside the picture, or many times as
            large as it.

    >>> crop = crop_face(np.ones((40, 40), np.float32), (10, 10, 29, 29), 12, scale=1)
    >>> crop.image.shape, crop.from_picture([[9.5, 19.5]]).round(2).tolist()
    ((12, 12), [[-0.5, 5.5]])
    """
    from PIL import Image

    x0, y0, x1, y1 = (float(v) for v in box)
    height, width = image.shape
    if not (x1 > x0 and y1 > y0):
        raise ValueError(f"box {[x0, y0, x1, y1]} is empty; expected x_min < x_max")
    if x1 < 0 or y1 < 0 or x0 > width - 1 or y0 > height - 1:
        raise ValueError(
            f"box {[x0, y0, x1, y1]} lies outside its picture of {width}x{height} px"
        )
    length = scale * (max(x1 - x0, y1 - y0) + 1)
    if length > scale * _LARGEST_BOX * max(height, width):
        raise ValueError(
            f"box {[x0, y0, x1, y1]} is more than {_LARGEST_BOX} times as large as its "
            f"picture of {width}x{height} px; correct it"
        )
    # Where the crop begins, with pixel i of the picture covering [i, i + 1].
    left, top = (x0 + x1 + 1 - length) / 2, (y0 + y1 + 1 - length) / 2
    # The filter may reach a crop's pixel beyond its edge.
    reach = math.ceil(length / side) + 1
    first = np.floor([top - reach, left - reach]).astype(int)
    last = np.ceil([top + length + reach, left + length + reach]).astype(int)
    inside = [slice(max(a, 0), min(b, n)) for a, b, n in zip(first, last, image.shape)]
    if any(part.start >= part.stop for part in inside):
        raise ValueError(
            f"{scale:g} times the box {[x0, y0, x1, y1]} lies outside its picture of "
            f"{width}x{height} px"
        )
    part = image[tuple(inside)]
    margins = [
        (s.start - a, b - s.stop) for s, a, b in zip(inside, first, last, strict=True)
    ]
    padded = np.ascontiguousarray(np.pad(part, margins), np.float32)
    x, y = left - first[1], top - first[0]
    small = Image.fromarray(padded).resize(
        (side, side), Image.Resampling.BILINEAR, box=(x, y, x + length, y + length)
    )
    return FaceCrop(np.asarray(small), (left, top), side / length)


@dataclasses.dataclass(frozen=True)
class FaceItem:
    """One face of a source, not read yet.

    Attributes:
        name: what to call it in an error.
        read: returns the picture (for `read_image`), points `[98, 2]` and box `[4]`
            in its pixels.
        labeled: whether the points may be used.
    """

    name: str
    read: Callable[[], tuple[Any, np.ndarray, np.ndarray]]
    labeled: bool


class FaceRecords(CachedSource):
    """Crops of faces by index, in the form that training reads.

    `records[i]` is a dict: "image" float32 [S, S, 1] in 0..1; "landmarks" float32
    [98, 2], (x, y) in pixels of it (zeros if unlabeled); "labeled" bool.

    Args:
        items: the faces, labeled ones first.
        size: side S of the crops in px.
        box_scale: side of the square that they show to the box's longer side.
        cache_mb: memory for crops in MiB.
    """

    def __init__(
        self,
        items: Sequence[FaceItem],
        *,
        size: int,
        box_scale: float = BOX_SCALE,
        cache_mb: float = 2048,
    ):
        super().__init__(
            self._cropped,
            [item.name for item in items],
            groups=[int(item.labeled) for item in items],
            cache_mb=cache_mb,
            unpack=unpack_image,
        )
        self.size = size
        self._items = tuple(items)
        self.box_scale = box_scale

    def _cropped(self, index: int) -> dict[str, np.ndarray]:
        item = self._items[index]
        source, points, box = item.read()
        try:
            crop = crop_face(
                grey(read_image(source)), box, self.size, scale=self.box_scale
            )
        except ValueError as error:
            raise ValueError(f"{item.name}: {error}") from None
        landmarks = np.zeros((COUNT, 2), np.float32)
        if item.labeled:
            landmarks[:] = crop.from_picture(points)
        return {
            "image": np.rint(crop.image * 255.0).astype(np.uint8),
            "landmarks": landmarks,
            "labeled": np.array(item.labeled),
        }


def make_source(
    kind: str,
    *,
    size: int,
    box_scale: float = BOX_SCALE,
    cache_mb: float = 2048,
    data_dir: str | os.PathLike[str] | None = None,
    split: str = "train",
    fold: int = -1,
    folds: int = 5,
    held_out: bool = False,
    seed: int = 0,
    count: int = 64,
    unlabeled: int = 0,
) -> FaceRecords:
    """Make a random-access source of face crops.

    Args:
        kind: "synthetic": procedural faces (`synthetic.faces`), drawn when they are
            read; "wflw": a list of WFLW's layout; "tfds": WFLW as prepared by
            `rkd_jax.data.builders`.
        size, box_scale, cache_mb: see `FaceRecords`.
        data_dir: root of WFLW, or TFDS data folder.
        split: list of WFLW or split of TFDS; "train" or "val" (synthetic).
        fold, folds: of these folds by image (wflw), take all but `fold`, or with
            `held_out` that one alone; -1 takes the whole list.
        held_out: see `fold`.
        seed, count, unlabeled: the synthetic faces: which, how many labeled and how
            many further ones without labels.

    Raises:
        FileNotFoundError, ValueError: unknown kind, missing files, a bad list; the
            message names the file.

    >>> make_source("synthetic", count=3, unlabeled=2, size=48).groups.tolist()
    [1, 1, 1, 0, 0]
    """
    if kind == "synthetic":
        items = [
            _synthetic_item(synthetic_seed(split, seed, i), size, i < count)
            for i in range(count + unlabeled)
        ]
    elif kind == "wflw":
        faces = wflw.read_list(_required(data_dir, kind), split)
        if fold >= 0:
            faces = wflw.split_fold(faces, fold, folds)[int(held_out)]
        items = [
            FaceItem(f.name, functools.partial(_listed, f), labeled=True) for f in faces
        ]
    elif kind == "tfds":
        items = _tfds_items(_required(data_dir, kind), split)
    else:
        raise ValueError(f"unknown source {kind!r}; known: {', '.join(KINDS)}")
    if not items:
        raise ValueError(f"the {kind} source holds no face; raise count")
    return FaceRecords(items, size=size, box_scale=box_scale, cache_mb=cache_mb)


def _required(data_dir: Any, kind: str) -> Any:
    if not data_dir:
        raise ValueError(f"a source of kind {kind!r} needs data_dir; give its folder")
    return data_dir


def _synthetic_item(number: int, size: int, labeled: bool) -> FaceItem:
    def read():
        from rkd_jax.synthetic import faces as face_synthesis

        drawn = face_synthesis.face(number, size=max(round(_PICTURE * size), 96))
        return drawn.image, drawn.points, drawn.box

    return FaceItem(f"synthetic face {number}", read, labeled)


def _listed(face: wflw.Face) -> tuple[Any, np.ndarray, np.ndarray]:
    return face.image, face.points, face.box


def _tfds_items(data_dir: Any, split: str) -> list[FaceItem]:
    _, data = open_prepared(pathlib.Path(data_dir), "wflw", split)

    def read(i: int):
        example = data[i]
        return example["image"], example["landmarks"], example["box"]

    return [
        FaceItem(f"wflw {split} {i}", functools.partial(read, i), labeled=True)
        for i in range(len(data))
    ]
