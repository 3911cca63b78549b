"""Random access to photographs, prepared for training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rkd_jax.data.source import CachedSource, unpack_image
from rkd_jax.images import prepare
from rkd_jax.images.field import prepared_field

ImageSource = Any  # what prepare.read_image accepts


@dataclasses.dataclass(frozen=True)
class Item:
    """One photograph of a source, not read yet.

    Attributes:
        name: what to call it in an error.
        read: returns the image (for `prepare.read_image`) and its keypoints, [N, 2]
            float (x, y) as fractions x / width, y / height, or None.
        labeled: whether `read` gives keypoints.
    """

    name: str
    read: Callable[[], tuple[ImageSource, np.ndarray | None]]
    labeled: bool


class Records(CachedSource):
    """Preprocessed photographs by index, in the form that training reads.

    `records[i]` is a dict of NumPy arrays: "image" float32 [S, S, 1] in 0..1, zeros
    outside the picture; "size" int32 [2], (h, w) of the picture in it; "field" bool
    [S, S], where keypoints may lie, as in registration (`images.field`); "keypoints"
    float32 [N, 2], (x, y) in pixels of "image"; "keypoint_mask" bool [N]; "labeled"
    bool; "index" int32, the rank among the labeled images, -1 if unlabeled.

    Images are kept with 8 bits a pixel, fields with one bit; all images handed out are
    multiples of 1/255 for that reason, whether they were kept or not.

    Args:
        items: the photographs.
        size: working size S in px.
        max_labels: rows N of "keypoints"; an image with more is refused.
        crop_field: cut to the field of view before resizing.
        resize_mode: "fit" or "stretch", see `prepare.fit_to`.
        cache_mb: memory for preprocessed images in MiB; 0 keeps none.

    >>> eye = np.random.default_rng(0).integers(0, 255, (60, 90), np.uint8)
    >>> item = Item("eye", lambda: (eye, np.array([[0.5, 0.5]])), True)
    >>> record = Records([item], size=48, max_labels=8)[0]
    >>> record["size"].tolist(), record["keypoints"][0].round().tolist()
    ([32, 48], [24.0, 16.0])
    """

    def __init__(
        self,
        items: Sequence[Item],
        *,
        size: int,
        max_labels: int,
        crop_field: bool = False,
        resize_mode: str = "fit",
        cache_mb: float = 2048,
    ):
        if size < prepare.MIN_SIDE_PX:
            raise ValueError(f"size={size}; expected at least {prepare.MIN_SIDE_PX} px")
        labeled = np.array([item.labeled for item in items], int)
        super().__init__(
            self._prepared,
            [item.name for item in items],
            groups=labeled,
            cache_mb=cache_mb,
            unpack=self._unpacked,
        )
        self.size = size
        self.max_labels = max_labels
        self.crop_field = crop_field
        self.resize_mode = resize_mode
        self._items = tuple(items)
        self._ranks = np.cumsum(labeled) - 1

    def _unpacked(self, kept: dict[str, Any]) -> dict[str, Any]:
        bits = np.unpackbits(kept["field"], count=self.size**2)
        field = bits.reshape(self.size, self.size).astype(bool)
        return {**unpack_image(kept), "field": field}

    def _prepared(self, index: int) -> dict[str, np.ndarray]:
        item = self._items[index]
        source, fractions = item.read()
        image = prepare.read_image(source, name=item.name)
        box = prepare.field_box(image) if self.crop_field else None
        normalized = prepare.normalize(image, name=item.name)
        resized = prepare.fit_to(normalized, self.size, mode=self.resize_mode, box=box)
        xy = np.zeros((0, 2)) if fractions is None else _keypoints(fractions, resized)
        if len(xy) > self.max_labels:
            raise ValueError(
                f"{item.name}: {len(xy)} keypoints; expected at most "
                f"{self.max_labels}: raise max_labels"
            )
        keypoints = np.zeros((self.max_labels, 2), np.float32)
        keypoints[: len(xy)] = xy
        return {
            "image": np.rint(resized.image * 255.0).astype(np.uint8),
            "size": np.array(resized.size, np.int32),
            "field": np.packbits(prepared_field(image, resized)),
            "keypoints": keypoints,
            "keypoint_mask": np.arange(self.max_labels) < len(xy),
            "labeled": np.array(item.labeled),
            "index": np.array(self._ranks[index] if item.labeled else -1, np.int32),
        }


def _keypoints(fractions: np.ndarray, resized: prepare.Resized) -> np.ndarray:
    """Bring fractions of the file to pixels of the resized image; drop those cut off.

    A fraction of 1 is legal and means the last pixel.
    """
    height, width = resized.file_size
    x0, y0, x1, y1 = resized.box
    whole = np.array([width, height])
    xy = np.minimum(fractions * whole, whole - 1)
    inside = (xy > np.array([x0, y0]) - 0.5) & (xy < np.array([x1, y1]) - 0.5)
    h, w = resized.size
    moved = resized.from_file(xy[inside.all(axis=-1)])
    return np.clip(moved, 0, [w - 1, h - 1])
