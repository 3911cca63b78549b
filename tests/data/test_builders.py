"""TFDS builders: made-up trees in the official layouts, there and back."""

import gzip
import io
import os
import shutil
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from made_classes import write_aptos2019, write_eyepacs, write_ham10000, write_idrid
from made_faces import line, write_wflw
from made_pictures import photo
from PIL import Image

import rkd_jax
from rkd_jax.data import builders, class_layouts, sources
from rkd_jax.data.class_sources import prepared_classes
from rkd_jax.images import prepare
from rkd_jax.synthetic.faces.points import ATTRIBUTES
from rkd_jax.tasks.faces import crops

tfds = pytest.importorskip("tensorflow_datasets")

from rkd_jax.data.builders import _common  # noqa: E402
from rkd_jax.data.builders.__main__ import main  # noqa: E402


@pytest.fixture(autouse=True)
def quiet():
    tfds.disable_progress_bar()
    yield
    tfds.enable_progress_bar()


def mask(seed, height=40, width=56):
    return (photo(seed, height, width)[..., 0] > 127).astype(np.uint8) * 255


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(path)
    return path


def prepared(name, raw, tmp_path, **options):
    builder = builders.build(
        name, raw_dir=raw, data_dir=tmp_path / "prepared", **options
    )
    builder.download_and_prepare()
    return builder


def read(builder, split, *images):
    decoders = {name: tfds.decode.SkipDecoding() for name in images}
    return list(builder.as_data_source(split=split, decoders=decoders))


def names(builder, split):
    return [e["name"].decode() for e in builder.as_data_source(split=split)]


def test_image_folder_keeps_png_and_jpeg_bytes(tmp_path):
    raw = tmp_path / "raw"
    kept = [write(raw / "a.jpg", photo(0)), write(raw / "b.png", mask(1))]
    lossless = [
        write(raw / "c.tif", photo(2)),
        write(raw / "d.bmp", photo(3)),
        write(raw / "e.gif", mask(4)),
        write(raw / "f.tiff", photo(5)[..., 0].astype(np.uint16) * 257),
    ]
    (raw / "readme.txt").write_text("not an image")
    builder = prepared("image_folder", raw, tmp_path)
    examples = read(builder, "train", "image")
    assert [e["name"].decode() for e in examples] == [p.name for p in kept + lossless]
    for path, example in zip(kept, examples[:2], strict=True):
        assert example["image"] == path.read_bytes()
    for path, example in zip(lossless, examples[2:], strict=True):
        assert example["image"].startswith(b"\x89PNG")
        np.testing.assert_array_equal(
            prepare.read_image(example["image"]), prepare.read_image(path)
        )


def test_medal_retina_and_its_source(tmp_path):
    raw = tmp_path / "lab"
    for i in range(3):
        write(raw / f"ImageData/eye{i}.png", photo(i))
        points = np.random.default_rng(i).uniform(0, 1, (2 + i, 2))
        (raw / "Annotations").mkdir(exist_ok=True)
        np.savetxt(raw / f"Annotations/eye{i}.txt", points)
    write(tmp_path / "more/z.jpg", photo(9))
    (raw / "ImageSets").mkdir()
    (raw / "ImageSets/train.txt").write_text("eye2.png, eye2.txt\neye0.png, eye0.txt\n")
    (raw / "ImageSets/val.txt").write_text("eye1.png, eye1.txt\n")
    builder = prepared("medal_retina", raw, tmp_path, auxiliary_dir=tmp_path / "more")
    assert names(builder, "train") == ["eye2.png", "eye0.png"]
    (val,) = read(builder, "val", "image")
    assert val["image"] == (raw / "ImageData/eye1.png").read_bytes()
    points = np.loadtxt(raw / "Annotations/eye1.txt", dtype=np.float32)
    np.testing.assert_array_equal(val["keypoints"], points)
    (auxiliary,) = read(builder, "auxiliary", "image")
    assert auxiliary["keypoints"].shape == (0, 2)

    options = {"size": 48, "max_labels": 8, "crop_field": False}
    direct = sources.make_source("superretina", data_dir=raw, **options)
    through = sources.make_source(
        "tfds", data_dir=tmp_path / "prepared", name="medal_retina", **options
    )
    assert through.groups.tolist() == direct.groups.tolist() == [1, 1]
    for i in range(2):
        for name, value in direct[i].items():
            np.testing.assert_allclose(through[i][name], value, atol=1e-4)
    more = sources.make_source(
        "tfds",
        data_dir=tmp_path / "prepared",
        name="medal_retina",
        split="auxiliary",
        **options,
    )
    assert more.groups.tolist() == [0]
    with pytest.raises(ValueError, match=r"no split 'test'; known: train, val"):
        sources.make_source(
            "tfds", data_dir=tmp_path / "prepared", name="medal_retina", split="test"
        )
    with pytest.raises(FileNotFoundError, match="prepare it with"):
        sources.make_source("tfds", data_dir=tmp_path / "prepared", name="drive")


