"""Where patches are cut: around lesions, and where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

LESION = 128
"""A target of this value or more is lesion: half of the pixel."""
_SPOT_SIGMA = 1.5  # of the smoothing before extremes are sought, pixels
_SPOT_LEVELS = 8  # grey levels by which a spot differs from its surroundings, at least
_RING = 6  # farthest pixel from a lesion that counts as its surroundings
_SHARES = {"spots": 0.5, "ring": 0.25, "field": 0.25}


class Places(NamedTuple):
    """Pixels of photographs.

    Attributes:
        eye: int32 `[N]`, number of the photograph.
        xy: int32 `[N, 2]`, pixel.
        label: int32 `[N]`: 1 lesion, 0 none.
    """

    eye: np.ndarray
    xy: np.ndarray
    label: np.ndarray

    @classmethod
    def of(cls, found: Sequence[tuple[int, np.ndarray, int]]) -> Places:
        """Join places: (number of the photograph, xy `[n, 2]`, label)."""
        counts = [len(xy) for _, xy, _ in found]
        eye, label = (
            np.repeat([one[k] for one in found], counts).astype(np.int32)
            for k in (0, 2)
        )
        xy = np.concatenate([xy for _, xy, _ in found]).astype(np.int32)
        return cls(eye, xy.reshape(-1, 2), label)


def lesion_pixels(
    target: np.ndarray, *, most: int, rng: np.random.Generator
) -> np.ndarray:
    """Choose pixels of each lesion, int `[n, 2]` (x, y); `most` of each, if it has so.

    Args:
        target: uint8 `[h, w]`; from 128 on a pixel is lesion.
        most: 1 takes the pixel nearest to the centroid.
        rng: of the choice.

    >>> target = np.zeros((5, 5), np.uint8)
    >>> target[1:4, 1:4] = 255
    >>> lesion_pixels(target, most=1, rng=np.random.default_rng(0)).tolist()
    [[2, 2]]
    """
    count, labels, boxes, centers = cv2.connectedComponentsWithStats(
        (target >= LESION).astype(np.uint8), connectivity=8
    )
    chosen = [np.zeros((0, 2), int)]
    for lesion in range(1, count):
        x, y, width, height = boxes[lesion, :4]
        part = labels[y : y + height, x : x + width] == lesion
        pixels = np.argwhere(part)[:, ::-1] + (x, y)
        if most == 1:
            near = np.square(pixels - centers[lesion]).sum(axis=1).argmin()
            chosen.append(pixels[near : near + 1])
        else:
            chosen.append(rng.permutation(pixels)[:most])
    return np.concatenate(chosen)


def lattice(field: np.ndarray, target: np.ndarray, *, step: int) -> np.ndarray:
    """Return every `step`-th pixel of a field that is no lesion, int `[n, 2]`."""
    free = (field & (target < LESION))[step // 2 :: step, step // 2 :: step]
    return np.argwhere(free)[:, ::-1] * step + step // 2


def no_lesion(
    image: np.ndarray,
    target: np.ndarray,
    field: np.ndarray,
    *,
    count: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Choose pixels that are no lesion, int `[n, 2]` (x, y), n at most `count`.

    Half of them near spots, which are darker or brighter than what surrounds them, a
    quarter around lesions, where there are any, and the rest anywhere in the field.

    Args:
        image: uint8 `[h, w, 3]`, enhanced: 128 equals its surroundings.
        target: uint8 `[h, w]`; a pixel with any part of a lesion is not chosen.
        field: bool `[h, w]`.
        count: how many.
        rng: of the choice.
    """
    free = field & (target == 0)
    wanted = {name: int(share * count) for name, share in _SHARES.items()}
    wanted["field"] = count - wanted["spots"] - wanted["ring"]
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _RING + 1,) * 2)
    near = cv2.dilate((target > 0).astype(np.uint8), disc) > 0
    pools = {
        "spots": _shifted(_spots(image[..., 1], field), rng, field.shape),
        "ring": np.argwhere(near & free)[:, ::-1],
        "field": np.argwhere(free)[:, ::-1],
    }
    chosen = []
    for name, pool in pools.items():
        pool = pool[free[pool[:, 1], pool[:, 0]]]
        chosen.append(pool[rng.permutation(len(pool))[: wanted[name]]])
    return np.unique(np.concatenate(chosen), axis=0)


def _spots(channel: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Return where a smoothed channel differs most from 128 among its neighbors."""
    smooth = cv2.GaussianBlur(channel.astype(np.float32), (0, 0), _SPOT_SIGMA)
    apart = np.where(field, np.abs(smooth - 128), 0)
    highest = cv2.dilate(apart, np.ones((5, 5), np.uint8))
    return np.argwhere((apart == highest) & (apart >= _SPOT_LEVELS))[:, ::-1]


def _shifted(
    xy: np.ndarray, rng: np.random.Generator, shape: tuple[int, ...]
) -> np.ndarray:
    """Move pixels by up to two: the classifier is asked beside an extreme, too."""
    moved = xy + rng.integers(-2, 3, xy.shape)
    return np.clip(moved, 0, np.array(shape[::-1]) - 1)
