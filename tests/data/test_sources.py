"""Sources: the annotated layout, folders, the synthetic data, and their records."""

import gzip
import logging

import numpy as np
import pytest
from made_pictures import photo
from PIL import Image

from rkd_jax.data import sources
from rkd_jax.data.records import Item, Records
from rkd_jax.images import image_files, prepare


@pytest.fixture
def root(tmp_path):
    """Three annotated photographs and two without annotation."""
    for name in ("ImageData", "Annotations", "ImageSets", "more"):
        (tmp_path / name).mkdir()
    for i in range(3):
        Image.fromarray(photo(i, 60, 90)).save(tmp_path / f"ImageData/eye{i}.png")
        points = np.random.default_rng(i).uniform(0, 1, (4 + i, 2))
        np.savetxt(tmp_path / f"Annotations/eye{i}.txt", points)
    for i in range(2):
        Image.fromarray(photo(9 + i)).save(tmp_path / f"more/x{i}.jpg")
    (tmp_path / "ImageSets/train.txt").write_text(
        "Image_ID, Label_ID\neye0.png, eye0.txt\neye2.png,eye2\n\n"
    )
    (tmp_path / "ImageSets/val.txt").write_text("eye1.png, eye1.txt\n")
    return tmp_path


def superretina_source(root, **options):
    options = {"size": 48, "max_labels": 8, "crop_field": False, **options}
    return sources.make_source("superretina", data_dir=root, **options)


