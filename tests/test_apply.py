"""The apply command: images of any kind, points, exports, refusals."""

import csv
import json
import pathlib
import re

import cv2
import numpy as np
import pytest
from made_files import tiff
from made_pictures import texture
from PIL import Image

from rkd_jax.apply import main
from rkd_jax.files import own_files
from rkd_jax.images.stored import read_stored
from rkd_jax.registration.expected_error.error_map import ErrorMap
from rkd_jax.registration.files import outputs, transform_file
from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.pictures import PictureOptions
from rkd_jax.registration.result import Registration
from rkd_jax.registration.transforms import Frame, Radial

FIXED_SIZE, MOVING_SIZE = (90, 111), (80, 100)
FRAMES = Frame(50, 40, 50), Frame(55, 45, 52)
TRUTH = Radial([[1.02, 0.05, 0.1], [-0.04, 1.0, -0.1], [0.03, 0, 1]], 0.2, *FRAMES)
RNG = np.random.default_rng(0)


def made(*, ok=True, transform=TRUTH, error_map=None):
    moving = RNG.uniform(20, 60, (30, 2))
    fixed = TRUTH.apply(moving)
    return Registration(
        ok=ok,
        reason="" if ok else "3 matches agree, at least 8 must",
        transform=transform,
        matches=Matches(fixed, moving, RNG.random(30, np.float32)),
        inliers=np.arange(30) > 4,
        confidence=0.9 if ok else 0.1,
        evidence={},
        fixed_size=FIXED_SIZE,
        moving_size=MOVING_SIZE,
        error_map=error_map,
    )


def written(folder, found):
    files = outputs.results(found, (), None, pictures=PictureOptions(()))
    content = transform_file.describe(found, ("f.png", "m.png"), {}, {})
    outputs.write(folder, files, transform_file.to_text(content))
    return folder


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """A folder of results, where the user is beside it."""
    monkeypatch.chdir(tmp_path)
    x, y = np.linspace(0, 110, 12), np.linspace(0, 89, 10)
    errors = np.tile(np.where(x > 80, np.nan, 1.25), (10, 1))
    known = ErrorMap(x, y, errors, 2 * errors, np.isfinite(errors))
    written(tmp_path / "pair", made(error_map=known))
    return tmp_path


def run(*arguments):
    return main([str(argument) for argument in arguments])


def labels(dtype, *channels):
    info = np.iinfo(dtype)
    coarse = RNG.integers(info.min, info.max, (9, 11, *channels), dtype, endpoint=True)
    return np.repeat(np.repeat(coarse, 10, 0), 10, 1)[
        : MOVING_SIZE[0], : MOVING_SIZE[1]
    ]


def test_a_channel_is_drawn_as_the_photograph(pair, capsys):
    image = texture(0, *MOVING_SIZE, 3)
    cv2.imwrite("moving.png", image[..., ::-1])
    assert run("pair", "moving.png", "--out", "out") == 0
    assert capsys.readouterr().out == "written to out/moving.png\n"
    drawn = cv2.imread("out/moving.png", cv2.IMREAD_UNCHANGED)[..., ::-1]
    np.testing.assert_array_equal(drawn, TRUTH.warp(image, FIXED_SIZE))
    assert run("pair/transform.json", "moving.png", "--out", "out/copy.tif") == 0
    np.testing.assert_array_equal(read_stored("out/copy.tif").pixels, drawn)


