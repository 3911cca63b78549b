"""Images with manual vessel masks: the official layouts of four data sets, listed."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable

from rkd_jax.images.image_files import is_image
from rkd_jax.images.image_files import stem as stem_of


@dataclasses.dataclass(frozen=True)
class Sample:
    """One image with its vessel mask; samples of one `group` stay on one side."""

    name: str
    group: str
    image: pathlib.Path
    mask: pathlib.Path
    field: pathlib.Path | None = None


def _images_in(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Return the images of a folder by stem; two of one stem are an error."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; check the path")
    found: dict[str, pathlib.Path] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_file() or not is_image(path, gzipped=True):
            continue
        stem = stem_of(path)
        if stem in found:
            raise ValueError(
                f"{path}: a second image named {stem!r} beside {found[stem].name}; "
                "keep one of them"
            )
        found[stem] = path
    return found


def drive(root: pathlib.Path) -> list[Sample]:
    """List DRIVE: `{training,test*}/{images,1st_manual,mask}`."""
    samples = []
    for part in ("training", "testing", "test"):
        if not (root / part / "1st_manual").is_dir():
            continue
        masks = _images_in(root / part / "1st_manual")
        fields = root / part / "mask"
        fields = _images_in(fields) if fields.is_dir() else {}
        for stem, image in _images_in(root / part / "images").items():
            number = stem.split("_")[0]
            if f"{number}_manual1" in masks:
                field = fields.get(f"{stem}_mask")
                mask = masks[f"{number}_manual1"]
                samples.append(Sample(stem, stem, image, mask, field))
    return samples


def chase_db1(root: pathlib.Path) -> list[Sample]:
    """List CHASE_DB1: `Image_01L.jpg` with `Image_01L_1stHO.png`; two eyes a child."""
    files = _images_in(root)
    return [
        Sample(stem, stem[:-1], image, files[f"{stem}_1stHO"])
        for stem, image in files.items()
        if f"{stem}_1stHO" in files
    ]


def hrf(root: pathlib.Path) -> list[Sample]:
    """List HRF: `images/01_h.jpg`, `manual1/01_h.*`, `mask/01_h_mask.*` if there."""
    if not (root / "manual1").is_dir() or not (root / "images").is_dir():
        return []
    masks = _images_in(root / "manual1")
    fields = _images_in(root / "mask") if (root / "mask").is_dir() else {}
    return [
        Sample(stem, stem, image, masks[stem], fields.get(f"{stem}_mask"))
        for stem, image in _images_in(root / "images").items()
        if stem in masks
    ]


def stare(root: pathlib.Path) -> list[Sample]:
    """List STARE: `im0001.*` in `images` or the root, masks `im0001.vk.*` or `.ah.*`.

    Masks of the second observer (`labels-vk`) come before those of the first
    (`labels-ah`).
    """
    images = _images_in(root / "images" if (root / "images").is_dir() else root)
    for observer in ("vk", "ah"):
        folder = root / f"labels-{observer}"
        masks = _images_in(folder if folder.is_dir() else root)
        samples = [
            Sample(stem, stem, image, masks[f"{stem}.{observer}"])
            for stem, image in images.items()
            if f"{stem}.{observer}" in masks
        ]
        if samples:
            return samples
    return []


DATASETS: dict[str, Callable[[pathlib.Path], list[Sample]]] = {
    "drive": drive,
    "chase_db1": chase_db1,
    "hrf": hrf,
    "stare": stare,
}


# What the root of each must hold, for error messages.
LAYOUTS: dict[str, str] = {
    "drive": (
        "training/images/21_training.tif, training/1st_manual/21_manual1.gif and "
        "training/mask/21_training_mask.gif"
    ),
    "chase_db1": "Image_01L.jpg and Image_01L_1stHO.png",
    "hrf": "images/01_h.jpg, manual1/01_h.tif and mask/01_h_mask.tif",
    "stare": "images/im0001.ppm and labels-vk/im0001.vk.ppm (also .ppm.gz or .png)",
}


def folders(images: pathlib.Path, masks: pathlib.Path) -> list[Sample]:
    """List pairs of equal stem in two folders; an image without a mask is an error."""
    found, labels = _images_in(images), _images_in(masks)
    missing = sorted(set(found) - set(labels))
    if missing:
        raise FileNotFoundError(
            f"{masks}: no vessel mask for {len(missing)} image(s): "
            f"{', '.join(missing[:5])}; masks carry the stem of their image"
        )
    return [Sample(stem, stem, image, labels[stem]) for stem, image in found.items()]


def split(samples: list[Sample], val_every: int) -> dict[str, str]:
    """Return `train` or `val` for each sample: every `val_every`-th group is held out.

    >>> one, two = (Sample(n, n, None, None) for n in "ab")
    >>> split([one, two], 2)
    {'a': 'train', 'b': 'val'}
    """
    groups = sorted({s.group for s in samples})
    held = set(groups[val_every - 1 :: val_every]) if val_every else set()
    return {s.name: "val" if s.group in held else "train" for s in samples}
