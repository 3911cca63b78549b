"""The maps of both proposal networks, at full scale."""

from __future__ import annotations

import functools
from collections.abc import Callable

import cv2
import numpy as np

from rkd_jax.lesions.prepare import half
from rkd_jax.lesions.tiles import TILE, map_in_tiles


def propose(
    network: Callable[[str, np.ndarray], np.ndarray],
    image: np.ndarray,
    *,
    reach: int,
    tile: int = TILE,
) -> dict[str, np.ndarray]:
    """Return the maps "full" and "half" of an image, float32 `[h, w]`.

    Args:
        network: maps "full" or "half" and uint8 `[1, h, w, 3]` to float32 `[1, h, w]`.
        image: uint8 `[h, w, 3]`, prepared, at full scale.
        reach: see `map_in_tiles`.
        tile: see `map_in_tiles`.
    """
    height, width = image.shape[:2]
    maps = {
        part: map_in_tiles(
            functools.partial(network, part), pixels, reach=reach, tile=tile
        )
        for part, pixels in (("full", image), ("half", half(image)))
    }
    h, w = maps["half"].shape
    doubled = cv2.resize(maps["half"], (2 * w, 2 * h), interpolation=cv2.INTER_LINEAR)
    # An odd side has lost its last row or column.
    lacking = ((0, height - 2 * h), (0, width - 2 * w))
    maps["half"] = np.pad(doubled, lacking, mode="edge")
    return maps
