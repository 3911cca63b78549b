"""Score predicted landmarks of faces: NME, failures, area under the error curve.

The error of a face is the mean distance of its points, divided by the distance of the
outer eye corners (points 60 and 72 of WFLW's 98) or, as an option, of the pupils (96
and 97). NME is its mean over faces. A face fails with an error above 0.10. AUC is the
area under the curve of cumulative errors from 0 to 0.10, divided by 0.10.

Source: WFLW (Wu et al., CVPR 2018), evaluation.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

NORMALIZERS = {"corners": (60, 72), "pupils": (96, 97)}
THRESHOLD = 0.10


def face_errors(
    predicted: np.ndarray,
    truth: np.ndarray,
    *,
    normalizer: str = "corners",
    names: Sequence[str] | None = None,
) -> np.ndarray:
    """Return the normalized mean error of each face.

    Args:
        predicted: `[N, 98, 2]`, in pixels of any one frame a face that is a similarity
            of its picture.
        truth: same shape and frame.
        normalizer: "corners" or "pupils".
        names: of the faces, for errors.

    Returns:
        float64 `[N]`; 0.05 means 5 per cent of the eyes' distance.

    Raises:
        ValueError: shapes, an unknown normalizer, a value that is not finite, or a face
            whose two points of normalization coincide (named).

    >>> truth = np.zeros((1, 98, 2))
    >>> truth[0, 72] = [10.0, 0.0]
    >>> face_errors(truth + [3.0, 4.0], truth).tolist()
    [0.5]
    """
    if normalizer not in NORMALIZERS:
        raise ValueError(
            f"normalizer is {normalizer!r}; expected one of {', '.join(NORMALIZERS)}"
        )
    predicted, truth = (np.asarray(a, np.float64) for a in (predicted, truth))
    if predicted.shape != truth.shape or truth.shape[1:] != (98, 2):
        raise ValueError(
            f"predicted has shape {predicted.shape}, truth {truth.shape}; expected "
            "[N, 98, 2] twice"
        )
    called = names if names is not None else [f"face {i}" for i in range(len(truth))]
    for what, points in (("prediction", predicted), ("annotation", truth)):
        bad = ~np.isfinite(points).all(axis=(1, 2))
        if bad.any():
            raise ValueError(f"{called[bad.argmax()]}: {what} with a non-finite point")
    first, second = NORMALIZERS[normalizer]
    unit = np.linalg.norm(truth[:, first] - truth[:, second], axis=1)
    if (unit == 0).any():
        raise ValueError(
            f"{called[(unit == 0).argmax()]}: points {first} and {second} coincide, so "
            "that the error has no unit; correct the annotation or leave the face out"
        )
    return np.linalg.norm(predicted - truth, axis=2).mean(axis=1) / unit


def auc(errors: np.ndarray, *, threshold: float = THRESHOLD) -> float:
    """Return the area under the cumulative curve up to `threshold`, in 0..1.

    Exact: the curve is a staircase, and each face adds
    `max(1 - error / threshold, 0)`.

    >>> auc(np.array([0.0, 0.05, 0.3]))
    0.5
    """
    errors = np.asarray(errors, np.float64)
    return float(np.mean(np.clip(1.0 - errors / threshold, 0, None)))


def failure_rate(errors: np.ndarray, *, threshold: float = THRESHOLD) -> float:
    """Return the share of faces with an error above `threshold`.

    >>> failure_rate(np.array([0.05, 0.1, 0.3, 0.4]))
    0.5
    """
    return float(np.mean(np.asarray(errors, np.float64) > threshold))


def summary(errors: np.ndarray, *, threshold: float = THRESHOLD) -> dict[str, Any]:
    """Return `faces`, and in per cent `nme` and `failure_rate`, and `auc` in 0..1.

    Raises:
        ValueError: no faces.

    >>> summary(np.array([0.0, 0.2]))
    {'faces': 2, 'nme': 10.0, 'failure_rate': 50.0, 'auc': 0.5}
    """
    if not len(errors):
        raise ValueError("no faces to score; give at least one")
    return {
        "faces": len(errors),
        "nme": 100.0 * float(np.mean(errors)),
        "failure_rate": 100.0 * failure_rate(errors, threshold=threshold),
        "auc": auc(errors, threshold=threshold),
    }


def by_subset(
    errors: np.ndarray, subsets: Mapping[str, np.ndarray]
) -> dict[str, dict[str, Any]]:
    """Return the `summary` of all faces as "all", and of each subset that has any.

    Args:
        errors: `[N]`.
        subsets: name -> bool `[N]`.

    >>> scores = by_subset(np.array([0.0, 0.2]), {"blur": np.array([False, True])})
    >>> {name: row["nme"] for name, row in scores.items()}
    {'all': 10.0, 'blur': 20.0}
    """
    kept = {name: np.asarray(m, bool) for name, m in subsets.items() if np.any(m)}
    return {
        "all": summary(errors),
        **{name: summary(errors[members]) for name, members in kept.items()},
    }