def test_fire(tmp_path):
    raw = tmp_path / "FIRE"
    rows = np.arange(8.0).reshape(2, 4) + 0.25
    for pair in ("S01", "P02", "A03"):
        for i in (1, 2):
            write(raw / f"Images/{pair}_{i}.jpg", photo([ord(pair[0]), i]))
        path = raw / f"Ground Truth/control_points_{pair}_1_2.txt"
        path.parent.mkdir(exist_ok=True)
        np.savetxt(path, rows, fmt="%.3f")
    builder = prepared("fire", raw, tmp_path)
    examples = read(builder, "test", "image_1", "image_2")
    assert [e["name"].decode() for e in examples] == ["A03", "P02", "S01"]
    assert [int(e["category"]) for e in examples] == [2, 1, 0]
    for example in examples:
        for i in (1, 2):
            path = raw / "Images" / f"{example['name'].decode()}_{i}.jpg"
            assert example[f"image_{i}"] == path.read_bytes()
        np.testing.assert_array_equal(example["control_points"], rows)
    (raw / "Images/P02_2.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="images of pairs P02 are missing"):
        prepared("fire", raw, tmp_path / "again")
    write(raw / "Images/P02_2.jpg", photo(2))
    (raw / "Ground Truth/control_points_P02_1_2.txt").write_text("1 2 3\n")
    with pytest.raises(ValueError, match=r"control_points_P02.*four finite numbers"):
        prepared("fire", raw, tmp_path / "again")


def assert_vessels(example, image, vessels, field=()):
    np.testing.assert_array_equal(example["image"], image)
    for name, masks in (("vessels", vessels), ("field", field)):
        assert len(example[name]) == len(masks)
        for found, expected in zip(example[name], masks, strict=True):
            np.testing.assert_array_equal(found[..., 0], expected)


@pytest.mark.parametrize("test_folder", ["test", "testing"])
def test_drive(tmp_path, test_folder):
    raw = tmp_path / "DRIVE"
    write(raw / "training/images/21_training.tif", photo(0))
    write(raw / "training/1st_manual/21_manual1.gif", mask(1))
    write(raw / "training/mask/21_training_mask.gif", mask(2))
    write(raw / f"{test_folder}/images/01_test.tif", photo(3))
    write(raw / f"{test_folder}/1st_manual/01_manual1.gif", mask(4))
    write(raw / f"{test_folder}/2nd_manual/01_manual2.gif", mask(5))
    write(raw / f"{test_folder}/mask/01_test_mask.gif", mask(6))
    builder = prepared("drive", raw, tmp_path)
    (train,) = builder.as_data_source(split="train")
    assert_vessels(train, photo(0), [mask(1)], [mask(2)])
    (test,) = builder.as_data_source(split="test")
    assert_vessels(test, photo(3), [mask(4), mask(5)], [mask(6)])
    assert names(builder, "test") == ["01_test"]


def test_chase_db1(tmp_path):
    raw = tmp_path / "CHASE"
    jpeg = write(raw / "Image_01L.jpg", photo(0))
    write(raw / "Image_01L_1stHO.png", Image.fromarray(mask(1)).convert("1"))
    write(raw / "Image_01L_2ndHO.png", mask(2))
    builder = prepared("chase_db1", raw, tmp_path)
    (example,) = builder.as_data_source(split="train")
    assert_vessels(example, prepare.read_image(jpeg), [mask(1), mask(2)])
    assert names(builder, "train") == ["Image_01L"]


def test_stare_also_gzipped(tmp_path):
    raw = tmp_path / "STARE"
    buffer = io.BytesIO()
    Image.fromarray(photo(0)).save(buffer, "PPM")
    (raw / "images").mkdir(parents=True)
    (raw / "images/im0001.ppm.gz").write_bytes(gzip.compress(buffer.getvalue()))
    write(raw / "images/im0002.png", photo(1))
    write(raw / "labels-ah/im0001.ah.ppm", mask(2))
    write(raw / "labels-vk/im0001.vk.ppm", mask(3))
    write(raw / "labels-vk/im0002.vk.png", mask(4))
    builder = prepared("stare", raw, tmp_path)
    first, second = builder.as_data_source(split="train")
    assert_vessels(first, photo(0), [mask(2), mask(3)])
    assert_vessels(second, photo(1), [mask(4)])
    assert names(builder, "train") == ["im0001", "im0002"]


def test_hrf(tmp_path):
    raw = tmp_path / "HRF"
    jpeg = write(raw / "images/01_dr.JPG", photo(0))
    write(raw / "images/02_h.jpg", photo(1))
    write(raw / "manual1/01_dr.tif", mask(2))
    write(raw / "mask/01_dr_mask.tif", mask(3))
    builder = prepared("hrf", raw, tmp_path)
    first, second = builder.as_data_source(split="train")
    assert_vessels(first, prepare.read_image(jpeg), [mask(2)], [mask(3)])
    assert len(second["vessels"]) == 0
    label = builder.info.features["diagnosis"]
    assert label.int2str(int(first["diagnosis"])) == "diabetic_retinopathy"
    assert label.int2str(int(second["diagnosis"])) == "healthy"
    write(raw / "images/strange.jpg", photo(1))
    with pytest.raises(ValueError, match=r"strange\.jpg.*expected names"):
        prepared("hrf", raw, tmp_path / "again")


def test_idrid(tmp_path):
    raw = tmp_path / "IDRiD"
    part = raw / "B. Disease Grading"
    tables = part / "2. Groundtruths"
    tables.mkdir(parents=True)
    head = "Image name,Retinopathy grade,Risk of macular edema ,,\n"
    for folder, table, stem, row in (
        ("a. Training Set", "a. IDRiD_Disease Grading_Training Labels.csv", "1", "4,1"),
        ("b. Testing Set", "b. IDRiD_Disease Grading_Testing Labels.csv", "2", "0,2"),
    ):
        write(
            part / "1. Original Images" / folder / f"IDRiD_{stem}.jpg", photo(int(stem))
        )
        (tables / table).write_text(f"{head}IDRiD_{stem},{row},,\n\n")
    builder = prepared("idrid", raw, tmp_path)
    (train,) = read(builder, "train", "image")
    (test,) = read(builder, "test", "image")
    images = part / "1. Original Images"
    for found, name in (
        (train, "a. Training Set/IDRiD_1.jpg"),
        (test, "b. Testing Set/IDRiD_2.jpg"),
    ):
        assert found["image"] == (images / name).read_bytes()
    assert (train["retinopathy_grade"], train["macular_edema_risk"]) == (4, 1)
    assert (test["retinopathy_grade"], test["macular_edema_risk"]) == (0, 2)
    table = tables / "a. IDRiD_Disease Grading_Training Labels.csv"
    table.write_text(f"{head}IDRiD_1,four,1\n")
    with pytest.raises(ValueError, match="line 2: expected 'name,grade,risk'"):
        prepared("idrid", raw, tmp_path / "again")
    table.write_text(head)
    with pytest.raises(ValueError, match="no grades of IDRiD_1"):
        prepared("idrid", raw, tmp_path / "again")
    table.write_text(f"{head}IDRiD_1,4,1\n\nIDRiD_1,3,1\n")
    with pytest.raises(ValueError, match="line 4: IDRiD_1 has other grades above"):
        prepared("idrid", raw, tmp_path / "again")
    # As a spreadsheet of much of Europe saves it.
    text = f"{head}IDRiD_1,4,1\n".replace(",", ";").replace("\n", "\r\n")
    table.write_bytes(text.encode("utf-16"))
    (train,) = read(prepared("idrid", raw, tmp_path / "again"), "train")
    assert (train["retinopathy_grade"], train["macular_edema_risk"]) == (4, 1)


@pytest.mark.parametrize(
    ("name", "write_raw", "split"),
    [
        ("aptos2019", write_aptos2019, "train"),
        ("eyepacs", write_eyepacs, "train"),
        ("ham10000", write_ham10000, "train"),
        ("idrid", write_idrid, "test"),
    ],
)
def test_classes_and_their_source(tmp_path, name, write_raw, split):
    """What was prepared is what the reader of the layout finds."""
    raw = write_raw(tmp_path / "raw")
    builder = prepared(name, raw, tmp_path)
    direct = class_layouts.read(name, raw)
    through = prepared_classes(tmp_path / "prepared", name)
    assert sorted(through.folds) == (["test", "train"] if name == "idrid" else [split])
    through = through.fold(split)
    direct = direct.fold(split) if name == "idrid" else direct
    stored = [example["image"] for example in read(builder, split, "image")]
    assert stored == [item.image.read_bytes() for item in direct.items]
    assert (through.classes, through.ordered) == (direct.classes, direct.ordered)
    np.testing.assert_array_equal(through.labels, direct.labels)
    assert through.names == direct.names
    assert through.groups == direct.groups
    for one, other in zip(through.items, direct.items, strict=True):
        np.testing.assert_array_equal(one.read(), other.read())


def test_classes_need_a_class(tmp_path):
    write(tmp_path / "raw/a.png", photo(0))
    prepared("image_folder", tmp_path / "raw", tmp_path)
    with pytest.raises(ValueError, match="image_folder: its examples have no class; f"):
        prepared_classes(tmp_path / "prepared", "image_folder")


@pytest.mark.parametrize("below", [".", "A. Segmentation"])
def test_idrid_segmentation(tmp_path, below):
    raw = tmp_path / "IDRiD"
    truth = {}
    for split, stem in (
        ("a. Training Set", "IDRiD_01"),
        ("b. Testing Set", "IDRiD_55"),
    ):
        write(raw / below / f"1. Original Images/{split}/{stem}.jpg", photo(len(truth)))
        for name, folder, suffix in (
            ("microaneurysms", "1. Microaneurysms", "MA"),
            ("haemorrhages", "2. Haemorrhages", "HE"),
            ("hard_exudates", "3. Hard Exudates", "EX"),
            ("soft_exudates", "4. Soft Exudates", "SE"),
            ("optic_disc", "5. Optic Disc", "OD"),
        ):
            of_kind = raw / below / "2. All Segmentation Groundtruths" / split / folder
            one = mask(len(truth)) // 255
            write(of_kind / f"{stem}_{suffix}.tif", one)
            truth[stem, name] = one * 255
            if name == "soft_exudates":  # another eye has some, this one none
                (of_kind / f"{stem}_{suffix}.tif").unlink()
                write(raw / below / f"1. Original Images/{split}/{stem}b.jpg", photo(9))
                write(of_kind / f"{stem}b_{suffix}.tif", one)
                truth[stem, name] = one * 0
    builder = prepared("idrid_segmentation", raw, tmp_path)
    assert "Porwal" in builder.info.citation
    for split, stem in (("train", "IDRiD_01"), ("test", "IDRiD_55")):
        example, other = builder.as_data_source(split=split)
        assert example["name"].decode() == stem
        assert not other["microaneurysms"].any()
        assert other["soft_exudates"].any()
        for (name, kind), expected in truth.items():
            if name == stem:
                np.testing.assert_array_equal(example[kind][..., 0], expected)
    images = raw / below / "1. Original Images"
    example, _ = read(builder, "train", "image")
    assert example["image"] == (images / "a. Training Set/IDRiD_01.jpg").read_bytes()
    shutil.rmtree(images / "b. Testing Set")  # as long as it is not published
    again = prepared("idrid_segmentation", raw, tmp_path / "again")
    assert list(again.info.splits) == ["train"]
    (images / "a. Training Set/IDRiD_01.jpg").unlink()
    with pytest.raises(ValueError, match=r"IDRiD_01_MA\.tif: no photograph of this"):
        prepared("idrid_segmentation", raw, tmp_path / "third")


def test_wflw_and_its_source(tmp_path):
    raw = tmp_path / "WFLW"
    drawn = write_wflw(raw, pictures=3, lists=("train", "test"))
    builder = prepared("wflw", raw, tmp_path)
    assert sorted(builder.info.splits) == ["test", "train"]
    examples = read(builder, "test", "image")
    assert len(examples) == len(drawn) == 4
    for example, (name, points, box, flags) in zip(examples, drawn, strict=True):
        assert example["image"] == (raw / "WFLW_images" / name).read_bytes()
        np.testing.assert_allclose(example["landmarks"], points, atol=1e-4)
        np.testing.assert_array_equal(example["box"], box)
        found = [bool(example["attributes"][a][0]) for a in ATTRIBUTES]
        assert found == flags.tolist()
    options = {"split": "test", "size": 48}
    direct = crops.make_source("wflw", data_dir=raw, **options)
    through = crops.make_source("tfds", data_dir=tmp_path / "prepared", **options)
    assert through.groups.tolist() == [1] * len(direct)
    for i in range(len(direct)):
        for key, value in direct[i].items():
            np.testing.assert_allclose(through[i][key], value, atol=1e-4)


def test_wflw_plain_list(tmp_path):
    raw = tmp_path / "WFLW"
    ((name, points, _, _),) = write_wflw(raw, pictures=1)
    shutil.rmtree(raw / "WFLW_annotations")
    path = raw / "WFLW_annotations/list_98pt_test/list_98pt_test.txt"
    path.parent.mkdir(parents=True)
    path.write_text(line(points, name) + "\n")
    (path.parent / "list_98pt_test_blur.txt").write_text(path.read_text() * 2)
    builder = prepared("wflw", raw, tmp_path)
    assert len(list(read(builder, "test_blur", "image"))) == 2
    (example,) = read(builder, "test", "image")
    assert len(example["attributes"]["pose"]) == 0
    low, high = points.min(axis=0), points.max(axis=0)
    np.testing.assert_allclose(
        np.ptp(example["box"].reshape(2, 2), axis=0), 1.25 * (high - low), atol=1e-3
    )
    np.testing.assert_allclose(
        example["box"][:2] + example["box"][2:], low + high, atol=1e-3
    )
    path.write_text("1 2 3\n")
    with pytest.raises(ValueError, match=r"list_98pt_test\.txt, line 1: 3 fields"):
        prepared("wflw", raw, tmp_path / "again")


@pytest.mark.parametrize("name", sorted(builders.BUILDERS))
def test_missing_and_empty_folders(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=f"no such folder.*{name} expects"):
        prepared(name, tmp_path / "absent", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        (FileNotFoundError, ValueError), match=rf"{tmp_path / 'empty'}.*expect"
    ):
        prepared(name, tmp_path / "empty", tmp_path)
    with pytest.raises(ValueError, match=f"{name}: give raw_dir"):
        prepared(name, None, tmp_path)


def test_damaged_image_is_named(tmp_path):
    raw = tmp_path / "raw"
    tiff = write(raw / "a.tif", photo(0))
    tiff.write_bytes(tiff.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"a\.tif"):
        prepared("image_folder", raw, tmp_path)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_kept_formats_are_decoded_before_they_are_stored(tmp_path, suffix):
    whole = write(tmp_path / f"whole{suffix}", photo(0)).read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=rf"cut\{suffix}: damaged or truncated"):
        _common.stored_bytes(cut)
    cut.write_bytes(whole)
    assert _common.stored_bytes(cut) == whole
    dot = write(tmp_path / f"dot{suffix}", photo(0, 1, 1))
    with pytest.raises(ValueError, match=rf"dot\{suffix}: image is 1x1 px; both"):
        _common.stored_bytes(dot)


