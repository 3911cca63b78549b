"""The files of one registered pair: pictures, landmarks, transform."""

from __future__ import annotations

import csv
import io
import pathlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from rkd_jax.files import own_files
from rkd_jax.images.pictures import display_scale, encode, encode_gif
from rkd_jax.registration import pictures as kinds
from rkd_jax.registration.photo import Photo
from rkd_jax.registration.pictures import PictureOptions
from rkd_jax.registration.result import Registration

SUMMARY = "transform.json"
POINTS = "points.csv"
_FRAME_MS = 600  # of an animation: time to find a place, and to see it move
ALL = (SUMMARY, *kinds.all_files(), POINTS)


def names(*, pictures: PictureOptions, points: bool) -> tuple[str, ...]:
    """Return which files a pair may get.

    >>> names(pictures=PictureOptions(()), points=True)
    ('transform.json', 'points.csv')
    """
    return (SUMMARY, *pictures.files().values(), *((POINTS,) if points else ()))


def _points_text(moving: np.ndarray, fixed: np.ndarray, inside: np.ndarray) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["x_moving", "y_moving", "x_fixed", "y_fixed", "among_matches"])
    for row, among in zip(np.concatenate([moving, fixed], axis=1), inside, strict=True):
        writer.writerow([*(f"{value:.3f}" for value in row), int(among)])
    return text.getvalue()


def results(
    registration: Registration,
    photos: Sequence[Photo],
    points: np.ndarray | None,
    *,
    pictures: PictureOptions,
) -> dict[str, bytes]:
    """Return the contents of all files of one pair but `transform.json`, by name.

    Args:
        registration: of the pair.
        photos: the fixed and the moving one, with their pixels if pictures are drawn.
        points: landmarks `[N, 2]` of the moving image to map, or None.
        pictures: which to draw.
    """
    files = draw(registration, photos, pictures)
    if registration.ok and points is not None:
        mapped = registration.warp_points(points)
        inside = registration.supports(points)
        files["points.csv"] = _points_text(points, mapped, inside).encode()
    return files


def draw(
    registration: Registration, photos: Sequence[Photo], options: PictureOptions
) -> dict[str, bytes]:
    """Draw and encode the pictures of one pair.

    Args:
        registration: of the pair.
        photos: the fixed and the moving one, with their pixels.
        options: which pictures; of a pair that is not registered, the matches alone.

    Returns:
        The files' contents by their names.
    """
    files = options.files(ok=registration.ok)
    if not files:
        return {}
    from rkd_jax.registration.pictures.scene import Scene

    fixed, moving = photos
    scene = Scene(
        registration,
        fixed.original,
        moving.original,
        depth=moving.depth,
        own_values=options.own_values,
    )
    # One picture is encoded while the next one is drawn.
    with ThreadPoolExecutor() as pool:
        encoded = {
            file: pool.submit(_encode, kinds.load(name)(scene), options.format)
            for name, file in files.items()
        }
        return {file: waiting.result() for file, waiting in encoded.items()}


def registered_scale(
    files: Mapping[str, bytes], moving: Photo, options: PictureOptions
) -> float | None:
    """Return by what values of the file are multiplied in `registered`.

    None without this picture, of files of 8 bits, and where values are kept.
    """
    if kinds.file_name("registered", options.format) not in files:
        return None
    if options.own_values or moving.original.dtype == np.uint8:
        return None
    return display_scale(moving.original)


def _encode(picture: kinds.Picture, image_format: str) -> bytes:
    """Encode a picture, or the frames of an animation."""
    if isinstance(picture, list):
        return encode_gif(picture, frame_ms=_FRAME_MS)
    if image_format == "jpg" and picture.dtype == np.uint16:
        picture = cv2.convertScaleAbs(picture, alpha=255 / 65535)
    return encode(picture, image_format)


def write(out: pathlib.Path, files: dict[str, bytes], summary: str) -> None:
    """Write the files, drop those of an earlier run that do not hold any more.

    Args:
        out: folder of the pair.
        files: contents by name, of `results`.
        summary: text of `transform.json`.

    Raises:
        OSError: the folder cannot be written, or holds a file of this name that
            rkd_jax did not write.
    """
    try:
        # An older one would tell that the new files beside it are of its run.
        own_files.remove(out / SUMMARY)
        for name, data in files.items():
            own_files.write_bytes(out / name, data)
        for name in own_files.own_names(out).intersection(ALL) - set(files):
            own_files.remove(out / name)
        # Last, so that a complete transform.json means that all files are there.
        own_files.write_text(out / SUMMARY, summary)
    except FileExistsError:
        raise  # a file that is not ours: the message says what to do
    except OSError as error:
        raise OSError(
            f"{out}: cannot write there ({error.strerror or error}); give another --out"
        ) from error
