"""The images of a run: read, divided into parts, prepared."""

from __future__ import annotations

import dataclasses
import functools
import json
import threading
import weakref

from rkd_jax.classification.prepare import prepare
from rkd_jax.config import Config, as_dict
from rkd_jax.data import class_layouts, class_sources, folds
from rkd_jax.data.class_data import ClassData, check_training
from rkd_jax.data.class_tables import Columns
from rkd_jax.data.source import CachedSource
from rkd_jax.tasks.classification.config import ClassificationData

DRAWN_PX = 1.5
"""Side of a drawn eye to that of the network's square, so that it is resized as real
photographs are."""
_lock = threading.Lock()
_known: dict[str, dict[str, ClassData]] = {}
_sources: weakref.WeakValueDictionary[str, CachedSource] = weakref.WeakValueDictionary()


def parts(data: ClassificationData) -> dict[str, ClassData]:
    """Return the images to train on ("train"), to choose by ("val"), to score ("test").

    What was read last stays in memory: the runs of an experiment share it.

    Raises:
        FileNotFoundError, ValueError: the data are missing or bad, or lack a class.
    """
    key = _key(data)
    with _lock:
        if key not in _known:
            found = _drawn(data) if data.kind == "synthetic" else _divided(data)
            check_training(found["train"])
            _known.clear()
            _known[key] = found
        return _known[key]


def _key(data: ClassificationData) -> str:
    """Return what images depend on; how they are batched does not matter."""
    return json.dumps(as_dict(dataclasses.replace(data, batch_size=1)))


def _drawn(data: ClassificationData) -> dict[str, ClassData]:
    """Return drawn eyes, imbalanced as in screening; all grades alike in the test."""
    counts = class_sources.share_out(
        data.synthetic_labeled, class_layouts.APTOS2019_COUNTS
    )
    each = max(data.synthetic_unlabeled // len(counts), 1)
    size = max(64, round(DRAWN_PX * data.size))  # smaller ones cannot be drawn
    draw = functools.partial(class_sources.drawn_grades, size=size)
    return {
        "train": draw(counts, seed=data.split_seed, part="train"),
        "val": draw((each,) * len(counts), seed=2 * data.split_seed, part="val"),
        "test": draw((each,) * len(counts), seed=2 * data.split_seed + 1, part="val"),
    }


def _divided(data: ClassificationData) -> dict[str, ClassData]:
    return folds.parts(
        _read(data),
        data.shares,
        seed=data.split_seed,
        folds=data.folds,
        fold=data.fold,
    )


def _read(data: ClassificationData) -> ClassData:
    if data.kind == "tfds":
        return class_sources.prepared_classes(data.data_dir, data.name)
    table = data.kind == "table"
    columns = Columns(
        data.image_column, data.class_column, data.group_column, data.fold_column
    )
    return class_layouts.read(
        data.kind,
        data.data_dir,
        labels=data.table if table else None,
        columns=columns if table else None,
        classes=data.classes,
        ordered=data.ordered or None,
    )


def source(config: Config, part: str) -> CachedSource:
    """Return random access to the prepared images of a part.

    The runs of an experiment share it in memory.

    Args:
        config: of the run.
        part: "train", "val" or "test".

    Raises:
        FileNotFoundError, ValueError: see `parts`.
    """
    data = ClassificationData.of(config)
    images, key = parts(data)[part], f"{_key(data)} {part}"
    with _lock:
        found = _sources.get(key)
        if found is None:
            found = _sources[key] = class_sources.class_source(
                images,
                functools.partial(prepare, size=data.size, crop_field=data.crop_field),
                cache_mb=data.cache_mb,
            )
    return found