@pytest.mark.parametrize(
    ("dtype", "channels", "name"),
    [
        ("u1", (), "a.png"),
        ("u2", (), "a.png"),
        ("u2", (3,), "a.png"),
        ("u2", (), "a.tif"),
        ("i4", (), "a.tif"),
        ("u4", (), "a.tif"),
        ("i8", (), "a.tif"),
        ("u1", (2,), "a.tif"),
        ("u2", (5,), "a.tif"),
    ],
)
def test_labels_stay_exactly_by_nearest(pair, dtype, channels, name):
    image = labels(dtype, *channels)
    if name.endswith("tif"):
        extra = [0] * (channels[0] - 1) if channels else ()
        data = tiff(image, photometric=1, extra=extra)
        (pair / name).write_bytes(data)
    else:
        cv2.imwrite(name, image[..., ::-1] if channels else image)
    assert run("pair", name, "--out", "out", "--interpolation", "nearest") == 0
    drawn = read_stored(f"out/{name}").pixels
    assert drawn.dtype == image.dtype
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in FIXED_SIZE[::-1])), axis=-1)
    column, row = np.moveaxis(np.rint(TRUTH.apply_inverse(grid)).astype(int), -1, 0)
    inside = (column >= 0) & (column < 100) & (row >= 0) & (row < 80)
    expected = np.zeros((*FIXED_SIZE, *channels), dtype)
    expected[inside] = image[row[inside], column[inside]]
    same = (drawn == expected).reshape(*FIXED_SIZE, -1).all(axis=-1)
    assert inside.mean() > 0.4
    assert same.mean() > 0.99  # at the edges of labels places are off by 0.05 px


@pytest.mark.parametrize("dtype", ["u2", "f4", "f8"])
def test_depth_and_range_are_kept_by_linear(pair, dtype):
    smooth = texture(0, *MOVING_SIZE) / 255.0
    image = (smooth * 4095).astype(dtype) if dtype == "u2" else smooth.astype(dtype) - 3
    (pair / "deep.tif").write_bytes(tiff(image))
    fill = 7 if dtype == "u2" else -99.5
    assert run("pair", "deep.tif", "--out", "out", "--fill", fill) == 0
    drawn = read_stored("out/deep.tif").pixels
    assert drawn.dtype == image.dtype
    expected = TRUTH.warp(image, FIXED_SIZE, fill=fill)
    np.testing.assert_array_equal(drawn, expected)
    assert (drawn == fill).any()
    assert drawn.max() > 0.8 * image.max() if dtype == "u2" else drawn.max() < -2


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("kind", ["palette", "one bit"])
def test_palettes_and_masks_of_one_bit_are_drawn_by_nearest(pair, capsys, kind, suffix):
    image = labels("u1") % (7 if kind == "palette" else 2)
    if kind == "palette":
        picture = Image.fromarray(image)
        picture.putpalette(RNG.integers(0, 256, 21, np.uint8).tobytes())
    else:
        picture = Image.fromarray(image.astype(bool))
    picture.save("mask.png")
    assert run("pair", "mask.png", "--out", f"out/mask{suffix}") == 0
    note = capsys.readouterr().err
    assert re.search(rf"note: mask\.png: an image .* {kind}: drawn by --inter", note)
    drawn = Image.open(f"out/mask{suffix}")
    assert drawn.mode == picture.mode
    if kind == "palette":
        assert drawn.getpalette()[:21] == picture.getpalette()[:21]
    expected = TRUTH.warp(image, FIXED_SIZE, interpolation="nearest")
    np.testing.assert_array_equal(np.asarray(drawn), expected)


def test_the_fill_of_a_palette_is_one_of_its_colors(pair, capsys):
    picture = Image.fromarray(labels("u1") % 5)
    picture.putpalette(bytes(range(15)))
    picture.save("mask.png")
    assert run("pair", "mask.png", "--out", "out", "--fill", "5") == 2
    assert "expected a whole number from 0 to 4, found 5" in capsys.readouterr().err
    assert run("pair", "mask.png", "--out", "out", "--fill", "4") == 0
    assert read_stored("out/mask.png").pixels[0, 0] == 4


