"""Read the lists of WFLW, and divide their faces into folds by image.

Layout: `WFLW_images/...` and `WFLW_annotations/` with
`list_98pt_rect_attr_train_test/list_98pt_rect_attr_{train,test}.txt` (98 points, box,
six flags, image) and `list_98pt_test/list_98pt_test*.txt` (98 points, image).
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
import os
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rkd_jax.synthetic.faces.points import ATTRIBUTES, COUNT, EYE_CORNERS

IMAGES, ANNOTATIONS = "WFLW_images", "WFLW_annotations"
# Folders of lists, and how their files begin; of equal names the first counts.
_PLACES = (
    ("list_98pt_rect_attr_train_test", "list_98pt_rect_attr_"),
    ("list_98pt_test", "list_98pt_"),
)
_NUMBERS = 2 * COUNT
_FULL = _NUMBERS + 4 + len(ATTRIBUTES)
_EXPECTED = (
    f"{_NUMBERS} coordinates, box (4), flags (6) and an image, or {_NUMBERS} "
    "coordinates and an image"
)
_BOX_TO_POINTS = 1.25
"""Longer side of an annotated box to that of its points: median of 207 test faces."""
_SAME_PX = 0.01  # faces of two lists whose points differ by less are the same
_FARTHEST = 10
"""In units of the median distance of a face's points from their median point; in the
test list no point is farther than 3.4."""
_NEAREST = 1e-3
"""Least distance of the outer eye corners in sides of the box; 0.16 in that list."""


@dataclasses.dataclass(frozen=True, eq=False)
class Face:
    """One line of a list.

    Attributes:
        name: path below `WFLW_images`, "#", and the number of the face in that image.
        image: path of the image.
        points: `[98, 2]` float64, (x, y) in pixels of the image.
        box: `[4]` float64 x_min, y_min, x_max, y_max: of this line, or of the same face
            in a list with boxes; without either, a box about the points, as wide as
            annotated ones usually are.
        attributes: bool `[6]`, see `points.ATTRIBUTES`, of the same line as the
            box; None if not given.
    """

    name: str
    image: pathlib.Path
    points: np.ndarray
    box: np.ndarray
    attributes: np.ndarray | None

    @property
    def picture(self) -> str:
        """The name of the image, shared by all faces in it."""
        return self.name.rpartition("#")[0]


def list_path(root: str | os.PathLike[str], name: str) -> pathlib.Path:
    """Return the file of a list.

    Args:
        root: folder with `WFLW_images` and `WFLW_annotations`.
        name: "train", "test", "test_largepose", ..., or the path of a file.

    Raises:
        FileNotFoundError: no such folder or list.
    """
    root = pathlib.Path(root)
    for folder in (root, root / IMAGES, root / ANNOTATIONS):
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{folder}: no such folder; expected {IMAGES}/ and {ANNOTATIONS}/ in "
                f"{root}"
            )
    folder = root / ANNOTATIONS
    known = [folder / place / f"{prefix}{name}.txt" for place, prefix in _PLACES]
    known.append(pathlib.Path(name))
    for path in known:
        if path.is_file():
            return path
    found = ", ".join(p.name for p in sorted(folder.glob("*/*.txt"))) or "none"
    raise FileNotFoundError(
        f"{known[0]}: no such list, and no {known[1]}; there are {found}"
    )


def list_names(root: str | os.PathLike[str]) -> list[str]:
    """Return the names of the lists there are, for `read_list`: "test", ..."""
    folder = pathlib.Path(root) / ANNOTATIONS
    found = set()
    for place, prefix in _PLACES:
        stems = (path.stem for path in (folder / place).glob(f"{prefix}*.txt"))
        found |= {stem.removeprefix(prefix) for stem in stems}
    return sorted(name for name in found if re.fullmatch(r"\w+", name))


def read_list(root: str | os.PathLike[str], name: str) -> list[Face]:
    """Read a list of faces.

    Args:
        root, name: see `list_path`.

    Raises:
        FileNotFoundError: no such folder, list, or image.
        ValueError: a line of another format, a face that cannot be scored because its
            outer eye corners coincide, or a point far from its face; the message names
            file, line and image.
    """
    path = list_path(root, name)
    images = pathlib.Path(root) / IMAGES
    boxed = functools.cache(lambda: _boxed_faces(root))
    seen: collections.Counter[str] = collections.Counter()
    faces = []
    for where, picture, values in _rows(path):
        points = values[:_NUMBERS].reshape(COUNT, 2)
        if not os.path.isfile(images / picture):
            raise FileNotFoundError(
                f"{images / picture}: image missing ({where}); add it, or remove the "
                "line"
            )
        source = where
        if len(values) == _NUMBERS:
            for other, theirs in boxed()[picture]:
                if np.abs(theirs[:_NUMBERS] - values[:_NUMBERS]).max() < _SAME_PX:
                    source, values = other, theirs
                    break
        box, flags = _box_about(points), None
        if len(values) > _NUMBERS:
            box, flags = values[_NUMBERS : _NUMBERS + 4], values[_NUMBERS + 4 :] == 1
        _check_box(box, points, f"{source}: {picture}")
        _check_points(points, box, f"{where}: {picture}")
        faces.append(
            Face(f"{picture}#{seen[picture]}", images / picture, points, box, flags)
        )
        seen[picture] += 1
    if not faces:
        raise ValueError(f"{path}: no face in this list; expected {_EXPECTED} a line")
    return faces


def _rows(path: pathlib.Path) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield the position of each line, its image and its numbers; see `_fields`."""
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        if line.strip():
            where = f"{path}, line {number}"
            yield where, *_fields(line, where)


