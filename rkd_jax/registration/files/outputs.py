"""The files of one registered pair: pictures, landmarks, transform."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from rkd_jax.files import own_files
from rkd_jax.images.pictures import display_scale, encode, encode_gif
from rkd_jax.registration import exports
from rkd_jax.registration import pictures as kinds
from rkd_jax.registration.files.point_files import (
    MATCHES,
    POINTS,
    matches_text,
    points_text,
)
from rkd_jax.registration.files.transform_file import NAME as SUMMARY
from rkd_jax.registration.photo import Photo
from rkd_jax.registration.pictures import PictureOptions
from rkd_jax.registration.result import Registration

_FRAME_MS = 600  # of an animation: time to find a place, and to see it move
ALL = (SUMMARY, *kinds.all_files(), POINTS, MATCHES, *exports.FILES.values())
Content = bytes | Callable[[pathlib.Path], None]
"""Of a file: its bytes, or what writes it."""


def names(
    *, pictures: PictureOptions, points: bool, export: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return which files a pair may get.

    >>> names(pictures=PictureOptions(()), points=True)
    ('transform.json', 'matches.csv', 'points.csv')
    """
    return (
        SUMMARY,
        MATCHES,
        *pictures.files().values(),
        *((POINTS,) if points else ()),
        *(exports.FILES[name] for name in export),
    )


def results(
    registration: Registration,
    photos: Sequence[Photo],
    points: np.ndarray | None,
    *,
    pictures: PictureOptions,
    export: Sequence[str] = (),
) -> dict[str, Content]:
    """Return the contents of all files of one pair but `transform.json`, by name.

    Args:
        registration: of the pair.
        photos: the fixed and the moving one, with their pixels if pictures are drawn.
        points: landmarks `[N, 2]` of the moving image to map, or None.
        pictures: which to draw.
        export: names of formats of other programs, of `exports.FILES`.
    """
    files: dict[str, Content] = {**draw(registration, photos, pictures)}
    matches, inliers = registration.matches, registration.inliers
    files[MATCHES] = matches_text(matches, inliers).encode()
    if not registration.ok:
        return files
    if points is not None:
        mapped = registration.warp_points(points)
        files[POINTS] = points_text(registration, points, mapped).encode()
    inlying = matches.subset(inliers)
    files.update(exports.writers(registration, export, lambda: inlying))
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
    files: Mapping[str, Content], moving: Photo, options: PictureOptions
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


def write(out: pathlib.Path, files: Mapping[str, Content], summary: str) -> None:
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
        # Beside an older one, the new files would seem to be of its run.
        own_files.remove(out / SUMMARY)
        for name, content in files.items():
            _write(out / name, content)
        for name in own_files.own_names(out).intersection(ALL) - {SUMMARY, *files}:
            own_files.remove(out / name)
        # Last, so that a complete transform.json means that all files are there.
        own_files.write_text(out / SUMMARY, summary)
    except FileExistsError:
        raise  # a file that is not ours: the message says what to do
    except OSError as error:
        raise OSError(
            f"{out}: cannot write there ({error.strerror or error}); give another --out"
        ) from error


def _write(path: pathlib.Path, content: Content) -> None:
    if isinstance(content, bytes):
        own_files.write_bytes(path, content)
        return
    with own_files.replacing(path) as part:
        content(part)