def test_a_grey_mask_is_drawn_as_asked_with_a_note(pair, capsys):
    cv2.imwrite("mask.png", labels("u1") // 128 * 255)
    assert run("pair", "mask.png", "--out", "a") == 0
    assert "two values only; --interpolation nearest" in capsys.readouterr().err
    assert len(np.unique(cv2.imread("a/mask.png", -1))) > 2
    assert run("pair", "mask.png", "--out", "b", "--interpolation", "nearest") == 0
    assert capsys.readouterr().err == ""
    assert set(np.unique(cv2.imread("b/mask.png", -1))) == {0, 255}


def test_the_fixed_image_is_drawn_in_the_moving_frame(pair):
    image = texture(0, *FIXED_SIZE)
    cv2.imwrite("fixed.png", image)
    assert run("pair", "fixed.png", "--inverse", "--out", "out") == 0
    drawn = cv2.imread("out/fixed.png", -1)
    assert drawn.shape == MOVING_SIZE
    np.testing.assert_array_equal(drawn, TRUTH.warp(image, MOVING_SIZE, inverse=True))
    grid = np.array([[30, 40], [50, 20], [60, 55]])
    column, row = np.rint(TRUTH.apply(grid)).astype(int).T
    near = drawn[grid[:, 1], grid[:, 0]].astype(int) - image[row, column]
    assert np.abs(near).max() < 30


def read_rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_points_there_and_back(pair, capsys):
    moving = np.array([[40.0, 50.0], [30.5, 30.25], [90.0, 75.0]])
    (pair / "p.csv").write_text("x,y\n40,50\n30.5,30.25\n90,75\n")
    assert run("pair", "--points", "p.csv", "--out", "out") == 0
    assert capsys.readouterr().out == "written to out/points.csv\n"
    rows = read_rows("out/points.csv")
    assert list(rows[0]) == [
        *("x_moving", "y_moving", "x_fixed", "y_fixed", "among_matches"),
        *("expected_error_px", "error_bound_90_px"),
    ]
    fixed = np.array([[float(r["x_fixed"]), float(r["y_fixed"])] for r in rows])
    np.testing.assert_allclose(fixed, TRUTH.apply(moving), atol=1e-3)
    assert [row["among_matches"] for row in rows] == ["1", "1", "0"]
    # The third lies where the error is not known.
    assert [r["expected_error_px"] for r in rows] == ["1.250", "1.250", "not known"]
    assert [r["error_bound_90_px"] for r in rows] == ["2.500", "2.500", "not known"]
    # The same file is read with --inverse: its columns of the fixed image.
    back = ["pair", "--points", "out/points.csv", "--inverse", "--out", "back.csv"]
    assert run(*back) == 0
    again = read_rows("back.csv")
    for column in ("x_moving", "y_moving", "x_fixed", "y_fixed"):
        for first, second in zip(rows, again, strict=True):
            assert abs(float(first[column]) - float(second[column])) < 0.05
    assert [row["among_matches"] for row in again] == ["1", "1", "0"]


def test_points_outside_are_refused(pair, capsys):
    (pair / "p.csv").write_text("x_fixed,y_fixed\n5,5\n105,3\n")
    assert run("pair", "--points", "p.csv", "--inverse", "--out", "a.csv") == 0
    (pair / "p.csv").write_text("x,y\n5,5\n105,3\n")
    assert run("pair", "--points", "p.csv", "--out", "b.csv") == 2
    error = capsys.readouterr().err
    assert "point 2 at (105, 3) lies outside the moving image of 100x80 px" in error
    assert not pathlib.Path("b.csv").exists()


def test_old_results_say_not_known(pair):
    """Of a file of an earlier version."""
    content = json.loads((pair / "pair" / "transform.json").read_text())
    for key in ("format", "version", "supported_area", "expected_error", "matrix"):
        del content[key]
    (pair / "old.json").write_text(json.dumps(content))
    (pair / "p.csv").write_text("40 50\n")
    assert run("old.json", "--points", "p.csv", "--out", "a.csv") == 0
    (row,) = read_rows("a.csv")
    assert row["among_matches"] == row["expected_error_px"] == "not known"


def test_a_folder_goes_on_past_a_bad_image(pair, capsys):
    folder = pair / "channels"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), texture(0, *MOVING_SIZE))
    cv2.imwrite(str(folder / "b.png"), texture(0, 30, 40))
    cv2.imwrite(str(folder / "c.jpg"), texture(0, *MOVING_SIZE, 3))
    cv2.imwrite(str(folder / "d.png"), texture(0, *FIXED_SIZE))
    (folder / "e.tif").write_bytes(b"II*\0")
    assert run("pair", "channels", "--out", "out") == 2
    captured = capsys.readouterr()
    assert captured.out == "written to out/a.png\nwritten to out/c.png\n"
    names = {path.name for path in pathlib.Path("out").iterdir()}
    assert names == {"a.png", "c.png", own_files.LIST}
    errors = captured.err.splitlines()
    assert re.search(r"b\.png: image is 40x30 px, the moving .* 100x80 px", errors[0])
    assert "d.png: image is 111x90 px" in errors[1]
    assert "size of the fixed photograph: add --inverse?" in errors[1]
    assert "e.tif: damaged" in errors[2]
    assert errors[3] == "3 of 5 images are not drawn"
    # Again, over our own files.
    assert run("pair", "channels", "--out", "out") == 2


