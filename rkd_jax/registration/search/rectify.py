"""Two photographs brought to one turn and scale by a similarity between them.

Keypoints are found in the part that both fields share: it is cut from each file at full
resolution, and the moving part is drawn in the frame of the fixed one. A narrow field
fills the working size however small it is in a wide one.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from rkd_jax.images.prepare import fit_to
from rkd_jax.registration.photo import Photo
from rkd_jax.registration.transforms import Transform

_MARGIN_FRAC = 0.06  # of the shared part: a similarity is not the transform
_WHOLE_FRAC = 0.8  # a part with this share of the field's side is the whole field


def cut(source: Photo, box: tuple[int, int, int, int], size: int) -> Photo:
    """Prepare a part of a photograph at the working size.

    Args:
        source: the photograph.
        box: (x0, y0, x1, y1) in file pixels, x1 and y1 exclusive.
        size: the longer side is brought to this.

    Returns:
        The photograph with another `image`, `size`, `box` and `field`, and without
        keypoints.
    """
    x0, y0, x1, y1 = box
    levels = source.levels[y0:y1, x0:x1].astype(np.float32) / np.float32(255.0)
    prepared = fit_to(levels, size)
    part = dataclasses.replace(
        source,
        image=prepared.image,
        size=prepared.size,
        box=box,
        field=np.zeros(prepared.image.shape, bool),
        keypoints=None,
        xy=None,
    )
    height, width = part.size
    # The field of the whole photograph, at the pixels of its part.
    axes = np.arange(max(height, width), dtype=np.float64)
    diagonal = source.from_file(part.to_file(np.stack([axes, axes], axis=-1)))
    columns, rows = np.round(diagonal).astype(int).T
    side = source.field.shape[0] - 1
    part.field[:height, :width] = source.field[
        np.ix_(rows[:height].clip(0, side), columns[:width].clip(0, side))
    ]
    return part


def _edge(box: tuple[float, float, float, float]) -> np.ndarray:
    """Return points along the edge of a box, `[N, 2]`."""
    x0, y0, x1, y1 = box
    steps = np.linspace(0, 1, 9)
    x, y = x0 + (x1 - x0) * steps, y0 + (y1 - y0) * steps
    sides = [(x, y * 0 + y0), (x, y * 0 + y1), (x * 0 + x0, y), (x * 0 + x1, y)]
    return np.concatenate([np.stack(side, axis=-1) for side in sides])


def shared_box(
    own: tuple[int, int, int, int], other_edge: np.ndarray
) -> tuple[int, int, int, int] | None:
    """Return the part of a field's box where another field lies, with a margin.

    Args:
        own: box of the field in its file.
        other_edge: the edge of the other field in the same pixels, `[N, 2]`.

    Returns:
        A box within `own`; `own` itself where nearly all of it is shared, None where
        next to nothing is.
    """
    low, high = other_edge.min(axis=0), other_edge.max(axis=0)
    margin = _MARGIN_FRAC * float((high - low).max())
    x0, y0 = np.maximum(np.floor(low - margin), own[:2]).astype(int)
    x1, y1 = np.minimum(np.ceil(high + margin) + 1, own[2:]).astype(int)
    if min(x1 - x0, y1 - y0) < 32:
        return None
    if max(x1 - x0, y1 - y0) >= _WHOLE_FRAC * max(own[2] - own[0], own[3] - own[1]):
        return own
    return int(x0), int(y0), int(x1), int(y1)


def shared_parts(
    fixed: Photo, moving: Photo, transform: Transform, size: int
) -> tuple[Photo, Photo] | None:
    """Cut out what two photographs share, by a similarity.

    Args:
        fixed: the fixed photograph.
        moving: the moving photograph.
        transform: from the moving to the fixed file, exact to some percent.
        size: working size.

    Returns:
        The part of the fixed photograph (the photograph itself where that is nearly
        all of it) and of the moving one; None where they share next to nothing.
    """
    parts = []
    for own, other, way in (
        (fixed, moving, transform.apply),
        (moving, fixed, transform.apply_inverse),
    ):
        box = shared_box(own.box, way(_edge(other.box)))
        if box is None:
            return None
        parts.append(own if box == own.box else cut(own, box, size))
    return parts[0], parts[1]
