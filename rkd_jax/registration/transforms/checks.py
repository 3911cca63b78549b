"""Checks of the parameters of a transform; errors name the parameter."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


def check_keys(cls: type, given: Mapping[str, Any], prefix: str = "") -> None:
    """Refuse keys that are not the names of a dataclass's fields.

    Args:
        cls: the dataclass.
        given: by key.
        prefix: goes before the name of a key in the error.

    Raises:
        ValueError: a key is missing, or not known.
    """
    names = {field.name for field in dataclasses.fields(cls)}
    expected = f"expected {', '.join(sorted(names))}"
    for key in sorted(names - given.keys()):
        raise ValueError(f"{prefix}{key}: missing; {expected}")
    for key in sorted(given.keys() - names):
        raise ValueError(f"{prefix}{key}: not a parameter; {expected}")


def finite_array(name: str, value: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    """Return float64 of a shape (None: any length); refuse anything else.

    >>> finite_array("center", [1, 2], (2,)).tolist()
    [1.0, 2.0]
    """
    sides = "x".join("N" if n is None else str(n) for n in shape)
    wanted = f"{sides} numbers" if shape else "a number"
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}: expected {wanted}, found {value!r:.60}") from None
    fits = array.ndim == len(shape) and all(
        expected in (None, found)
        for expected, found in zip(shape, array.shape, strict=True)
    )
    if not fits:
        found = "x".join(map(str, array.shape)) or "one"
        raise ValueError(f"{name}: expected {wanted}, found {found}")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name}: expected finite numbers, found NaN or infinity")
    return array


def positive(name: str, value: Any) -> float:
    """Return a finite number above 0; refuse anything else."""
    number = float(finite_array(name, value, ()))
    if not number > 0:
        raise ValueError(f"{name}: expected a number above 0, found {number:g}")
    return number
