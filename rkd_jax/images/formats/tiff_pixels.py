"""Pixels of TIFF files that Pillow does not read, or reads with 8 bits only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rkd_jax.images.foreign_files import RefusedError
from rkd_jax.images.formats.tiff import Page
from rkd_jax.images.formats.tiff_plain import plain_file

_WHITE_IS_ZERO, _GREY, _RGB, _CMYK = 0, 1, 2, 5
_TRANSPARENCY, _ASSOCIATED = (1, 2), 1  # of extra samples
_MOST_SAMPLES = 16
_OF_FLOATS = 3  # predictor
_TO_DO = "save it as grey or RGB with 8 or 16 bits a channel"


def is_for_pillow(page: Page) -> bool:
    """Decide whether Pillow reads all that a picture holds, and reads it right."""
    if page.kind != "u":
        return False
    if page.photometric == _CMYK:
        return not page.planar or page.bits == 8
    if page.photometric in (_WHITE_IS_ZERO, _GREY) and page.samples > 1:
        together = page.samples == 2 and not page.planar
        return page.bits == 8 and together and _alpha(page, 1) is not None
    if page.photometric == _RGB and page.planar and page.samples > 3:
        return False
    return page.bits <= 8 or page.bits == 12


def without_packing(pixels: np.ndarray, page: Page) -> np.ndarray:
    """Scale grey of 12 bits, which Pillow hands out as stored, to 16 bits.

    Others, which Pillow scales, stay as they are.
    """
    if page.bits != 12 or pixels.dtype != np.uint16:
        return pixels
    return np.rint(pixels.clip(0, 4095) * (65535 / 4095)).astype(np.uint16)


def read_pixels(
    data: bytes, page: Page, decode: Callable[[bytes, Page], np.ndarray]
) -> np.ndarray:
    """Read a picture of whole numbers of 8 to 64 bits, or of floats.

    Args:
        data: the whole file.
        page: its picture.
        decode: returns the pixels of a plain file of unsigned numbers (16 bits and
            less) or floats (more).

    Returns:
        `[H, W]`, or `[H, W, 3 or 4]` RGB with transparency: uint8, uint16 or float.

    Raises:
        RefusedError: channels, colors or numbers that make no photograph.
    """
    colors, alpha = _channels(page)
    wanted = [*colors, *([] if alpha is None else [alpha])]
    image = _as_levels(_bits(data, page, decode, wanted), page)
    if page.photometric == _WHITE_IS_ZERO:
        if image.dtype.kind == "f" or page.kind != "u" or page.bits > 16:
            raise RefusedError(f"{page}: the level of black is not known; {_TO_DO}")
        image[..., : len(colors)] = (
            np.iinfo(image.dtype).max - image[..., : len(colors)]
        )
    if len(colors) == 1:
        image = image[..., 0] if alpha is None else image[..., [0, 0, 0, 1]]
    return image


def read_numbers(
    data: bytes, page: Page, decode: Callable[[bytes, Page], np.ndarray]
) -> np.ndarray:
    """Read the numbers of all channels as they are stored.

    Args:
        data: the whole file.
        page: its picture: grey or RGB, with any further channels.
        decode: see `read_pixels`.

    Returns:
        `[H, W, C]` of the page's kind and depth; of unsigned numbers where white is
        zero, turned so that black is.

    Raises:
        RefusedError: channels, colors or numbers that are not read.
    """
    kind = page.kind + str(page.bits // 8)
    known = page.photometric in (_WHITE_IS_ZERO, _GREY, _RGB) and kind != "f1"
    if not known or not 1 <= page.samples <= _MOST_SAMPLES:
        raise RefusedError(f"{page}: not read; {_TO_DO}")
    bits = _bits(data, page, decode, list(range(page.samples)))
    values = np.ascontiguousarray(bits).view(kind)
    if page.photometric == _WHITE_IS_ZERO:
        if page.kind != "u":
            raise RefusedError(f"{page}: the level of black is not known; {_TO_DO}")
        values[..., 0] = np.iinfo(values.dtype).max - values[..., 0]
    return values


def _bits(
    data: bytes,
    page: Page,
    decode: Callable[[bytes, Page], np.ndarray],
    wanted: list[int],
) -> np.ndarray:
    """Return the bits of the wanted samples, `[H, W, samples]`."""
    known = page.bits in (8, 16, 32, 64) and page.kind != "c"
    if not known or (page.predictor == _OF_FLOATS and page.bits < 32):
        raise RefusedError(f"{page}: not read; {_TO_DO}")
    if page.planar:
        channels = [_grey(data, page, decode, plane) for plane in wanted]
    else:
        whole = _together(data, page, decode)
        channels = [whole[..., channel] for channel in wanted]
    return np.stack(channels, axis=-1)


def _alpha(page: Page, colors: int) -> int | None:
    """Return which sample is the transparency, if any."""
    for at, meaning in enumerate(page.extra[: page.samples - colors]):
        if meaning in _TRANSPARENCY:
            return colors + at
    return None


def _channels(page: Page) -> tuple[list[int], int | None]:
    """Return which samples are colors, and which is the transparency to apply."""
    grey = page.photometric in (_WHITE_IS_ZERO, _GREY)
    if not 1 <= page.samples <= _MOST_SAMPLES or not (grey or page.photometric == _RGB):
        raise RefusedError(f"{page}: not read; {_TO_DO}")
    count = 3 if page.photometric == _RGB else 1
    alpha = _alpha(page, count)
    if grey and page.samples > 1 and alpha is None:
        # Programs that know no colors write RGB of 16 bits as three grey channels.
        count = 3
        if page.samples != count:
            raise RefusedError(
                f"{page}: which channels are colors is not known; save the channel or "
                "the three wanted as a file of their own"
            )
    if page.samples < count:
        raise RefusedError(f"{page}: RGB with fewer than 3 channels; {_TO_DO}")
    if alpha is not None and page.extra[alpha - count] == _ASSOCIATED:
        alpha = None  # the colors are laid over black already
    return list(range(count)), alpha


def _together(
    data: bytes, page: Page, decode: Callable[[bytes, Page], np.ndarray]
) -> np.ndarray:
    """Return `[H, W, samples]` of a picture whose samples lie together."""
    if page.samples == 1:
        return _grey(data, page, decode, 0)[..., None]
    stored = _stored_kind(page)
    if page.samples in (3, 4) and page.bits > 8:
        return decode(plain_file(data, page, photometric=_RGB, kind=stored), page)
    if page.samples in (3, 4) and page.photometric == _RGB:
        # The fourth as transparency, which Pillow hands out as it is.
        extra = {"extra": 2} if page.samples == 4 else {}
        return decode(plain_file(data, page, kind=stored, **extra), page)
    # Decoders have no such pictures: let them read a grey one that is as many times
    # wider. Differences between neighbors (predictor) would be those of other samples.
    if page.predictor != 1:
        raise RefusedError(
            f"{page}: not read with a predictor; save it without compression"
        )
    wide = decode(
        plain_file(
            data,
            page,
            width=page.width * page.samples,
            samples=1,
            photometric=_GREY,
            kind=stored,
        ),
        page,
    )
    return wide.reshape(page.height, page.width, page.samples)


def _grey(
    data: bytes, page: Page, decode: Callable[[bytes, Page], np.ndarray], plane: int
) -> np.ndarray:
    plain = plain_file(
        data,
        page,
        plane=plane,
        samples=1,
        photometric=_GREY,
        kind=_stored_kind(page),
    )
    return decode(plain, page)


def _stored_kind(page: Page) -> int:
    """Return the sample format under which decoders hand out the same bits.

    OpenCV has no unsigned numbers of 32 bits and no floats of 16 everywhere.
    """
    return 1 if page.bits <= 16 else 3


def _as_levels(bits: np.ndarray, page: Page) -> np.ndarray:
    """Return numbers of the page's kind, whole ones as uint8 or uint16."""
    kind = page.kind + str(page.bits // 8)
    if kind == "f1":
        raise RefusedError(f"{page}: not read; {_TO_DO}")
    values = np.ascontiguousarray(bits).view(kind)
    if kind in ("u1", "u2"):
        return values
    if page.kind == "f":
        return values.astype(np.float32) if kind == "f2" else values
    low, high = int(values.min()), int(values.max())
    top = np.uint8 if page.bits == 8 else np.uint16
    if low < 0 or high > np.iinfo(top).max:
        raise RefusedError(
            f"{page}: values from {low} to {high}; expected 0 to {np.iinfo(top).max}: "
            "rescale them"
        )
    return values.astype(top)
