"""The files of one registered pair: pictures, landmarks, transform."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from rkd_jax.files import own_files
from rkd_jax.images.field import field_of_view
from rkd_jax.images.pictures import encode_png
from rkd_jax.registration import exports
from rkd_jax.registration.files.point_files import (
    MATCHES,
    POINTS,
    matches_text,
    points_text,
)
from rkd_jax.registration.files.transform_file import NAME as SUMMARY
from rkd_jax.registration.pictures import matches_picture, overlay_picture
from rkd_jax.registration.result import Registration
from rkd_jax.registration.transforms.inverse_map import InverseMap, Layer

PICTURES = ("registered.png", "overlay.png", "matches.png")
ALL = (SUMMARY, *PICTURES, POINTS, MATCHES, *exports.FILES.values())
Content = bytes | Callable[[pathlib.Path], None]
"""Of a file: its bytes, or what writes it."""


def names(
    *, pictures: bool, points: bool, export: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return which files a pair may get.

    >>> names(pictures=False, points=True)
    ('transform.json', 'matches.csv', 'points.csv')
    """
    return (
        SUMMARY,
        MATCHES,
        *(PICTURES if pictures else ()),
        *((POINTS,) if points else ()),
        *(exports.FILES[name] for name in export),
    )


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


def results(
    registration: Registration,
    fixed: np.ndarray,
    moving: np.ndarray,
    points: np.ndarray | None,
    *,
    pictures: bool = True,
    export: Sequence[str] = (),
) -> dict[str, Content]:
    """Return the contents of all files of one pair but `transform.json`, by name.

    Args:
        registration: of the pair.
        fixed: the image as read.
        moving: the image as read.
        points: landmarks `[N, 2]` of the moving image to map, or None.
        pictures: whether to draw.
        export: names of formats of other programs, of `exports.FILES`.
    """
    files: dict[str, Content] = {}
    if pictures:
        files.update(_encoded(draw(registration, fixed, moving)))
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
    fixed, moving = (_brightened(image) for image in (fixed, moving))
    yield "matches.png", matches_picture(fixed, moving, registration)
    if not registration.ok or registration.transform is None:
        return
    inverse = InverseMap(
        registration.transform.apply_inverse,
        registration.fixed_size,
        registration.moving_size,
    )
    field = field_of_view(moving).astype(np.uint8)
    registered, reach = inverse.draw([Layer(moving), Layer(field, "nearest")])
    yield "registered.png", _full_depth(registered)
    field_fixed = field_of_view(fixed)
    yield "overlay.png", overlay_picture(fixed, registered, field_fixed, reach > 0)


def _encoded(pictures: Iterable[tuple[str, np.ndarray]]) -> dict[str, bytes]:
    """Return pictures as PNG, by name; one is encoded while the next one is drawn."""
    with ThreadPoolExecutor() as pool:
        files = {name: pool.submit(encode_png, picture) for name, picture in pictures}
        return {name: encoded.result() for name, encoded in files.items()}


def _full_depth(image: np.ndarray) -> np.ndarray:
    """Return uint8 as it is, else uint16: what has more than 8 bits loses none."""
    if image.dtype == np.uint8:
        return image
    return np.rint(np.clip(image, 0.0, 1.0) * 65535).astype(np.uint16)


def _brightened(image: np.ndarray) -> np.ndarray:
    scale = display_scale(image)
    return image if scale == 1.0 else np.minimum(image * np.float32(scale), 1.0)


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
        for name in ALL:
            if name != SUMMARY and name not in files:
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
