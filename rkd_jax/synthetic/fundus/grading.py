"""Grades of diabetic retinopathy: the lesions that a drawn eye must have.

Source: after the international clinical scale (Wilkinson et al. 2003), whose grade 1 is
microaneurysms alone and whose grade 3 has many haemorrhages. Its grade 4, new vessels,
is drawn as still more haemorrhages: so the number of haemorrhages tells the grades 2, 3
and 4, and the presence of anything at all tells 0.
"""

from collections.abc import Callable
from typing import NamedTuple

from rkd_jax.synthetic.fundus.lesions import Painter, Spot
from rkd_jax.synthetic.fundus.session import Session


class Signs(NamedTuple):
    """Least and largest number of each kind of lesion.

    Attributes:
        microaneurysms: Small dark spots.
        haemorrhages: Larger ones.
        clusters: Groups of hard exudates.
        soft_exudates: Large pale spots.
    """

    microaneurysms: tuple[int, int]
    haemorrhages: tuple[int, int]
    clusters: tuple[int, int]
    soft_exudates: tuple[int, int]


SIGNS = (
    Signs((0, 0), (0, 0), (0, 0), (0, 0)),
    Signs((5, 10), (0, 0), (0, 0), (0, 0)),
    Signs((5, 10), (3, 5), (0, 2), (0, 0)),
    Signs((5, 10), (8, 11), (1, 3), (0, 2)),
    Signs((5, 10), (15, 19), (1, 4), (0, 3)),
)
"""Of the grades 0 to 4."""

SIZES = {"microaneurysms": 3.0, "haemorrhages": 1.5, "hard_exudates": 3.0}
"""Factors of the radii, so that small pictures show the lesions."""

_STREAM, _TRIES = 9, 4


def graded_spots(session: Session, grade: int, contrast: float) -> list[Spot]:
    """Draw the lesions of a grade that the first visit shows.

    Args:
        session: Eye and camera.
        grade: Index into `SIGNS`.
        contrast: Factor of the contrast of lesions.

    Raises:
        ValueError: If there is no such grade, or the contrast is not above 0.
    """
    if not 0 <= grade < len(SIGNS):
        raise ValueError(f"grade is {grade}; it must be in 0..{len(SIGNS) - 1}")
    if not 0 < contrast <= 3:
        raise ValueError(f"contrast is {contrast}; it must be above 0, at most 3")
    painter = session.painter(_STREAM, SIZES, contrast)
    dark, spots, clusters, pale = (
        int(painter.rng.integers(least, most + 1)) for least, most in SIGNS[grade]
    )
    _add(painter, painter.haemorrhage, spots)
    _add(painter, painter.soft_exudate, pale)
    _add(painter, painter.microaneurysm, dark)
    for _ in range(clusters):
        painter.hard_exudates(painter.anywhere(0.7))
    return painter.spots


def _add(painter: Painter, draw: Callable[[], None], count: int) -> None:
    """Draw spots until there are so many: a large one may find no free place."""
    wanted = len(painter.spots) + count
    for _ in range(_TRIES * count):
        if len(painter.spots) == wanted:
            return
        draw()
