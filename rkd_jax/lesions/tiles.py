"""A map of a photograph of any size, by windows of one size that overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from rkd_jax.lesions.prepare import NEUTRAL

TILE = 1280
"""Its window holds a field of 1725 pixels whole; larger fields take several."""
_LATTICE = 16  # of the pooled maps of a network
_MARGIN = 32  # at least so many neutral pixels around the image
_STEP = 128  # sides are multiples of it: few shapes, so few compiled programs


def map_in_tiles(
    network: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    *,
    reach: int,
    tile: int = TILE,
) -> np.ndarray:
    """Apply a network to an image window by window; equal for any size of tile.

    The image gets a neutral margin. Windows overlap by what the network sees around a
    pixel, rounded up to the lattice of its pooled maps, so that each pixel of the
    result comes from a window that shows all of it that the network sees.

    Args:
        network: maps uint8 `[1, h, w, C]` to float32 `[1, h, w]`; h and w are multiples
            of 16.
        image: uint8 `[H, W, C]`.
        reach: how many pixels around it a pixel of the result depends on.
        tile: side of what one window adds, pixels, a multiple of 16. Memory grows with
            the square of `tile + 2 reach`.

    Returns:
        float32 `[H, W]`.

    Raises:
        ValueError: the tile is no positive multiple of 16.

    >>> image = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    >>> map_in_tiles(lambda x: x[..., 0], image, reach=0, tile=16)[2].tolist()
    [8.0, 9.0, 10.0, 11.0]
    """
    if tile < _LATTICE or tile % _LATTICE:
        raise ValueError(f"tile is {tile}; expected a positive multiple of {_LATTICE}")
    halo = -(-reach // _LATTICE) * _LATTICE
    height, width = image.shape[:2]
    sides = [-(-(n + 2 * _MARGIN) // _STEP) * _STEP for n in (height, width)]
    padded = np.full((*sides, image.shape[2]), NEUTRAL, np.uint8)
    top, left = ((side - n) // 2 for side, n in zip(sides, (height, width)))
    padded[top : top + height, left : left + width] = image
    result = np.empty(sides, np.float32)
    for row, rows, inner_rows in _windows(sides[0], tile, halo):
        for column, columns, inner_columns in _windows(sides[1], tile, halo):
            window = np.asarray(network(padded[None, row, column]))[0]
            result[rows, columns] = window[inner_rows, inner_columns]
    return result[top : top + height, left : left + width]


def _windows(size: int, tile: int, halo: int) -> Iterator[tuple[slice, slice, slice]]:
    """Yield windows along one side: whole, the part that counts, and that part in it.

    At the ends of the side a window's part that counts has no halo: what lies beyond is
    the same for all windows.
    """
    window = min(size, tile + 2 * halo)
    last = size - window
    for start in range(0, last + tile, tile):
        start = min(start, last)
        first = 0 if start == 0 else start + halo
        end = size if start == last else start + window - halo
        inner = slice(first - start, end - start)
        yield slice(start, start + window), slice(first, end), inner
