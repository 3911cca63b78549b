"""The maps of both proposal networks, at full scale."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import jax
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


Propose = Callable[[np.ndarray], dict[str, np.ndarray]]
"""`image uint8 [h, w, 3] -> maps "full" and "half", float32 [h, w]`."""


def kept_last(make: Propose) -> Propose:
    """Return a function that does not make the maps of the same image twice in a row.

    >>> calls = []
    >>> maps_of = kept_last(lambda image: calls.append(1) or {"full": image})
    >>> for value in (1, 1, 2):
    ...     _ = maps_of(np.full((1, 1, 3), value, np.uint8))
    >>> len(calls)
    2
    """
    last: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []

    def maps_of(image: np.ndarray) -> dict[str, np.ndarray]:
        if not (last and np.array_equal(last[0][0], image)):
            last[:] = [(image, make(image))]
        return dict(last[0][1])

    return maps_of


def same_networks(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two trees of variables have the same proposal networks."""
    trees = [
        {kind: (tree.get("full"), tree.get("half")) for kind, tree in variables.items()}
        for variables in (one, other)
    ]
    (a, form), (b, other_form) = map(jax.tree.flatten, trees)
    return form == other_form and all(map(np.array_equal, a, b))
