"""What counts as a photograph in a folder: one rule, by name."""

import gzip
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from rkd_jax.images import image_files, prepare
from rkd_jax.images.image_files import is_image, list_images

APPLE_DOUBLE = b"\0\5\26\7\0\2\0\0Mac OS X        "


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(APPLE_DOUBLE)


def names(root, **options):
    found = list_images(root, **options)
    return [path.relative_to(root).as_posix() for path in found]


@pytest.mark.parametrize("suffix", image_files.IMAGE_SUFFIXES)
def test_every_suffix_is_one_that_is_read(tmp_path, suffix):
    kinds = {".jp2": "JPEG2000", ".j2k": "JPEG2000", ".apng": "PNG"}
    kinds |= dict.fromkeys((".pgm", ".pbm", ".pnm"), "PPM")
    kind = kinds.get(suffix) or Image.registered_extensions().get(suffix)
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    path = tmp_path / f"A{suffix.upper()}"
    image = Image.fromarray(np.full((40, 50, 3), 90, np.uint8))
    image.convert("1" if suffix == ".pbm" else "RGB").save(path, kind)
    assert names(tmp_path) == [path.name]
    assert prepare.read_image(path).shape[:2] == (40, 50)


@pytest.mark.parametrize(
    "name",
    [
        *("._a.jpg", ".a.png", ".png", "~$a.png", "Thumbs.db", ".DS_Store", "a.png~"),
        *("desktop.ini", "a.png.part", "a.jpg.crdownload", "png", "a.txt", "a", "a."),
        *("a.pngx", "a.dcm", "a.mp4", "a.png.gz"),
    ],
)
def test_what_is_none(tmp_path, name):
    assert not is_image(pathlib.Path(name))
    touch(tmp_path, name, "real.png")
    assert names(tmp_path) == ["real.png"]
    assert names(tmp_path, recursive=True) == ["real.png"]


def test_order_and_gzip(tmp_path):
    touch(tmp_path, "b.webp", "a.PGM", "c.ppm.GZ", "._c.ppm.gz", "d.txt.gz")
    assert names(tmp_path) == ["a.PGM", "b.webp"]
    assert names(tmp_path, gzipped=True) == ["a.PGM", "b.webp", "c.ppm.GZ"]


def test_folders_are_no_images(tmp_path):
    touch(tmp_path, "folder.png/a.png", "b.png")
    assert names(tmp_path) == ["b.png"]
    assert names(tmp_path, recursive=True) == ["b.png", "folder.png/a.png"]


def test_subfolders(tmp_path):
    touch(tmp_path, "2/b.png", "1/a.png", "1/deep/er/c.tif", "top.jpg", "1/._a.png")
    touch(tmp_path, ".hidden/x.png", "__MACOSX/._a.png", "__MACOSX/x.png")
    touch(tmp_path, "1/@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg", "$RECYCLE.BIN/x.png")
    assert names(tmp_path) == ["top.jpg"]
    assert names(tmp_path, recursive=True) == [
        *("1/a.png", "1/deep/er/c.tif", "2/b.png", "top.jpg")
    ]


def test_links(tmp_path):
    touch(tmp_path / "photos", "a.png", "sub/b.png")
    (tmp_path / "photos/sub/up").symlink_to(tmp_path / "photos")
    (tmp_path / "photos/self").symlink_to("self")
    other = tmp_path / "other"
    touch(other, "c.png")
    (tmp_path / "photos/linked").symlink_to(other)
    (tmp_path / "photos/again").symlink_to(other)
    (tmp_path / "photos/gone.png").symlink_to(tmp_path / "absent.png")
    # A broken link is listed, so that the reader names it.
    assert names(tmp_path / "photos", recursive=True) == [
        *("a.png", "again/c.png", "gone.png", "sub/b.png")
    ]
    assert names(tmp_path / "photos") == ["a.png", "gone.png"]


def test_nothing_found_says_what_is_there(tmp_path):
    touch(tmp_path, "1.dcm", "2.dcm", "notes", "sub/a.png", ".hidden.png")
    with pytest.raises(
        ValueError, match=r"no image.*holds files: 2 \.dcm, 1 without suffix.*\.webp"
    ):
        list_images(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder of images"):
        list_images(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="no such folder of images"):
        list_images(tmp_path / "notes")


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    touch(tmp_path, "a.png", "locked/b.png")
    scan = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="locked"):
        list_images(tmp_path, recursive=True)


def test_bytes_of_gzipped_files(tmp_path):
    path = tmp_path / "a.ppm.gz"
    path.write_bytes(gzip.compress(b"P6 content"))
    assert image_files.read_bytes(path) == b"P6 content"
    assert image_files.stem(path) == "a"
