"""TFDS builders, one file a data set: official layouts in, ArrayRecord files out.

    python -m rkd_jax.data.builders drive RAW_DIR DATA_DIR

or in Python

    builder = builders.build("drive", raw_dir="DRIVE", data_dir="prepared")
    builder.download_and_prepare()
    builder.as_data_source(split="train")[0]["image"]

Nothing is downloaded and TensorFlow is never needed. PNG and JPEG files are stored
byte for byte, other formats as lossless PNG. Data sets without official parts have one
split, "train".
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any

BUILDERS = {
    "aptos2019": "Aptos2019",
    "chase_db1": "ChaseDb1",
    "drive": "Drive",
    "eyepacs": "Eyepacs",
    "fire": "Fire",
    "ham10000": "Ham10000",
    "hrf": "Hrf",
    "idrid": "Idrid",
    "idrid_segmentation": "IdridSegmentation",
    "image_folder": "ImageFolder",
    "medal_retina": "MedalRetina",
    "stare": "Stare",
    "wflw": "Wflw",
}


def check_array_record() -> None:
    """Refuse to prepare or read a data set where its format cannot be read.

    Raises:
        OSError: `array_record` is not installed: it has no wheel for Windows.
    """
    if importlib.util.find_spec("array_record") is None:
        raise OSError(
            "array_record cannot be imported, which has no wheel for Windows: prepared "
            "data sets need it; train on the images themselves, with data.kind folder, "
            "superretina or wflw"
        )


def build(
    name: str,
    *,
    data_dir: str | os.PathLike[str],
    raw_dir: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Any:
    """Make the TFDS builder of a data set.

    Args:
        name: a key of `BUILDERS`.
        data_dir: folder of prepared data sets (TFDS adds NAME/VERSION).
        raw_dir: the data set as published, unpacked; needed to prepare it only.
        **options: of the builder: `auxiliary_dir` and `skip_missing` of medal_retina.

    Returns:
        A `tfds.core.GeneratorBasedBuilder`.

    Raises:
        ValueError: unknown name.
        TypeError: an option that this builder does not have.
        NotADirectoryError: `data_dir` is a file.
        OSError: see `check_array_record`.
    """
    check_array_record()
    if name not in BUILDERS:
        raise ValueError(f"unknown data set {name!r}; known: {', '.join(BUILDERS)}")
    module = importlib.import_module(f"{__name__}.{name}")
    cls = getattr(module, BUILDERS[name])
    return cls(raw_dir=raw_dir, data_dir=os.fspath(data_dir), **options)
