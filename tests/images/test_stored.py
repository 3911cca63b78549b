"""The numbers of image files are read and written without a change."""

import gzip
import io

import cv2
import numpy as np
import pytest
from made_files import DEFLATE, GREY, RGB, WHITE_IS_ZERO, tiff
from PIL import Image, ImageOps

from rkd_jax.images.stored import Stored, read_stored
from rkd_jax.images.storing import encode

RNG = np.random.default_rng(0)
SIZE = (21, 34)


def numbers(dtype, *channels):
    """Return numbers over the whole range of a dtype; floats with NaN."""
    shape = (*SIZE, *channels)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        values = RNG.normal(0, 1e4, shape).astype(dtype)
        values.flat[5] = np.nan
        return values
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max, shape, dtype, endpoint=True)


def read(tmp_path, data, name="a.tif"):
    path = tmp_path / name
    path.write_bytes(data)
    return read_stored(path)


def by_pillow(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


KINDS = ("u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "u8", "i8", "f8")


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,), (5,)])
@pytest.mark.parametrize("dtype", KINDS)
def test_tiff_of_any_numbers_and_channels(tmp_path, dtype, channels, planar):
    values = numbers(dtype, *channels)
    extra = [0] * (channels[0] - 1) if channels and channels[0] != 3 else ()
    photometric = RGB if channels == (3,) else GREY
    if channels == (4,):
        extra, photometric = [1], RGB
    written = tiff(values, planar=planar, photometric=photometric, extra=extra)
    stored = read(tmp_path, written)
    assert stored.pixels.dtype == values.dtype
    np.testing.assert_array_equal(stored.pixels, values)
    assert stored.extra == tuple(extra)
    # Written by us and read again, by the part of the reader that was just checked.
    again = read(tmp_path, encode(stored, ".tif"))
    np.testing.assert_array_equal(again.pixels, values)
    assert again.extra == stored.extra


@pytest.mark.parametrize(
    "values",
    [numbers("u1", 3), numbers("u2"), numbers("u2", 3), numbers("f4"), numbers("f8")],
    ids=lambda v: f"{v.dtype}-{v.shape}",
)
def test_opencv_reads_what_is_written(values):
    data = np.frombuffer(encode(Stored(values), ".tif"), np.uint8)
    found = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    found = found if found.ndim == 2 else found[..., ::-1]
    np.testing.assert_array_equal(found, values)


def test_compressed_tiff_with_differences_and_strips(tmp_path):
    for values in (numbers("u1", 3), numbers("u2", 4), numbers("u1", 4)):
        extra = [2] if values.shape[2] == 4 else ()
        data = tiff(values, compression=DEFLATE, predictor=2, extra=extra)
        np.testing.assert_array_equal(read(tmp_path, data).pixels, values)
    tall = np.arange(3_000_000, dtype=np.uint16).reshape(1500, 2000)
    again = read(tmp_path, encode(Stored(tall), ".tiff"))
    np.testing.assert_array_equal(again.pixels, tall)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(
    "mode", ["L", "LA", "RGB", "RGBA", "1", "P", "P transparent", "I;16", "RGB16"]
)
def test_files_there_and_back(tmp_path, mode, suffix):
    if mode == "RGB16":
        values = numbers("u2", 3)
        done, data = cv2.imencode(".png", values[..., ::-1])
        assert done
        data = data.tobytes()
    elif mode.startswith("P"):
        values = RNG.integers(0, 7, SIZE, np.uint8)
        image = Image.fromarray(values)
        image.putpalette(RNG.integers(0, 256, 21, np.uint8).tobytes())
        options = {"transparency": bytes([0, 99])} if "transparent" in mode else {}
        data = by_pillow(image, "PNG", **options)
    elif mode == "1":
        values = RNG.integers(0, 2, SIZE, np.uint8)
        data = by_pillow(Image.fromarray(values.astype(bool)), "PNG")
    else:
        values = numbers("u2") if mode == "I;16" else numbers("u1", len(mode))
        values = values[..., 0] if mode == "L" else values
        data = by_pillow(Image.fromarray(values), "PNG")
    stored = read(tmp_path, data, "a.png")
    np.testing.assert_array_equal(stored.pixels, values)
    assert stored.of_classes == (mode[0] in "1P")
    again = read(tmp_path, encode(stored, suffix), f"b{suffix}")
    np.testing.assert_array_equal(again.pixels, values)
    assert again.kind == stored.kind
    if mode.startswith("P") and suffix == ".png":
        # As shown, palette and transparency included.
        shown = [
            np.asarray(Image.open(io.BytesIO(d)).convert("RGBA"))
            for d in (data, encode(stored, ".png"))
        ]
        np.testing.assert_array_equal(*shown)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_an_index_without_a_color_stays(tmp_path, suffix):
    """Such as 255 for "not labeled", where the palette has the classes alone."""
    values = RNG.integers(0, 5, SIZE, np.uint8)
    values[3, 4] = 255
    written = encode(Stored(values, palette=bytes(range(15))), suffix)
    np.testing.assert_array_equal(read(tmp_path, written).pixels, values)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_numbers_are_upright_as_the_photograph(tmp_path, orientation):
    values = numbers("i4", 5)
    data = tiff(values, photometric=GREY, extra=[0] * 4, tags={274: (3, [orientation])})
    grey = values[..., 0].astype(np.uint8)
    notes = Image.Exif()
    notes[274] = orientation
    photograph = by_pillow(Image.fromarray(grey), "PNG", exif=notes)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(photograph))))
    upright = read(tmp_path, data).pixels
    np.testing.assert_array_equal(upright[..., 0].astype(np.uint8), shown)
    np.testing.assert_array_equal(read(tmp_path, photograph, "a.png").pixels, shown)


