"""Images with one class each: what all readers of such data return, and its checks.

    data = class_layouts.read("ham10000", "HAM10000")
    parts = folds.parts(data, {"train": 7, "val": 1, "test": 2}, seed=0)
    check_training(parts["train"])

Each image has a *group*, a patient or a lesion: what is known of one image of a group
is known of all, so no group may be split over training and test. Published divisions
are *folds*, by name: "train", "val" and "test", or numbers for cross-validation.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rkd_jax.images.pictures import visible_rgb8
from rkd_jax.images.reading import read_image

FOLDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What data sets call the parts of a division, in lower case, and what we call them."""
_WHOLE = re.compile(r"[-+]?\d+")


def fold_name(name: str) -> str:
    """Return what we call a fold; names that are not in `FOLDS` stay as they are.

    >>> fold_name("Validation"), fold_name("TEST"), fold_name("Site A")
    ('val', 'test', 'Site A')
    """
    return FOLDS.get(name.strip().lower(), name)


@dataclasses.dataclass(frozen=True)
class Labeled:
    """One image of a set.

    Attributes:
        name: of the image, unique in its set.
        image: path of the file; or a function without arguments that returns what
            `rkd_jax.images.reading.read_image` takes: encoded bytes, or an array.
        label: number of its class.
        group: the patient or the lesion; the name of the image where it stands alone.
        fold: part of a published or given division: "train", "test", "3"; empty
            without one. "Training" and the like become "train", see `FOLDS`.
        where: the row or folder that names it, for errors: "labels.csv, line 7".
    """

    name: str
    image: pathlib.Path | Callable[[], Any]
    label: int
    group: str
    fold: str = ""
    where: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fold", fold_name(self.fold))

    def read(self) -> np.ndarray:
        """Return the image, uint8 RGB `[H, W, 3]`.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is no image, or damaged; the message names it.

        >>> grey = Labeled("a", lambda: np.full((2, 3), 7, np.uint8), 0, "a")
        >>> grey.read().shape
        (2, 3, 3)
        """
        if isinstance(self.image, pathlib.Path):
            return visible_rgb8(read_image(self.image))
        return visible_rgb8(read_image(self.image(), name=self.name))


@dataclasses.dataclass(frozen=True)
class ClassData:
    """Images with one class each.

    Attributes:
        items: the images, at least one.
        classes: names of the classes, by number.
        ordered: whether a class is more than those before it, as grades are.
        origin: folder or file that they were read from, for errors.
        fold_column: the column of a table that has the folds, for errors.

    Raises:
        ValueError: no image, two of one name, or a label that is no class.

    >>> items = [Labeled(name, pathlib.Path(name), int(name > "a"), name)
    ...          for name in "abc"]
    >>> data = ClassData(tuple(items), ("nevus", "melanoma"))
    >>> data.labels.tolist(), data.counts.tolist(), data.take([2, 0]).names
    ([0, 1, 1], [1, 2], ('c', 'a'))
    """

    items: tuple[Labeled, ...]
    classes: tuple[str, ...]
    ordered: bool = False
    origin: str = ""
    fold_column: str = ""

    def __post_init__(self) -> None:
        if not self.items:
            raise ValueError(f"{self.origin}: no image with a class")
        known: dict[str, Labeled] = {}
        for item in self.items:
            first = known.setdefault(item.name, item)
            if first is not item:
                raise ValueError(
                    f"{item.where}: a second image named {item.name!r}, beside "
                    f"{first.where}; keep one of them"
                )
            if not 0 <= item.label < len(self.classes):
                raise ValueError(
                    f"{item.where}: {item.name} has class {item.label}; expected a "
                    f"number below {len(self.classes)}"
                )

    def __len__(self) -> int:
        return len(self.items)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the images."""
        return tuple(item.name for item in self.items)

    @property
    def labels(self) -> np.ndarray:
        """The classes of the images, int32 `[N]`."""
        return np.array([item.label for item in self.items], np.int32)

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of the images."""
        return tuple(item.group for item in self.items)

    @property
    def counts(self) -> np.ndarray:
        """How many images there are of each class, int `[C]`."""
        return np.bincount(self.labels, minlength=len(self.classes))

    @property
    def folds(self) -> tuple[str, ...]:
        """The folds that there are, in the order of the images."""
        return tuple(dict.fromkeys(item.fold for item in self.items))

    def take(self, indices: Iterable[int]) -> ClassData:
        """Return the images of these numbers, in this order."""
        items = tuple(self.items[int(index)] for index in indices)
        return dataclasses.replace(self, items=items)

    def fold(self, name: str) -> ClassData:
        """Return the images of a fold.

        Args:
            name: of the fold; those of `FOLDS` in any form.

        Raises:
            ValueError: there is no such fold.
        """
        wanted = fold_name(name)
        chosen = [i for i, item in enumerate(self.items) if item.fold == wanted]
        if not chosen:
            known = ", ".join(filter(None, self.folds)) or "none"
            raise ValueError(f"{self.origin}: no fold {name!r}; there are: {known}")
        return self.take(chosen)


