"""The CSV files of points: landmarks that were mapped, and the matches of a pair."""

from __future__ import annotations

import csv
import io
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from rkd_jax.files.tables import number, read_table
from rkd_jax.registration.mapped import Mapped
from rkd_jax.registration.matching.matches import Matches

POINTS, MATCHES = "points.csv", "matches.csv"
NOT_KNOWN = "not known"
_POINT_COLUMNS = (
    *("x_moving", "y_moving", "x_fixed", "y_fixed", "among_matches"),
    *("expected_error_px", "error_bound_90_px"),
)
_MATCH_COLUMNS = (
    *("x_fixed", "y_fixed", "x_moving", "y_moving", "similarity", "inlier"),
)


def points_text(mapped: Mapped, moving: np.ndarray, fixed: np.ndarray) -> str:
    """Return landmarks of both images as CSV, with what is known of each.

    Args:
        mapped: the registered pair.
        moving: `[N, 2]` in pixels of the moving file.
        fixed: `[N, 2]` in pixels of the fixed file, where these lie.
    """
    if mapped.hull is None:
        among = [NOT_KNOWN] * len(moving)
    else:
        among = [str(int(inside)) for inside in mapped.supports(moving)]
    errors = mapped.expected_error(moving)
    return _text(
        _POINT_COLUMNS,
        (
            [*map(_shown, (*p, *q)), inside, _shown(expected), _shown(bound)]
            for p, q, inside, expected, bound in zip(
                moving, fixed, among, *errors, strict=True
            )
        ),
    )


def matches_text(matches: Matches, inliers: np.ndarray) -> str:
    """Return matches `[M]` as CSV, and which of them the fit kept."""
    return _text(
        _MATCH_COLUMNS,
        (
            [*(f"{value:.3f}" for value in (*p, *q)), f"{similarity:.4f}", int(kept)]
            for p, q, similarity, kept in zip(
                matches.points_fixed,
                matches.points_moving,
                matches.similarity,
                inliers,
                strict=True,
            )
        ),
    )


def read_matches(path: pathlib.Path) -> tuple[Matches, np.ndarray]:
    """Read `matches.csv`.

    Returns:
        The matches, and which of them the fit kept, `[M]` bool.

    Raises:
        OSError: no such file, or it cannot be read.
        ValueError: other columns, or a cell that holds no number.
    """
    rows = read_table(path).rows
    if not rows or tuple(rows[0].cells) != _MATCH_COLUMNS:
        raise ValueError(
            f"{path}: expected the columns {','.join(_MATCH_COLUMNS)}, as `register` "
            "writes them; register the pair again"
        )
    values = [[number(row.cell(at)) for at in range(6)] for row in rows[1:]]
    for row, numbers in zip(rows[1:], values, strict=True):
        if None in numbers:
            raise ValueError(
                f"{path}, line {row.line}: expected six numbers, found "
                f"{','.join(row.cells)[:60]!r}; register the pair again"
            )
    table = np.array(values, np.float64).reshape(-1, 6)
    similarity = table[:, 4].astype(np.float32)
    return Matches(table[:, :2], table[:, 2:4], similarity), table[:, 5] > 0


def _shown(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else NOT_KNOWN


def _text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
