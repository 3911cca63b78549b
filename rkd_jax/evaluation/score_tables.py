"""Scores with intervals as rows of tables, and their differences between networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from rkd_jax.metrics.bootstrap import paired_difference

Numbers = Mapping[str, float | None]
Intervals = Mapping[str, Sequence[float] | None]


class Scored(Protocol):
    """The scores of one row.

    Attributes:
        numbers: name -> value, None where there is none.
        intervals: name -> `[low, high]` or None.
        drawn: name -> values of the bootstrap, of the same draws for all rows.
    """

    @property
    def numbers(self) -> Numbers: ...

    @property
    def intervals(self) -> Intervals: ...

    @property
    def drawn(self) -> Mapping[str, np.ndarray]: ...


def difference(
    first: str, second: str, scores: Mapping[str, Scored], groups: int
) -> dict[str, Any]:
    """Compare two rows on the same draws.

    Args:
        first: a row.
        second: another one.
        scores: of both.
        groups: how many were drawn from.

    Returns:
        "first", "second", "difference" (name -> first less second) and "intervals".
    """
    one, other = scores[first], scores[second]
    gain: dict[str, float | None] = {}
    for name, value in one.numbers.items():
        known = other.numbers[name]
        gain[name] = None if value is None or known is None else value - known
    between = paired_difference(one.drawn, other.drawn, groups)
    return {
        "first": first,
        "second": second,
        "difference": gain,
        "intervals": between,
    }


def cell(value: Any) -> Any:
    """Return a number with the digits that differences of rows need.

    >>> cell(0.5), cell(None), cell(3)
    ('0.50000', '', 3)
    """
    if value is None:
        return ""
    return f"{value:.5f}" if isinstance(value, float) else value


def cells(numbers: Numbers, intervals: Intervals) -> dict[str, Any]:
    """Return the cells of scores, each followed by the ends of its interval.

    >>> cells({"f1": 0.5}, {"f1": None})
    {'f1': '0.50000', 'f1_low': '', 'f1_high': ''}
    """
    line: dict[str, Any] = {}
    for name, value in numbers.items():
        low, high = intervals[name] or (None, None)
        line |= {name: cell(value), f"{name}_low": cell(low)}
        line[f"{name}_high"] = cell(high)
    return line


def difference_cells(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cells of what `difference` returned."""
    line = {"first": one["first"], "second": one["second"]}
    return line | cells(one["difference"], one["intervals"])


def shown(value: float | None) -> str:
    """Return a number for a terminal.

    >>> shown(0.1234), shown(None)
    ('0.123', '-')
    """
    return "-" if value is None else f"{value:.3f}"


def shown_interval(interval: Sequence[float] | None) -> str:
    """Return an interval for a terminal.

    >>> shown_interval([0.1, 0.25])
    '0.100 to 0.250'
    """
    low, high = interval or (None, None)
    return f"{shown(low)} to {shown(high)}"
