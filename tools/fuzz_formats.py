"""The kinds of files that rkd_jax reads: sound small files, and the reader of each."""

from __future__ import annotations

import gzip
import io
import json
import pathlib
import struct
from collections.abc import Callable
from typing import Any

import made_files
import numpy as np
from fuzzing import Format
from PIL import Image, features

_MEGAPIXELS = 2.0


def _picture(height: int = 40, width: int = 48) -> np.ndarray:
    """A picture in which a camera's field can be found."""
    y, x = np.mgrid[:height, :width]
    inside = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 2.1) ** 2
    noise = np.random.default_rng(0).integers(0, 60, (height, width, 3))
    return np.where(inside[..., None], 90 + 2 * x[..., None] + noise, 3).astype(
        np.uint8
    )


def _deep() -> np.ndarray:
    return _picture().astype(np.uint16) * 257


def encoded(image: Any, kind: str, **options: Any) -> bytes:
    """Encode an array or a Pillow image."""
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _read_photograph(path: pathlib.Path) -> None:
    from rkd_jax.images import image_files, prepare

    data = image_files.read_bytes(path)
    image = prepare.read_image(data, max_megapixels=_MEGAPIXELS, name=str(path))
    if image.dtype not in (np.uint8, np.float32) or not np.isfinite(image).all():
        raise AssertionError(f"{image.dtype} that may not be finite")
    box = prepare.field_box(image)
    normalized = prepare.normalize(image, name=str(path))
    prepare.fit_to(normalized, 32, box=box)


def _jpegs() -> list[bytes]:
    picture = _picture()
    plain = encoded(picture, "JPEG", quality=90)
    turn = (0x112, 3, 1, struct.pack("<HH", 6, 0))
    text = (282, 2, 4, b"72\0\0")
    camera = Image.Exif()
    camera[0x112], camera[0x10F], camera[282] = 3, "Camera", 72.0
    camera.get_ifd(0x8769)[0x9003] = "2026:01:01 00:00:00"
    return [
        plain,
        encoded(picture, "JPEG", progressive=True),
        encoded(picture[..., 1], "JPEG"),
        encoded(Image.fromarray(picture).convert("CMYK"), "JPEG"),
        encoded(picture, "JPEG", exif=camera),
        made_files.with_exif(plain, made_files.exif(turn, text)),
    ]


def _pngs() -> list[bytes]:
    picture, deep = _picture(), _deep()
    alpha = np.full(picture.shape[:2], 255, np.uint8)
    palette = Image.fromarray(picture).quantize(32)
    exif = made_files.exif((0x112, 3, 1, struct.pack("<HH", 8, 0)))
    return [
        encoded(picture, "PNG"),
        encoded(palette, "PNG"),
        encoded(palette, "PNG", transparency=b"\x00\x80\xff"),
        encoded(Image.fromarray(picture).convert("1"), "PNG"),
        made_files.png(np.dstack([picture, alpha])),
        made_files.png(picture, interlaced=True, chunks=[(b"eXIf", exif)]),
        made_files.png(deep),
        made_files.png(deep[..., 0], interlaced=True),
        made_files.png(deep[..., [0, 1]] | 1),
        made_files.png(np.dstack([deep, deep[..., :1] | 1]), interlaced=True),
    ]


def _tiffs() -> list[bytes]:
    picture, deep = _picture(), _deep()
    floats = (picture / 255).astype(np.float32)
    write, small = made_files.tiff, {"rows": 7}
    resolution = {282: (5, struct.pack("<II", 72, 0)), 274: (3, [6])}
    preview = {254: (4, [1])}
    bilevel = Image.fromarray(picture).convert("1")
    return [
        write(picture, **small, compression=made_files.LZW, predictor=2),
        write(picture, tile=16, compression=made_files.DEFLATE),
        write(picture, planar=True, **small),
        write(picture[..., 0], big=True, photometric=made_files.WHITE_IS_ZERO),
        write(picture, **small, compression=made_files.PACKBITS, tags=resolution),
        write(deep, planar=True, **small, order=">"),
        write(deep, compression=made_files.LZW, predictor=2, big=True),
        write(deep[..., [0, 1]], extra=[2]),
        write(np.dstack([deep, deep[..., :1]]), extra=[2], tile=16),
        write(floats, compression=made_files.DEFLATE, predictor=3, planar=True),
        write(floats.astype(np.float16), order=">"),
        write(floats[..., 0].astype(np.float64), tile=16),
        write(picture.astype(np.int32), big=True, order=">"),
        write((deep[..., 1] >> 4), bits=12),
        encoded(bilevel, "TIFF", compression="group4"),
        encoded(picture, "TIFF", compression="jpeg"),
        encoded(Image.fromarray(picture).convert("P"), "TIFF"),
        write(picture, tags=preview),
    ]