class TestSuperretina:
    def test_records(self, root):
        source = superretina_source(root, auxiliary_dir=root / "more")
        assert (source.groups.tolist(), source.size) == ([1, 1, 0, 0], 48)
        assert [int(source[i]["index"]) for i in range(4)] == [0, 1, -1, -1]
        record = source[1]
        assert record["image"].shape == (48, 48, 1)
        assert record["image"].dtype == np.float32
        prepared = prepare.prepare(root / "ImageData/eye2.png", size=48)
        np.testing.assert_allclose(
            record["image"][..., 0], prepared.image, atol=0.501 / 255
        )
        np.testing.assert_array_equal(record["size"], [32, 48])
        fractions = np.loadtxt(root / "Annotations/eye2.txt")
        expected = (fractions * [90, 60] + 0.5) * (48 / 90) - 0.5
        found = record["keypoints"][record["keypoint_mask"]]
        np.testing.assert_allclose(found, expected.clip(0, [47, 31]), atol=1e-4)
        assert record["labeled"]
        assert not source[2]["labeled"]
        assert not source[2]["keypoint_mask"].any()

    def test_auxiliary_images_belong_to_training_only(self, root):
        assert (
            len(superretina_source(root, split="val", auxiliary_dir=root / "more")) == 1
        )

    def test_coordinate_one_is_the_last_pixel(self, root):
        (root / "Annotations/eye0.txt").write_text("1.0 1.0\n0 0\n")
        record = superretina_source(root)[0]
        np.testing.assert_allclose(
            record["keypoints"][:2], [[46.97, 30.97], [0, 0]], atol=0.3
        )
        assert (record["keypoints"][0] <= [47, 31]).all()

    def test_crop_moves_labels(self, root):
        image = np.zeros((120, 160, 3), np.uint8)
        image[20:100, 40:140] = photo(5, 80, 100) // 2 + 100
        Image.fromarray(image).save(root / "ImageData/eye0.png")
        outside = [5.0, 5.0]
        xy = np.array([[50.0, 30.0], [129.0, 89.0], outside])
        np.savetxt(root / "Annotations/eye0.txt", xy / [160, 120])
        record = superretina_source(root, crop_field=True, size=50)[0]
        np.testing.assert_array_equal(record["size"], [40, 50])
        found = record["keypoints"][record["keypoint_mask"]]
        expected = (xy[:2] - [40, 20] + 0.5) * 0.5 - 0.5
        np.testing.assert_allclose(found, expected, atol=1e-4)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("0.5 0.5\n0.5 abc\n", r"eye0\.txt, line 2: expected two numbers.*abc"),
            ("0.5 0.5 0.5\n", r"eye0\.txt, line 1: expected two numbers"),
            ("0.5 0.5\n\n0.2 1.5\n", r"eye0\.txt, line 3: y = 1\.5 lies outside"),
            ("-0.1 0.5\n", r"line 1: x = -0\.1 lies outside"),
            ("nan 0.5\n", "line 1: x = nan"),
        ],
    )
    def test_bad_annotations(self, root, text, message):
        (root / "Annotations/eye0.txt").write_text(text)
        with pytest.raises(ValueError, match=message):
            superretina_source(root)

    def test_an_absolute_path_in_a_list_is_named(self, root):
        (split,) = (root / "ImageSets").glob("train.txt")
        split.write_text("/nowhere/eye0.png, /nowhere/eye0.txt\n")
        with pytest.raises(FileNotFoundError, match=r"train\.txt.*/nowhere/eye0\.png"):
            superretina_source(root)

    def test_missing_files_are_all_listed(self, root, caplog):
        (root / "ImageData/eye0.png").unlink()
        (root / "Annotations/eye2.txt").unlink()
        with pytest.raises(FileNotFoundError, match=r"2 samples.*eye0\.png.*eye2\.txt"):
            superretina_source(root)
        (root / "Annotations/eye2.txt").write_text("0.5 0.5\n")
        with caplog.at_level(logging.WARNING):
            assert len(superretina_source(root, skip_missing=True)) == 1
        assert "1 of 2 samples lack files, left out: line 2: ImageData/eye0.png" in (
            caplog.text
        )
        (root / "ImageData/eye2.png").unlink()
        with pytest.raises(ValueError, match="no sample in this split; all 2 lack fil"):
            superretina_source(root, skip_missing=True)

    def test_an_image_listed_twice_is_refused(self, root):
        path = root / "ImageSets/train.txt"
        path.write_text("eye0.png, eye0.txt\n\neye1.png, eye1\neye0.png,eye0\n")
        with pytest.raises(
            ValueError, match=r"train\.txt, line 4: eye0\.png is listed in line 1 alr"
        ):
            superretina_source(root)

    def test_structure_errors(self, root):
        with pytest.raises(FileNotFoundError, match=r"no such split.*train, val"):
            superretina_source(root, split="lab")
        (root / "ImageSets/val.txt").write_text("eye1.png\n")
        with pytest.raises(
            ValueError, match=r"val\.txt, line 1: expected 'image, label"
        ):
            superretina_source(root, split="val")
        (root / "ImageSets/val.txt").write_bytes(bytes(range(128, 256)))
        with pytest.raises(ValueError, match=r"val\.txt, line 1: expected"):
            superretina_source(root, split="val")
        (root / "ImageSets/val.txt").write_text("")
        with pytest.raises(ValueError, match="no sample"):
            superretina_source(root, split="val")
        with pytest.raises(FileNotFoundError, match="no folder ImageData"):
            superretina_source(root / "more")
        with pytest.raises(FileNotFoundError, match="no such folder"):
            superretina_source(root / "absent")
        with pytest.raises(ValueError, match="needs data_dir"):
            sources.make_source("superretina")
        with pytest.raises(ValueError, match="unknown source 'web'; known: synthetic"):
            sources.make_source("web")

    def test_too_many_labels_name_the_file(self, root):
        source = superretina_source(root, max_labels=3)
        with pytest.raises(ValueError, match=r"eye0\.png: 4 keypoints; .* at most 3"):
            source[0]

    def test_bad_image_is_named(self, root):
        (root / "ImageData/eye0.png").write_bytes(b"")
        with pytest.raises(ValueError, match=r"eye0\.png.*0 bytes"):
            superretina_source(root)[0]
        Image.fromarray(np.full((60, 90), 7, np.uint8)).save(
            root / "ImageData/eye0.png"
        )
        with pytest.raises(ValueError, match=r"eye0\.png: constant image"):
            superretina_source(root)[0]


class TestFolder:
    def test_all_images_without_labels(self, root):
        (root / "more/notes.md").write_text("text")
        source = sources.make_source("folder", data_dir=root / "more", size=48)
        assert source.groups.tolist() == [0, 0]
        assert [name[-6:] for name in source.names] == ["x0.jpg", "x1.jpg"]

    def test_missing_and_empty(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no such folder"):
            sources.make_source("folder", data_dir=tmp_path / "absent")
        with pytest.raises(ValueError, match="no image in this folder"):
            sources.make_source("folder", data_dir=tmp_path)
        with pytest.raises(FileNotFoundError, match="no such folder"):
            image_files.list_images(tmp_path / "absent")


class TestImageFiles:
    def test_gzipped_images(self, tmp_path):
        path = tmp_path / "im1.vk.PPM.GZ"
        path.write_bytes(gzip.compress(b"P6 content"))
        assert image_files.read_bytes(path) == b"P6 content"
        assert image_files.stem(path) == "im1.vk"
        assert image_files.list_images(tmp_path, gzipped=True) == [path]
        with pytest.raises(ValueError, match="no image in this folder"):
            image_files.list_images(tmp_path)
        whole = path.read_bytes()
        flipped = whole[:10] + bytes([whole[10] ^ 255]) + whole[11:]
        for damaged in (whole[:-4], b"P6 content", flipped):
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=r"im1\.vk\.PPM\.GZ: damaged gzip"):
                image_files.read_bytes(path)


