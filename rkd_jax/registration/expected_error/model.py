"""From what the matches say to the expected error and its bound.

A level of the error (its median, or what it stays below in nine cases of ten) is the
root of a sum of squares, of which each feature gives a part:

    level = sqrt(sum_i (w_i f_i)^2)

with weights of at least 0 for each level, so that nothing that speaks against a place
can make its error smaller. The weights lie in `model.json`;
`tools/calibrate_error.py` fits them on made pairs and checks them on others.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from rkd_jax.registration.expected_error.evidence import FEATURES, distance_px

FILE = pathlib.Path(__file__).parent / "model.json"
LEVELS = ("0.5", "0.9")
"""Shares of cases in which the error is at most the level: expected error, bound."""


@dataclasses.dataclass(frozen=True, eq=False)
class ErrorModel:
    """Weights of the features for each level, and where nothing is known.

    Attributes:
        weights: `[F]` at least 0, by level; the levels of `LEVELS` are used.
        farthest_px: the third nearest inlier may be so far away (pixels of a 768-pixel
            image); beyond, the error is not known.
        largest_px: nor where its bound would be above this.
        calibration: how it was fitted and checked, for the record.

    Example:
        >>> one = np.eye(len(FEATURES))[0]
        >>> model = ErrorModel({"0.5": one, "0.9": 2 * one}, 100.0, 50.0)
        >>> [level.tolist() for level in model.levels(np.ones((1, len(FEATURES))))]
        [[1.0], [2.0]]
    """

    weights: Mapping[str, np.ndarray]
    farthest_px: float
    largest_px: float
    calibration: dict[str, Any] = dataclasses.field(default_factory=dict)

    def levels(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return expected error and bound of feature rows `[N, F]`.

        Returns:
            `[N]` each, in pixels of a 768-pixel working image; NaN where not known.
        """
        expected, bound = (
            np.sqrt(np.square(rows) @ np.square(self.weights[level]))
            for level in LEVELS
        )
        known = (distance_px(rows) <= self.farthest_px) & (bound <= self.largest_px)
        expected = np.minimum(expected, bound)
        return np.where(known, expected, np.nan), np.where(known, bound, np.nan)

    def to_json(self) -> str:
        """Return the text of `model.json`."""
        content = {
            "features": list(FEATURES),
            "weights": {
                level: [round(float(v), 5) for v in values]
                for level, values in self.weights.items()
            },
            "farthest_px": self.farthest_px,
            "largest_px": self.largest_px,
            "calibration": self.calibration,
        }
        return json.dumps(content, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ErrorModel:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is of other features.
        """
        content = json.loads(text)
        if content.pop("features") != list(FEATURES):
            raise ValueError(
                f"error model: expected the features {list(FEATURES)}; calibrate anew "
                "with tools/calibrate_error.py"
            )
        weights = content.pop("weights")
        arrays = {level: np.array(values) for level, values in weights.items()}
        return cls(arrays, **content)


@functools.cache
def error_model_digest() -> str:
    """Return the SHA-256 of the packaged model's file."""
    return hashlib.sha256(FILE.read_bytes()).hexdigest()


@functools.cache
def packaged_error_model() -> ErrorModel:
    """Return the model that comes with the package."""
    return ErrorModel.from_json(FILE.read_text(encoding="utf-8"))
