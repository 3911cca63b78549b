"""The expected error of a registration as a map over the fixed image."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True, eq=False)
class ErrorMap:
    """Expected error on a grid over the fixed image, in pixels of the fixed file.

    The grid may lie over a part of the image; beyond it the error is not known.

    The error of a point is its distance from where it should be. NaN stands for "not
    known": no match supports the transform there.

    Attributes:
        x: `[C]` float64, columns of the grid's points in the fixed file, increasing.
        y: `[R]` float64, their rows, increasing.
        expected_px: `[R, C]` float64, the median error.
        bound_px: `[R, C]` float64; in nine cases of ten the error is at most this.
        overlap: `[R, C]` bool, where both photographs show the fundus. Points beside it
            may have an error: places at its border are interpolated with them.

    Example:
        >>> flat = np.full((2, 2), 1.5)
        >>> error = ErrorMap([0, 10], [0, 10], flat, 2 * flat, np.ones((2, 2), bool))
        >>> error.at([[5.0, 5.0], [11.0, 5.0]])[0].tolist()
        [1.5, nan]
    """

    x: np.ndarray
    y: np.ndarray
    expected_px: np.ndarray
    bound_px: np.ndarray
    overlap: np.ndarray

    def __post_init__(self) -> None:
        for name in ("x", "y", "expected_px", "bound_px"):
            values = np.asarray(getattr(self, name), np.float64)
            object.__setattr__(self, name, values)
        object.__setattr__(self, "overlap", np.asarray(self.overlap, bool))
        shape = (len(self.y), len(self.x))
        for name in ("expected_px", "bound_px", "overlap"):
            found = getattr(self, name).shape
            if found != shape or min(shape) < 2:
                raise ValueError(
                    f"ErrorMap.{name}: expected rows and columns {shape} of y and x, "
                    f"at least 2 of each, found {found}"
                )
        for name in ("x", "y"):
            if not (np.diff(getattr(self, name)) > 0).all():
                raise ValueError(f"ErrorMap.{name}: expected increasing values")

    def at(self, points_fixed: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return the expected error and its bound at points, by interpolation.

        Args:
            points_fixed: `[..., 2]` (x, y) in pixels of the fixed file.

        Returns:
            Expected error and bound, `[...]` float64 each; NaN where not known.
        """
        points = np.asarray(points_fixed, np.float64)
        (column, across), (row, down) = (
            _place(points[..., axis], nodes)
            for axis, nodes in enumerate((self.x, self.y))
        )
        found = []
        for values in (self.expected_px, self.bound_px):
            upper, lower = (
                _between(values[r, column], values[r, column + 1], across)
                for r in (row, row + 1)
            )
            found.append(_between(upper, lower, down))
        return found[0], found[1]

    def summary(self) -> dict[str, float | None]:
        """Return median and worst over the overlap, in pixels of the fixed file.

        Returns:
            "median_px" and "worst_px" of the expected error, "bound_median_px" and
            "bound_worst_px" of its bound, None where nothing is known; "known_frac",
            the share of the overlap where the error is known.
        """
        known = self.overlap & np.isfinite(self.expected_px)
        share = float(known.sum() / self.overlap.sum()) if self.overlap.any() else 0.0
        if not known.any():
            names = ("median_px", "worst_px", "bound_median_px", "bound_worst_px")
            return {**dict.fromkeys(names), "known_frac": share}
        expected, bound = self.expected_px[known], self.bound_px[known]
        return {
            "median_px": float(np.median(expected)),
            "worst_px": float(expected.max()),
            "bound_median_px": float(np.median(bound)),
            "bound_worst_px": float(bound.max()),
            "known_frac": share,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the map ready for JSON; `from_dict` reads it back."""

        def rows(values: np.ndarray) -> list[list[float | None]]:
            return [
                [round(v, 2) if np.isfinite(v) else None for v in row]
                for row in values.tolist()
            ]

        return {
            "x": [round(v, 2) for v in self.x.tolist()],
            "y": [round(v, 2) for v in self.y.tolist()],
            "expected_px": rows(self.expected_px),
            "bound_px": rows(self.bound_px),
            "overlap": self.overlap.astype(int).tolist(),
        }

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> ErrorMap:
        """Rebuild the map that `to_dict` described; None stands for not known."""
        arrays = {
            name: np.array(description[name], np.float64)
            for name in ("x", "y", "expected_px", "bound_px", "overlap")
        }
        return cls(**arrays)


def _place(values: np.ndarray, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the node before each value, and how far it lies to the next, 0 to 1.

    NaN beyond the nodes.
    """
    index = np.clip(np.searchsorted(nodes, values, "right") - 1, 0, len(nodes) - 2)
    share = (values - nodes[index]) / (nodes[index + 1] - nodes[index])
    return index, np.where((share >= 0) & (share <= 1), share, np.nan)


def _between(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Interpolate linearly; an end without weight may be NaN."""
    mixed = first * (1 - share) + second * share
    return np.where(share == 0, first, np.where(share == 1, second, mixed))
