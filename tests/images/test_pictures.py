"""Images for the eye: clipped, not wrapped around; files are read back."""

import io

import cv2
import numpy as np
import pytest
from made_pictures import texture
from PIL import Image

from rkd_jax.images.pictures import encode, encode_gif, to_rgb8, to_uint8


@pytest.mark.parametrize("shape", [(4, 1), (1, 4), (4, 4), (5, 7), (5, 7, 3)])
def test_floats_become_the_nearest_of_256_levels(shape):
    image = np.random.default_rng(0).uniform(-0.5, 1.5, shape).astype(np.float32)
    expected = np.rint(np.clip(image.astype(float), 0, 1) * 255)
    for values in (image, image.astype(float), image.astype(np.float16)):
        found = to_uint8(values)
        assert found.shape == shape
        assert np.abs(found - expected).max() <= (values.dtype == np.float16)
    twice = np.rint(np.clip(image.astype(float) * 2, 0, 1) * 255)
    assert np.abs(to_uint8(image, 2.0) - twice).max() <= 1


def test_rgb_of_grey_repeats_it_and_of_uint8_is_itself():
    grey = texture(0, 6, 9)
    np.testing.assert_array_equal(to_rgb8(grey), np.stack([grey] * 3, axis=-1))
    color = texture(0, 6, 9, 3)
    np.testing.assert_array_equal(to_rgb8(color[::-1]), color[::-1])


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("png", np.uint8), ("png", np.uint16), ("tiff", np.uint8), ("tiff", np.uint16)],
)
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3)])
def test_files_hold_every_value(kind, dtype, shape):
    image = texture(0, *shape).astype(dtype)
    image *= np.iinfo(dtype).max // 255
    image += 1 if dtype == np.uint16 else 0
    data = np.frombuffer(encode(image, kind), np.uint8)
    found = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    found = found[..., ::-1] if found.ndim == 3 else found
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, image)


def test_a_gif_of_few_colors_is_exact_and_plays_without_end():
    frames = [np.zeros((40, 60, 3), np.uint8) for _ in range(3)]
    for index, frame in enumerate(frames):
        frame[10 * index : 10 * index + 10] = 40 * index + 50, 200, 30
    with Image.open(io.BytesIO(encode_gif(frames, frame_ms=250))) as shown:
        assert (shown.n_frames, shown.info["loop"]) == (3, 0)
        for index, frame in enumerate(frames):
            shown.seek(index)
            assert shown.info["duration"] == 250
            np.testing.assert_array_equal(np.asarray(shown.convert("RGB")), frame)
