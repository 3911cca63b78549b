"""The files of one registered pair: pictures, landmarks, transform."""

from __future__ import annotations

import csv
import io
import pathlib

import cv2
import numpy as np

from rkd_jax import own_files
from rkd_jax.matching.field import field_of_view
from rkd_jax.matching.pictures import matches_picture, overlay_picture
from rkd_jax.matching.registration import Registration

SUMMARY = "transform.json"
PICTURES = ("registered.png", "overlay.png", "matches.png")
POINTS = "points.csv"
ALL = (SUMMARY, *PICTURES, POINTS)


def _png(image: np.ndarray) -> bytes:
    """Encode an image `[H, W(, 3)]` RGB as PNG."""
    if image.ndim == 3:
        image = image[..., ::-1]
    done, data = cv2.imencode(".png", np.ascontiguousarray(image))
    if not done:
        raise ValueError(f"OpenCV could not encode an image of shape {image.shape}")
    return data.tobytes()


def names(*, pictures: bool, points: bool) -> tuple[str, ...]:
    """Return which files a pair may get.

    >>> names(pictures=False, points=True)
    ('transform.json', 'points.csv')
    """
    return (SUMMARY, *(PICTURES if pictures else ()), *((POINTS,) if points else ()))


def display_scale(image: np.ndarray) -> float:
    """Return by what to multiply an image so that one can look at it.

    Cameras of 10 to 14 bits leave most of a 16-bit file's range empty, and the picture
    black. 1 for 8 bits, and where the values reach half of the range.

    Args:
        image: uint8, or float in 0..1.

    >>> display_scale(np.full((2, 2), 0.0625, np.float32))
    16.0
    """
    if image.dtype == np.uint8:
        return 1.0
    highest = float(image.max())
    return 1.0 if highest == 0.0 or highest >= 0.5 else 1.0 / highest


def _points_text(moving: np.ndarray, fixed: np.ndarray, inside: np.ndarray) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["x_moving", "y_moving", "x_fixed", "y_fixed", "among_matches"])
    for row, among in zip(np.concatenate([moving, fixed], axis=1), inside, strict=True):
        writer.writerow([*(f"{value:.3f}" for value in row), int(among)])
    return text.getvalue()


def results(
    registration: Registration,
    fixed: np.ndarray,
    moving: np.ndarray,
    points: np.ndarray | None,
    *,
    pictures: bool = True,
) -> dict[str, bytes]:
    """Return the contents of all files of one pair but `transform.json`, by name.

    Args:
        registration: of the pair.
        fixed: the image as read.
        moving: the image as read.
        points: landmarks `[N, 2]` of the moving image to map, or None.
        pictures: whether to draw.
    """
    files = _drawn(registration, fixed, moving) if pictures else {}
    if registration.ok and points is not None:
        mapped = registration.warp_points(points)
        inside = registration.supports(points)
        files["points.csv"] = _points_text(points, mapped, inside).encode()
    return files


def _drawn(
    registration: Registration, fixed: np.ndarray, moving: np.ndarray
) -> dict[str, bytes]:
    """Return the pictures, by name of the file."""
    fixed, shown = (_brightened(image) for image in (fixed, moving))
    picture = matches_picture(fixed, shown, registration)
    files = {"matches.png": _png(picture)}
    if registration.ok:
        registered = registration.warp_image(shown)
        reach = registration.warp_image(
            field_of_view(moving).astype(np.uint8), interpolation="nearest"
        )
        overlay = overlay_picture(fixed, registered, field_of_view(fixed), reach > 0)
        if registered.dtype != np.uint8:
            registered = np.rint(np.clip(registered, 0.0, 1.0) * 65535)
        # A file of more than 8 bits gets 16, so that no detail is lost.
        depth = np.uint8 if moving.dtype == np.uint8 else np.uint16
        files["registered.png"] = _png(registered.astype(depth))
        files["overlay.png"] = _png(overlay)
    return files


def _brightened(image: np.ndarray) -> np.ndarray:
    scale = display_scale(image)
    return image if scale == 1.0 else np.minimum(image * np.float32(scale), 1.0)


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
        for name, data in files.items():
            own_files.write_bytes(out / name, data)
        for name in (*PICTURES, POINTS):
            if name not in files:
                own_files.remove(out / name)
        # Last, so that a complete transform.json means that all files are there.
        own_files.write_text(out / SUMMARY, summary)
    except FileExistsError:
        raise  # of somebody else: the message has the remedy
    except OSError as error:
        raise OSError(
            f"{out}: cannot write there ({error.strerror or error}); give another --out"
        ) from error