def check_training(data: ClassData) -> None:
    """Refuse data to train on in which a class has no image.

    Raises:
        ValueError: names the data and the classes.

    >>> check_training(ClassData((Labeled("a", pathlib.Path("a"), 0, "a"),), ("x",)))
    """
    missing = [name for name, n in zip(data.classes, data.counts.tolist()) if not n]
    if missing:
        raise ValueError(
            f"{data.origin}: no image to train on of class {', '.join(missing)} (of "
            f"{', '.join(data.classes)}); add images of it, leave the class out of the "
            "classes, or divide the data otherwise"
        )


def check_apart(parts: Mapping[str, ClassData]) -> None:
    """Refuse parts that share an image or a group.

    Args:
        parts: by name: those to train on, to choose by, and to score.

    Raises:
        ValueError: names both places, the image or the group, and both parts.

    >>> one = Labeled("a.jpg", pathlib.Path("a.jpg"), 0, "patient 1", where="a, line 2")
    >>> other = Labeled("b.jpg", pathlib.Path("b.jpg"), 0, "patient 1", where="b.csv")
    >>> check_apart({"train": ClassData((one,), ("x",)),
    ...              "test": ClassData((other,), ("x",))})
    Traceback (most recent call last):
    ...
    ValueError: b.csv: group 'patient 1' is in test, and in train by a, line 2; ...
    """
    every = [(part, item) for part, data in parts.items() for item in data.items]
    refuse_shared(every)


def refuse_shared(every: Sequence[tuple[str, Labeled]]) -> None:
    """Refuse images and groups that are in two parts; see `check_apart`.

    An image whose group has its own name stands alone, unless another image names that
    group: groups may be called after their first image.

    Args:
        every: part and image.
    """
    joined = {item.group for _, item in every if item.group != item.name}
    images: dict[str, tuple[str, Labeled]] = {}
    groups: dict[str, tuple[str, Labeled]] = {}
    for part, item in every:
        other, first = images.setdefault(_identity(item), (part, item))
        if other != part:
            raise ValueError(
                f"{item.where}: image {item.name} is in {part}, and in {other} by "
                f"{first.where}; an image may be in one part only: remove it from one"
            )
        if item.group not in joined:
            continue  # it stands alone; images of one name may be different files
        other, first = groups.setdefault(item.group, (part, item))
        if other != part:
            raise ValueError(
                f"{item.where}: group {item.group!r} is in {part}, and in {other} by "
                f"{first.where}; all images of a group must be in one part: divide "
                "the data by group"
            )


def _identity(item: Labeled) -> str:
    """Return what two items of one image share."""
    if isinstance(item.image, pathlib.Path):
        return os.path.realpath(item.image)
    return item.name


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of classes in order: as numbers where all are whole numbers.

    >>> in_order({"10", "9"}), in_order({"nevus", "1"})
    (('9', '10'), ('1', 'nevus'))
    """
    names = sorted(names)
    whole = all(_WHOLE.fullmatch(name) for name in names)
    return tuple(sorted(names, key=int) if whole else names)
