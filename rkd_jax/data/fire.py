"""FIRE's files of control points, as benchmark and data set read them.

Source: FIRE (Hernandez-Matas et al. 2017).
"""

import pathlib

import numpy as np


def load_control_points(path: str | pathlib.Path) -> np.ndarray:
    """Read a FIRE control point file.

    Args:
        path: text file; each line holds x y in the reference (fixed) image and x y in
            the query (moving) image, in pixels of the files. Blank lines are skipped.

    Returns:
        float64 `[M, 4]`: x_fixed, y_fixed, x_moving, y_moving.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is not four finite numbers, or there is none; the message
            names file and line.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no control point file {path}: FIRE keeps them in 'Ground Truth' as "
            "control_points_<pair>_1_2.txt"
        )
    rows = []
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            row = [float(field) for field in fields]
        except ValueError:
            row = []
        if len(row) != 4 or not np.isfinite(row).all():
            raise ValueError(
                f"{path}, line {number}: found {line.strip()[:60]!r}; expected four "
                "finite numbers: x y (fixed) x y (moving)"
            )
        rows.append(row)
    if not rows:
        raise ValueError(f"{path} is empty: expected lines of x y (fixed) x y (moving)")
    return np.array(rows, dtype=np.float64)
