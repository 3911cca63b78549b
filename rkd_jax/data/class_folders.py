"""Images with one class each: a folder of images for each class.

data = from_folders("lesions")        # lesions/nevus/1.jpg, lesions/melanoma/2.jpg
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from rkd_jax.data.class_data import FOLDS, ClassData, Labeled, in_order
from rkd_jax.images import image_files


def from_folders(
    root: str | os.PathLike[str], *, classes: Sequence[str] = (), ordered: bool = False
) -> ClassData:
    """Read a folder with a folder of images for each class.

    Where all folders are called train, val, test or the like (`class_data.FOLDS`), they
    are folds, and the folders in them the classes. Each image stands alone: there are
    no groups.

    Args:
        root: the folder.
        classes: names of the folders, in the order of the classes; a folder may be
            missing. Empty: all folders, sorted, as numbers where all are whole numbers.
        ordered: whether a class is more than those before it.

    Raises:
        OSError: no such folder.
        ValueError: no folder of images in it, a folder that is none of `classes`, or
            two images of one name in one folder.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("nevus/a.jpg", "melanoma/b.jpg"):
    ...         path = pathlib.Path(folder, name)
    ...         path.parent.mkdir()
    ...         path.touch()
    ...     from_folders(folder).names
    ('melanoma/b', 'nevus/a')
    """
    root = pathlib.Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; check the path")
    top = _folders(root)
    divided = bool(top) and all(folder.name.lower() in FOLDS for folder in top)
    parts = [("", folder) for folder in top]
    if divided:
        parts = [(f.name, inner) for f in top for inner in _folders(f)]
    found = {folder.name for _, folder in parts}
    if not found:
        raise ValueError(
            f"{root}: no folders in it; expected a folder of images for each class, or "
            "give a table of images and classes"
        )
    names = tuple(classes) or in_order(found)
    items = [
        item for fold, folder in parts for item in _of_folder(folder, root, fold, names)
    ]
    return ClassData(tuple(items), names, ordered, os.fspath(root))


def _folders(root: pathlib.Path) -> list[pathlib.Path]:
    with os.scandir(root) as entries:
        found = [pathlib.Path(entry.path) for entry in entries if entry.is_dir()]
    return sorted(path for path in found if image_files.may_hold_images(path.name))


def _of_folder(
    folder: pathlib.Path, root: pathlib.Path, fold: str, classes: Sequence[str]
) -> list[Labeled]:
    """Return the images of one class."""
    if folder.name not in classes:
        raise ValueError(
            f"{folder}: the folder is none of the classes {', '.join(classes)}; rename "
            "it, or move it away"
        )
    return [
        Labeled(
            name=(name := image_files.name_below(path, root)),
            image=path,
            label=classes.index(folder.name),
            group=name,
            fold=fold,
            where=os.fspath(path),
        )
        for path in image_files.list_photographs(folder, recursive=True, gzipped=True)
    ]
