"""What all builders share: the raw folder, image bytes, features."""

from __future__ import annotations

import gzip
import io
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from rkd_jax.data import lab, reading

_KEPT = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")  # signatures of PNG and JPEG
_GREY = ("1", "L", "I;16", "I")


def stored_bytes(path: pathlib.Path) -> bytes:
    """Return the bytes to store of an image file: PNG and JPEG as they are, else PNG.

    Raises:
        ValueError: an empty or damaged file.
    """
    data = path.read_bytes()
    if path.suffix.lower() == ".gz":
        data = gzip.decompress(data)
    if data.startswith(_KEPT):
        return data
    image = reading.without_palette(reading.open_image(data, name=str(path)))
    if image.mode not in (*_GREY, "LA", "RGB", "RGBA"):
        image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def image_feature(channels: int = 3) -> tfds.features.Image:
    """Return the feature of an encoded image."""
    return tfds.features.Image(shape=(None, None, channels))


def encoded(path: pathlib.Path) -> io.BytesIO:
    """Return an image file in the form that TFDS stores without re-encoding."""
    return io.BytesIO(stored_bytes(path))


def find(folder: pathlib.Path, stems: Iterable[str]) -> list[pathlib.Path]:
    """Return the images in a folder with one of these names (without suffix)."""
    if not folder.is_dir():
        return []
    by_stem = {_stem(path): path for path in folder.iterdir() if _is_image(path)}
    return [by_stem[stem] for stem in stems if stem in by_stem]


def images(folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the images of a folder, gzipped ones too, sorted by name."""
    return sorted(path for path in folder.iterdir() if _is_image(path))


def _is_image(path: pathlib.Path) -> bool:
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return lab.is_image(plain)


def _stem(path: pathlib.Path) -> str:
    return pathlib.Path(path.stem).stem if path.suffix == ".gz" else path.stem


class RawBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A builder that reads an unpacked data set and writes ArrayRecord files.

    Args:
        raw_dir: the data set as published, unpacked; needed to prepare it only.
        **options: of `tfds.core.GeneratorBasedBuilder`, `data_dir` for example.
    """

    VERSION = tfds.core.Version("1.0.0")
    # Nothing is downloaded, so there are no checksums. TFDS would look for them with
    # importlib_resources, which it does not install.
    url_infos = None
    _checksums_path = None
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}
    # What raw_dir must hold, for the error message; paths of which all must exist.
    layout: ClassVar[str] = ""
    required: ClassVar[Sequence[str]] = ()

    def __init__(self, *, raw_dir: str | os.PathLike | None = None, **options: Any):
        self.raw_dir = None if raw_dir is None else pathlib.Path(raw_dir)
        super().__init__(file_format="array_record", **options)

    def raw(self) -> pathlib.Path:
        """Return the raw folder, checked against the layout."""
        if self.raw_dir is None:
            raise ValueError(f"{self.name}: give raw_dir, a folder with {self.layout}")
        lacking = [n for n in self.required if not (self.raw_dir / n).exists()]
        if not self.raw_dir.is_dir() or lacking:
            found = (
                "no such folder"
                if not self.raw_dir.is_dir()
                else (f"no {', '.join(lacking)} in it")
            )
            raise FileNotFoundError(
                f"{self.raw_dir}: {found}; {self.name} expects {self.layout}"
            )
        return self.raw_dir

    def describe(
        self, features: dict[str, Any], homepage: str | None = None
    ) -> tfds.core.DatasetInfo:
        """Return the `DatasetInfo`; the description is the class docstring."""
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage=homepage,
            disable_shuffling=True,
        )

    def checked(self, paths: Sequence[pathlib.Path]) -> Sequence[pathlib.Path]:
        """Return `paths`, or raise an error with the layout if there is none."""
        if not paths:
            raise ValueError(
                f"{self.raw_dir}: no images found; {self.name} expects {self.layout}"
            )
        return paths


def vessel_features() -> dict[str, Any]:
    """Return the features that the vessel data sets share.

    "vessels": the observers' masks in order, none where there is none; "field": the
    mask of the field of view, if published.
    """
    return {
        "name": tfds.features.Text(),
        "image": image_feature(),
        "vessels": tfds.features.Sequence(image_feature(1)),
        "field": tfds.features.Sequence(image_feature(1)),
    }


def vessel_example(
    path: pathlib.Path,
    vessels: Sequence[pathlib.Path],
    field: Sequence[pathlib.Path] = (),
) -> dict[str, Any]:
    """Return one example of `vessel_features`."""
    return {
        "name": _stem(path),
        "image": encoded(path),
        "vessels": [encoded(p) for p in vessels],
        "field": [encoded(p) for p in field],
    }


def numbered(examples: Iterable[dict[str, Any]]) -> Iterator[tuple[int, dict]]:
    """Number examples: with shuffling off, TFDS sorts by these keys."""
    return enumerate(examples)
