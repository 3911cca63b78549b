"""Grades of diabetic retinopathy: the lesions that a drawn eye must have.

Source: after the international clinical scale (Wilkinson et al. 2003), whose grade 1 is
microaneurysms alone and whose grade 3 has many haemorrhages. Its grade 4, new vessels,
is drawn as still more haemorrhages: so the number of haemorrhages tells the grades 2, 3
and 4, and the presence of anything at all tells 0.
"""

from typing import NamedTuple

from rkd_jax.synthetic.fundus.lesions import Painter, Spot


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
    Signs((3, 8), (0, 0), (0, 0), (0, 0)),
    Signs((4, 12), (3, 7), (0, 2), (0, 0)),
    Signs((6, 16), (11, 17), (0, 3), (0, 2)),
    Signs((6, 16), (22, 30), (1, 4), (0, 3)),
)
"""Of the grades 0 to 4. What has no free place in the picture is left out."""


def graded_spots(painter: Painter, grade: int) -> list[Spot]:
    """Draw the lesions of a grade.

    Raises:
        ValueError: If there is no such grade.
    """
    if not 0 <= grade < len(SIGNS):
        raise ValueError(f"grade is {grade}; it must be in 0..{len(SIGNS) - 1}")
    signs, rng = SIGNS[grade], painter.rng
    dark, spots, clusters, pale = (
        int(rng.integers(least, most + 1)) for least, most in signs
    )
    for _ in range(spots):
        painter.haemorrhage()
    for _ in range(pale):
        painter.soft_exudate()
    for _ in range(dark):
        painter.microaneurysm()
    for _ in range(clusters):
        painter.hard_exudates(painter.anywhere(0.7))
    return painter.spots