def _others() -> list[bytes]:
    picture = _picture()
    return [encoded(picture, kind) for kind in ("PCX", "SGI", "TGA")] + [
        encoded(Image.fromarray(picture).convert("1"), "XBM")
    ]


def _netpbm() -> list[bytes]:
    picture, deep = _picture(), _deep() >> 4
    plain = " ".join(map(str, picture[:33].ravel())).encode()
    return [
        encoded(picture, "PPM"),
        b"P5\n48 40\n255\n" + picture[..., 0].tobytes(),
        b"P6\n# made\n48 40\n4095\n" + deep.astype(">u2").tobytes(),
        b"P5\n48 40\n4095\n" + deep[..., 0].astype(">u2").tobytes(),
        b"P3\n48 33\n255\n" + plain,
        encoded(Image.fromarray(picture).convert("1"), "PPM"),
    ]


def image_formats() -> list[Format]:
    """Return the kinds of images."""
    picture = _picture()
    frames = [Image.fromarray(np.roll(picture, n, 1)) for n in range(2)]

    def form(name: str, suffix: str, seeds: list[bytes], **options: Any) -> Format:
        return Format(name, suffix, seeds, _read_photograph, **options)

    several = {"save_all": True, "append_images": frames[1:]}
    webps = [encoded(picture, "WEBP"), encoded(picture, "WEBP", lossless=True)]
    formats = [
        form("png", ".png", _pngs()),
        form("jpeg", ".jpg", _jpegs()),
        form("mpo", ".jpg", [encoded(frames[0], "MPO", **several)]),
        form("tiff", ".tif", _tiffs()),
        form("bmp", ".bmp", [encoded(picture, "BMP"), encoded(picture[..., 0], "BMP")]),
        form("gif", ".gif", [encoded(picture, "GIF")]),
        form("netpbm", ".ppm", _netpbm()),
        form("webp", ".webp", webps),
        form("jp2", ".jp2", [encoded(picture, "JPEG2000")]),
        form("others", ".tga", _others()),
        form("ppm.gz", ".ppm.gz", [gzip.compress(encoded(picture, "PPM"))]),
        form(
            "animations",
            ".png",
            [encoded(frames[0], kind, **several) for kind in ("GIF", "PNG", "WEBP")]
            + [made_files.tiff([picture, picture])],
            refused=True,
        ),
    ]
    if features.check("avif"):
        formats.append(form("avif", ".avif", [encoded(picture, "AVIF")], share=0.3))
    return formats


def _faces() -> list[bytes]:
    from rkd_jax.synthetic import faces

    rows = []
    for number in range(2):
        face = faces.face(number, size=96)
        numbers = [f"{v:.3f}" for v in face.points.ravel()]
        box = [str(round(float(v))) for v in face.box]
        rows.append((numbers, box))
    full = "".join(
        " ".join([*numbers, *box, *"010010", "a/b.jpg"]) + "\n" for numbers, box in rows
    )
    points = "".join(" ".join([*numbers, "a/b.jpg"]) + "\n" for numbers, _ in rows)
    return [full.encode(), points.encode()]


def _read_faces(path: pathlib.Path) -> None:
    from rkd_jax.data import wflw

    root = path.parents[2]
    image = root / wflw.IMAGES / "a" / "b.jpg"
    if not image.exists():
        image.parent.mkdir(parents=True)
        image.touch()
    wflw.read_list(root, "train")


