"""Variables of a weights file in place of fresh ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np

PyTree = Any


def merge(fresh: PyTree, given: PyTree, path: str = "") -> PyTree:
    """Return `fresh` with the arrays that `given` has instead of its own.

    Args:
        fresh: nested dicts of arrays.
        given: the same, or some branches of it.
        path: of both, for errors.

    Raises:
        ValueError: `given` has an array that `fresh` has not, or in another shape.

    >>> merge({"a": np.zeros(1), "b": {"c": np.zeros(1)}}, {"b": {"c": np.ones(1)}})
    {'a': array([0.]), 'b': {'c': array([1.])}}
    """
    if not isinstance(fresh, Mapping) and not isinstance(given, Mapping):
        if np.shape(given) != np.shape(fresh):
            raise ValueError(
                f"start weights: {path} has the shape {np.shape(given)}; this network "
                f"has {np.shape(fresh)} there"
            )
        return given
    if not (isinstance(fresh, Mapping) and isinstance(given, Mapping)):
        raise ValueError(f"start weights: {path} is an array on one side only")
    strange = sorted(given.keys() - fresh.keys())
    if strange:
        raise ValueError(
            f"start weights: {path or 'the file'} holds {', '.join(strange)}, which "
            f"this network has not; it has {', '.join(sorted(fresh))}"
        )
    return {
        name: merge(branch, given[name], f"{path}/{name}".lstrip("/"))
        if name in given
        else branch
        for name, branch in fresh.items()
    }
