"""The files of a pair: pictures keep the depth of the file, and are bright enough."""

import dataclasses
import io

import cv2
import numpy as np
import pytest
from made_photos import blank_photo
from made_pictures import texture
from made_results import made_registration
from PIL import Image

from rkd_jax.images.pictures import display_scale
from rkd_jax.images.reading import Depth, read_image, read_with_depth
from rkd_jax.registration.files import outputs
from rkd_jax.registration.pictures import PICTURES, PictureOptions

DEFAULT = PictureOptions()


def _files(fixed, moving, options=DEFAULT, depth=None):
    """Return the files of a pair whose transform leaves the image where it is."""
    size = moving.shape[:2]
    photos = [
        dataclasses.replace(blank_photo(size), original=image, depth=depth)
        for image in (fixed, moving)
    ]
    registration = made_registration(size, points=[])
    files = outputs.results(registration, photos, None, pictures=options)
    del files[outputs.MATCHES]
    return files


def _drawn(fixed, moving):
    files = _files(fixed, moving)
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
    factor = display_scale(image)
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
    middle = slice(31, 45), slice(46, 60)  # a tile without its border
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
    assert display_scale(dark) == 1.0


def test_a_black_image_of_16_bits_is_drawn():
    black = np.zeros((64, 64), np.float32)
    assert _drawn(black, black)["registered.png"].max() == 0


@pytest.mark.parametrize("kind", ["tiff", "png"])
@pytest.mark.parametrize("shape", [(90, 120), (90, 120, 3)])
@pytest.mark.parametrize("highest", [65535, 1023])
def test_tiff_keeps_the_values_of_16_bits(shape, kind, highest):
    pixels, image = _deep(*shape, highest=highest)
    options = PictureOptions(("registered",), kind)
    depth = Depth.of(pixels)
    (data,) = _files(image, image, options, depth).values()
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found.dtype == np.uint16
    found = found[..., ::-1] if found.ndim == 3 else found
    scale = 1.0 if kind == "tiff" else display_scale(image)
    np.testing.assert_allclose(found, pixels * scale, atol=0 if scale == 1 else 1)
    assert (scale > 1) == (kind == "png" and highest == 1023)


@pytest.mark.parametrize("shape", [(90, 120), (90, 120, 3)])
@pytest.mark.parametrize("top", [1.0, 255.0])
def test_a_tiff_of_floats_comes_back_with_the_values_of_its_file(tmp_path, shape, top):
    values = (texture(0, *shape) / 260 + 1e-4).astype(np.float32) * np.float32(top)
    plain = [cv2.IMWRITE_TIFF_COMPRESSION, 1]  # no LogLuv, which loses digits
    cv2.imwrite(str(tmp_path / "a.tif"), values, plain)
    image, depth = read_with_depth(tmp_path / "a.tif")
    assert (image.dtype, depth) == (np.float32, (np.float32, top))
    files = _files(image, image, PictureOptions(("registered",), "tiff"), depth)
    path = tmp_path / "registered.tiff"
    path.write_bytes(files["registered.tiff"])
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values, rtol=1e-6)
    np.testing.assert_allclose(read_image(path), image, rtol=1e-6)
    if len(shape) == 2:  # Pillow reads no floats in color
        with Image.open(path) as opened:
            np.testing.assert_allclose(np.asarray(opened), values, rtol=1e-6)


@pytest.mark.parametrize("kind", ["png", "jpg", "tiff"])
def test_every_still_picture_has_the_format_asked_for(kind):
    eye = texture(0, 90, 120, 3)
    files = _files(eye, eye, PictureOptions(tuple(PICTURES), kind))
    assert set(files) == {
        "flicker.gif" if name == "flicker" else f"{name}.{kind}" for name in PICTURES
    }
    for name, data in files.items():
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
            expected = {"jpg": "JPEG"}.get(name.split(".")[1], name.split(".")[1])
            assert opened.format == expected.upper()
            assert (opened.mode == "RGB") == (name != "flicker.gif")
    with Image.open(io.BytesIO(files[f"registered.{kind}"])) as opened:
        difference = np.abs(np.asarray(opened).astype(int) - eye)
    assert difference.mean() < 3 if kind == "jpg" else difference.max() == 0


def test_jpg_of_16_bits_has_8_and_is_bright():
    _, image = _deep(90, 120, highest=4095)
    files = _files(image, image, PictureOptions(("registered",), "jpg"))
    found = cv2.imdecode(
        np.frombuffer(files["registered.jpg"], np.uint8), cv2.IMREAD_UNCHANGED
    )
    assert found.dtype == np.uint8
    assert np.abs(found - image * display_scale(image) * 255).mean() < 3


def test_pictures_of_an_earlier_run_go_with_their_format(tmp_path):
    eye = texture(0, 90, 120)
    mine = tmp_path / "overlay.tiff"
    mine.write_text("not of rkd_jax")
    for options, left in (
        (DEFAULT, {"matches.png", "overlay.png", "registered.png"}),
        (PictureOptions(("overlay", "flicker"), "jpg"), {"overlay.jpg", "flicker.gif"}),
        (PictureOptions(()), set()),
    ):
        outputs.write(tmp_path, _files(eye, eye, options), "{}")
        found = {p.name for p in tmp_path.iterdir() if not p.name.startswith(".")}
        assert found == left | {"transform.json", "overlay.tiff"}
    assert mine.read_text() == "not of rkd_jax"
