"""The files of a pair: pictures keep the depth of the file, and are bright enough."""

import cv2
import numpy as np
import pytest
from made_pictures import texture

from rkd_jax.registration.files import outputs
from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.result import Registration
from rkd_jax.registration.transforms import Homography


def _unmoved(size):
    """Return a registration that leaves the image where it is."""
    none = np.zeros((0, 2))
    return Registration(
        ok=True,
        reason="",
        transform=Homography(np.eye(3)),
        matches=Matches(none, none, np.zeros(0, np.float32)),
        inliers=np.zeros(0, bool),
        confidence=1.0,
        evidence={},
        fixed_size=size,
        moving_size=size,
    )


def _drawn(fixed, moving):
    files = outputs.results(_unmoved(moving.shape[:2]), fixed, moving, None)
    return {
        name: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        for name, data in files.items()
    }


def _deep(*shape, highest):
    """Return 16-bit pixels from 0 to a highest one, and the image as it is read."""
    picture = texture(0, *shape).astype(np.float64)
    picture += texture(1, *shape) / 255  # between the 8-bit steps
    picture = (picture - picture.min()) / np.ptp(picture)
    pixels = np.rint(picture * highest).astype(np.uint16)
    return pixels, (pixels / 65535).astype(np.float32)


@pytest.mark.parametrize("shape", [(90, 120), (90, 120, 3)])
@pytest.mark.parametrize("highest", [65535, 40000, 4095, 1023])
def test_more_than_8_bits_stay_and_fill_the_range(shape, highest):
    pixels, image = _deep(*shape, highest=highest)
    drawn = _drawn(image, image)
    registered = drawn["registered.png"]
    assert registered.dtype == np.uint16
    assert registered.shape == shape
    factor = outputs.display_scale(image)
    assert factor == (1.0 if highest > 2**15 else pytest.approx(65535 / highest))
    if registered.ndim == 3:
        registered = registered[..., ::-1]
    np.testing.assert_allclose(registered, pixels * factor, atol=1.0)
    assert len(np.unique(registered)) == len(np.unique(pixels)) > 256
    # Overlay and matches show both images as bright as the registered one.
    for name in ("overlay.png", "matches.png"):
        assert drawn[name].dtype == np.uint8
    shown = np.rint(pixels * factor / 257)
    overlay = drawn["overlay.png"][..., ::-1]
    shown = shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, axis=2)
    middle = slice(30, 60), slice(40, 80)
    np.testing.assert_allclose(overlay[middle], shown[middle], atol=1)
    assert drawn["matches.png"][:800].max() > 120


@pytest.mark.parametrize("shape", [(90, 120), (90, 120, 3)])
def test_8_bits_are_as_in_the_file(shape):
    dark = texture(0, *shape) // 16
    registered = _drawn(dark, dark)["registered.png"]
    assert registered.dtype == np.uint8
    if registered.ndim == 3:
        registered = registered[..., ::-1]
    np.testing.assert_array_equal(registered, dark)
    assert outputs.display_scale(dark) == 1.0


def test_a_black_image_of_16_bits_is_drawn():
    black = np.zeros((64, 64), np.float32)
    assert _drawn(black, black)["registered.png"].max() == 0
