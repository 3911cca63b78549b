"""Images with one class each as training reads them; drawn and prepared ones.

data = drawn_grades(share_out(400, APTOS2019_COUNTS), seed=0)
source = class_source(data, functools.partial(prepare, size=128, crop_field=False))
source[0]["image"], source[0]["label"]
"""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rkd_jax.data.class_data import ClassData, Labeled
from rkd_jax.data.class_layouts import GRADES
from rkd_jax.data.source import CachedSource, Example
from rkd_jax.data.sources import open_prepared, prepared_splits, synthetic_seed

_LABELS = {"idrid": "retinopathy_grade"}
"""Feature with the class, of prepared data sets that have no "label"."""
_VESSELS = 0.5  # fewer branches are drawn in less time
_ORDERED = ("aptos2019", "eyepacs", "idrid")


def class_source(
    data: ClassData,
    prepare: Callable[[np.ndarray], np.ndarray],
    *,
    cache_mb: float = 0,
) -> CachedSource:
    """Return random access to prepared images with their classes.

    Examples are "image" as `prepare` returns it, "label" int32, the class, and "index"
    int32, the number of the image in `data`. The groups of the source, by which a
    sampler chooses, are the classes.

    Args:
        data: the images.
        prepare: makes uint8 `[S, S, 3]` of uint8 RGB `[H, W, 3]`.
        cache_mb: memory for prepared images in MiB; 0 keeps none.

    >>> black = Labeled("a", lambda: np.zeros((4, 4), np.uint8), 1, "a")
    >>> source = class_source(ClassData((black,), ("x", "y")), lambda image: image[:2])
    >>> source[0]["image"].shape, source[0]["label"].item(), source.groups.tolist()
    ((2, 4, 3), 1, [1])
    """

    def make(index: int) -> Example:
        item = data.items[index]
        return {
            "image": prepare(item.read()),
            "label": np.int32(item.label),
            "index": np.int32(index),
        }

    return CachedSource(make, data.names, groups=data.labels, cache_mb=cache_mb)


def share_out(count: int, shares: Sequence[float]) -> tuple[int, ...]:
    """Return how many images each class gets: by largest remainder, but at least one.

    Args:
        count: of all images.
        shares: of the classes, above 0, in any unit.

    Raises:
        ValueError: fewer images than classes, or a share that is none.

    >>> share_out(20, (1805, 370, 999, 193, 295)), share_out(4, (98, 1, 1))
    ((10, 2, 5, 1, 2), (2, 1, 1))
    """
    if not (count >= len(shares) > 0 and min(shares) > 0):
        raise ValueError(
            f"{count} images of classes with the shares {', '.join(map(str, shares))}; "
            "expected shares above 0, and at least one image of each class"
        )
    exact = [count * share / sum(shares) for share in shares]
    counts = [int(value) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda k: counts[k] - exact[k])
    for k in by_remainder[: count - sum(counts)]:
        counts[k] += 1
    while 0 in counts:
        counts[counts.index(max(counts))] -= 1
        counts[counts.index(0)] += 1
    return tuple(counts)


def drawn_grades(
    counts: Sequence[int],
    *,
    seed: int = 0,
    part: str = "train",
    size: int = 128,
    contrast: float = 1.5,
) -> ClassData:
    """Return drawn eyes whose lesions make their grade; each is drawn when it is read.

    Args:
        counts: how many eyes of each grade, from 0 on.
        seed: of the eyes.
        part: "train" or "val": no eye is in both.
        size: of the photographs, px.
        contrast: of the lesions; the smaller, the harder the grades are to tell.

    Raises:
        ValueError: more counts than grades, an unknown part, or no eye.

    Example:
        >>> data = drawn_grades((2, 1), size=64)
        >>> data.labels.tolist(), data.items[2].read().shape
        ([0, 0, 1], (64, 64, 3))
    """
    if len(counts) > len(GRADES):
        raise ValueError(f"{len(counts)} counts; expected one for each of 5 grades")
    labels = np.repeat(np.arange(len(counts)), counts).tolist()
    items = []
    for number, grade in enumerate(labels):
        name = f"drawn eye {part} {seed} {number}"
        read = functools.partial(
            _draw, synthetic_seed(part, seed, number), grade, size, contrast
        )
        items.append(Labeled(name, read, grade, name, part, name))
    return ClassData(tuple(items), GRADES, ordered=True, origin="drawn eyes")


def prepared_classes(data_dir: str | os.PathLike[str], name: str | None) -> ClassData:
    """Return the images of a prepared TFDS data set with classes.

    Its splits are folds. Classes and groups are read at once, so every example is read
    once.

    Args:
        data_dir: folder of prepared data sets.
        name: "ham10000", "aptos2019", "eyepacs", or "idrid" (grades of retinopathy).

    Raises:
        OSError, ValueError: it is not prepared, or has no classes.
    """
    root = pathlib.Path(data_dir)
    label = _LABELS.get(name, "label")
    items, classes = [], ()
    splits = prepared_splits(root, name)
    for split in splits:
        features, examples = open_prepared(root, name, split)
        if label not in features:
            raise ValueError(
                f"{name}: its examples have no class; features: {', '.join(features)}"
            )
        classes = tuple(features[label].names)
        # As in the files: names are of one folder where there is one split.
        folder = f"{split}/" if len(splits) > 1 else ""
        for row in range(len(examples)):
            example = examples[row]
            own = f"{folder}{example['name'].decode()}"
            group = example["group"].decode() if "group" in features else own
            read = functools.partial(_encoded, examples, row)
            where = f"{name} {split}, example {row}"
            items.append(Labeled(own, read, int(example[label]), group, split, where))
    return ClassData(tuple(items), classes, name in _ORDERED, f"{data_dir}: {name}")


def _draw(seed: int, grade: int, size: int, contrast: float) -> np.ndarray:
    from rkd_jax.synthetic import fundus

    return fundus.graded(
        seed, grade, size=size, vessels=_VESSELS, contrast=contrast
    ).image


def _encoded(examples: Any, row: int) -> bytes:
    return examples[row]["image"]
