"""A baseline without network: the mean of the training faces, put into each box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rkd_jax.data.wflw import Face


def mean_face(faces: Sequence[Face]) -> np.ndarray:
    """Return the mean of the points relative to their boxes, `[98, 2]`.

    The origin is a box's centre, the unit its longer side: the trivial baseline.

    Raises:
        ValueError: no faces.
    """
    if not faces:
        raise ValueError("no faces to average: the mean face needs a training list")
    shapes = []
    for face in faces:
        middle, side = _frame(face.box)
        shapes.append((face.points - middle) / side)
    return np.mean(shapes, axis=0)


def place_mean_face(shape: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return a mean face put into boxes `[N, 4]`: `[N, 98, 2]` px."""
    frames = [_frame(box) for box in boxes]
    return np.stack([middle + side * shape for middle, side in frames])


def _frame(box: np.ndarray) -> tuple[np.ndarray, float]:
    return (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max())
