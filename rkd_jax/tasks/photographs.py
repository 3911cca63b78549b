"""Photographs of eyes as training data: which ones, and how they are read."""

import dataclasses
from typing import TYPE_CHECKING, Any

from rkd_jax.config import DataConfig, choice, count, path

if TYPE_CHECKING:
    from rkd_jax.data.records import Records


@dataclasses.dataclass
class PhotographsConfig(DataConfig):
    """Photographs, labeled with keypoints or not."""

    kind: str = choice("synthetic", "synthetic", "superretina", "folder", "tfds")
    # Name of the prepared TFDS data set (tfds).
    tfds_name: str = ""
    # Folder of further images without labels (superretina).
    auxiliary_dir: str = path(free=True)
    # Leave out listed samples whose files are missing, with a warning (superretina).
    skip_missing: bool = False
    # Cut images to the field of view before resizing.
    crop_field: bool = True
    # fit: keep the aspect and pad | stretch: make a square of any image, as upstream.
    resize_mode: str = choice("fit", "fit", "stretch")
    # Rows of the padded keypoint array; an image with more labels is refused.
    max_labels: int = count(512, least=1)

    def check(self) -> None:
        """Check what fields must be together; see `DataConfig.check`."""
        DataConfig.check(self)
        if self.kind == "tfds" and not self.tfds_name:
            raise ValueError(
                "config.data.kind is 'tfds' but config.data.tfds_name is empty; "
                "give the name of the prepared data set"
            )


def training_photographs(data: PhotographsConfig, *, seed: int) -> "Records":
    """Return the source of photographs that a run trains on.

    Args:
        data: which ones.
        seed: of synthetic photographs.
    """
    if data.kind == "synthetic":
        return _make_source(
            data,
            count=data.synthetic_labeled,
            unlabeled=data.synthetic_unlabeled,
            seed=seed,
        )
    arguments: dict[str, Any] = {}
    if data.kind == "tfds":
        arguments["name"] = data.tfds_name
    if data.kind != "folder":
        arguments["split"] = data.train_split
    if data.kind == "superretina":
        arguments["auxiliary_dir"] = data.auxiliary_dir or None
        arguments["skip_missing"] = data.skip_missing
    return _make_source(data, data_dir=data.data_dir, **arguments)


def validation_photographs(data: PhotographsConfig) -> "Records":
    """Return the photographs of `data.val_split`, for the kind `superretina`."""
    return _make_source(
        data,
        data_dir=data.data_dir,
        split=data.val_split,
        skip_missing=data.skip_missing,
    )


def _make_source(data: PhotographsConfig, **arguments: Any) -> "Records":
    from rkd_jax.data.sources import make_source

    return make_source(
        data.kind,
        size=data.size,
        max_labels=data.max_labels,
        crop_field=data.crop_field,
        resize_mode=data.resize_mode,
        cache_mb=data.cache_mb,
        **arguments,
    )
