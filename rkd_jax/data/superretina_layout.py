"""The annotated layout of SuperRetina and MeDAL-Retina: reading and checking it.

ROOT/ImageData/<image>        photographs
ROOT/Annotations/<label>      text, a keypoint a line: x y as fractions of the size
ROOT/ImageSets/<split>.txt    lines "image, label"
"""

from __future__ import annotations

import logging
import os
import pathlib

import numpy as np

LAYOUT = "ImageData/, Annotations/ and ImageSets/<split>.txt"
logger = logging.getLogger(__name__)


def read_annotation(path: str | os.PathLike[str]) -> np.ndarray:
    """Read and check one annotation file.

    Args:
        path: text file, one keypoint a line: "x y", fractions x / width, y / height,
            with x, y in pixels whose centres are whole numbers.

    Returns:
        [N, 2] float64 in 0..1; N may be 0.

    Raises:
        ValueError: a line that is not two numbers, or a value outside 0..1.
    """
    points = []
    text = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            x, y = (float(word) for word in line.split())
        except ValueError:
            raise ValueError(
                f"{path}, line {number}: expected two numbers 'x y', found "
                f"{line.strip()!r}; correct the line"
            ) from None
        for axis, value in (("x", x), ("y", y)):
            if not 0 <= value <= 1:
                raise ValueError(
                    f"{path}, line {number}: {axis} = {value:g} lies outside the "
                    "image; expected a fraction 0..1 (x / width, y / height)"
                )
        points.append((x, y))
    return np.array(points, np.float64).reshape(-1, 2)


def read_split(
    root: str | os.PathLike[str], split: str, *, skip_missing: bool = False
) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """Read a split file: the image and annotation file of each sample.

    Args:
        root: folder with the three folders of the layout.
        split: name of the split file without ".txt".
        skip_missing: leave out samples whose files are missing, and log which and how
            many; by default they are an error (upstream drops them silently).

    Returns:
        Pairs of existing paths, in the order of the file.

    Raises:
        FileNotFoundError: no such root or split (the splits found are listed), or
            files of samples that do not exist.
        ValueError: a line that is not "image, label", an image listed twice (its two
            examples would be expanded apart from each other), or no sample at all.
    """
    root = pathlib.Path(root)
    lacking = [
        n for n in ("ImageData", "Annotations", "ImageSets") if not (root / n).is_dir()
    ]
    if lacking:
        raise FileNotFoundError(
            f"{root}: no folder {', '.join(lacking)} here; expected {LAYOUT}"
        )
    path = root / "ImageSets" / f"{split}.txt"
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.txt"))
        raise FileNotFoundError(
            f"{path}: no such split; splits found: {', '.join(known) or 'none'}"
        )
    text = path.read_text("utf-8-sig", errors="replace")
    samples, missing, lines = [], [], {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        words = [word.strip() for word in line.split(",")]
        if len(words) != 2 or not all(words):
            raise ValueError(
                f"{path}, line {number}: expected 'image, label', found "
                f"{line.strip()!r}; correct or remove the line"
            )
        image, label = words
        if number == 1 and not pathlib.Path(image).suffix:
            continue  # a header such as "Image_ID, Label_ID"
        if image in lines:
            raise ValueError(
                f"{path}, line {number}: {image} is listed in line {lines[image]} "
                "already; remove one of the lines"
            )
        lines[image] = number
        files = root / "ImageData" / image, _label_file(root / "Annotations", label)
        # A line may hold an absolute path, which lies outside of `root`.
        absent = [
            str(f.relative_to(root) if f.is_relative_to(root) else f)[:200]
            for f in files
            if not os.path.isfile(f)
        ]
        if absent:
            missing.append(f"line {number}: {', '.join(absent)}")
        else:
            samples.append(files)
    if missing and not skip_missing:
        raise FileNotFoundError(
            f"{path}: {len(missing)} samples lack files: {_first(missing)}. Add the "
            "files, remove the lines, or leave the samples out: "
            "--config.data.skip_missing=true in training, --skip_missing in the "
            "builders, skip_missing=True in Python"
        )
    if not samples:
        found = f"; all {len(missing)} lack files" if missing else ""
        raise ValueError(
            f"{path}: no sample in this split{found}; expected 'image, label'"
        )
    if missing:
        logger.warning(
            "%s: %d of %d samples lack files, left out: %s",
            path,
            len(missing),
            len(missing) + len(samples),
            _first(missing),
        )
    return samples


def _first(found: list[str], count: int = 5) -> str:
    """Return the first few of a list that may be long, and how many more there are."""
    more = f"; and {len(found) - count} more" if len(found) > count else ""
    return "; ".join(found[:count]) + more


def _label_file(folder: pathlib.Path, label: str) -> pathlib.Path:
    path = folder / label
    return path if os.path.isfile(path) or path.suffix else folder / f"{label}.txt"