def test_a_folder_with_two_images_of_one_target_is_refused(pair, capsys):
    (pair / "channels").mkdir()
    for name in ("a.png", "a.jpg"):
        cv2.imwrite(f"channels/{name}", texture(0, *MOVING_SIZE))
    assert run("pair", "channels", "--out", "out") == 2
    error = capsys.readouterr().err
    assert "a.jpg would be written to a.png, too; rename one" in error
    assert not pathlib.Path("out").exists()


def test_files_of_others_and_inputs_are_kept(pair, capsys):
    cv2.imwrite("m.png", texture(0, *MOVING_SIZE))
    before = pathlib.Path("m.png").read_bytes()
    assert run("pair", "m.png", "--out", ".") == 2
    assert "m.png: rkd_jax would replace this file, which it is" in (
        capsys.readouterr().err
    )
    pathlib.Path("out").mkdir()
    pathlib.Path("out/m.png").write_text("mine")
    assert run("pair", "m.png", "--out", "out") == 2
    assert "out/m.png: rkd_jax would replace this file" in capsys.readouterr().err
    assert pathlib.Path("out/m.png").read_text() == "mine"
    assert pathlib.Path("m.png").read_bytes() == before


def test_a_refused_pair_is_refused(pair, capsys):
    cv2.imwrite("m.png", texture(0, *MOVING_SIZE))
    written(pair / "bad", made(ok=False))
    assert run("bad", "m.png", "--out", "out") == 3
    message = capsys.readouterr().err
    assert message.startswith(
        "not registered: 3 matches agree, at least 8 must; --even"
    )
    assert not pathlib.Path("out").exists()
    assert run("bad", "m.png", "--out", "out", "--even_if_refused") == 0
    assert pathlib.Path("out/m.png").is_file()
    written(pair / "none", made(ok=False, transform=None))
    assert run("none", "m.png", "--out", "out", "--even_if_refused") == 3


EXPORTS = {"displacement.mha", "opencv_maps.npz", "bigwarp.csv", "qupath.json"}


def test_exports_of_a_saved_transform_are_those_of_register(pair, capsys):
    found = made()
    names = ("itk", "opencv", "bigwarp", "qupath")
    files = outputs.results(found, (), None, pictures=PictureOptions(()), export=names)
    content = transform_file.describe(found, ("f.png", "m.png"), {}, {})
    outputs.write(pair / "new", files, transform_file.to_text(content))
    assert run("new", "--export", "itk,opencv,bigwarp,qupath", "--out", "out") == 0
    assert {path.name for path in pathlib.Path("out").iterdir()} - {own_files.LIST} == (
        EXPORTS
    )
    for name in ("displacement.mha", "opencv_maps.npz"):
        theirs = pathlib.Path("new", name).read_bytes()
        assert len(theirs) > 8 * np.prod(FIXED_SIZE)
    first, second = (
        pathlib.Path(folder, "displacement.mha").read_bytes()
        for folder in ("new", "out")
    )
    first, second = (
        np.frombuffer(data[-8 * int(np.prod(FIXED_SIZE)) :], "<f4")
        for data in (first, second)
    )
    np.testing.assert_allclose(first, second, atol=1e-4)
    first, second = (
        np.loadtxt(pathlib.Path(folder, "bigwarp.csv"), str, delimiter=",")
        for folder in ("new", "out")
    )
    assert len(first) == len(second) == found.inliers.sum()
    # Into the folder of the results, over the files that are there.
    assert run("new", "--export", "qupath", "--out", "new") == 0
    # A pair that is not registered gets none, and loses those of an earlier run.
    lost = made(ok=False)
    files = outputs.results(lost, (), None, pictures=PictureOptions(()), export=names)
    assert set(files) == {"matches.csv"}
    outputs.write(pair / "new", files, "{}")
    left = {path.name for path in pathlib.Path("new").iterdir()} - {own_files.LIST}
    assert left == {"matches.csv", "transform.json"}


