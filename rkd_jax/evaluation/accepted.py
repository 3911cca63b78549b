"""Pictures and a list of the pairs of different eyes that were accepted.

Some of them may be right: photographs of one eye, wrongly named. A person decides.
"""

from __future__ import annotations

import csv
import io
import json
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np

from rkd_jax.evaluation.predictions import Prediction
from rkd_jax.files import own_files
from rkd_jax.images.pictures import encode_png
from rkd_jax.images.prepare import read_image
from rkd_jax.registration.files.pairs import Pair
from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.pictures import matches, overlay
from rkd_jax.registration.pictures.scene import Scene
from rkd_jax.registration.result import Registration
from rkd_jax.registration.transforms import Transform

LIST = "believed.csv"
FOLDER = "believed"
_LONGEST_NAME = 120


def picture_path(out: pathlib.Path, name: str) -> pathlib.Path:
    """Return where the picture of a pair goes: a name that any file system takes.

    Example:
        >>> picture_path(pathlib.Path("out"), "07 a b.png c:d.png").as_posix()
        'out/believed/07_a_b.png_c_d.png'
    """
    safe = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)[:_LONGEST_NAME]
    return out / FOLDER / f"{safe.removesuffix('.png')}.png"


def claim(
    out: pathlib.Path, pairs: Sequence[Pair], inputs: Sequence[str | pathlib.Path]
) -> None:
    """Refuse a folder where the list or pictures would replace files of others.

    Args:
        out: folder of the run.
        pairs: that may be reported as registered.
        inputs: files that the run reads.

    Raises:
        OSError: a file is in the way; the message names it.
    """
    pictures = [picture_path(out, pair.name) for pair in pairs]
    own_files.claim([out / LIST, *pictures], inputs=inputs)


def write(
    out: pathlib.Path,
    pairs: Mapping[str, Pair],
    predictions: Sequence[Prediction],
) -> Iterator[tuple[Prediction, pathlib.Path]]:
    """List the pairs in `believed.csv`, draw them, and remove older pictures of ours.

    The list can be given back as `--same_eye`, once the lines of different eyes are
    deleted.

    Args:
        out: folder of the run.
        pairs: by name.
        predictions: the pairs that were reported as registered.

    Yields:
        Each prediction and its picture, once that is written.

    Raises:
        OSError, ValueError: a photograph cannot be read, or a file not be written.
    """
    chosen = sorted(predictions, key=lambda p: (-p.confidence, p.name))
    places = [picture_path(out, prediction.name) for prediction in chosen]
    own_files.write_bytes(out / LIST, _list_text(out, pairs, chosen, places))
    wanted = {place.name for place in places}
    for name in own_files.own_names(out / FOLDER) - wanted:
        own_files.remove(out / FOLDER / name)
    for prediction, place in zip(chosen, places, strict=True):
        picture = _picture(prediction, pairs[prediction.name])
        own_files.write_bytes(place, encode_png(picture))
        yield prediction, place


def _list_text(
    out: pathlib.Path,
    pairs: Mapping[str, Pair],
    predictions: Sequence[Prediction],
    places: Sequence[pathlib.Path],
) -> bytes:
    """Return the text of `believed.csv`; names that are not UTF-8 keep their bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["fixed", "moving", "confidence", "picture"])
    for prediction, place in zip(predictions, places, strict=True):
        pair = pairs[prediction.name]
        files = [str(path.resolve()) for path in (pair.fixed, pair.moving)]
        confidence = f"{prediction.confidence:.3f}"
        writer.writerow([*files, confidence, place.relative_to(out).as_posix()])
    return text.getvalue().encode("utf-8", "surrogateescape")


def _picture(prediction: Prediction, pair: Pair) -> np.ndarray:
    """Draw matches and, right of them, the checkerboard of both photographs."""
    fixed, moving = read_image(pair.fixed), read_image(pair.moving)
    count = len(prediction.points_fixed)
    registration = Registration(
        ok=True,
        reason="",
        transform=Transform.from_dict(json.loads(prediction.transform)),
        matches=Matches(
            prediction.points_fixed,
            prediction.points_moving,
            np.ones(count, np.float32),
        ),
        inliers=prediction.inliers,
        confidence=prediction.confidence,
        evidence={},
        fixed_size=fixed.shape[:2],
        moving_size=moving.shape[:2],
    )
    scene = Scene(registration, fixed, moving)
    left, right = matches.draw(scene), overlay.draw(scene)
    width = max(1, round(right.shape[1] * left.shape[0] / right.shape[0]))
    right = cv2.resize(right, (width, left.shape[0]), interpolation=cv2.INTER_AREA)
    return np.concatenate([left, right], axis=1)
