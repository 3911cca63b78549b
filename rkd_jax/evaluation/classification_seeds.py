"""Means of scores over runs of one recipe with other seeds."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from rkd_jax.evaluation.score_tables import Scored, cell, cells
from rkd_jax.metrics import bootstrap

_NAMED = re.compile(r"(.+)_(\d+)")


@dataclasses.dataclass(frozen=True, eq=False)
class MeanScore:
    """The mean scores of some runs.

    Attributes:
        numbers: name -> mean over the runs, None where a run has none.
        intervals: name -> `[low, high]` or None: of the mean, over drawn groups.
        drawn: name -> means of the bootstrap, for paired differences.
        spread: name -> standard deviation over the runs (of the sample); None with one
            run, or where a run has no such number.
        runs: how many.
    """

    numbers: dict[str, float | None]
    intervals: dict[str, list[float] | None]
    drawn: dict[str, np.ndarray]
    spread: dict[str, float | None]
    runs: int

    def line(self) -> dict[str, Any]:
        """Return the cells of a table: means, intervals and spreads."""
        line = {"runs": self.runs} | cells(self.numbers, self.intervals)
        return line | {f"{name}_sd": cell(v) for name, v in self.spread.items()}


def recipes(rows: list[str]) -> dict[str, list[str]]:
    """Return the rows of each recipe, by their names: RECIPE_SEED.

    Args:
        rows: names.

    Raises:
        ValueError: a row has no seed in its name, or two recipes have other seeds.

    >>> recipes(["ce_0", "ce_1", "full_t_0", "full_t_1"])
    {'ce': ['ce_0', 'ce_1'], 'full_t': ['full_t_0', 'full_t_1']}
    """
    found: dict[str, list[str]] = {}
    seeds: dict[str, set[str]] = {}
    for row in rows:
        match = _NAMED.fullmatch(row)
        if match is None:
            raise ValueError(
                f"--average_seeds: the row {row!r} has no seed in its name; expected "
                "NAME_SEED, such as ce_0=FILE ce_1=FILE"
            )
        found.setdefault(match[1], []).append(row)
        seeds.setdefault(match[1], set()).add(match[2])
    (first, wanted), *others = seeds.items()
    for recipe, there in others:
        if there != wanted:
            raise ValueError(
                f"--average_seeds: {recipe} has the seeds {_listed(there)}, {first} "
                f"{_listed(wanted)}; give the same of each"
            )
    return found


def _listed(seeds: set[str]) -> str:
    return ", ".join(sorted(seeds, key=int))


def average(scores: Mapping[str, Scored], groups: int) -> dict[str, MeanScore]:
    """Return the mean scores of each recipe.

    Args:
        scores: of all rows, from the same draws.
        groups: how many were drawn from.

    Raises:
        ValueError: see `recipes`.
    """
    found = {}
    for recipe, rows in recipes(list(scores)).items():
        runs = [scores[row] for row in rows]
        means: dict[str, float | None] = {}
        spread: dict[str, float | None] = {}
        for name in runs[0].numbers:
            values = [run.numbers[name] for run in runs]
            known = [value for value in values if value is not None]
            whole = len(known) == len(runs)
            means[name] = float(np.mean(known)) if whole else None
            several = whole and len(runs) > 1
            spread[name] = float(np.std(known, ddof=1)) if several else None
        drawn = {
            name: np.mean([run.drawn[name] for run in runs], axis=0)
            for name in runs[0].drawn
        }
        bounds = bootstrap.intervals(drawn, groups)
        found[recipe] = MeanScore(means, bounds, drawn, spread, len(runs))
    return found
