"""The images that `evaluate classification` scores: what it needs, and how it reads it.

Of `rkd_jax.data.class_data.ClassData` it takes names, images, labels, groups and the
names of the classes, nothing else. The order of the classes is that of the weights.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rkd_jax.data import class_layouts, folds
from rkd_jax.data.class_data import ClassData, Labeled, fold_name
from rkd_jax.data.class_sources import prepared_classes
from rkd_jax.data.class_tables import Columns
from rkd_jax.evaluation.arguments import read_names
from rkd_jax.files import own_files

TEST = "test"
"""The fold that is scored where data have one."""
TFDS = "tfds"
"""The layout of prepared data sets, as in `config.data.kind`."""
_COLUMNS = ("image", "class", "group", "fold")


def read_data(args: argparse.Namespace, classes: Sequence[str]) -> ClassData:
    """Read the images that the arguments of the command name.

    Args:
        args: `data_dir`, `layout`, `name`, `labels`, the columns, `split_seed`,
            `shares`, `cross_validation`, `fold` and `images`.
        classes: of the weights.

    Returns:
        The images; their labels are numbers of `classes`.

    Raises:
        OSError, ValueError: data are missing or bad, or a class is none of the weights;
            the message names file and row.
    """
    data = _read(args)
    if args.split_seed is not None:
        data = _divided(data, args)
    elif args.shares or args.cross_validation:
        raise ValueError(
            "--shares and --cross_validation say how --split_seed divides the data; "
            "give it as well, as config.data.split_seed was in training"
        )
    elif args.fold is not None:
        data = data.fold(args.fold)
    elif TEST in data.folds:
        data = data.fold(TEST)
    elif len(data.folds) > 1 and args.images is None:
        raise ValueError(
            f"{data.origin}: the data have the folds {', '.join(data.folds)}, and none "
            "is test; say which to score with --fold, list the images with --images, "
            "or divide them as in training with --split_seed"
        )
    return in_classes(_chosen(data, args.images), classes)


def _divided(data: ClassData, args: argparse.Namespace) -> ClassData:
    """Return the part to score of data that are divided as in training."""
    shares = args.shares or folds.SHARES
    if min(shares) < 1:
        raise ValueError(f"--shares {shares}: expected three whole numbers above 0")
    count, number = args.cross_validation or (0, 0)
    if args.cross_validation and not (count >= 2 and 0 <= number < count):
        raise ValueError(
            f"--cross_validation {count} {number}: expected at least 2 folds, and the "
            "number of one of them, from 0"
        )
    parts = folds.parts(data, shares, seed=args.split_seed, folds=count, fold=number)
    wanted = TEST if args.fold is None else fold_name(args.fold)
    if wanted not in parts:
        raise ValueError(
            f"--fold {wanted}: with --split_seed it is one of {', '.join(parts)}"
        )
    return parts[wanted]


def trained_on(
    args: argparse.Namespace, data: ClassData, recipe: Mapping[str, Any]
) -> bool:
    """Return whether a network was trained on part of a folder that is all scored.

    Args:
        args: those of `read_data`.
        data: what it returned.
        recipe: of the weights.
    """
    chosen = args.split_seed is not None or args.fold is not None or args.images
    if chosen or TEST in data.folds:
        return False
    known = recipe.get("config", {}).get("data", {}).get("data_dir", "")
    return bool(known) and known == pathlib.Path(args.data_dir).resolve().name


def _read(args: argparse.Namespace) -> ClassData:
    """Return all images of the data."""
    layout = args.layout or ("folders" if args.labels is None else "table")
    known = (*class_layouts.LAYOUTS, TFDS)
    if layout not in known:
        raise ValueError(f"unknown layout {layout!r}; known: {', '.join(known)}")
    if (layout == TFDS) != (args.name is not None):
        raise ValueError(
            f"layout {layout!r} {'with' if args.name else 'without'} --name; a "
            "prepared data set has both: --layout tfds --name aptos2019"
        )
    given = {k: getattr(args, f"{k}_column") for k in _COLUMNS}
    if layout == TFDS:
        if args.labels is not None or any(given.values()):
            raise ValueError(
                "a prepared data set has its classes: leave out --labels and columns"
            )
        return prepared_classes(args.data_dir, args.name)
    named = None
    if any(given.values()):
        named = Columns(
            image=given["image"] or Columns.image,
            label=given["class"] or Columns.label,
            group=given["group"] or Columns.group,
            fold=given["fold"] or Columns.fold,
        )
    return class_layouts.read(layout, args.data_dir, labels=args.labels, columns=named)


def _chosen(data: ClassData, path: str | None) -> ClassData:
    """Return the images of a list of names."""
    names = read_names(path, "--images")
    if names is None:
        return data
    number = {name: at for at, name in enumerate(data.names)}
    missing = [name for name in names if name not in number]
    if missing or not names:
        there = ", ".join(data.names[:5]) + ", ..." * (len(data) > 5)
        raise ValueError(
            f"{path}: no images {missing[:5] or '(the list is empty)'}; there are "
            f"{there} ({len(data)} in all)"
        )
    return data.take(sorted({number[name] for name in names}))


def in_classes(data: ClassData, classes: Sequence[str]) -> ClassData:
    """Return data whose labels are numbers of other classes, by their names.

    Args:
        data: the images.
        classes: names, of the weights.

    Raises:
        ValueError: an image has a class that is none of them; the message names its
            row.
    """
    number = {name: at for at, name in enumerate(classes)}
    items = []
    for item in data.items:
        name = data.classes[item.label]
        if name not in number:
            raise ValueError(
                f"{item.where}: {item.name} has class {name!r}, which the weights were "
                f"not trained on; they know {', '.join(classes)}"
            )
        items.append(dataclasses.replace(item, label=number[name]))
    return ClassData(tuple(items), tuple(classes), data.ordered, data.origin)


def digest_of(item: Labeled) -> str:
    """Return the SHA-256 of an image: of its file, or of its pixels without one."""
    if isinstance(item.image, pathlib.Path):
        return own_files.digest(item.image)
    pixels = item.read()
    shape = np.array(pixels.shape).tobytes()
    return hashlib.sha256(shape + pixels.tobytes()).hexdigest()


def files_of(data: ClassData) -> list[pathlib.Path]:
    """Return the files of the images that have one."""
    images = (item.image for item in data.items)
    return [image for image in images if isinstance(image, pathlib.Path)]