def test_twelve_bits_and_white_is_zero_and_gzip(tmp_path):
    few = RNG.integers(0, 4096, SIZE, np.uint16)
    np.testing.assert_array_equal(read(tmp_path, tiff(few, bits=12)).pixels, few)
    values = numbers("u2")
    data = tiff(values, photometric=WHITE_IS_ZERO)
    np.testing.assert_array_equal(read(tmp_path, data).pixels, 65535 - values)
    packed = read(tmp_path, gzip.compress(tiff(values)), "a.tif.gz")
    np.testing.assert_array_equal(packed.pixels, values)


def test_what_cannot_be_read_without_a_change_is_refused(tmp_path):
    cmyk = by_pillow(Image.new("CMYK", SIZE), "JPEG")
    few = b"P5 3 2 4 " + bytes([0, 1, 2, 3, 4, 0])
    for name, data, message in (
        ("a.jpg", cmyk, r"a\.jpg: colors CMYK"),
        ("a.pgm", few, r"a\.pgm: PPM of values up to 4, which programs scale"),
        ("a.tif", tiff([numbers("u1"), numbers("u1")]), r"a\.tif: TIFF of 2 pages"),
        ("a.png", b"", r"a\.png: the file is empty"),
        ("a.dcm", bytes(128) + b"DICM", r"a\.dcm: .*a DICOM file"),
        ("b.tif", tiff(numbers("f4"), photometric=WHITE_IS_ZERO), "level of black"),
    ):
        with pytest.raises(ValueError, match=message):
            read(tmp_path, data, name)


@pytest.mark.parametrize(
    ("values", "suffix", "message"),
    [
        (numbers("f4"), ".png", r"PNG cannot hold an image of float32 with 1 channel;"),
        (numbers("u2", 5), ".png", "uint16 with 5 channels that .*; let the name end"),
        (numbers("u2"), ".jpg", "JPEG cannot hold an image of uint16"),
        (numbers("u1"), ".gif", r"ends in \.png, .*, found '\.gif'"),
    ],
)
def test_formats_that_cannot_hold_the_numbers(values, suffix, message):
    with pytest.raises(ValueError, match=message):
        encode(Stored(values, (0,) * (values.ndim == 3) * 4), suffix)


@pytest.mark.parametrize("meaning", [0, 1])
def test_a_fourth_channel_that_is_no_transparency_is_no_png(meaning):
    """Programs would show infrared as transparency, or lay colors over black twice."""
    infrared = Stored(numbers("u1", 4), (meaning,))
    with pytest.raises(ValueError, match="4 channels that are not all color or trans"):
        encode(infrared, ".png")
    assert encode(infrared, ".tif")
    assert encode(Stored(infrared.pixels, (2,)), ".png")


def test_a_jpeg_is_written_if_it_is_asked_for():
    smooth = np.add.outer(np.arange(64), 2 * np.arange(64)).astype(np.uint8)
    smooth = np.stack([smooth, smooth // 2, smooth // 3], axis=-1)
    data = encode(Stored(smooth), ".jpg")
    found = np.asarray(Image.open(io.BytesIO(data)))
    assert np.abs(found.astype(int) - smooth)[4:60, 4:18].mean() < 3