def _boxed_faces(
    root: str | os.PathLike[str],
) -> Mapping[str, list[tuple[str, np.ndarray]]]:
    """Return the lines of the lists with boxes, by image: position and numbers."""
    place, prefix = _PLACES[0]
    found = collections.defaultdict(list)
    lists = (pathlib.Path(root) / ANNOTATIONS / place).glob(f"{prefix}*.txt")
    for path in sorted(filter(pathlib.Path.is_file, lists)):
        for where, picture, values in _rows(path):
            if len(values) == _FULL:
                found[picture].append((where, values))
    return found


def _box_about(points: np.ndarray) -> np.ndarray:
    """Return a box of the usual width about points; see `_BOX_TO_POINTS`."""
    low, high = points.min(axis=0), points.max(axis=0)
    reach = _BOX_TO_POINTS * (high - low) / 2
    return np.concatenate([(low + high) / 2 - reach, (low + high) / 2 + reach])


def _check_box(box: np.ndarray, points: np.ndarray, face: str) -> None:
    """Refuse an empty box or one of another face; `face` names it in the error."""
    middle = np.median(points, axis=0)
    if not (box[2:] > box[:2]).all():
        raise ValueError(f"{face}: its box {box.tolist()} is empty; correct the line")
    if not ((middle >= box[:2]) & (middle <= box[2:])).all():
        raise ValueError(
            f"{face}: its box {box.tolist()} does not hold the middle "
            f"{middle.round(1).tolist()} of its points; correct the line"
        )


def _check_points(points: np.ndarray, box: np.ndarray, face: str) -> None:
    """Refuse a point far from the others, and eye corners that give no unit."""
    away = np.abs(points - np.median(points, axis=0)).max(axis=1)
    farthest = int(away.argmax())
    if away[farthest] > _FARTHEST * np.median(away):
        raise ValueError(
            f"{face}: point {farthest} at {points[farthest].tolist()} lies more than "
            f"{_FARTHEST} times as far from the middle of the face as its points "
            "usually do; correct or remove the line"
        )
    left, right = points[list(EYE_CORNERS)]
    apart, least = np.linalg.norm(left - right), _NEAREST * (box[2:] - box[:2]).max()
    if apart < least:
        raise ValueError(
            f"{face}: its outer eye corners (points {EYE_CORNERS[0]} and "
            f"{EYE_CORNERS[1]}) coincide, being {apart:.2g} px apart, so that its "
            f"error has no unit; expected at least {least:.2g} px: correct or remove "
            "the line"
        )


def _fields(line: str, where: str) -> tuple[str, np.ndarray]:
    """Split a line into the image's name and its numbers, `[196]` or `[206]`."""
    words = line.split()
    count = 0
    while count < min(len(words), _FULL) and _number(words[count]) is not None:
        count += 1
    if count not in (_NUMBERS, _FULL) or count == len(words):
        raise ValueError(
            f"{where}: {len(words)} fields, {count} numbers before the first that is "
            f"none; expected {_EXPECTED}"
        )
    values = np.array([float(word) for word in words[:count]])
    if count == _FULL and not np.isin(values[_NUMBERS + 4 :], (0, 1)).all():
        raise ValueError(f"{where}: the six flags before the image must be 0 or 1")
    return " ".join(words[count:]), values


def _number(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def fold_numbers(faces: Sequence[Face], folds: int) -> np.ndarray:
    """Give each face a fold 0 .. folds - 1; faces of one image share theirs.

    The images are shuffled once and for all and dealt out in turn, so that the folds
    depend on the list and on `folds` alone.

    Returns:
        int `[N]`.

    Raises:
        ValueError: fewer images than folds, or fewer than two folds.
    """
    pictures = sorted({face.picture for face in faces})
    if not 2 <= folds <= len(pictures):
        raise ValueError(
            f"folds is {folds}; expected 2 to {len(pictures)}, the number of images"
        )
    order = np.random.default_rng(0).permutation(len(pictures))
    fold = {pictures[at]: place % folds for place, at in enumerate(order)}
    return np.array([fold[face.picture] for face in faces])


def split_fold(
    faces: Sequence[Face], fold: int, folds: int
) -> tuple[list[Face], list[Face]]:
    """Return the faces of all other folds, and those of fold `fold`.

    Raises:
        ValueError: no such fold.
    """
    if not 0 <= fold < folds:
        raise ValueError(f"fold is {fold}; expected 0 to {folds - 1}")
    numbers = fold_numbers(faces, folds)
    others = [face for face, n in zip(faces, numbers) if n != fold]
    return others, [face for face, n in zip(faces, numbers) if n == fold]