def test_huge_images_are_refused_before_decoding(tmp_path):
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header
    crc = struct.pack(">I", zlib.crc32(chunk[4:]))
    path = tmp_path / "huge.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + crc + b"\0\0\0\0IDAT5\xaf\x06\x1e")
    with pytest.raises(ValueError, match=r"huge\.png: .*400\.0 megapixels"):
        _common.stored_bytes(path)


def test_prepared_data_are_not_taken_for_other_files(tmp_path):
    for folder, seed in (("a", 0), ("b", 1)):
        write(tmp_path / folder / "eye.png", photo(seed))
    first = prepared("image_folder", tmp_path / "a", tmp_path)
    prepared("image_folder", tmp_path / "a", tmp_path)
    without_raw = prepared("image_folder", None, tmp_path)
    assert names(without_raw, "train") == names(first, "train")
    with pytest.raises(ValueError, match=r"already prepared, from other.*remove it"):
        prepared("image_folder", tmp_path / "b", tmp_path)
    write(tmp_path / "a/second.png", photo(2))
    with pytest.raises(ValueError, match=r"1\.0\.0: already prepared, from other"):
        prepared("image_folder", tmp_path / "a", tmp_path)


def test_data_prepared_inside_the_raw_folder_do_not_count(tmp_path):
    write(tmp_path / "eye.png", photo(0))
    for _ in range(2):
        below = prepared("image_folder", tmp_path, tmp_path)
        assert names(below, "train") == ["eye.png"]
    for _ in range(2):
        beside = builders.build("image_folder", raw_dir=tmp_path, data_dir=tmp_path)
        beside.download_and_prepare()
        assert names(beside, "train") == ["eye.png"]


