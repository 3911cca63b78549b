"""The files of one registered pair: pictures, landmarks, transform."""

from __future__ import annotations

import csv
import io
import pathlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from rkd_jax.files import atomic_path, write_text
from rkd_jax.matching.field import field_of_view
from rkd_jax.matching.pictures import matches_picture, overlay_picture, to_rgb8
from rkd_jax.matching.registration import Registration
from rkd_jax.matching.transforms.inverse_map import InverseMap, Layer

SUMMARY = "transform.json"
_ONLY_IF_OK = ("registered.png", "overlay.png", "points.csv")


def encode_png(image: np.ndarray) -> bytes:
    """Encode an image `[H, W(, 3)]` RGB as PNG."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".png", image)
    if not done:
        raise ValueError(f"OpenCV could not encode an image of shape {image.shape}")
    return data.tobytes()


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
    files = _encoded(draw(registration, fixed, moving)) if pictures else {}
    if registration.ok and points is not None:
        mapped = registration.warp_points(points)
        inside = registration.supports(points)
        files["points.csv"] = _points_text(points, mapped, inside).encode()
    return files


def draw(
    registration: Registration, fixed: np.ndarray, moving: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Draw the pictures of one pair.

    Args:
        registration: of the pair.
        fixed: the image as read.
        moving: the image as read.

    Yields:
        Name of the file and picture; matches only where the pair is not registered.
    """
    yield "matches.png", matches_picture(fixed, moving, registration)
    if not registration.ok or registration.transform is None:
        return
    shown = to_rgb8(moving) if moving.ndim == 3 else moving
    if shown.dtype != np.uint8:
        shown = to_rgb8(shown)[..., 0]
    inverse = InverseMap(
        registration.transform.apply_inverse,
        registration.fixed_size,
        registration.moving_size,
    )
    field = field_of_view(moving).astype(np.uint8)
    registered, reach = inverse.draw([Layer(shown), Layer(field, "nearest")])
    yield "registered.png", registered
    field_fixed = field_of_view(fixed)
    yield "overlay.png", overlay_picture(fixed, registered, field_fixed, reach > 0)


def _encoded(pictures: Iterable[tuple[str, np.ndarray]]) -> dict[str, bytes]:
    """Return pictures as PNG, by name; one is encoded while the next one is drawn."""
    with ThreadPoolExecutor() as pool:
        files = {name: pool.submit(encode_png, picture) for name, picture in pictures}
        return {name: encoded.result() for name, encoded in files.items()}


def write(out: pathlib.Path, files: dict[str, bytes], summary: str) -> None:
    """Write the files, drop those of an earlier run that do not hold any more.

    Args:
        out: folder of the pair.
        files: contents by name, of `results`.
        summary: text of `transform.json`.

    Raises:
        OSError: the folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            with atomic_path(out / name) as part:
                part.write_bytes(data)
        for name in (*_ONLY_IF_OK, "matches.png"):
            if name not in files:
                (out / name).unlink(missing_ok=True)
        # Last, so that a complete transform.json means that all files are there.
        write_text(out / "transform.json", summary)
    except OSError as error:
        raise OSError(
            f"{out}: cannot write there ({error.strerror or error}); give another --out"
        ) from error
