"""From a photograph as read to the image at full scale that the networks take."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from rkd_jax.images.field import field_of_view

NEUTRAL = 128
"""Grey level of what equals its surroundings, and of all outside the field."""


@dataclasses.dataclass(frozen=True)
class Scale:
    """How photographs are brought to the scale and contrast that was trained on.

    Attributes:
        field_px: diameter of the field of view at full scale, pixels.
        sigma_px: of the Gaussian whose mean is taken from each pixel, at full scale.
        gain: what the difference is multiplied by.
    """

    field_px: float = 3450.0
    sigma_px: float = 10.0
    gain: float = 4.0

    def __post_init__(self) -> None:
        """Check the values; raise a ValueError with the name of a bad one."""
        for name, value in dataclasses.asdict(self).items():
            if not (isinstance(value, int | float) and 0 < value < float("inf")):
                raise ValueError(f"scale.{name} is {value!r}; expected more than 0")


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """A photograph at full scale.

    Attributes:
        image: uint8 `[h, w, 3]`, enhanced.
        field: bool `[h, w]`, the lit part.
        file_size: (height, width) of the photograph.
    """

    image: np.ndarray
    field: np.ndarray
    file_size: tuple[int, int]

    @property
    def scale(self) -> tuple[float, float]:
        """(sx, sy): pixels of `image` to one pixel of the file."""
        (h, w), (height, width) = self.field.shape, self.file_size
        return w / width, h / height


def field_diameter(field: np.ndarray) -> float:
    """Return the diameter of a field of view in pixels.

    The larger side of its bounding box: cameras cut the circle at the top and bottom,
    or at the left and right.

    Args:
        field: bool `[H, W]`.

    Raises:
        ValueError: it is empty.

    >>> field = np.zeros((100, 200), bool)
    >>> field[:, 20:180] = True
    >>> field_diameter(field)
    160.0
    """
    rows, columns = np.flatnonzero(field.any(1)), np.flatnonzero(field.any(0))
    if not len(rows):
        raise ValueError("no field of view: nothing in the image is lit")
    return float(max(np.ptp(rows), np.ptp(columns)) + 1)


def prepare(image: np.ndarray, scale: Scale) -> Prepared:
    """Bring a photograph to full scale and enhance its contrast.

    Inside the field, I' = gain (I - mean of I around it) + 128, cut to 0..255; the mean
    is Gaussian and of pixels of the field alone, so that the rim has no edge. Outside
    it is 128.

    Args:
        image: uint8 `[H, W]` or `[H, W, 3]` as read.
        scale: what the networks were trained on.

    Raises:
        ValueError: nothing in the image is lit.

    Source: van Grinsven et al. 2016, whose weights are 4, -4 and 128; Sarhan et al.
    2019 enhance the contrast by a formula that our copy of the text has lost.
    """
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    height, width = image.shape[:2]
    field = field_of_view(image)
    factor = scale.field_px / field_diameter(field)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    image = cv2.resize(image, size, interpolation=how)
    field = cv2.resize(field.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return Prepared(_enhance(image, field > 0, scale), field > 0, (height, width))


def _enhance(image: np.ndarray, field: np.ndarray, scale: Scale) -> np.ndarray:
    inside = field.astype(np.float32)

    def blur(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(
            values, (0, 0), scale.sigma_px, borderType=cv2.BORDER_REFLECT_101
        )

    share = np.maximum(blur(inside), 1e-3)
    result = np.empty_like(image)
    for channel in range(3):  # one at a time: a third of the memory
        values = image[..., channel].astype(np.float32)
        values -= blur(values * inside) / share
        values = np.where(field, scale.gain * values, 0) + NEUTRAL
        result[..., channel] = np.clip(np.rint(values), 0, 255)
    return result


def field_box(field: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns of a field of view, from even ones on.

    Args:
        field: bool `[h, w]`, not empty. Its first row and column are even, so that the
            cells of `half` are the same in the box and in the whole image.

    >>> field = np.zeros((8, 8), bool)
    >>> field[3:5, 4:7] = True
    >>> field_box(field)
    (slice(2, 5, None), slice(4, 7, None))
    """
    spans = (np.flatnonzero(field.any(axis)) for axis in (1, 0))
    rows, columns = (slice(int(s[0]) // 2 * 2, int(s[-1]) + 1) for s in spans)
    return rows, columns


def without_rim(field: np.ndarray, share: float) -> np.ndarray:
    """Return a field without what is close to its border, bool `[H, W]`.

    Args:
        field: bool `[H, W]`, not empty; beyond the image is outside of it.
        share: width of the rim to the field's diameter.

    >>> field = np.ones((10, 10), bool)
    >>> without_rim(field, 0.2)[2].tolist() == [False] * 2 + [True] * 6 + [False] * 2
    True
    """
    depth = cv2.distanceTransform(
        np.pad(field, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
    )
    return depth[1:-1, 1:-1] > share * field_diameter(field)


def half(image: np.ndarray) -> np.ndarray:
    """Return an image at half scale, by the means of 2x2 cells.

    Args:
        image: uint8 `[h, w, 3]`; an odd side loses its last row or column.

    >>> half(np.full((5, 4, 3), 7, np.uint8)).shape
    (2, 2, 3)
    """
    h, w = image.shape[0] // 2, image.shape[1] // 2
    return cv2.resize(image[: 2 * h, : 2 * w], (w, h), interpolation=cv2.INTER_AREA)