class TestRecords:
    def counted(self, n, cache_mb):
        calls = []

        def item(i):
            def read():
                calls.append(i)
                return photo(i, 40, 40), None

            return Item(f"photo {i}", read, False)

        items = [item(i) for i in range(n)]
        return Records(items, size=32, max_labels=1, cache_mb=cache_mb), calls

    def test_memory_gives_the_same_and_reads_once(self):
        source, calls = self.counted(3, cache_mb=1)
        first = [source[i] for i in range(3)]
        again = [source[i] for i in range(3)]
        assert calls == [0, 1, 2]
        for a, b in zip(first, again, strict=True):
            np.testing.assert_array_equal(a["image"], b["image"])
        levels = first[0]["image"].astype(np.float64) * 255
        np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)

    def test_damaged_bytes_go_by_the_name_of_the_item(self):
        for data in (b"no image", b"\x89PNG\r\n\x1a\n\0"):
            item = Item("medal_retina train 3", lambda data=data: (data, None), False)
            records = Records([item], size=32, max_labels=1)
            with pytest.raises(ValueError, match=r"^medal_retina train 3: "):
                records[0]

    def test_indices(self):
        source, _ = self.counted(2, cache_mb=1)
        np.testing.assert_array_equal(source[-1]["image"], source[1]["image"])
        with pytest.raises(IndexError):
            source[2]
        with pytest.raises(ValueError, match="at least 32"):
            Records([], size=16, max_labels=1)


class TestSynthetic:
    def test_records(self):
        source = sources.make_source("synthetic", count=2, unlabeled=1, size=96, seed=3)
        assert source.groups.tolist() == [1, 1, 0]
        assert [bool(source[i]["labeled"]) for i in range(3)] == [True, True, False]
        record = source[0]
        assert record["keypoint_mask"].sum() >= 3
        h, w = record["size"]
        found = record["keypoints"][record["keypoint_mask"]]
        assert ((found >= 0) & (found <= [w - 1, h - 1])).all()
        again = sources.make_source("synthetic", count=2, size=96, seed=3)[0]
        np.testing.assert_array_equal(again["image"], record["image"])
        other = sources.make_source("synthetic", count=2, size=96, seed=4)[0]
        assert np.abs(other["image"] - record["image"]).mean() > 0.01

    def test_seeds_never_meet(self):
        drawn = [
            sources.synthetic_seed(part, seed, i)
            for part in sources.PARTS
            for seed in (0, 1, 2)
            for i in (0, 1, 2, 2**20 - 1)
        ]
        assert len(set(drawn)) == len(drawn)
        with pytest.raises(ValueError, match="known: train, val, pairs"):
            sources.synthetic_seed("test", 0, 0)
        with pytest.raises(ValueError, match="image < 2"):
            sources.synthetic_seed("train", 0, 2**20)
        with pytest.raises(ValueError, match="raise count"):
            sources.make_source("synthetic", count=0)

    def test_pairs(self):
        pairs = [sources.synthetic_pair(i, size=96, seed=1) for i in range(2)]
        assert len(pairs) == 2
        for pair in pairs:
            assert pair["fixed"].dtype == np.uint8
            assert pair["fixed"].shape == pair["moving"].shape == (96, 96, 3)
            assert pair["control_points"].shape[1] == 4
            assert (pair["control_points"] >= 0).all()
            assert (pair["control_points"] <= 95).all()
        assert (pairs[0]["fixed"] != pairs[1]["fixed"]).any()


def test_a_long_list_of_missing_files_is_cut(tmp_path):
    for folder in ("ImageSets", "ImageData", "Annotations"):
        (tmp_path / folder).mkdir()
    lines = "".join(f"eye{i}.png, eye{i}\n" for i in range(9))
    (tmp_path / "ImageSets" / "train.txt").write_text(lines)
    with pytest.raises(FileNotFoundError, match=r"9 samples lack.*line 5.*and 4 more"):
        sources.make_source("superretina", data_dir=tmp_path)
