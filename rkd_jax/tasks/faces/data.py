"""The faces of a run: those that it trains on and those that it is evaluated on."""

from typing import Any

import numpy as np

from rkd_jax.config import Config
from rkd_jax.data.source import CachedSource
from rkd_jax.tasks.faces import crops
from rkd_jax.tasks.faces.config import FacesConfig, FacesDataConfig


def training_faces(config: Config) -> crops.FaceRecords:
    """Return the source of faces that a run trains on.

    A face without labels teaches something only by a teacher; without one, such faces
    are left out.
    """
    data = FacesDataConfig.of(config)
    return _source(
        data,
        split=data.val_split if data.fold >= 0 else data.train_split,
        count=data.synthetic_labeled,
        unlabeled=data.synthetic_unlabeled if FacesConfig.of(config).distill else 0,
        seed=config.seed,
    )


def held_out_faces(config: Config) -> CachedSource:
    """Return held-out faces: `image [C, C, 1]` as networks see it, and `landmarks`.

    Synthetic ones, or those of the list `val_split`, or of its part `data.fold`: at
    most `loop.eval_pairs`, spread over the list.
    """
    data = FacesDataConfig.of(config)
    count = config.loop.eval_pairs
    source = _source(data, split=data.val_split, count=count, held_out=True)
    side = data.crop or data.size
    low = (data.size - side) // 2
    chosen = np.linspace(0, len(source) - 1, min(len(source), count))
    indices = [int(i) for i in chosen.round()]

    def make(number: int) -> dict[str, np.ndarray]:
        record = source[indices[number]]
        return {
            "image": record["image"][low : low + side, low : low + side],
            "landmarks": record["landmarks"] - np.float32(low),
        }

    names = [source.names[i] for i in indices]
    # The source keeps the crops that it has made.
    return CachedSource(make, names)


def _source(data: FacesDataConfig, **parts: Any) -> crops.FaceRecords:
    return crops.make_source(
        data.kind,
        size=data.size,
        box_scale=data.box_scale * data.size / (data.crop or data.size),
        cache_mb=data.cache_mb,
        data_dir=data.data_dir or None,
        fold=data.fold,
        folds=data.folds,
        **parts,
    )
