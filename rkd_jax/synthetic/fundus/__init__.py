"""Synthetic fundus photographs: alone, as two visits, with lesions, or of a grade.

    from rkd_jax.synthetic import fundus
    pair = fundus.visits(seed=3, size=512)
    pair.moving_to_fixed(pair.moving.keypoints)   # float64 pixels of pair.fixed

Everything follows from the seed. Bifurcations and crossings are known from the vessel
graph, and the mapping between visits from the geometry of the curved retina.
"""

from dataclasses import dataclass

import numpy as np

from rkd_jax.synthetic.fundus.camera import Mapping
from rkd_jax.synthetic.fundus.grading import graded_spots
from rkd_jax.synthetic.fundus.session import FundusPhotograph, Session, inside

__all__ = [
    "FundusPair",
    "FundusPhotograph",
    "Mapping",
    "diabetic",
    "graded",
    "photograph",
    "visits",
]

_CONTROL_POINTS = 12
_OVERLAP = (0.4, 0.97)


@dataclass(frozen=True)
class FundusPair:
    """Two photographs of one eye.

    Attributes:
        fixed: The first visit.
        moving: The second visit.
        moving_to_fixed: Maps pixels `[..., 2]` of `moving` to `fixed`, exactly.
        fixed_to_moving: Its inverse.
        control_points: float32 `[12, 4]`: x and y in `fixed`, x and y in `moving`, of
            places that both show.
    """

    fixed: FundusPhotograph
    moving: FundusPhotograph
    moving_to_fixed: Mapping
    fixed_to_moving: Mapping
    control_points: np.ndarray


def photograph(
    seed: int, *, size: int = 512, vessels: float = 1.0, lesions: bool = True
) -> FundusPhotograph:
    """Make one photograph; `visits(seed)` has the same one as `fixed`.

    Args:
        seed: At least 0; each seed is another eye.
        size: Width and height in pixels, at least 64.
        vessels: Density of branches; 1 as in real photographs.
        lesions: Whether the eye may have lesions.

    Returns:
        The photograph.

    Raises:
        ValueError: If an option is out of range.

    Example:
        >>> made = photograph(0, size=96)
        >>> made.image.shape, made.keypoints.shape[1]
        ((96, 96, 3), 2)
    """
    return Session(seed, size, vessels, lesions, 0.12, _OVERLAP, 1.0, 1.0).take(0)


def diabetic(
    seed: int, *, size: int = 512, healthy: bool = False, vessels: float = 1.0
) -> FundusPhotograph:
    """Make a photograph of an eye with diabetic retinopathy, and masks of its lesions.

    Microaneurysms are 3 to 6 pixels wide where `size` is 512.

    Args:
        seed: At least 0; each seed is another eye, that of `photograph(seed)`.
        size: Width and height in pixels, at least 64.
        healthy: Leave all lesions out; nothing else changes.
        vessels: Density of branches; 1 as in real photographs.

    Returns:
        The photograph; `lesions` has a mask of each kind, of zeros where there is none.

    Raises:
        ValueError: If an option is out of range.

    Example:
        >>> made = diabetic(0, size=96)
        >>> list(made.lesions)
        ['microaneurysms', 'haemorrhages', 'hard_exudates', 'soft_exudates']
        >>> diabetic(0, size=96, healthy=True).lesions["microaneurysms"].any()
        np.False_
    """
    session = Session(seed, size, vessels, False, 0.12, _OVERLAP, 1.0, 1.0)
    return session.take(0, [] if healthy else session.spots())


def graded(
    seed: int,
    grade: int,
    *,
    size: int = 128,
    vessels: float = 1.0,
    contrast: float = 1.5,
) -> FundusPhotograph:
    """Make a photograph of an eye whose lesions make the grade of its retinopathy.

    Args:
        seed: At least 0; each seed is another eye, that of `photograph(seed)`.
        grade: 0 (no lesion) to 4; see `rkd_jax.synthetic.fundus.grading.SIGNS`.
        size: Width and height in pixels, at least 64.
        vessels: Density of branches; 1 as in real photographs.
        contrast: Factor of the contrast of lesions beside those of `diabetic`; the
            smaller, the harder the grades are to tell.

    Returns:
        The photograph; `lesions` has a mask of each kind, of zeros where there is none.

    Lesions are larger than those of `diabetic`, whose microaneurysms would be less than
    two pixels wide where `size` is 128.

    Raises:
        ValueError: If an option is out of range.

    Example:
        >>> masks = graded(0, 1, size=64).lesions
        >>> [kind for kind, mask in masks.items() if mask.any()]
        ['microaneurysms']
    """
    session = Session(seed, size, vessels, False, 0.12, _OVERLAP, 1.0, 1.0)
    return session.take(0, graded_spots(session, grade, contrast))


def visits(
    seed: int,
    *,
    size: int = 512,
    overlap: tuple[float, float] = _OVERLAP,
    curvature: float = 0.12,
    motion: float = 1.0,
    change: float = 1.0,
    vessels: float = 1.0,
    lesions: bool = True,
) -> FundusPair:
    """Make two photographs of one eye with the mapping between them.

    Args:
        seed: At least 0; each seed is another eye.
        size: Width and height in pixels, at least 64.
        overlap: Least and largest share of the field that both photographs show.
        curvature: k of the curved retina, 0 to 0.3; with 0 a homography is exact.
        motion: Factor of shift, rotation and scale; 0 for two equal views.
        change: Factor 0..1 of the change of light, blur and lesions; with 0 nothing
            but the view changes.
        vessels: Density of branches; 1 as in real photographs.
        lesions: Whether the eye may have lesions.

    Returns:
        The pair.

    Raises:
        ValueError: If an option is out of range.

    Example:
        >>> pair = visits(0, size=96)
        >>> fixed, moving = pair.control_points[:, :2], pair.control_points[:, 2:]
        >>> bool(np.allclose(pair.moving_to_fixed(moving), fixed, atol=1e-3))
        True
    """
    session = Session(seed, size, vessels, lesions, curvature, overlap, motion, change)
    fixed, moving = session.take(0), session.take(1)
    mapping = Mapping(session.views[1], session.views[0])
    return FundusPair(
        fixed=fixed,
        moving=moving,
        moving_to_fixed=mapping,
        fixed_to_moving=mapping.inverse(),
        control_points=_control_points(fixed, moving, mapping),
    )


def _control_points(
    fixed: FundusPhotograph, moving: FundusPhotograph, mapping: Mapping
) -> np.ndarray:
    """Choose places far from each other that both photographs show."""
    size = fixed.image.shape[0]
    margin = 0.02 * size
    known = moving.keypoints.astype(np.float64)
    known = known[inside(fixed.field, mapping(known), margin)]
    if len(known) < 2 * _CONTROL_POINTS:  # few junctions: add places of the overlap
        axis = np.linspace(0, size - 1, 41)
        extra = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        seen = inside(moving.field, extra, margin)
        seen &= inside(fixed.field, mapping(extra), margin)
        known = np.concatenate([known, extra[seen]])
    chosen = [int(np.argmin(np.hypot(*(known - known.mean(axis=0)).T)))]
    away = np.full(len(known), np.inf)
    while len(chosen) < min(_CONTROL_POINTS, len(known)):
        away = np.minimum(away, np.hypot(*(known - known[chosen[-1]]).T))
        chosen.append(int(np.argmax(away)))
    return np.column_stack([mapping(known[chosen]), known[chosen]]).astype(np.float32)
