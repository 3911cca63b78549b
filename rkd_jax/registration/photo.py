"""One photograph, read, prepared and encoded once: `Photo`."""

from __future__ import annotations

import dataclasses
import os

import cv2
import numpy as np

from rkd_jax.images.field import prepared_field
from rkd_jax.images.prepare import (
    Resized,
    brightest,
    field_box,
    fit_to,
    normalize,
)
from rkd_jax.images.reading import Depth, read_with_depth
from rkd_jax.keypoints import Keypoints
from rkd_jax.registration.options import MatcherOptions
from rkd_jax.registration.transforms import Frame

Source = str | os.PathLike[str] | bytes | np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Photo(Resized):
    """A photograph at the working size, with the way to file pixels and its keypoints.

    `image`, `size`, `box`, `file_size`, `to_file` and `from_file` are those of
    `Resized`. Of a part of a photograph (`search.rectify.cut`) `box` is the part, and
    all in file pixels stays that of the whole file.

    Attributes:
        field: `[S, S]` bool, where keypoints may lie.
        frame: where the camera's field lies in the file.
        levels: `[H, W]` uint8, the normalized file.
        original: `[H, W]` or `[H, W, 3]`, the file as `read_image` gives it; None where
            a caller dropped it to save memory.
        depth: which values the file has, of which `original` was made.
        keypoints: in pixels of `image`, K rows; None before they are looked for.
        xy: `[K, 2]` float64, the keypoints in file pixels; NaN where undefined.
    """

    field: np.ndarray
    frame: Frame
    levels: np.ndarray
    original: np.ndarray | None
    depth: Depth | None = None
    keypoints: Keypoints | None = None
    xy: np.ndarray | None = None

    @property
    def mean_scale(self) -> float:
        """Working pixels to one pixel of the file."""
        return float(np.mean(self.scale))

    @property
    def unit(self) -> float:
        """Working pixels to one pixel of a 768-pixel working image."""
        return self.image.shape[0] / 768.0


def prepare_photo(
    source: Source, options: MatcherOptions, working_size: int, *, name: str
) -> Photo:
    """Read and prepare one photograph; its keypoints are found later.

    Args:
        source: path, encoded bytes or array (grey or RGB, uint8, uint16 or float).
        options: which part is used, how it is resized and masked.
        working_size: the longer side is brought to this, in px.
        name: what to call the photograph in an error.

    Raises:
        FileNotFoundError, TypeError, ValueError: the image cannot be used.

    Example:
        >>> eye = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
        >>> photo = prepare_photo(eye, MatcherOptions(), 48, name="eye")
        >>> photo.image.shape, photo.size, photo.file_size
        ((48, 48), (32, 48), (60, 90))
    """
    original, depth = read_with_depth(source, name=name)
    bright = brightest(original)  # both searches for the field start from it
    normalized = normalize(original, name=name)
    prepared = fit_to(
        normalized,
        working_size,
        mode=options.resize_mode,
        pad_to="square",
        box=field_box(bright) if options.crop_field else None,
        quantize=options.quantize,
    )
    if options.mask_field:
        field = prepared_field(bright, prepared)
    else:
        field = np.zeros(prepared.image.shape, bool)
        field[: prepared.size[0], : prepared.size[1]] = True
    return Photo(
        prepared.image,
        prepared.size,
        prepared.box,
        prepared.file_size,
        field=field,
        frame=Frame.of_box(prepared.box),
        levels=cv2.convertScaleAbs(normalized, alpha=255.0),
        original=original,
        depth=depth,
    )
