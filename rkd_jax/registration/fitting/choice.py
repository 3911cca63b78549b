"""The family chosen by matches that took no part in the fit, and by parsimony."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from rkd_jax.registration.fitting.problem import Fit, Problem, residuals

Family = Callable[[Problem], Fit]

_BLOCKS = 6  # a side: neighboring matches are held out together
_FOLDS = 4
_SCALE = 0.4  # Cauchy scale of the loss in inlier thresholds
_GATE = 2.0  # a pair within this of any candidate takes part, in inlier thresholds


@dataclasses.dataclass(frozen=True, eq=False)
class Choice:
    """How the families did on held-out pairs.

    Attributes:
        family: the one chosen.
        losses: mean held-out loss of each candidate, by family.
        fit: of the family chosen, on all pairs.
    """

    family: str
    losses: dict[str, float]
    fit: Fit


def blocks_and_folds(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split points `[N, 2]` into 6x6 blocks of equal shares, and blocks into folds."""
    ranks = np.argsort(np.argsort(points, axis=0, kind="stable"), axis=0)
    column, row = (ranks * _BLOCKS // max(len(points), 1)).T
    return row * _BLOCKS + column, (column + 2 * row) % _FOLDS


def _held_out(family: Family, problem: Problem, folds: np.ndarray) -> np.ndarray:
    """Return the loss `[N]` of each pair under a fit of the other folds."""
    loss = np.empty(len(problem.moving))
    scale = _SCALE * problem.threshold_px
    for fold in range(_FOLDS):
        out = folds == fold
        result = family(problem.subset(~out, problem.start))
        distance = np.full(out.sum(), np.inf)
        if result.transform is not None:
            distance = residuals(
                result.transform, problem.moving[out], problem.fixed[out]
            )
        capped = np.minimum(distance, 3.0 * problem.threshold_px)
        loss[out] = np.log1p((capped / scale) ** 2)
    return loss


def _excess(
    loss: np.ndarray, best: np.ndarray, blocks: np.ndarray
) -> tuple[float, float]:
    """Return the mean of loss - best and its standard error over blocks."""
    difference = loss - best
    mean = float(difference.mean())
    sums = np.bincount(blocks, difference - mean, minlength=_BLOCKS**2)
    return mean, float(np.sqrt(np.sum(sums**2)) / len(loss))


def choose(
    problem: Problem, families: Mapping[str, Family], least: Mapping[str, int]
) -> Choice:
    """Fit candidates and choose among them by held-out pairs.

    The pairs that any candidate explains (within twice the threshold) are split into
    four folds of whole neighborhoods. Each candidate is fitted to three of them; its
    loss on the fourth is log(1 + (e / c)^2). The simplest candidate wins whose mean
    loss is within one standard error of the best one's (Breiman's rule), the error
    being that of the paired difference with neighborhoods as units.

    Args:
        problem: pairs and how to fit them.
        families: candidates, the simplest first; the first one needs no more pairs
            than a homography and stands where there are too few for a choice.
        least: pairs that each candidate needs.

    Returns:
        The choice; deterministic.
    """
    names = list(families)
    fits = {names[0]: families[names[0]](problem)}
    supported = int(fits[names[0]].inliers.sum())
    for name in names[1:]:
        # The curved families can explain pairs that the first one cannot.
        if max(supported, len(problem.moving) // 2) >= least[name]:
            fits[name] = families[name](problem)
    fits = {n: f for n, f in fits.items() if f.transform is not None}
    first = names[0]
    if not fits:
        return Choice(first, {}, families[first](problem))
    near = np.zeros(len(problem.moving), bool)
    for found in fits.values():
        distance = residuals(found.transform, problem.moving, problem.fixed)
        near |= distance <= _GATE * problem.threshold_px
    fits = {n: f for n, f in fits.items() if near.sum() >= least[n]}
    if len(fits) < 2:
        name = next(iter(fits), first)
        return Choice(name, {}, fits.get(name) or families[name](problem))
    blocks, folds = blocks_and_folds(problem.moving[near])
    losses = {
        n: _held_out(families[n], problem.subset(near, f.transform), folds)
        for n, f in fits.items()
    }
    means = {name: float(loss.mean()) for name, loss in losses.items()}
    best = min(means, key=means.__getitem__)
    for name in fits:
        excess, error = _excess(losses[name], losses[best], blocks)
        if excess <= error:
            return Choice(name, means, fits[name])
    raise AssertionError("the best candidate is within its own error")
