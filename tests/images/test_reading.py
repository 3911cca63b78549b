"""Files as people have them: read right, or refused with the reason and the name."""

import gzip
import io
import os
import pathlib
import socket
import struct
import threading
import tracemalloc
import zlib

import cv2
import made_files
import numpy as np
import pytest
from made_files import exif, png, tiff, with_exif
from PIL import Image
from skimage import color

from rkd_jax.data.builders import _common
from rkd_jax.files.own_files import digest
from rkd_jax.images import decoding, foreign_files, image_files, prepare
from rkd_jax.images.reading import read_image

HEIGHT, WIDTH = 37, 50  # no multiple of a tile's side
BY_PILLOW = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM", "WEBP", "JPEG2000")


@pytest.fixture(scope="module")
def levels():
    """A picture in 0..1 without symmetries, `[H, W, 3]`."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    noise = np.random.default_rng(0).uniform(0, 0.2, (HEIGHT, WIDTH, 3))
    ramp = (x / WIDTH * 0.6 + (y / HEIGHT) ** 2 * 0.2)[..., None]
    return ramp * [1.0, 0.8, 0.6] + noise


@pytest.fixture(scope="module")
def deep(levels):
    return np.rint(levels * 65535).astype(np.uint16)


@pytest.fixture(scope="module")
def picture(levels):
    return np.rint(levels * 255).astype(np.uint8)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def as_stored(read):
    """Undo the scaling of `read_image` to 0..1 of files of 16 bits."""
    assert read.dtype == np.float32
    return np.rint(read.astype(np.float64) * 65535).astype(np.int64)


LAYOUTS = [
    {},
    {"order": ">"},
    {"big": True},
    {"big": True, "order": ">", "planar": True},
    {"planar": True},
    {"planar": True, "tile": 16},
    {"tile": 16},
    {"rows": 5, "compression": made_files.LZW, "predictor": 2},
    {"tile": 16, "compression": made_files.LZW, "predictor": 2, "order": ">"},
    {"planar": True, "compression": made_files.DEFLATE, "predictor": 2, "rows": 9},
    {"compression": made_files.PACKBITS, "order": ">"},
]
FLOAT_LAYOUTS = [
    *[layout for layout in LAYOUTS if "predictor" not in layout],
    {"compression": made_files.DEFLATE, "predictor": 3},
    {"compression": made_files.LZW, "predictor": 3, "planar": True, "order": ">"},
]


class TestTiff:
    """Against the arrays that were written, in every layout."""

    @pytest.mark.parametrize("layout", LAYOUTS, ids=str)
    def test_whole_numbers(self, picture, deep, layout):
        for image in (picture, picture[..., 1]):
            np.testing.assert_array_equal(read_image(tiff(image, **layout)), image)
        for image in (deep, deep[..., 1], deep.astype(np.int32)):
            np.testing.assert_array_equal(
                as_stored(read_image(tiff(image, **layout))), image
            )

    @pytest.mark.parametrize("layout", FLOAT_LAYOUTS, ids=str)
    def test_floats(self, levels, layout):
        kinds = ["<f4", "<f8"] + ["<f2"] * ("predictor" not in layout)
        for kind in kinds:
            image = levels.astype(kind)
            read = read_image(tiff(image, **layout))
            np.testing.assert_array_equal(read, image.astype(np.float32))
            read = read_image(tiff(image[..., 2], **layout))
            np.testing.assert_array_equal(read, image[..., 2].astype(np.float32))
        bright = (levels * 255).astype(np.float32)
        np.testing.assert_allclose(
            read_image(tiff(bright, **layout)), bright / np.float32(255), atol=1e-6
        )

    @pytest.mark.parametrize("kind", ["i1", "i2", "i4", "u4", "i8", "u8"])
    def test_rare_whole_numbers_are_read_or_their_range_is_told(self, levels, kind):
        small = np.rint(levels * 127).astype(kind)
        read = read_image(tiff(small))
        if kind == "i1":
            np.testing.assert_array_equal(read, small)
        else:
            np.testing.assert_array_equal(as_stored(read), small)
        if kind.startswith("i"):
            with pytest.raises(ValueError, match=r"a\.tif.*values from -.*rescale"):
                read_image(tiff(small - 90), name="a.tif")
        if kind[1:] in "48":
            with pytest.raises(ValueError, match=r"values from .*65535: rescale"):
                read_image(tiff(small * np.array(1000, kind)))

    def test_twelve_bits(self, deep):
        packed = deep[..., 0] >> 4
        expected = packed / 4095
        read = read_image(tiff(packed, bits=12))
        np.testing.assert_allclose(read, expected, atol=1e-5)
        white = tiff(packed, bits=12, photometric=made_files.WHITE_IS_ZERO)
        with pytest.raises(ValueError, match=r"12 bits .*white is zero.*save it as"):
            read_image(white)
        # Stored in 16 bits, the file does not tell that 4095 is white.
        np.testing.assert_array_equal(as_stored(read_image(tiff(packed))), packed)

    @pytest.mark.parametrize("planar", [False, True])
    def test_white_is_zero(self, picture, deep, planar):
        for image in (picture[..., 1], deep[..., 1]):
            top = np.iinfo(image.dtype).max
            read = read_image(tiff(top - image, photometric=made_files.WHITE_IS_ZERO))
            read = read if image.dtype == np.uint8 else as_stored(read)
            np.testing.assert_array_equal(read, image)
        alpha = np.full_like(deep[..., 0], 65535)
        both = np.dstack([65535 - deep[..., 1], alpha])
        read = read_image(tiff(both, photometric=0, extra=[2], planar=planar))
        np.testing.assert_array_equal(as_stored(read)[..., 0], deep[..., 1])

    @pytest.mark.parametrize("planar", [False, True])
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_transparency(self, levels, dtype, planar):
        top = np.iinfo(dtype).max
        alpha = np.where(levels[..., :1] > 0.4, top, top // 3).astype(dtype)
        image = np.rint(levels * top).astype(dtype)
        share = alpha.astype(np.float64) / top
        over_black = image / top * share
        separate = tiff(np.dstack([image, alpha]), extra=[2], planar=planar)
        scale = 255 if dtype == np.uint8 else 1
        tolerance = {"rtol": 0, "atol": 1.01 / 255 if dtype == np.uint8 else 1e-5}
        np.testing.assert_allclose(
            read_image(separate) / scale, over_black, **tolerance
        )
        within = np.rint(over_black * top).astype(dtype)
        applied = tiff(np.dstack([within, alpha]), extra=[1], planar=planar)
        np.testing.assert_allclose(read_image(applied) / scale, over_black, **tolerance)
        # Also where a color is more than its share, which "over black" cannot be.
        brighter = tiff(np.dstack([image, alpha]), extra=[1], planar=planar)
        np.testing.assert_allclose(
            read_image(brighter) / scale, image / top, **tolerance
        )
        grey = tiff(np.dstack([within[..., 1], alpha]), extra=[1], planar=planar)
        np.testing.assert_allclose(
            np.atleast_3d(read_image(grey))[..., 0] / scale,
            over_black[..., 1],
            **tolerance,
        )
        other = tiff(np.dstack([image, alpha]), extra=[0], planar=planar)
        np.testing.assert_allclose(read_image(other) / scale, image / top, **tolerance)
        grey = tiff(np.dstack([image[..., 1], alpha]), extra=[2], planar=planar)
        np.testing.assert_allclose(
            read_image(grey)[..., 0] / scale, over_black[..., 1], **tolerance
        )

    @pytest.mark.parametrize("planar", [False, True])
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_channels_beyond_the_colors(self, levels, dtype, planar):
        image = np.rint(levels * np.iinfo(dtype).max).astype(dtype)
        five = np.dstack([image, image[..., :2][..., ::-1]])
        layout = {"planar": planar, "extra": [0, 0]}
        read = read_image(tiff(five, **layout))
        read = read if dtype == np.uint8 else as_stored(read)
        np.testing.assert_array_equal(read, image)
        grey = tiff(five, photometric=made_files.GREY, extra=[0] * 4, planar=planar)
        with pytest.raises(ValueError, match=r"a\.tif: TIFF of 5 channel.*which chan"):
            read_image(grey, name="a.tif")
        three = tiff(image, photometric=made_files.GREY, extra=[0, 0], planar=planar)
        read = read_image(three)
        read = read if dtype == np.uint8 else as_stored(read)
        np.testing.assert_array_equal(read, image)

    @pytest.mark.parametrize(
        ("mode", "compression"),
        [
            *(("1", "group3"), ("1", "group4"), ("1", None), ("1", "packbits")),
            *(("L", "jpeg"), ("RGB", "jpeg"), ("YCbCr", "jpeg"), ("CMYK", "tiff_lzw")),
            *(("P", "tiff_lzw"), ("P", None), ("LA", None), ("RGBA", "tiff_lzw")),
            *(("RGB", "tiff_adobe_deflate"), ("RGB", "zstd"), ("L", "tiff_lzw")),
            *(("CMYK", "jpeg"), ("YCbCr", None), ("RGBX", None), ("F", "tiff_lzw")),
        ],
    )
    def test_as_pillow_reads_what_it_wrote(self, picture, mode, compression):
        data = encoded(
            Image.fromarray(picture).convert(mode), "TIFF", compression=compression
        )
        theirs = Image.open(io.BytesIO(data))
        if mode == "F":
            expected = np.asarray(theirs) / np.float32(255)
        elif mode in ("LA", "RGBA"):
            expected = np.asarray(theirs.convert("RGB"))
        else:
            expected = np.asarray(theirs.convert("L" if mode in "1L" else "RGB"))
        np.testing.assert_array_equal(read_image(data), expected)

    def test_what_makes_no_photograph_is_described(self, levels, deep, picture):
        complex_kind = {339: (3, [6])}
        for data, message in (
            (tiff(deep, photometric=8), "16 bits .Lab.*save it as grey or RGB"),
            (tiff(deep[..., 0], photometric=3), "palette.*not read"),
            (tiff(deep[..., :2]), "TIFF of 2 channel.*save the channel"),
            (tiff(levels[..., 0].astype("f4"), tags=complex_kind), "complex"),
            (tiff(levels[..., 0].astype("f4") * np.nan), "NaN"),
            (tiff(levels[..., 0].astype("f4") - 2), "rescale"),
            (tiff(levels[..., 0].astype("f4") * 1e4), "rescale"),
            (tiff(levels[..., 0].astype("f4"), photometric=0), "level of black"),
            (tiff(picture, tags={258: (3, [8, 8, 16])}), "channels differ"),
            (tiff(picture, tags={259: (3, [50002])}), "compression 50002.*not read"),
            (tiff(np.tile(deep[..., :1], 20)), "20 channel.*not read"),
        ):
            with pytest.raises(ValueError, match=rf"a\.tif: .*{message}"):
                read_image(data, name="a.tif")

    def test_lab(self, picture):
        lab = color.rgb2lab(picture)
        stored = np.dstack([lab[..., 0] * 2.55, lab[..., 1:]])
        data = tiff(np.rint(stored).astype(np.int16).astype(np.uint8), photometric=8)
        found = read_image(data).astype(int)
        assert np.abs(found - picture).mean() < 4

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("kind", ["u1", "u2", "f8"])
    def test_turned(self, levels, picture, deep, orientation, kind):
        image = {"u1": picture, "u2": deep, "f8": levels.astype(np.float32)}[kind]
        shown = Image.Transpose
        turns = {
            2: shown.FLIP_LEFT_RIGHT,
            3: shown.ROTATE_180,
            4: shown.FLIP_TOP_BOTTOM,
        }
        turns |= {5: shown.TRANSPOSE, 6: shown.ROTATE_270, 7: shown.TRANSVERSE}
        turns |= {8: shown.ROTATE_90}
        expected = [image[..., i] for i in range(3)]
        if orientation > 1:
            expected = [
                np.asarray(Image.fromarray(band).transpose(turns[orientation]))
                for band in expected
            ]
        # A resolution that is text makes Pillow fail on the turn.
        tags = {274: (3, [orientation]), 282: (2, b"72\0\0\0\0")}
        read = read_image(tiff(image.astype(kind), tags=tags))
        read = as_stored(read) if kind == "u2" else read
        np.testing.assert_array_equal(read, np.stack(expected, axis=-1))

    def test_pages(self, picture, deep):
        for image in (picture, deep):
            pages = tiff([image, image[:20, :30], image])
            with pytest.raises(
                ValueError, match=r"a\.tif: TIFF of 3 pages \(50x37, 30x20, 50x37 px\)"
            ):
                read_image(pages, name="a.tif")

    def test_previews_are_no_pages(self, picture):
        whole, half = tiff(picture), picture[::2, ::2].copy()
        both = _with_second_page(whole, tiff(half, tags={254: (4, [1])}))
        np.testing.assert_array_equal(read_image(both), picture)
        both = _with_second_page(whole, tiff(half, tags={255: (3, [2])}))
        np.testing.assert_array_equal(read_image(both), picture)
        both = _with_second_page(tiff(half, tags={254: (4, [1])}), whole)
        np.testing.assert_array_equal(read_image(both), picture)
        alone = tiff(picture, tags={254: (4, [1])})
        np.testing.assert_array_equal(read_image(alone), picture)

    def test_stacks_with_one_list_of_tags(self, picture):
        imagej = b"ImageJ=1.54f\nimages=7\nslices=7\n\0"
        for tags, count in (({270: (2, imagej)}, 7), ({32997: (4, [5])}, 5)):
            with pytest.raises(ValueError, match=f"stack of {count} images"):
                read_image(tiff(picture, tags=tags))
        note = b"a note: \nimages=7 \0"
        np.testing.assert_array_equal(
            read_image(tiff(picture, tags={270: (2, note)})), picture
        )

    def test_previews_of_raw_files_are_refused(self, picture):
        for tags in ({50706: (1, b"\1\4\0\0")}, {254: (4, [1]), 330: (4, [9])}):
            with pytest.raises(ValueError, match=r"raw file.*develop"):
                read_image(tiff(picture, tags=tags))

    def test_damaged(self, picture, deep):
        for image in (picture, deep):
            for layout in ({}, {"big": True}, {"compression": made_files.DEFLATE}):
                whole = tiff(image, **layout)
                for cut in range(4, len(whole), len(whole) // 40):
                    with pytest.raises(
                        ValueError, match=r"^a\.tif: .*(damaged|not an)"
                    ):
                        read_image(whole[:cut], name="a.tif")
        far = {273: (16, [2**63 + 5] * 3)}
        with pytest.raises(ValueError, match=r"a\.tif.*damaged"):
            read_image(tiff(picture, big=True, tags=far), name="a.tif")

    def test_sizes_of_strips_that_are_wrong_or_missing(self, picture):
        for sizes in ([0, 0, 0], [1, 1, 1], [2**31, 2**31, 2**31]):
            data = tiff(picture, tags={279: (4, sizes)})
            np.testing.assert_array_equal(read_image(data), picture)
        one = tiff(picture, rows=HEIGHT)
        renamed = one.replace(
            struct.pack("<HHI", 279, 4, 1), struct.pack("<HHI", 280, 4, 1)
        )
        assert renamed != one
        np.testing.assert_array_equal(read_image(renamed), picture)


def _with_second_page(first, second):
    """Chain two classic little-endian TIFF files of one page each."""
    shift = len(first) + len(first) % 2
    data = bytearray(first.ljust(shift, b"\0") + second)
    (at,) = struct.unpack_from("<I", second, 4)
    (count,) = struct.unpack_from("<H", second, at)
    sizes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8}
    for place in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, number, value = struct.unpack_from("<HHII", second, place)
        start = place + 8
        if sizes[kind] * number > 4:
            struct.pack_into("<I", data, shift + start, value + shift)
            start = value
        if tag == 273:
            for strip in range(number):
                (old,) = struct.unpack_from("<I", second, start + 4 * strip)
                struct.pack_into("<I", data, shift + start + 4 * strip, old + shift)
    (at_first,) = struct.unpack_from("<I", first, 4)
    (count,) = struct.unpack_from("<H", first, at_first)
    struct.pack_into("<I", data, at_first + 2 + 12 * count, at + shift)
    return bytes(data)


class TestSixteenBits:
    @pytest.mark.parametrize("interlaced", [False, True])
    def test_png(self, deep, interlaced):
        for image in (deep, deep[..., 1]):
            read = read_image(png(image, interlaced=interlaced))
            np.testing.assert_array_equal(as_stored(read), image)
        alpha = deep[..., :1]
        read = read_image(png(np.dstack([deep, alpha]), interlaced=interlaced))
        np.testing.assert_allclose(
            read, deep / 65535 * (alpha / 65535), rtol=0, atol=1e-5
        )
        grey = np.dstack([deep[..., 1], alpha])
        read = read_image(png(grey, interlaced=interlaced))
        expected = deep[..., 1] / 65535 * (alpha[..., 0] / 65535)
        np.testing.assert_allclose(read[..., 0], expected, rtol=0, atol=1e-5)

    def test_transparent_color(self, deep):
        keyed = deep[3, 4]
        chunk = (b"tRNS", struct.pack(">HHH", *keyed.tolist()))
        read = as_stored(read_image(png(deep, chunks=[chunk])))
        clear = (deep == keyed).all(axis=-1)
        np.testing.assert_array_equal(read, np.where(clear[..., None], 0, deep))

    def test_truncated(self, deep):
        whole = png(deep)
        for cut in range(8, len(whole) - 60, len(whole) // 30):
            with pytest.raises(ValueError, match=r"^a\.png: "):
                read_image(whole[:cut], name="a.png")

    @pytest.mark.parametrize("top", [100, 255, 256, 1000, 4095, 65535])
    def test_netpbm(self, levels, top):
        stored = np.rint(levels * top).astype(">u2" if top > 255 else "u1")
        step = 0.51 / 255 if top < 256 else 1e-5  # of 8 and of 16 bits
        for kind, image in ((b"P6", stored), (b"P5", stored[..., 1])):
            header = kind + f"\n# a note\n{WIDTH} {HEIGHT}\n{top}\n".encode()
            read = read_image(header + image.tobytes())
            scale = 255 if read.dtype == np.uint8 else 1
            expected = image.astype(np.float64) / top
            np.testing.assert_allclose(read / scale, expected, rtol=0, atol=step)
        words = " ".join(map(str, stored.ravel().tolist()))
        read = read_image(f"P3 {WIDTH} {HEIGHT} {top} {words}".encode())
        scale = 255 if read.dtype == np.uint8 else 1
        np.testing.assert_allclose(read / scale, stored / top, rtol=0, atol=step)

    def test_jpeg_2000(self, deep):
        exact = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000]
        for image in (deep, deep[..., 1]):
            bgr = image[..., ::-1] if image.ndim == 3 else image
            data = cv2.imencode(".jp2", np.ascontiguousarray(bgr), exact)[1].tobytes()
            np.testing.assert_array_equal(as_stored(read_image(data)), image)

    def test_builders_store_all_bits(self, tmp_path, deep, levels):
        path = tmp_path / "a.tif"
        for image in (deep, deep[..., 1]):
            path.write_bytes(tiff(image, planar=image.ndim == 3))
            stored = _common.stored_bytes(path)
            found = cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_UNCHANGED)
            found = found[..., ::-1] if found.ndim == 3 else found
            np.testing.assert_array_equal(found, image)


def exif_blocks():
    turn = (0x112, 3, 1, struct.pack("<HH", 6, 0))
    text = (282, 2, 4, b"72\0\0")
    far = struct.pack("<I", 2**31)
    good = exif(turn)
    return {
        "sound": good,
        "resolution as text": exif(turn, text),
        "text first": exif((271, 2, 4, b"abc\0"), turn, text, (283, 7, 4, b"abcd")),
        "rational outside": exif(turn, (282, 5, 1, far)),
        "text outside": exif(turn, (271, 2, 2**31 - 1, far)),
        "maker's part outside": exif(turn, (0x8769, 4, 1, far), (0x8825, 4, 1, far)),
        "maker's part is text": exif(turn, (0x8769, 2, 4, b"abc\0")),
        "directory of itself": exif(turn, (0x8769, 4, 1, struct.pack("<I", 8))),
        "before it text outside": exif((271, 2, 2**31 - 1, far), turn),
        "before it numbers outside": exif((271, 10, 4, far), turn),
        "unknown type": exif(turn, (282, 99, 1, bytes(4))),
        "type 0": exif((282, 0, 0, bytes(4)), turn),
        "last link outside": good[:-4] + far,
        "no last link": good[:-4],
        "two turns in one": exif((0x112, 3, 2, struct.pack("<HH", 6, 6))),
        "turn as byte": exif((0x112, 1, 1, b"\6\0\0\0")),
        "long number": exif((0x112, 4, 1, struct.pack("<I", 6))),
        "out of range": exif((0x112, 3, 1, struct.pack("<HH", 9, 0)), text),
        "zero": exif((0x112, 3, 1, bytes(4)), text),
        "huge": exif((0x112, 3, 1, b"\xff\xff\0\0"), text),
        "turn as text": exif((0x112, 2, 2, b"6\0\0\0"), text),
        "no entry": exif(),
        "only a mark": b"II*\0",
        "another mark": b"XX*\0" + good[4:],
        "nothing": b"",
        "noise": np.random.default_rng(0).bytes(200),
        "directory outside": b"II*\0" + far + good[8:],
    }


class TestExif:
    """Damaged metadata beside sound pixels; OpenCV reads the same bytes."""

    def jpeg(self):
        picture = np.zeros((64, 96, 3), np.uint8)
        picture[:20, :30], picture[40:, 60:] = (200, 40, 90), (30, 160, 220)
        return encoded(picture, "JPEG", quality=95)

    @pytest.mark.parametrize("name", exif_blocks())
    def test_as_opencv(self, name):
        data = with_exif(self.jpeg(), exif_blocks()[name])
        if name.startswith("before it"):  # OpenCV gives up on these, we need not
            assert read_image(data).shape == (96, 64, 3)
            return
        theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        ours = read_image(data)
        assert ours.shape == theirs.shape
        assert np.abs(ours.astype(int) - theirs[..., ::-1]).max() <= 3

    @pytest.mark.parametrize("order", "<>")
    @pytest.mark.parametrize("turn", range(1, 9))
    def test_all_turns_beside_damage(self, turn, order):
        entry = (0x112, 3, 1, struct.pack(order + "HH", turn, 0))
        block = exif(entry, (282, 2, 4, b"72\0\0"), order=order)
        data = with_exif(self.jpeg(), block)
        theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        ours = read_image(data)
        assert ours.shape == theirs.shape
        assert np.abs(ours.astype(int) - theirs[..., ::-1]).max() <= 3

    def test_other_formats(self, picture, deep):
        block = exif_blocks()["resolution as text"]
        expected = np.rot90(picture, -1)
        chunk = (b"eXIf", block)
        np.testing.assert_array_equal(
            read_image(png(picture, chunks=[chunk])), expected
        )
        np.testing.assert_array_equal(
            as_stored(read_image(png(deep, chunks=[chunk]))), np.rot90(deep, -1)
        )
        webp = encoded(picture, "WEBP", lossless=True, exif=b"Exif\0\0" + block)
        np.testing.assert_array_equal(read_image(webp), expected)

    def test_damaged_notes_of_jpeg(self):
        """Notes that are cut off; OpenCV reads the same bytes."""
        jpeg = with_exif(self.jpeg(), exif_blocks()["sound"])
        for marker, body in (
            (0xE0, b"JFIF\0"),
            (0xE2, b"ICC_PROFILE\0"),
            (0xEE, b"Adobe"),
            (0xED, b"Photoshop 3.0\0"),
        ):
            note = struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
            data = jpeg[:2] + note + jpeg[2:]
            theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            ours = read_image(data)
            assert ours.shape == theirs.shape == (96, 64, 3)
            assert np.abs(ours.astype(int) - theirs[..., ::-1]).max() <= 3
            with pytest.raises(ValueError, match=r"^a\.jpg: damaged or truncated"):
                read_image(data[:-200], name="a.jpg")

    def test_damaged_notes_of_png(self, picture):
        turn = (b"eXIf", exif_blocks()["sound"])
        for kind in (b"pHYs", b"gAMA", b"cHRM", b"iCCP", b"zTXt", b"iTXt", b"tIME"):
            for body in (b"", b"a", b"a\0\7bc", b"\xff" * 9):
                data = png(picture, chunks=[(kind, body), turn])
                np.testing.assert_array_equal(read_image(data), np.rot90(picture, -1))
                wrong = data.replace(kind + body, kind + body[:-1] + b"z")
                if body:  # its checksum is wrong then
                    assert read_image(wrong).shape == (WIDTH, HEIGHT, 3)

    def test_damaged_pixels_of_png(self, picture):
        data = png(picture, chunks=[(b"pHYs", b"a")])
        at = data.index(b"IDAT") + 20
        with pytest.raises(ValueError, match=r"^a\.png: damaged"):
            read_image(data[:at] + b"\0\0\0\0" + data[at + 4 :], name="a.png")

    def test_warnings_of_pillow_are_not_passed_on(self, recwarn):
        for block in exif_blocks().values():
            read_image(with_exif(self.jpeg(), block))
        assert not recwarn.list

    def test_of_a_phones_two_pictures_the_first_counts(self, picture):
        second = Image.fromarray(picture[::-1].copy())
        both = encoded(
            *(picture, "MPO"), save_all=True, append_images=[second], quality=95
        )
        alone = encoded(picture, "JPEG", quality=95)
        np.testing.assert_array_equal(read_image(both), read_image(alone))


class TestTransparency:
    def test_where_all_is_transparent_it_is_ignored(self, picture, deep):
        clear = np.zeros_like(picture[..., :1])
        both = np.dstack([picture, clear])
        for source in (
            png(both),
            both,
            encoded(both, "WEBP", lossless=True, exact=True),
        ):
            np.testing.assert_array_equal(read_image(source), picture)
        np.testing.assert_array_equal(
            as_stored(read_image(png(np.dstack([deep, clear.astype(np.uint16)])))), deep
        )

    def test_where_nothing_is_beneath_it_is_told(self):
        empty = np.zeros((40, 50, 4), np.uint8)
        with pytest.raises(ValueError, match=r"a\.png: .* wholly transparent.*export"):
            read_image(png(empty), name="a.png")


class TestEmptyGreen:
    @pytest.mark.parametrize("band", [0, 2])
    def test_another_channel_is_used(self, picture, band):
        grey = np.ascontiguousarray(picture[..., 1])
        image = np.zeros_like(picture)
        image[..., band] = grey
        for constant in (0, 255, 17):
            image[..., 1] = constant
            np.testing.assert_array_equal(
                prepare.normalize(image), prepare.normalize(grey)
            )

    @pytest.mark.parametrize("band", [0, 2])
    def test_noise_of_jpeg_is_empty(self, band):
        smooth = cv2.GaussianBlur(
            np.random.default_rng(0).normal(0, 1, (300, 320)).astype(np.float32),
            (0, 0),
            4,
        )
        grey = cv2.normalize(smooth, None, 5, 250, cv2.NORM_MINMAX).astype(np.uint8)
        image = np.zeros((300, 320, 3), np.uint8)
        image[..., band] = grey
        read = read_image(encoded(image, "JPEG", quality=80))
        assert read[..., 1].any()
        found = prepare.normalize(read)
        np.testing.assert_array_equal(found, prepare.normalize(read[..., band]))

    def test_weak_green_is_still_green(self, picture):
        image = picture.copy()
        image[..., 1] //= 8
        np.testing.assert_array_equal(
            prepare.normalize(image), prepare.normalize(image[..., 1])
        )


class TestSizes:
    def test_sides_beyond_opencv(self):
        with pytest.raises(ValueError, match=r"a\.png: .*33000x40.*32766.*downscale"):
            read_image(png(np.zeros((40, 33000), np.uint8)), name="a.png")
        with pytest.raises(ValueError, match="32766"):
            read_image(np.zeros((1_000_000, 1), np.uint8))
        with pytest.raises(ValueError, match=r"a\.tif: .*32766"):
            read_image(tiff(np.zeros((33000, 40), np.uint16)), name="a.tif")

    def test_the_longest_strip_can_be_warped(self):
        row = np.arange(32766, dtype=np.uint16).astype(np.uint8)
        strip = np.tile(row, (1640, 1))
        image = read_image(png(strip))
        prepared = prepare.prepare(image, size=64, crop_field=True)
        assert prepared.size[1] == 64
        maps = np.zeros((4, 4), np.float32)
        assert cv2.remap(image, maps, maps, cv2.INTER_LINEAR).shape == (4, 4)
        with pytest.raises(ValueError, match="thumbnail"):
            prepare.prepare(strip[:20, :600])
        for source in (strip[:40], strip[:40].T.copy()):
            with pytest.raises(ValueError, match="at most 20 times the other: cut the"):
                prepare.prepare(source, crop_field=True)

    def test_bombs_are_refused_by_their_header(self):
        side = 30_000
        sparse = tiff(
            np.zeros((40, 40), np.uint16), tags={256: (4, [side]), 257: (4, [side])}
        )
        gif = bytearray(encoded(np.zeros((40, 40), np.uint8), "GIF"))
        struct.pack_into("<HH", gif, 6, side, side)
        ppm = f"P6 {side} {side} 65535\n".encode()
        for data in (sparse, gif, ppm):
            with pytest.raises(ValueError, match=r"a: .*900\.0 megapixels"):
                read_image(data, name="a")

    def test_tags_that_hold_the_whole_file_many_times(self, picture):
        many = 50_000
        strips = {273: (4, [8] * many), 279: (4, [2**31] * many)}
        data = tiff(picture, compression=made_files.DEFLATE, tags=strips)
        whole_file = struct.pack("<HHII", 270, 2, 2**19, 0) * 4000
        texts = b"II*\0" + struct.pack("<IH", 8, 4000) + whole_file + bytes(2**19)
        longer = b"II*\0" + struct.pack("<IH", 8, 60_000) + bytes(2**20)
        for made, message in (
            (data, "strips overlap"),
            (texts, "no picture in it|no pixels"),
            (longer, "list of tags"),
        ):
            tracemalloc.start()
            with pytest.raises(ValueError, match=rf"a\.tif: .*{message}"):
                read_image(made, name="a.tif")
            assert tracemalloc.get_traced_memory()[1] < 50e6
            tracemalloc.stop()

    def test_bombs_in_metadata_are_not_unpacked(self, picture):
        body = b"x\0\0" + zlib.compress(bytes(80_000_000))
        for kind in (b"iCCP", b"zTXt"):
            data = png(picture, chunks=[(kind, body)])
            tracemalloc.start()
            np.testing.assert_array_equal(read_image(data), picture)
            assert tracemalloc.get_traced_memory()[1] < 20e6
            tracemalloc.stop()


FOREIGN = {
    "DICOM": bytes(128) + b"DICM" + bytes(100),
    "DICOM file without": b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + bytes(100),
    "DICOM file without preamble": b"\x08\0\x16\0UI\x1e\x001.2.840" + bytes(100),
    "a DICOM file without": b"\x08\0\x08\0\x10\0\0\0ORIGINAL" + bytes(100),
    "DICOM file w": b"\0\x08\0\x05CS\0\x0aISO_IR 100" + bytes(100),
    "HEIC": b"\0\0\0\x18ftypheic" + bytes(100),
    "HEIF": b"\0\0\0\x14ftypMiHB\0\0\0\0heic" + bytes(100),
    "video": b"\0\0\0\x18ftypmp42" + bytes(100),
    "AVI": b"RIFF\0\0\0\0AVI LIST",
    "NIfTI": struct.pack("<i", 348) + bytes(340) + b"n+1\0",
    "NumPy": None,
    "MATLAB": b"MATLAB 5.0 MAT-file, Platform",
    "PDF": b"%PDF-1.7\n",
    "ZIP": b"PK\x03\x04" + bytes(40),
    "gzip": gzip.compress(b"x"),
    "SVG": b"<?xml version='1.0'?>\n<svg width='3'>",
    "HTML": b"\n<!DOCTYPE html><html><body>404",
    "XML": b"<?xml version='1.0'?><Error>AccessDenied</Error>",
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid",
    "git-annex": b"/annex/objects/SHA256E-s3--abc",
    "macOS": b"\0\5\26\7\0\2\0\0Mac OS X        ",
    "raw file": b"II*\0\x10\0\0\0CR\x02\0" + bytes(40),
    "all zero": bytes(1000),
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 5\n",
    "text file": b"patient,eye\n1,left\n",
}


class TestForeignFiles:
    @pytest.mark.parametrize("kind", FOREIGN)
    def test_are_named(self, tmp_path, kind):
        data = FOREIGN[kind]
        if data is None:
            buffer = io.BytesIO()
            np.save(buffer, np.zeros((40, 40)))
            data = buffer.getvalue()
        path = tmp_path / "photo.jpg"
        path.write_bytes(data)
        what = "video" if kind == "AVI" else "web page" if kind == "HTML" else kind
        with pytest.raises(ValueError, match=rf"photo\.jpg: not an image.*{what}"):
            read_image(path)

    @pytest.mark.parametrize("kind", BY_PILLOW)
    def test_images_are_not(self, picture, kind):
        assert foreign_files.describe(encoded(picture, kind)) is None

    def test_avif_of_another_first_brand_is_not(self):
        brands = b"ftypmif1\0\0\0\0mif1avif"
        data = struct.pack(">I", 4 + len(brands)) + brands + bytes(100)
        assert foreign_files.describe(data) is None

    def test_animations(self, picture):
        frames = [Image.fromarray(np.roll(picture, n, 1)) for n in range(3)]
        for kind in ("GIF", "PNG", "WEBP"):
            data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
            with pytest.raises(ValueError, match=rf"a: {kind} of 3 frames; save the"):
                read_image(data, name="a")
            one = encoded(frames[0], kind, save_all=True)
            assert read_image(one).shape == picture.shape

    def test_names_do_not_matter(self, tmp_path, picture):
        path = tmp_path / "photo.jpg"
        path.write_bytes(png(picture))
        np.testing.assert_array_equal(read_image(path), picture)


class TestSpecialFiles:
    """All are refused at once, by name; none is waited for."""

    def test_pipe_socket_device_folder(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.png")
        (tmp_path / "folder.png").mkdir()
        server = socket.socket(socket.AF_UNIX)
        here = pathlib.Path.cwd()
        os.chdir(tmp_path)  # names of sockets are short
        try:
            server.bind("socket.png")
        finally:
            os.chdir(here)
        (tmp_path / "device.png").symlink_to(os.devnull)
        for name in ("pipe", "socket", "device", "folder"):
            with pytest.raises(
                ValueError, match=rf"{name}\.png: expected an image file"
            ):
                read_image(tmp_path / f"{name}.png")
            with pytest.raises(OSError, match=rf"no regular file.*{name}\.png"):
                digest(tmp_path / f"{name}.png")
        server.close()

    def test_names(self, tmp_path):
        (tmp_path / "gone.png").symlink_to(tmp_path / "absent.png")
        with pytest.raises(FileNotFoundError, match=r"gone\.png: no such.*link"):
            read_image(tmp_path / "gone.png")
        (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
        with pytest.raises(OSError, match=r"loop\.png"):
            read_image(tmp_path / "loop.png")
        with pytest.raises(OSError, match="xxxx"):
            read_image(tmp_path / f"{'x' * 300}.png")
        with pytest.raises(ValueError, match=r"a.x00b\.png"):
            read_image(str(tmp_path / "a\0b.png"))
        (tmp_path / "file.png").touch()
        with pytest.raises(OSError, match=r"file\.png"):
            read_image(tmp_path / "file.png" / "a.png")

    def test_no_permission(self, tmp_path, picture, monkeypatch):
        path = tmp_path / "a.png"
        path.write_bytes(png(picture))

        def refuse(self):
            raise PermissionError(13, "Permission denied", str(self))

        # The user of a test may be one to whom nothing is forbidden.
        monkeypatch.setattr(pathlib.Path, "read_bytes", refuse)
        with pytest.raises(OSError, match=r"a\.png"):
            read_image(path)

    def test_large_files_are_not_read(self, tmp_path):
        path = tmp_path / "large.png"
        with path.open("wb") as file:
            file.truncate(image_files.MAX_FILE_BYTES + 1)
        with pytest.raises(ValueError, match=r"large\.png: the file has 2\.0 GiB"):
            read_image(path)

    def test_gzipped(self, tmp_path, picture, monkeypatch):
        path = tmp_path / "a.ppm.gz"
        path.write_bytes(gzip.compress(encoded(picture, "PPM")))
        np.testing.assert_array_equal(read_image(path), picture)
        path.write_bytes(gzip.compress(encoded(picture * 0, "PPM")))
        monkeypatch.setattr(image_files, "MAX_FILE_BYTES", 5000)
        with pytest.raises(ValueError, match=r"a\.ppm\.gz: unpacked, .* too large"):
            image_files.read_bytes(path)


class TestErrorsOfDecoders:
    """Whatever a decoder raises names the file."""

    @pytest.mark.parametrize(
        "error",
        [
            *(OverflowError, TypeError, AttributeError, ZeroDivisionError, KeyError),
            *(IndexError, AssertionError, RecursionError, MemoryError, struct.error),
            *(zlib.error, cv2.error, UserWarning, Image.DecompressionBombError),
            *(UnicodeDecodeError, NotImplementedError, EOFError, SyntaxError),
        ],
    )
    def test_any(self, picture, monkeypatch, error):
        def fail(*_):
            if error is UnicodeDecodeError:
                raise error("utf-8", b"a", 0, 1, "reason")
            raise error("reason")

        monkeypatch.setattr(decoding, "_pixels", fail)
        with pytest.raises(ValueError, match=r"^eye\.png: ") as caught:
            read_image(png(picture), name="eye.png")
        assert isinstance(caught.value.__cause__, error)

    def test_an_interrupt_is_none(self, picture, monkeypatch):
        def stop(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(decoding, "_pixels", stop)
        with pytest.raises(KeyboardInterrupt):
            read_image(png(picture))

    def test_threads_leave_pillows_limit_as_it_was(self, picture):
        kept, data, found = Image.MAX_IMAGE_PIXELS, png(picture), []

        def read():
            for _ in range(20):
                found.append(read_image(data))

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 80
        assert all((image == picture).all() for image in found)
        assert kept == Image.MAX_IMAGE_PIXELS
