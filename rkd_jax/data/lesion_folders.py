"""Photographs with masks of one lesion: two layouts of folders, listed and checked.

    photographs = idrid_photographs("IDRiD", "microaneurysms", "train")
    photographs = plain_photographs("e_optha_MA/MA", "e_optha_MA/Annotation_MA", "")
    mask = read_mask(photographs[0], image.shape[:2])

A photograph without a mask file has no such lesion; pictures that rkd_jax wrote beside
photographs are none.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from rkd_jax.images import image_files
from rkd_jax.images.reading import read_image

Path = str | os.PathLike[str]


@dataclasses.dataclass(frozen=True)
class Kind:
    """How IDRiD names the masks of one kind.

    Attributes:
        suffix: end of a mask's name: IDRiD_01_MA.tif.
        folder: of the masks of this kind.
    """

    suffix: str
    folder: str


LESIONS: dict[str, Kind] = {
    "microaneurysms": Kind("MA", "1. Microaneurysms"),
    "haemorrhages": Kind("HE", "2. Haemorrhages"),
    "hard_exudates": Kind("EX", "3. Hard Exudates"),
    "soft_exudates": Kind("SE", "4. Soft Exudates"),
}
OPTIC_DISC = Kind("OD", "5. Optic Disc")

PART, PHOTOGRAPHS, MASKS = (
    *("A. Segmentation", "1. Original Images"),
    "2. All Segmentation Groundtruths",
)
SPLITS = {"train": "a. Training Set", "test": "b. Testing Set"}
LAYOUT = (
    f'"{PHOTOGRAPHS}" and "{MASKS}", each with "a. Training Set" or "b. Testing Set" '
    'in it, as IDRiD\'s archive "A. Segmentation" has them'
)

_JPEG = b"\xff\xd8\xff"
_JPEG_LESION = 128
"""JPEG does not keep zeros beside a lesion; there, half of white is the limit."""
_INVERTED = 0.9
"""No lesion covers this share of a photograph; the background of a mask does."""
_SHOWN = 5  # names in an error


@dataclasses.dataclass(frozen=True)
class LesionPhotograph:
    """A photograph and where its lesions are.

    Attributes:
        name: path below the folder of photographs, without extension.
        image: path of the photograph.
        mask: path of the mask; None if the photograph has no such lesion.
    """

    name: str
    image: pathlib.Path
    mask: pathlib.Path | None = None


def lesion_kind(lesion: str) -> Kind:
    """Return how IDRiD names the masks of a lesion.

    Raises:
        ValueError: an unknown name.

    >>> lesion_kind("microaneurysms").suffix
    'MA'
    """
    if lesion not in LESIONS:
        raise ValueError(f"unknown lesion {lesion!r}; known: {', '.join(LESIONS)}")
    return LESIONS[lesion]


def idrid_root(data_dir: Path) -> pathlib.Path:
    """Return IDRiD's folder "A. Segmentation": the one given, or the one in it.

    Raises:
        FileNotFoundError: no such folder, or one of another layout.
    """
    given = pathlib.Path(data_dir)
    root = given / PART if (given / PART).is_dir() else given
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; check the path")
    for folder in (PHOTOGRAPHS, MASKS):
        if not (root / folder).is_dir():
            raise FileNotFoundError(
                f'{root}: no folder "{folder}" in it; expected {LAYOUT}'
            )
    return root


def idrid_photographs(
    data_dir: Path, lesion: str, split: str
) -> list[LesionPhotograph]:
    """List the photographs of IDRiD's segmentation part with the masks of one lesion.

    Args:
        data_dir: the folder "A. Segmentation", or the folder that holds it.
        lesion: a key of `LESIONS`.
        split: "train" or "test".

    Returns:
        Sorted by name ("IDRiD_01", ...).

    Raises:
        FileNotFoundError: no such folder.
        ValueError: an unknown lesion or split, a mask without photograph, two masks of
            one photograph, or a folder without photographs.

    Source: Porwal et al., Data 2018 (IDRiD).
    """
    return idrid_kind(data_dir, lesion_kind(lesion), split)


def idrid_kind(data_dir: Path, kind: Kind, split: str) -> list[LesionPhotograph]:
    """Do what `idrid_photographs` does, for any kind of mask, the optic disc too."""
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    root = idrid_root(data_dir)
    images = root / PHOTOGRAPHS / SPLITS[split]
    masks = root / MASKS / SPLITS[split] / kind.folder
    for folder in (images, masks):
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{folder}: no such folder; the {split} part of {root} is not "
                f"complete: expected {LAYOUT}"
            )
    return _paired(
        images,
        image_files.list_photographs(images),
        masks,
        image_files.list_images(masks),
        f"_{kind.suffix}",
    )


def plain_photographs(
    images_dir: Path, masks_dir: Path, suffix: str = ""
) -> list[LesionPhotograph]:
    """List a folder of photographs with the masks of one lesion in another folder.

    The mask of NAME.jpg is called NAME + `suffix` with any extension of an image. Both
    folders may have subfolders: a mask belongs to the photograph of the same path
    below its folder, else to the only photograph of its name, wherever it lies.

    Args:
        images_dir: folder of photographs.
        masks_dir: folder of masks; may be the same one if there is a suffix, or lie in
            the other one.
        suffix: end of a mask's name before its extension, "_MA" for example. With it,
            images of other names in `masks_dir` are left out: they are not masks of
            this lesion.

    Returns:
        Sorted by path.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: a mask without photograph, or that fits several; two masks of one
            photograph, two photographs of one path, a folder without images, or no
            name that fits.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("eye1.jpg", "eye2.jpg", "eye2_MA.png"):
        ...         pathlib.Path(folder, name).touch()
        ...     found = plain_photographs(folder, folder, "_MA")
        >>> [(one.name, one.mask is not None) for one in found]
        [('eye1', False), ('eye2', True)]
    """
    images, masks = pathlib.Path(images_dir), pathlib.Path(masks_dir)
    same = images.resolve() == masks.resolve()
    if same and not suffix:
        raise ValueError(
            f"{images}: photographs and masks in one folder; give the suffix that "
            "tells the masks, _MA for example"
        )
    photographs = image_files.list_photographs(images, recursive=True, gzipped=True)
    files = image_files.list_images(masks, recursive=True, gzipped=True)
    if same:
        photographs = [path for path in photographs if not _ends(path, suffix)]
    else:
        photographs = _without(photographs, images, masks)
        files = _without(files, masks, images)
    if not photographs:
        raise ValueError(f"{images}: no photograph beside the masks; check the path")
    return _paired(images, photographs, masks, files, suffix)


def healthy_photographs(folder: Path) -> list[LesionPhotograph]:
    """List photographs of eyes without lesions; those of subfolders, too.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no image in it, or two of one name in one folder.
    """
    folder = pathlib.Path(folder)
    found = image_files.list_photographs(folder, recursive=True, gzipped=True)
    return [LesionPhotograph(n, p) for n, p in _by_name(folder, found).items()]


def read_mask(photograph: LesionPhotograph, shape: Sequence[int]) -> np.ndarray:
    """Read where the lesions of a photograph are.

    Any value but zero is a lesion, in any channel; of a palette the color counts, not
    its index. Transparent pixels are none. In a JPEG, whose zeros are not exact, values
    from 128 on are lesions.

    Args:
        photograph: with the path of its mask; without one the result is empty.
        shape: (height, width) of the photograph.

    Returns:
        bool `[H, W]`.

    Raises:
        FileNotFoundError, OSError: the mask cannot be read.
        ValueError: it is no image, has another size than the photograph, or marks
            nearly all of it, as an inverted mask does.

    >>> eye = LesionPhotograph("eye", pathlib.Path("eye.jpg"))
    >>> read_mask(eye, (2, 3)).any()
    np.False_
    """
    height, width = shape[:2]
    if photograph.mask is None:
        return np.zeros((height, width), bool)
    path = photograph.mask
    data = image_files.read_bytes(path)
    pixels = read_image(data, name=os.fspath(path))
    if pixels.shape[:2] != (height, width):
        raise ValueError(
            f"{path}: the mask is {pixels.shape[1]}x{pixels.shape[0]} px, its "
            f"photograph {photograph.image} is {width}x{height} px; expected the same "
            "size: give the mask that was drawn on this file"
        )
    lesion = pixels >= _JPEG_LESION if data.startswith(_JPEG) else pixels > 0
    lesion = lesion.any(axis=2) if lesion.ndim == 3 else lesion
    if lesion.mean() > _INVERTED:
        raise ValueError(
            f"{path}: the mask marks {lesion.mean():.0%} of the photograph; expected "
            "zero outside lesions: is it inverted? Save it with black background"
        )
    return lesion


def _ends(path: pathlib.Path, suffix: str) -> bool:
    return image_files.stem(path).endswith(suffix)


def _without(
    files: list[pathlib.Path], root: pathlib.Path, other: pathlib.Path
) -> list[pathlib.Path]:
    """Leave out what lies in `other`, if that is a subfolder of `root`."""
    if root.resolve() not in other.resolve().parents:
        return files
    inner = other.resolve()
    return [path for path in files if inner not in path.resolve().parents]


def _by_name(
    root: pathlib.Path, files: Iterable[pathlib.Path]
) -> dict[str, pathlib.Path]:
    found: dict[str, pathlib.Path] = {}
    for path in files:
        name = image_files.name_below(path, root)
        if name in found:
            raise ValueError(
                f"{path}: a second photograph named {name!r} beside "
                f"{found[name].name}; keep one of them"
            )
        found[name] = path
    return found


def _paired(
    images_dir: pathlib.Path,
    images: list[pathlib.Path],
    masks_dir: pathlib.Path,
    files: list[pathlib.Path],
    suffix: str,
) -> list[LesionPhotograph]:
    """Give each photograph its mask; every mask must have its photograph."""
    photographs = _by_name(images_dir, images)
    known: dict[str, list[str]] = {}
    for name in photographs:
        known.setdefault(name.rpartition("/")[2], []).append(name)
    masks = [path for path in files if _ends(path, suffix)]
    found: dict[str, pathlib.Path] = {}
    orphans = []
    for path in masks:
        wanted = image_files.name_below(path, masks_dir).removesuffix(suffix)
        alike = known.get(wanted.rpartition("/")[2], [])
        if wanted not in photographs and len(alike) > 1:
            raise ValueError(
                f"{path}: a mask of {' or '.join(alike[:_SHOWN])}? Give it the path "
                "of its photograph below the folder of masks"
            )
        name = wanted if wanted in photographs else "".join(alike)
        if not name:
            orphans.append(path)
        elif name in found:
            raise ValueError(
                f"{path}: a second mask of {photographs[name]}, beside {found[name]}; "
                "keep one of them"
            )
        else:
            found[name] = path
    if not found and not (suffix and masks):
        raise ValueError(_nothing_fits(images, masks_dir, files, suffix))
    if orphans:
        wanted = image_files.stem(orphans[0]).removesuffix(suffix)
        raise ValueError(
            f"{orphans[0]}: no photograph of this mask in {images_dir} "
            f"({len(orphans)} such mask(s)); add {wanted}.jpg or the like, or remove "
            "the mask"
        )
    return [LesionPhotograph(n, p, found.get(n)) for n, p in photographs.items()]


def _nothing_fits(
    images: list[pathlib.Path],
    masks_dir: pathlib.Path,
    files: list[pathlib.Path],
    suffix: str,
) -> str:
    there = ", ".join(path.name for path in files[:_SHOWN]) or "no image"
    return (
        f"{masks_dir}: no mask of any of {len(images)} photograph(s); expected names "
        f"such as {image_files.stem(images[0]) + suffix}.png, found {there}; give the "
        f"end of their names before the extension as suffix (now {suffix!r})"
    )
