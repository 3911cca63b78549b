"""What all builders share: the raw folder, image bytes, features."""

from __future__ import annotations

import hashlib
import inspect
import io
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from rkd_jax.images import image_files, reading
from rkd_jax.images.pictures import encode_png

_KEPT = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")  # signatures of PNG and JPEG
_LABEL_BYTES = 2**20  # files up to this size, and lists of any, go by their content
_RECORD = "raw_files"  # metadata of a prepared data set: what it was prepared from


def stored_bytes(path: pathlib.Path) -> bytes:
    """Return the bytes to store of an image file: PNG and JPEG as they are, else PNG.

    All are decoded first: what is damaged should stop here, not a night's training.
    What is not kept becomes a PNG as `read_image` sees it: upright, without
    transparency, with 16 bits where the file has more than 8.

    Raises:
        ValueError: an empty or damaged file, one with a side below 32 px or of more
            than 100 megapixels.
    """
    data = image_files.read_bytes(path)
    image = reading.read_image(data, name=str(path))
    reading.check_sides(image.shape[1], image.shape[0], str(path))
    return data if data.startswith(_KEPT) else _as_png(image)


def _as_png(image: np.ndarray) -> bytes:
    """Encode an image that `read_image` gave, with 8 or 16 bits."""
    if image.dtype != np.uint8:
        image = np.rint(image * np.float64(65535)).astype(np.uint16)
    return encode_png(image)


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
    by_stem = {image_files.stem(path): path for path in images(folder)}
    return [by_stem[stem] for stem in stems if stem in by_stem]


def images(folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the images of a folder, gzipped ones too, sorted by name."""
    return sorted(
        path
        for path in folder.iterdir()
        if image_files.is_image(path, gzipped=True) and not path.is_dir()
    )


def fingerprint(folder: pathlib.Path, *, without: pathlib.Path) -> str:
    """Return a digest of a folder's files: names, sizes and, of small ones, contents.

    Args:
        folder: taken with all its subfolders, without hidden files.
        without: a subfolder to leave out, if it lies there.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        hidden = path.name.startswith(".")
        if hidden or not path.is_file() or path.resolve().is_relative_to(without):
            continue
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()} {size}\n".encode())
        if size <= _LABEL_BYTES or path.suffix == ".txt":
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


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

    def __init__(
        self, *, raw_dir: str | os.PathLike[str] | None = None, **options: Any
    ):
        known = inspect.signature(tfds.core.DatasetBuilder.__init__).parameters
        foreign = sorted(set(options) - set(known))
        if foreign:
            raise TypeError(f"{self.name} has no option {', '.join(foreign)}")
        data_dir = pathlib.Path(options.get("data_dir") or ".")
        for part in (data_dir, *data_dir.parents):
            if part.is_file():
                raise NotADirectoryError(f"{part}: a file; data_dir must be a folder")
        self.raw_dir = None if raw_dir is None else pathlib.Path(raw_dir)
        super().__init__(file_format="array_record", **options)

    def download_and_prepare(self, **options: Any) -> None:
        """Write the data set, unless it is there already.

        Raises:
            ValueError: it is there, but was prepared from other files or options.
            FileNotFoundError: no raw folder, or not of the layout.
        """
        prepared = self.data_path.exists()
        if prepared and self.raw_dir is None:
            return
        facts = self.raw_facts()
        if not prepared:
            self.info.metadata[_RECORD] = facts
        elif (self.info.metadata or {}).get(_RECORD) != facts:
            raise ValueError(
                f"{self.data_path}: already prepared, from other files or options than "
                f"{self.raw_dir} now has; remove it, or give another data_dir"
            )
        super().download_and_prepare(**options)

    def raw_facts(self) -> dict[str, Any]:
        """Return what the prepared data depend on, as JSON: files and options."""
        return {"raw_dir": self.fingerprint(self.raw())}

    def fingerprint(self, folder: pathlib.Path) -> str:
        """Return the digest of a folder, without prepared data that lie in it."""
        root = pathlib.Path(self._data_dir_root).resolve()
        own = root if folder.resolve() in root.parents else root / self.name
        return fingerprint(folder, without=own)

    def raw(self) -> pathlib.Path:
        """Return the raw folder, checked against the layout."""
        if self.raw_dir is None:
            raise ValueError(f"{self.name}: give raw_dir, a folder with {self.layout}")
        lacking = [n for n in self.required if not (self.raw_dir / n).exists()]
        if not self.raw_dir.is_dir() or lacking:
            if self.raw_dir.is_file():
                found = "a file"
            elif not self.raw_dir.is_dir():
                found = "no such folder"
            else:
                found = f"no {', '.join(lacking)} in it"
            raise FileNotFoundError(
                f"{self.raw_dir}: {found}; {self.name} expects {self.layout}"
            )
        return self.raw_dir

    def describe(
        self,
        features: dict[str, Any],
        homepage: str | None = None,
        citation: str | None = None,
    ) -> tfds.core.DatasetInfo:
        """Return the `DatasetInfo`; the description is the class docstring."""
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage=homepage,
            citation=citation,
            metadata=tfds.core.MetadataDict(),
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
        "name": image_files.stem(path),
        "image": encoded(path),
        "vessels": [encoded(p) for p in vessels],
        "field": [encoded(p) for p in field],
    }


def numbered(examples: Iterable[dict[str, Any]]) -> Iterator[tuple[int, dict]]:
    """Number examples: with shuffling off, TFDS sorts by these keys."""
    return enumerate(examples)
