"""Where each pixel of the fixed frame lies in the moving image, without gaps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rkd_jax.registration.mapped import Mapped


def strips(mapped: Mapped) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Yield strips of rows with the columns and rows that their pixels come from.

    Other programs know no "undefined": such pixels get a place far outside of the
    moving image, and no place is farther.

    Args:
        mapped: a registered pair.

    Yields:
        The rows, and float32 `[rows, width]` twice: x and y in the moving image.
    """
    far = -2.0 * max(mapped.moving_size)
    for rows, x, y in mapped.inverse_map().strips():
        undefined = ~(np.isfinite(x) & np.isfinite(y))
        for places in (x, y):
            places[undefined] = far
            np.clip(places, far, -2.0 * far, out=places)
        yield rows, x, y
