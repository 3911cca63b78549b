"""Landmarks that Fiji's BigWarp loads.

A CSV file without a line of names: name, whether it is in use, moving x and y, fixed x
and y, each in quotes; pixel centers at whole numbers, as in BigWarp with a pixel size
of 1 (it counts in the unit of the image).

Source: `LandmarkTableModel` of https://github.com/saalfeldlab/bigwarp, whose 2-D files
have six columns.
"""

from __future__ import annotations

import csv
import io

import numpy as np

from rkd_jax.registration.fitting.spread import spread_out
from rkd_jax.registration.matching.matches import Matches

_MOST = 300
"""BigWarp solves a thin-plate spline through all of them after each change."""


def landmarks(inliers: Matches) -> str:
    """Return matches, at most 300 that lie far from each other, as landmarks.

    Args:
        inliers: the matches that the fit kept.

    Example:
        >>> pair = Matches(np.array([[5.0, 6]]), np.array([[1.0, 2]]), np.ones(1))
        >>> landmarks(pair)
        '"Pt-0","true","1.0","2.0","5.0","6.0"\\n'
    """
    kept = np.sort(spread_out(inliers.points_fixed, _MOST))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for number, row in enumerate(kept):
        points = *inliers.points_moving[row], *inliers.points_fixed[row]
        writer.writerow([f"Pt-{number}", "true", *(round(float(v), 4) for v in points)])
    return text.getvalue()