def test_bigwarp_needs_the_matches(pair, capsys):
    (pair / "pair" / "matches.csv").unlink()
    assert run("pair", "--export", "itk,bigwarp", "--out", "out") == 2
    assert "matches.csv: no such file; the export 'bigwarp' needs" in (
        capsys.readouterr().err
    )
    assert not pathlib.Path("out").exists()
    (pair / "pair" / "matches.csv").write_text("a,b\n1,2\n")
    assert run("pair", "--export", "bigwarp", "--out", "out") == 2
    assert (
        "matches.csv: expected the columns x_fixed,y_fixed" in capsys.readouterr().err
    )
    columns = "x_fixed,y_fixed,x_moving,y_moving,similarity,inlier\n"
    (pair / "pair" / "matches.csv").write_text(f"{columns}1,2,3,4,0.5,1\n")
    assert run("pair", "--export", "bigwarp", "--out", "out") == 2
    message = "30 with 25 inliers, found 1 with 1: the file of another pair?"
    assert message in capsys.readouterr().err
    (pair / "pair" / "matches.csv").write_text(f"{columns}1,2,3,4,x,1\n")
    assert run("pair", "--export", "bigwarp", "--out", "out") == 2
    assert "matches.csv, line 2: expected six numbers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pair", "--out", "o"], "nothing to do: expected IMAGE, --points FILE or"),
        (["pair", "--export", "itk", "--inverse", "--out", "o"], "drop --inverse"),
        (["none", "m.png", "--out", "o"], "none: no such transform file"),
        (["pair", "none.png", "--out", "o"], "none.png: no such image file"),
        (["pair", "none", "--out", "o.png"], "none: no such image file"),
        (["pair", "m.png", "--points", "p", "--out", "o.png"], "expected a folder, as"),
        (
            ["pair", "--export", "itk", "--out", "o.csv"],
            "expected a folder, as several",
        ),
        (["pair", "m.png", "--out", "p.txt"], "expected a folder, found a file"),
        (["pair", "m.png", "--out", "o.bmp"], "or a name that ends in .png, .tif"),
        (["pair", "--points", "p.txt", "--out", "o.txt"], "or .csv (points)"),
        (["pair", "--export", "itk", "--out", "o.mha"], "an export needs a folder"),
        (
            ["pair", "m.png", "--out", "o", "--fill", "300"],
            "--fill: expected a whole num",
        ),
        (["pair", "m.png", "--out", "o", "--fill", "0.5"], "from 0 to 255, found 0.5"),
        (
            ["pair", "m.tif", "--out", "o.png"],
            "m.tif: PNG cannot hold an image of float",
        ),
        (
            ["pair", "m.png", "--inverse", "--out", "o"],
            "moving photograph: drop --inver",
        ),
        (["pair", "turned.png", "--out", "o"], "its sides are swapped: turn it as"),
        (["pair", "--points", "none.csv", "--out", "o"], "no such landmark file"),
    ],
)
def test_bad_input_exits_2_with_one_line(pair, capsys, arguments, message):
    cv2.imwrite("m.png", texture(0, *MOVING_SIZE))
    cv2.imwrite("turned.png", texture(0, *MOVING_SIZE[::-1]))
    (pair / "m.tif").write_bytes(tiff(texture(0, *MOVING_SIZE).astype(np.float32)))
    (pair / "p.txt").write_text("1 2\n")
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not list(pathlib.Path().glob("o*"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--export", "itk,fiji"],
            "expected names of itk, slicer, opencv, bigwarp, qupath, .*",
        ),
        (["--interpolation", "bilinear"], "invalid choice: 'bilinear'"),
        (["--fill", "black"], "invalid float value: 'black'"),
    ],
)
def test_bad_arguments_are_refused_by_name(capsys, more, message):
    with pytest.raises(SystemExit) as caught:
        run("pair", "m.png", "--out", "o", *more)
    assert caught.value.code == 2
    assert re.search(message, capsys.readouterr().err)