def test_skip_missing_from_the_command_line(tmp_path, capsys, caplog):
    raw = tmp_path / "lab"
    write(raw / "ImageData/eye0.png", photo(0))
    for folder in ("Annotations", "ImageSets"):
        (raw / folder).mkdir()
    (raw / "Annotations/eye0.txt").write_text("0.5 0.5\n")
    (raw / "ImageSets/train.txt").write_text("eye0.png, eye0\neye1.png, eye1.txt\n")
    args = ["medal_retina", str(raw), str(tmp_path / "out")]
    assert main(args) == 2
    assert "--skip_missing in the builders" in capsys.readouterr().err
    assert main([*args, "--skip_missing"]) == 0
    assert "medal_retina train: 1 examples" in capsys.readouterr().out
    assert "1 of 2 samples lack files, left out" in caplog.text


def test_unknown_name(tmp_path):
    with pytest.raises(
        ValueError, match="unknown data set 'varia'; known: aptos2019, chase_db1"
    ):
        builders.build("varia", data_dir=tmp_path)


def test_command_line_needs_no_tensorflow(tmp_path):
    write(tmp_path / "raw/a.png", photo(0))
    program = (
        "import sys; from rkd_jax.data.builders.__main__ import main; "
        f"code = main(['image_folder', {os.fspath(tmp_path / 'raw')!r}, "
        f"{os.fspath(tmp_path / 'out')!r}]); "
        "print(code, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=os.path.dirname(os.path.dirname(rkd_jax.__file__)),
    )
    assert "image_folder train: 1 examples" in done.stdout
    assert done.stdout.split()[-2:] == ["0", "False"]


