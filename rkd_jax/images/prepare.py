"""From a photograph on disk to the network's input, and back to file pixels.

`read_image` decodes (`reading.py`), `normalize` applies the published recipe (green
channel, stretch, CLAHE, gamma), `fit_to` brings the result to the working size and
knows the exact way back, `prepare` does all. NumPy, Pillow and OpenCV on the host.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np

from rkd_jax.geometry.resize import resize_points
from rkd_jax.images.channels import green_or_fullest
from rkd_jax.images.reading import (
    MAX_MEGAPIXELS,
    MIN_SIDE_PX,
    check_sides,
    describe,
    read_image,
)

__all__ = [
    "MAX_MEGAPIXELS",
    "MIN_SIDE_PX",
    "Resized",
    "describe",
    "field_box",
    "fit_to",
    "normalize",
    "prepare",
    "read_image",
]


def normalize(image: np.ndarray, *, name: str = "image") -> np.ndarray:
    """Apply the published recipe: green channel, stretch, CLAHE, gamma.

    Green of RGB (grey as it is), min-max stretch to 0..255, truncation to 8 bits,
    OpenCV CLAHE (clip limit 2, 8x8 tiles), gamma 1.2 through a truncated table,
    division by 255. Where the green channel is empty, as in angiograms that were saved
    as red or blue only, the channel that varies most is used.

    Args:
        image: [H, W] or [H, W, 3], uint8 or float32 in 0..1, as `read_image` gives;
            both sides at least 32 px.
        name: what to call the image in an error, for example its path.

    Returns:
        [H, W] float32 in 0..1; every value a multiple of 1/255.

    Raises:
        ValueError: too small, or constant in the channel used.

    Source: SuperRetina's and RKD's preprocessing. Theirs has a z-score before the
    stretch, which the stretch undoes, and gives NaN on a constant image; ours adds
    1e-4 grey levels before truncating, so that 8-bit and float copies of an image
    give the same result.

    >>> ramp = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    >>> bool((normalize(ramp) == normalize(ramp / np.float32(255))).all())
    True
    """
    import cv2

    check_sides(image.shape[1], image.shape[0], name)
    channel = green_or_fullest(image)
    low, high = float(channel.min()), float(channel.max())
    if not high - low > 1e-6:
        raise ValueError(
            f"{name}: constant image (every pixel of the channel used is {low:g}); "
            "there is nothing to register: check the file"
        )

    def stretch(values: np.ndarray) -> np.ndarray:
        stretched = (values.astype(np.float64) - low) * 255.0 / (high - low)
        return np.clip(stretched + 1e-4, 0.0, 255.0).astype(np.uint8)

    if channel.dtype == np.uint8:
        levels = cv2.LUT(channel, stretch(np.arange(256)))
    else:
        levels = stretch(channel)
    equalized = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(levels)
    ramp = np.arange(256) / 255.0
    table = (255.0 * ramp ** (1.0 / 1.2)).astype(np.uint8)
    return cv2.LUT(equalized, table.astype(np.float32) / np.float32(255.0))


def brightest(image: np.ndarray) -> np.ndarray:
    """Return the brightest channel at each pixel, `[H, W]`.

    >>> brightest(np.array([[[3, 9, 5]]], np.uint8)).tolist()
    [[9]]
    """
    import cv2

    if image.ndim == 2:
        return image
    # Several times faster than image.max(axis=2), whose inner loop is three long.
    first, second, third = cv2.split(image)
    return cv2.max(cv2.max(first, second), third)


def percentile(image: np.ndarray, percent: float) -> float:
    """Return `np.percentile(image, percent)`, of uint8 images by their histogram.

    >>> percentile(np.arange(101, dtype=np.uint8), 95)
    95.0
    """
    import cv2

    if image.dtype != np.uint8:
        return float(np.percentile(image, percent))
    # OpenCV counts in float32, exact up to 2^24: in parts. NumPy's bincount would make
    # eight bytes of every pixel first.
    parts = np.array_split(image.ravel(), 1 + image.size // 2**23)
    parts = [cv2.calcHist([part], [0], None, [256], [0, 256]) for part in parts]
    counts = np.cumsum(np.sum(parts, axis=0, dtype=np.int64))
    place = percent / 100 * (image.size - 1)
    low = int(np.floor(place))
    below, above = np.searchsorted(counts, [low, min(low + 1, image.size - 1)], "right")
    return float(below + (place - low) * (above - below))


@dataclasses.dataclass(frozen=True, eq=False)
class Resized:
    """An image at the working size, with the exact way back to file pixels.

    Attributes:
        image: [S_h, S_w] float32 in 0..1; zeros in the padding (right and bottom).
        size: (h, w) of the part that holds the picture.
        box: (x0, y0, x1, y1), the part of the file's image that was resized.
        file_size: (height, width) of the whole image in the file.

    >>> resized = fit_to(np.ones((40, 80), np.float32), 64)
    >>> resized.size, resized.image.shape, resized.to_file([[0.0, 0.0]]).tolist()
    ((32, 64), (64, 64), [[0.125, 0.125]])
    """

    image: np.ndarray
    size: tuple[int, int]
    box: tuple[int, int, int, int]
    file_size: tuple[int, int]

    @property
    def scale(self) -> tuple[float, float]:
        """(sx, sy): pixels of `image` to one pixel of the file."""
        x0, y0, x1, y1 = self.box
        return self.size[1] / (x1 - x0), self.size[0] / (y1 - y0)

    def to_file(self, xy: Any) -> np.ndarray:
        """Map points (x, y) [..., 2] of `image` to file pixels, float64."""
        return resize_points(xy, 1 / np.asarray(self.scale)) + np.asarray(self.box[:2])

    def from_file(self, xy: Any) -> np.ndarray:
        """Map points (x, y) [..., 2] of the file to pixels of `image`, float64."""
        return resize_points(np.asarray(xy) - np.asarray(self.box[:2]), self.scale)


def fit_to(
    image: np.ndarray,
    working_size: int,
    *,
    mode: str = "fit",
    pad_to: int | str | None = "square",
    box: tuple[int, int, int, int] | None = None,
    quantize: bool = False,
) -> Resized:
    """Resize a normalized image to the working size (bilinear, antialiased).

    Args:
        image: [H, W] float32 in 0..1.
        working_size: target side S in px.
        mode: "fit" keeps the aspect and brings the longer side to S; "stretch"
            makes S x S of any image (the published way).
        pad_to: "square" pads right and bottom with zeros to S x S, an integer to
            the next multiple of it, None not at all.
        box: (x0, y0, x1, y1) part of the image to use (x1, y1 exclusive); None: all.
        quantize: resize a copy truncated to 8 bits, as the published inference does;
            the published training resizes floats, as here by default.

    Returns:
        A `Resized`; its maps use each axis' actual scale and the half-pixel rule.

    Raises:
        ValueError: unknown mode, not [H, W], or a box outside the image.

    >>> fit_to(np.ones((40, 80), np.float32), 64, pad_to=None).image.shape
    (32, 64)
    """
    from PIL import Image

    if image.ndim != 2:
        raise ValueError(f"expected a normalized image [H, W], found {image.shape}")
    height, width = image.shape
    x0, y0, x1, y1 = box = box or (0, 0, width, height)
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise ValueError(f"box {box} lies outside the image of {width}x{height} px")
    if mode == "fit":
        scale = working_size / max(x1 - x0, y1 - y0)
        h, w = (max(1, round(n * scale)) for n in (y1 - y0, x1 - x0))
    elif mode == "stretch":
        h = w = working_size
    else:
        raise ValueError(f"unknown mode {mode!r}; known: 'fit', 'stretch'")
    part = np.ascontiguousarray(image[y0:y1, x0:x1], np.float32)
    if quantize:
        part = (part * np.float32(255.0)).astype(np.uint8)
    small = np.asarray(Image.fromarray(part).resize((w, h), Image.Resampling.BILINEAR))
    if quantize:
        small = small.astype(np.float32) / np.float32(255.0)
    if pad_to == "square":
        full = (working_size, working_size)
    elif pad_to is None:
        full = (h, w)
    elif isinstance(pad_to, int) and pad_to > 0:
        full = (-(-h // pad_to) * pad_to, -(-w // pad_to) * pad_to)
    else:
        raise ValueError(f"pad_to={pad_to!r}; expected 'square', a multiple or None")
    padded = np.zeros(full, np.float32)
    padded[:h, :w] = small
    return Resized(padded, (h, w), box, (height, width))


def field_box(image: np.ndarray) -> tuple[int, int, int, int]:
    """Find the bounding box of the camera's field of view.

    The field is the largest connected part brighter than an eighth of the image's
    bright end (95th percentile of the brightest channel), after a median filter.

    Args:
        image: [H, W] or [H, W, 3], uint8 or float in 0..1, before normalizing.

    Returns:
        (x0, y0, x1, y1) with x1, y1 exclusive; the whole image where no field
        stands out (less than a quarter of the image).

    >>> frame = np.zeros((60, 100), np.uint8)
    >>> frame[10:50, 20:90] = 200
    >>> field_box(frame)
    (20, 10, 90, 50)
    """
    import cv2

    height, width = image.shape[:2]
    bright = brightest(image)
    if bright.dtype != np.uint8:
        bright = (np.clip(bright, 0, 1) * 255).astype(np.uint8)
    threshold = max(percentile(bright, 95) / 8, 1)
    mask = (cv2.medianBlur(np.ascontiguousarray(bright), 3) > threshold).astype(
        np.uint8
    )
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if count < 2:
        return 0, 0, width, height
    x0, y0, w, h, _ = (int(n) for n in stats[1 + np.argmax(stats[1:, 4])])
    if w * h < height * width / 4:
        return 0, 0, width, height
    return x0, y0, x0 + w, y0 + h


def prepare(
    source: str | os.PathLike[str] | bytes | np.ndarray,
    *,
    size: int = 768,
    mode: str = "fit",
    pad_to: int | str | None = "square",
    crop_field: bool = False,
    quantize: bool = False,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> Resized:
    """Read, normalize and resize one photograph: `read_image` to `fit_to`.

    Args:
        source: path, encoded bytes or array, see `read_image`.
        size: working size in px.
        mode, pad_to, quantize: see `fit_to`.
        crop_field: use the field of view's bounding box only (cut out after
            normalizing, so that the recipe sees the whole image as published).
        max_megapixels: see `read_image`.

    Returns:
        A `Resized`, whose points map to pixels of the file.

    Raises:
        FileNotFoundError, TypeError, ValueError: see `read_image`, `normalize`.

    >>> eye = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
    >>> prepare(eye, size=48).size
    (32, 48)
    """
    image = read_image(source, max_megapixels=max_megapixels)
    box = field_box(image) if crop_field else None
    normalized = normalize(image, name=describe(source))
    return fit_to(
        normalized, size, mode=mode, pad_to=pad_to, box=box, quantize=quantize
    )
