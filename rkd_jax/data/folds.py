"""Divide images into folds: by group, alike in their classes, the same everywhere.

    parts = divide(data, {"train": 7, "val": 1, "test": 2}, seed=0)
    train, test = cross_validation(data, fold=0, count=5, seed=0)

The result depends on the seed, the names of the groups and their classes alone: not on
the order of the images, on the machine or on the version of a library, which the result
of scikit-learn's `StratifiedGroupKFold` does.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np

from rkd_jax.data.class_data import ClassData, check_apart, in_order

PARTS = ("train", "val", "test")
SHARES = (7, 1, 2)
"""Of training, validation and test, where nothing else is asked for."""


def fold_numbers(
    labels: Sequence[int] | np.ndarray,
    groups: Sequence[str],
    shares: Sequence[int],
    *,
    seed: int,
) -> np.ndarray:
    """Give each image a fold; images of one group share theirs.

    The groups are dealt out one by one: first those with large shares of a class, in
    random order where these are equal. Each goes where the sum over folds and classes
    of (share of the class in the fold)^2 / (share of the fold) grows least. For groups
    of one image this is Webster's rule of apportionment, class by class.

    Args:
        labels: int `[N]`, the classes.
        groups: the groups, `[N]`.
        shares: sizes of the folds relative to each other, whole numbers above 0; all
            1 for cross-validation.
        seed: of the order.

    Returns:
        int `[N]`, from 0 to the number of folds less 1.

    Raises:
        ValueError: fewer than two folds, a share that is none, or fewer groups than
            folds.

    >>> numbers = fold_numbers([0, 0, 1, 1], ["a", "b", "c", "d"], [1, 1], seed=0)
    >>> sorted(numbers[:2].tolist()), sorted(numbers[2:].tolist())
    ([0, 1], [0, 1])
    """
    names, members = np.unique(np.asarray(groups, str), return_inverse=True)
    whole = all(share == int(share) > 0 for share in shares)
    if not (2 <= len(shares) <= len(names) and whole):
        raise ValueError(
            f"folds of the sizes {', '.join(map(str, shares))}; expected 2 to "
            f"{len(names)} folds, the number of groups, of whole sizes above 0"
        )
    common = math.gcd(*map(int, shares))  # so that 70 and 30 are 7 and 3
    shares = [int(share) // common for share in shares]
    labels = np.asarray(labels)
    counts = np.zeros((len(names), int(labels.max()) + 1), int)
    np.add.at(counts, (members, labels), 1)
    unit = np.maximum(counts.sum(axis=0), 1) ** 2
    # Counts are whole and sums exact, so that all machines find the same ties.
    weights = [math.fsum(row) for row in (counts**2 / unit).tolist()]
    order = sorted(
        range(len(names)), key=lambda g: (-weights[g], _draw(names[g], seed))
    )
    held = np.zeros((len(shares), counts.shape[1]), int)
    fold = np.zeros(len(names), int)
    for group in order:
        own = counts[group]
        growth = [math.fsum(row) for row in ((2 * held + own) * own / unit).tolist()]
        sizes = held.sum(axis=1).tolist()
        fold[group] = min(
            range(len(shares)),
            key=lambda k: (growth[k] / shares[k], sizes[k] / shares[k], k),
        )
        held[fold[group]] += own
    return fold[members]


def divide(
    data: ClassData, shares: Mapping[str, int], *, seed: int
) -> dict[str, ClassData]:
    """Divide images into parts of given sizes, by group and alike in their classes.

    Args:
        data: the images.
        shares: size of each part, whole numbers: {"train": 7, "val": 1, "test": 2}.
        seed: of the division.

    Raises:
        ValueError: see `fold_numbers`, or a part without an image.
    """
    numbers = _numbers(data, list(shares.values()), seed)
    return {
        name: _taken(data, numbers == number, name)
        for number, name in enumerate(shares)
    }


def cross_validation(
    data: ClassData, fold: int, count: int, *, seed: int
) -> tuple[ClassData, ClassData]:
    """Return the images of all folds but one, and those of that one.

    Args:
        data: the images.
        fold: which fold to leave out, 0 .. count - 1.
        count: number of folds.
        seed: of the division.

    Raises:
        ValueError: no such fold, or see `fold_numbers`.
    """
    if not 0 <= fold < count:
        raise ValueError(f"fold is {fold}; expected 0 to {count - 1}")
    numbers = _numbers(data, [1] * count, seed)
    others, own = numbers != fold, numbers == fold
    return _taken(data, others, "other folds"), _taken(data, own, f"fold {fold}")


def parts(
    data: ClassData,
    shares: Sequence[int] = SHARES,
    *,
    seed: int,
    folds: int = 0,
    fold: int = 0,
) -> dict[str, ClassData]:
    """Return the images to train on, to choose by, and to score.

    Published folds "train", "val" and "test" stay as they are. What is missing of them
    is taken from the training part, by group. Published folds that are numbered are
    those of cross-validation.

    Args:
        data: the images.
        shares: of "train", "val" and "test", as far as they are divided here.
        seed: of the division.
        folds: of cross-validation, whose test part is one fold; 0: none. Published
            folds that are not numbered do not count then.
        fold: which, from 0; of numbered ones, its place in their order.

    Raises:
        ValueError: see `divide`; images or groups in two published folds; published
            folds of other names, without "train", or numbered and not asked for.

    >>> import pathlib
    >>> from rkd_jax.data.class_data import Labeled
    >>> items = [Labeled(name, pathlib.Path(name), 0, name, "train") for name in "abcd"]
    >>> found = parts(ClassData(tuple(items), ("x",)), (2, 1, 1), seed=0)
    >>> {name: len(part) for name, part in found.items()}
    {'train': 2, 'val': 1, 'test': 1}
    """
    sizes = dict(zip(PARTS, shares, strict=True))
    found: dict[str, ClassData] = {}
    if _numbered(data):
        data, found["test"] = _published_fold(data, fold, folds)
    elif folds:
        data, found["test"] = cross_validation(data, fold, folds, seed=seed)
    elif data.folds != ("",):
        found = _published_parts(data)
        data = found.pop("train")
    left = {name: size for name, size in sizes.items() if name not in found}
    divided = divide(data, left, seed=seed) if len(left) > 1 else {"train": data}
    found |= divided
    check_apart(found)
    return {name: found[name] for name in sizes}


def _numbered(data: ClassData) -> bool:
    return len(data.folds) > 1 and all(name.isdecimal() for name in data.folds)


def _published_fold(
    data: ClassData, fold: int, count: int
) -> tuple[ClassData, ClassData]:
    """Return the images of all numbered folds but one, and those of that one."""
    names = in_order(data.folds)
    if count != len(names):
        asked = f"{count} folds are" if count else "no cross-validation is"
        raise ValueError(
            f"{_place(data)}: the folds are numbered {', '.join(names)}, but {asked} "
            f"asked for; set config.data.folds to {len(names)} and config.data.fold to "
            f"one of 0 to {len(names) - 1} (--cross_validation of evaluate), write "
            f"{', '.join(PARTS)}, or {_without(data)}"
        )
    if not 0 <= fold < count:
        raise ValueError(f"fold is {fold}; expected 0 to {count - 1}")
    others = np.array([item.fold != names[fold] for item in data.items])
    return data.take(np.flatnonzero(others)), data.fold(names[fold])


def _published_parts(data: ClassData) -> dict[str, ClassData]:
    """Return the folds "train", "val" and "test" as far as they are there."""
    unknown = [name for name in data.folds if name not in PARTS]
    if unknown:
        first = next(item for item in data.items if item.fold == unknown[0])
        raise ValueError(
            f"{_place(data)}: the folds are {', '.join(map(repr, data.folds))}; "
            f"expected {', '.join(PARTS)}, but {first.where} has {unknown[0]!r}: "
            f"correct it, or {_without(data)}"
        )
    if "train" not in data.folds:
        raise ValueError(
            f"{_place(data)}: the folds are {', '.join(data.folds)}; none is train: "
            f"call the images to train on so, or {_without(data)}"
        )
    return {name: data.fold(name) for name in PARTS if name in data.folds}


def _place(data: ClassData) -> str:
    column = f", column {data.fold_column!r}" if data.fold_column else ""
    return f"{data.origin}{column}"


def _without(data: ClassData) -> str:
    """Return how to have the images divided here."""
    if data.fold_column:
        return (
            f"leave column {data.fold_column!r} out (or rename it) to divide by group"
        )
    return "put all images in one part, train, to divide them by group"


def _numbers(data: ClassData, shares: Sequence[int], seed: int) -> np.ndarray:
    try:
        return fold_numbers(data.labels, data.groups, shares, seed=seed)
    except ValueError as error:
        raise ValueError(f"{data.origin}: {error}") from error


def _taken(data: ClassData, chosen: np.ndarray, name: str) -> ClassData:
    if not chosen.any():
        raise ValueError(
            f"{data.origin}: no image for {name}: too few groups for a part of this "
            "size; make it larger"
        )
    return data.take(np.flatnonzero(chosen))


def _draw(name: str, seed: int) -> bytes:
    """Return a random number of a group, which depends on its name and the seed."""
    text = f"{seed} {name}".encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).digest()
