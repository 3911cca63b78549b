"""Reading, the published recipe and the way back to file pixels."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from rkd_jax.images import prepare


def scene(height=96, width=128, seed=0):
    """A smooth grey ramp with texture, uint8 RGB; the channels differ."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    base = 40 + 120 * x / width + 30 * np.sin(y / 7)
    noise = rng.normal(0, 8, (height, width, 3))
    shifted = base[..., None] + np.array([30, 0, -20]) + noise
    return np.clip(shifted, 0, 255).astype(np.uint8)


def encode(image, format="PNG", **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(
        buffer, format, **options
    )
    return buffer.getvalue()


def numpy_clahe(image, clip=2.0, tiles=8):
    """CLAHE by definition: clipped histograms of tiles, blended bilinearly."""
    height, width = (n // tiles for n in image.shape)
    area = height * width
    limit = max(int(clip * area / 256), 1)
    tables = np.zeros((tiles, tiles, 256))
    for i in range(tiles):
        for j in range(tiles):
            tile = image[
                i * height : (i + 1) * height, j * width : (j + 1) * width
            ].ravel()
            counts = np.bincount(tile, minlength=256)
            excess = int(np.maximum(counts - limit, 0).sum())
            counts = np.minimum(counts, limit) + excess // 256
            rest = excess % 256
            if rest:
                counts[:: max(256 // rest, 1)][:rest] += 1
            tables[i, j] = np.rint(np.cumsum(counts) * 255 / area).clip(0, 255)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    ty, tx = (y + 0.0) / height - 0.5, (x + 0.0) / width - 0.5
    y0, x0 = np.floor(ty).astype(int), np.floor(tx).astype(int)
    ay, ax = ty - y0, tx - x0

    def look(i, j):
        return tables[i.clip(0, tiles - 1), j.clip(0, tiles - 1), image]

    upper = (1 - ax) * look(y0, x0) + ax * look(y0, x0 + 1)
    lower = (1 - ax) * look(y0 + 1, x0) + ax * look(y0 + 1, x0 + 1)
    return (1 - ay) * upper + ay * lower


class TestReadImage:
    def test_png_tiff_bmp_and_array_agree(self, tmp_path):
        image = scene()
        for suffix in ("png", "tiff", "bmp", "ppm"):
            path = tmp_path / f"eye.{suffix}"
            Image.fromarray(image).save(path)
            np.testing.assert_array_equal(prepare.read_image(path), image)
            np.testing.assert_array_equal(prepare.read_image(path.read_bytes()), image)
        np.testing.assert_array_equal(prepare.read_image(image), image)

    def test_grey(self):
        grey = scene()[..., 0]
        np.testing.assert_array_equal(prepare.read_image(encode(grey)), grey)
        np.testing.assert_array_equal(prepare.read_image(grey[..., None]), grey)

    def test_sixteen_bits_keep_their_precision(self):
        deep = (scene()[..., 1].astype(np.uint16) << 8) + np.arange(
            128, dtype=np.uint16
        )
        for source in (encode(deep), encode(deep, "TIFF"), deep):
            image = prepare.read_image(source)
            assert image.dtype == np.float32
            np.testing.assert_allclose(image * 65535.0, deep, atol=0.01)

    def test_palette_keeps_colors(self):
        flat = (scene() // 64) * 64
        palette = Image.fromarray(flat).quantize(256, method=Image.Quantize.MAXCOVERAGE)
        expected = np.asarray(palette.convert("RGB"))
        np.testing.assert_array_equal(prepare.read_image(encode(palette)), expected)
        np.testing.assert_array_equal(
            prepare.read_image(encode(palette, "GIF")), expected
        )

    def test_transparency_is_laid_over_black(self):
        image = scene()
        alpha = np.full(image.shape[:2], 255, np.uint8)
        alpha[:, :40] = 0
        alpha[:, 40:80] = 128
        both = np.dstack([image, alpha])
        expected = np.rint(image * (alpha[..., None] / 255.0)).astype(np.uint8)
        np.testing.assert_array_equal(prepare.read_image(encode(both)), expected)
        np.testing.assert_array_equal(prepare.read_image(both), expected)
        floats = prepare.read_image(both / np.float32(255))
        np.testing.assert_allclose(floats * 255, expected, atol=0.51)

    def test_a_transparent_grey_level_is_black(self):
        grey = scene()[..., 1]
        data = encode(grey, transparency=int(grey[3, 4]))
        expected = np.where(grey == grey[3, 4], 0, grey)
        for band in range(3):
            np.testing.assert_array_equal(prepare.read_image(data)[..., band], expected)

    def test_grey_palette_is_grey(self):
        grey = scene()[..., 1]
        palette = Image.fromarray(grey).convert("P")
        np.testing.assert_array_equal(prepare.read_image(encode(palette)), grey)

    def test_cmyk_jpeg(self):
        image = scene()
        cmyk = Image.fromarray(image).convert("CMYK")
        read = prepare.read_image(encode(cmyk, "JPEG", quality=95))
        assert read.shape == image.shape
        assert np.abs(read.astype(int) - image).mean() < 6

    def test_exif_orientation_is_applied(self):
        image = scene()
        exif = Image.Exif()
        exif[0x0112] = 6  # shown turned by 90 degrees, clockwise
        read = prepare.read_image(encode(image, "PNG", exif=exif))
        np.testing.assert_array_equal(read, np.rot90(image, -1))

    @pytest.mark.parametrize("top", [1.0, 255.0])
    def test_float_ranges(self, top):
        image = scene()[..., 1]
        image[0, 0] = 255
        read = prepare.read_image(image / np.float32(255) * np.float32(top))
        np.testing.assert_allclose(read, image / 255.0, atol=1e-6)

    @pytest.mark.parametrize(
        ("array", "error", "message"),
        [
            (np.full((40, 40), np.nan), ValueError, "NaN"),
            (np.full((40, 40), -0.5), ValueError, "rescale"),
            (np.full((40, 40), 300.0), ValueError, "rescale"),
            (np.zeros((40, 40, 2), np.uint8), ValueError, r"\[H, W, 3\]"),
            (np.zeros((0, 40), np.uint8), ValueError, "no pixels"),
            (np.zeros((40, 40), bool), TypeError, "dtype bool"),
            (np.array([["a"]]), TypeError, "dtype"),
        ],
    )
    def test_bad_arrays(self, array, error, message):
        with pytest.raises(error, match=message):
            prepare.read_image(array)

    def test_damaged_files_are_named(self, tmp_path):
        jpeg = encode(scene(), "JPEG")
        png = encode(scene())
        cases = {
            "truncated.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
            "truncated.png": (png[: len(png) // 2], "truncated"),
            "header.png": (png[:20], "damaged|not an image"),
            "zero.png": (b"", "0 bytes"),
            "text.png": (b"hello world", "not an image"),
        }
        for name, (data, message) in cases.items():
            path = tmp_path / name
            path.write_bytes(data)
            with pytest.raises(ValueError, match=message) as caught:
                prepare.read_image(path)
            assert str(path) in str(caught.value)
        with pytest.raises(FileNotFoundError, match=r"absent\.png"):
            prepare.read_image(tmp_path / "absent.png")
        with pytest.raises(ValueError, match="found a folder"):
            prepare.read_image(tmp_path)

    def test_huge_png_is_refused_before_decoding(self, tmp_path):
        def chunk(kind, data):
            body = kind + data
            return (
                struct.pack(">I", len(data))
                + body
                + struct.pack(">I", zlib.crc32(body))
            )

        header = struct.pack(">IIBBBBB", 20000, 20000, 8, 0, 0, 0, 0)
        path = tmp_path / "huge.png"
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")
        )
        limit = Image.MAX_IMAGE_PIXELS
        with pytest.raises(ValueError, match=r"huge\.png.*400.*max_megapixels"):
            prepare.read_image(path)
        assert limit == Image.MAX_IMAGE_PIXELS
        with pytest.raises(ValueError, match="megapixels"):
            prepare.read_image(np.zeros((40, 50), np.uint8), max_megapixels=0.001)


class TestNormalize:
    def test_against_numpy(self):
        image = scene()
        green = image[..., 1].astype(float)
        stretched = (green - green.min()) / (green.max() - green.min()) * 255
        clahe = numpy_clahe(np.floor(stretched + 1e-6).astype(np.uint8))
        expected = np.floor(255 * (np.rint(clahe) / 255) ** (1 / 1.2)) / 255
        result = prepare.normalize(image)
        assert result.dtype == np.float32
        assert np.abs(result - expected).max() < 4.5 / 255
        assert np.abs(result - expected).mean() < 0.1 / 255

    def test_gamma_table_of_the_specification(self, monkeypatch):
        import cv2

        class Identity:
            def apply(self, image):
                return image

        monkeypatch.setattr(cv2, "createCLAHE", lambda **_: Identity())
        ramp = np.tile(np.arange(256, dtype=np.uint8), (32, 1))
        levels = np.rint(prepare.normalize(ramp)[0] * 255)
        assert (levels[0], levels[64], levels[128], levels[255]) == (0, 80, 143, 255)

    def test_only_green_counts_and_scale_does_not(self):
        image = scene()
        other = image.copy()
        other[..., [0, 2]] = 7
        result = prepare.normalize(image)
        np.testing.assert_array_equal(result, prepare.normalize(other))
        np.testing.assert_array_equal(result, prepare.normalize(image[..., 1]))
        unit = prepare.read_image(image / 255.0)
        np.testing.assert_array_equal(result, prepare.normalize(unit))

    def test_constant_and_tiny(self):
        with pytest.raises(ValueError, match=r"eye\.png: constant image"):
            prepare.normalize(np.full((64, 64, 3), 9, np.uint8), name="eye.png")
        with pytest.raises(ValueError, match=r"1x1 px.*at least 32"):
            prepare.normalize(np.zeros((1, 1), np.uint8))


class TestFitTo:
    @pytest.mark.parametrize(("shape", "size"), [((60, 90), 48), ((96, 50), 200)])
    @pytest.mark.parametrize("mode", ["fit", "stretch"])
    def test_round_trip_and_corners(self, shape, size, mode):
        box = (3, 5, shape[1] - 4, shape[0] - 7)
        image = np.zeros(shape, np.float32)
        resized = prepare.fit_to(image, size, mode=mode, box=box)
        points = np.random.default_rng(0).uniform(-5, 200, (30, 2))
        np.testing.assert_allclose(
            resized.to_file(resized.from_file(points)), points, atol=1e-9
        )
        # The outer corners of the box, half a pixel off the centres, stay corners.
        h, w = resized.size
        np.testing.assert_allclose(
            resized.from_file([[box[0] - 0.5, box[1] - 0.5], [box[2] - 0.5] * 2]),
            [[-0.5, -0.5], [w - 0.5, resized.from_file([0, box[2] - 0.5])[1]]],
            atol=1e-9,
        )
        assert max(h, w) == size

    def test_a_blob_lies_where_its_point_goes(self):
        y, x = np.mgrid[:120, :200]
        at = np.array([133.0, 41.0])
        image = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 50).astype(np.float32)
        for mode in ("fit", "stretch"):
            small = prepare.fit_to(image, 80, mode=mode, box=(10, 4, 190, 116))
            v, u = np.mgrid[:80, :80]
            mass = small.image / small.image.sum()
            center = [(u * mass).sum(), (v * mass).sum()]
            np.testing.assert_allclose(center, small.from_file(at), atol=0.02)

    def test_resize_is_pillow_and_padding_zero(self):
        image = prepare.normalize(scene(60, 90))
        fitted = prepare.fit_to(image, 45)
        expected = np.asarray(
            Image.fromarray(image).resize((45, 30), Image.Resampling.BILINEAR)
        )
        np.testing.assert_array_equal(fitted.image[:30], expected)
        assert not fitted.image[30:].any()
        assert fitted.size == (30, 45)
        assert prepare.fit_to(image, 45, pad_to=16).image.shape == (32, 48)
        assert prepare.fit_to(image, 45, pad_to=None).image.shape == (30, 45)

    def test_quantized_as_published_inference(self):
        image = prepare.normalize(scene(60, 90)) * np.float32(0.97)
        fitted = prepare.fit_to(image, 40, mode="stretch", quantize=True)
        eight = Image.fromarray((image * 255).astype(np.uint8))
        expected = np.asarray(eight.resize((40, 40), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(np.rint(fitted.image * 255), expected)

    def test_errors(self):
        image = np.zeros((40, 50), np.float32)
        with pytest.raises(ValueError, match="unknown mode 'crop'"):
            prepare.fit_to(image, 32, mode="crop")
        with pytest.raises(ValueError, match="outside the image of 50x40"):
            prepare.fit_to(image, 32, box=(0, 0, 51, 40))
        with pytest.raises(ValueError, match="pad_to"):
            prepare.fit_to(image, 32, pad_to="round")
        with pytest.raises(ValueError, match="normalized image"):
            prepare.fit_to(np.zeros((40, 50, 3), np.float32), 32)


class TestFieldBox:
    def disc(self, noise=4):
        rng = np.random.default_rng(0)
        y, x = np.mgrid[:200, :300]
        inside = (x - 140) ** 2 + (y - 105) ** 2 <= 80**2
        image = np.where(inside, 150 - 0.4 * np.abs(x - 140), 5)
        return np.clip(image + rng.normal(0, noise, image.shape), 0, 255), inside

    def test_disc_with_noise_and_a_label(self):
        image, inside = self.disc()
        image[5:15, 250:290] = 255  # a printed date outside of the field
        ys, xs = np.nonzero(inside)
        expected = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        for dtype, scale in ((np.uint8, 1), (np.float32, 1 / 255)):
            box = prepare.field_box((image * scale).astype(dtype))
            np.testing.assert_allclose(box, expected, atol=2)

    def test_whole_image_where_no_field_stands_out(self):
        assert prepare.field_box(np.full((40, 60, 3), 90, np.uint8)) == (
            0,
            0,
            60,
            40,
        )
        assert prepare.field_box(np.zeros((40, 60), np.uint8)) == (0, 0, 60, 40)
        speck = np.zeros((40, 60), np.uint8)
        speck[10:14, 10:14] = 200
        assert prepare.field_box(speck) == (0, 0, 60, 40)

    def test_prepare_crops_and_maps_back(self):
        image, _ = self.disc(0)
        prepared = prepare.prepare(image.astype(np.uint8), size=64, crop_field=True)
        assert prepared.size == (64, 64)
        np.testing.assert_allclose(prepared.to_file([31.5, 31.5]), [140, 105], atol=1.5)
        assert prepared.file_size == (200, 300)
