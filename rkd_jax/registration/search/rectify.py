"""Two photographs brought to one turn and scale, as a similarity says they lie.

The network sees the part of both fields that they share: each is cut from its file at
full resolution, and the moving one is drawn in the frame of the fixed one. A narrow
field fills the working size however small it is in a wide one.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from rkd_jax.images.prepare import Resized, fit_to
from rkd_jax.registration.matching.refine import Photograph
from rkd_jax.registration.transforms import Frame, Transform

_MARGIN_FRAC = 0.06  # of the shared part: a similarity is not the transform
_WHOLE_FRAC = 0.8  # a part with this share of the field's side is the whole field
# Fields that differ less are of cameras alike, whose bend has one unit.
_ALIKE = 1.25


@dataclasses.dataclass(frozen=True, eq=False)
class Detail(Photograph):
    """A photograph with all pixels of its file.

    Attributes:
        prepared: the image at the working size and the way back to file pixels.
        field: `[S, S]` bool, where keypoints may lie.
        pixels: `[H, W]` uint8, the normalized file.
    """

    pixels: np.ndarray


def cut(source: Detail, box: tuple[int, int, int, int], size: int) -> Photograph:
    """Prepare a part of a photograph at the working size.

    Args:
        source: the photograph.
        box: (x0, y0, x1, y1) in file pixels, x1 and y1 exclusive.
        size: the longer side is brought to this.
    """
    x0, y0, x1, y1 = box
    part = source.pixels[y0:y1, x0:x1].astype(np.float32) / np.float32(255.0)
    prepared = dataclasses.replace(
        fit_to(part, size), box=box, file_size=source.prepared.file_size
    )
    height, width = prepared.size
    # The field of the whole photograph, at the pixels of its part.
    axes = np.arange(max(height, width), dtype=np.float64)
    diagonal = source.prepared.from_file(
        prepared.to_file(np.stack([axes, axes], axis=-1))
    )
    columns, rows = np.round(diagonal).astype(int).T
    side = source.field.shape[0] - 1
    field = np.zeros(prepared.image.shape, bool)
    field[:height, :width] = source.field[
        np.ix_(rows[:height].clip(0, side), columns[:width].clip(0, side))
    ]
    return Photograph(prepared, field)


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
    fixed: Detail, moving: Detail, transform: Transform, size: int
) -> tuple[Photograph, Photograph] | None:
    """Cut out what two photographs share, by a similarity.

    Args:
        fixed: the fixed photograph.
        moving: the moving photograph.
        transform: from the moving to the fixed file, right to some percent.
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
        box = shared_box(own.prepared.box, way(_edge(other.prepared.box)))
        if box is None:
            return None
        parts.append(own if box == own.prepared.box else cut(own, box, size))
    return parts[0], parts[1]


def frames_of(fixed: Resized, moving: Resized, scale: float) -> tuple[Frame, Frame]:
    """Return the units in which both photographs bend.

    The bend k r^2 is measured in radii of the camera's field. Where one camera sees
    much more than the other, both get the radius of the narrower field, so that r is
    the same angle in both.

    Args:
        fixed: gives the box of the fixed field.
        moving: gives that of the moving field.
        scale: pixels of the fixed file to one of the moving file.

    Returns:
        The frames of the moving and of the fixed photograph.

    Example:
        >>> field = Resized(np.zeros((8, 8)), (8, 8), (0, 0, 80, 80), (80, 80))
        >>> [frame.radius for frame in frames_of(field, field, 0.25)]
        [40.0, 10.0]
    """
    own, other = Frame.of_box(moving.box), Frame.of_box(fixed.box)
    ratio = own.radius * scale / other.radius
    if ratio > _ALIKE:
        own = dataclasses.replace(own, radius=other.radius / scale)
    elif ratio < 1 / _ALIKE:
        other = dataclasses.replace(other, radius=own.radius * scale)
    return own, other