def _read_split(path: pathlib.Path) -> None:
    from rkd_jax.data import superretina_layout as lab

    root = path.parents[1]
    for name in ("ImageData/a.png", "ImageData/b.png", "Annotations/a.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    lab.read_split(root, path.stem, skip_missing=True)


def _reader(module: str, function: str) -> Callable[[pathlib.Path], Any]:
    """Return a reader that is imported when it is called."""

    def read(path: pathlib.Path) -> Any:
        import importlib

        return getattr(importlib.import_module(f"rkd_jax.{module}"), function)(path)

    return read


def text_formats() -> list[Format]:
    """Return the kinds of text files."""
    fire = "".join(f"{n}.5 {2 * n} {n + 1} {2 * n}\n" for n in range(10)).encode()
    lab = b"0.5 0.25\n0.1 0.9\n\n1 0\n"
    names = b"Image name,Retinopathy grade,Risk of macular edema ,,\n"
    landmarks = [b"x,y\n1.5,2\n3,4\n", b"1 2\n3 4\n", b"x;y\n1,5;2\n"]
    both = b"x_fixed,y_fixed,x_moving,y_moving\n1,2,3,4\n5,6,7,8\n"
    pairs = b"fixed,moving,name\na.png,b.png,p\nc.png,d.png,q\n"
    tables = {
        "pairs": ([pairs], "registration.files.pair_lists", "from_table", ".csv"),
        "landmarks": (landmarks, "registration.files.landmarks", "read_points", ".csv"),
        "both landmarks": (
            *([both], "evaluation.multimodal", "load_landmarks", ".csv"),
        ),
        "fire": ([fire], "data.fire", "load_control_points", ".txt"),
        "annotation": ([lab], "data.superretina_layout", "read_annotation", ".txt"),
        "idrid": (
            [names + b"IDRiD_001,3,2,,\nIDRiD_002,0,0,,\n"],
            *("data.builders.idrid", "_read_grades", ".csv"),
        ),
    }
    formats = [
        Format(name, suffix, seeds, _reader(module, function), text=True)
        for name, (seeds, module, function, suffix) in tables.items()
    ]
    split = b"Image_ID, Label_ID\na.png, a\nb.png, a.txt\n"
    formats.append(
        Format(
            *("split", ".txt", [split], _read_split),
            text=True,
            place="ImageSets/train.txt",
        )
    )
    place = "WFLW_annotations/list_98pt_rect_attr_train_test/"
    formats.append(
        Format(
            *("wflw", ".txt", _faces(), _read_faces),
            text=True,
            share=0.5,
            place=f"{place}list_98pt_rect_attr_train.txt",
        )
    )
    return formats


def _weights() -> bytes:
    import tempfile

    import jax
    import jax.numpy as jnp

    from rkd_jax import models, weights

    options = {"widths": (8, 8, 8, 8), "descriptor_dim": 8}
    module = models.build("large_kernel", **options)
    variables = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, 64, 64, 1)))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.safetensors"
        weights.save(path, variables, model="large_kernel", options=options)
        return path.read_bytes()


def _arrays(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, settings=np.array(json.dumps({"a": 1})), **arrays)
    return buffer.getvalue()


def _predictions() -> bytes:
    import tempfile

    from rkd_jax.evaluation import predictions

    one = predictions.Prediction(
        *("S01", False, True, "", 0.9, json.dumps({"family": "homography"})),
        ("a", "b"),
        *(np.ones((3, 2)), np.ones((3, 2)), np.ones(3, bool)),
        *(np.ones((2, 4)), np.ones((2, 2)), np.ones((2, 2))),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.npz"
        predictions.save_predictions(path, {"a": 1}, [one, one])
        return path.read_bytes()


def _face_predictions() -> bytes:
    return _arrays(
        names=np.array(["a#0"]),
        predicted=np.ones((1, 98, 2)),
        truth=np.ones((1, 98, 2)),
        boxes=np.ones((1, 4)),
        attributes=np.zeros((1, 6), np.int8),
        images=np.array(["a"]),
    )


def stored_formats() -> list[Format]:
    """Return the kinds of files that programs of ours write."""

    def form(name, suffix, seed, module, function, share):
        read = _reader(module, function)
        return Format(name, suffix, [seed], read, share=share)

    return [
        form("weights", ".safetensors", _weights(), "weights", "load", 0.2),
        form(
            *("predictions", ".npz", _predictions(), "evaluation.predictions"),
            *("load_predictions", 0.5),
        ),
        form(
            *("face predictions", ".npz", _face_predictions()),
            *("evaluation.wflw_predictions", "load_predictions", 0.5),
        ),
    ]


def all_formats() -> list[Format]:
    """Return all kinds of files."""
    return image_formats() + text_formats() + stored_formats()