def test_command_line_names_bad_input(tmp_path, capsys):
    code = main(["drive", str(tmp_path / "absent"), str(tmp_path / "out")])
    assert code == 2
    assert "no such folder" in capsys.readouterr().err
    (tmp_path / "file").write_text("x")
    assert main(["drive", str(tmp_path), str(tmp_path / "file")]) == 2
    assert "file: a file; data_dir must be a folder" in capsys.readouterr().err
    assert main(["drive", str(tmp_path), str(tmp_path / "file/below")]) == 2
    assert "file: a file; data_dir must be a folder" in capsys.readouterr().err
    assert main(["image_folder", str(tmp_path / "file"), str(tmp_path / "out")]) == 2
    assert "file: a file; image_folder expects" in capsys.readouterr().err
    folders = [str(tmp_path / "raw"), str(tmp_path / "out")]
    assert main(["drive", *folders, "--auxiliary_dir", "more"]) == 2
    message = capsys.readouterr().err
    assert message == "error: drive has no option auxiliary_dir\n"


def test_systems_without_array_record_are_told_what_works(
    tmp_path, monkeypatch, capsys
):
    """There is no wheel of it for Windows."""
    util, find = builders.importlib.util, builders.importlib.util.find_spec

    def without(name, *more):
        return None if name == "array_record" else find(name, *more)

    monkeypatch.setattr(util, "find_spec", without)
    folders = [str(tmp_path / "raw"), str(tmp_path / "out")]
    assert main(["drive", *folders]) == 2
    assert "array_record cannot be imported" in capsys.readouterr().err
    with pytest.raises(OSError, match=r"data\.kind folder, superretina or wflw"):
        sources.open_prepared(tmp_path, "drive", "train")
    assert not (tmp_path / "out").exists()
