"""Photographs at the scale that is trained on: pixels, masks, what is held out."""

import cv2
import numpy as np
import pytest
from made_eyes import draw_eye
from made_lesion_folders import (
    lesions_config,
    lesions_data,
    mask_of,
    photograph,
    save,
    write_folders,
)

from rkd_jax import weights
from rkd_jax.data import lesion_folders
from rkd_jax.images.field import field_of_view
from rkd_jax.lesions import detector, proposals
from rkd_jax.lesions.prepare import Scale, field_box, field_diameter, prepare
from rkd_jax.tasks import lesions, networks
from rkd_jax.tasks.lesions import eyes
from rkd_jax.tasks.lesions.config import PARTS


def block_mean(values):
    """Means of 2x2 cells, rounded half up; an odd side loses its last line."""
    h, w = values.shape[0] // 2 * 2, values.shape[1] // 2 * 2
    values = values[:h, :w].astype(int)
    sums = sum(values[i::2, j::2] for i in (0, 1) for j in (0, 1))
    return (sums + 2) // 4


def shown_to_the_networks(monkeypatch, config, path):
    """Return what the detector feeds each proposal network of a photograph."""
    seen = []

    def record(network, image, *, reach, tile):
        seen.append(image)
        return np.zeros(image.shape[:2], np.float32)

    monkeypatch.setattr(proposals, "map_in_tiles", record)
    found = weights.Weights(
        config.model.name,
        networks.stored_options(config.model),
        {},
        lesions.preprocess(config),
        {},
        {},
    )
    maps = detector.LesionDetector(found).maps(path)
    assert not any(one.any() for one in maps.values())
    return dict(zip(PARTS, seen, strict=True))


def forms():
    """Photographs of several kinds of file, by name, and as arrays."""
    rgb = photograph()
    moved = np.pad(rgb, ((37, 0), (0, 21), (0, 0)))
    grey = rgb[..., 1].astype(np.uint16) * 15
    return {"rgb.png": rgb, "rgb.jpg": rgb, "moved.png": moved, "grey16.png": grey}


@pytest.mark.parametrize("size", [160, 163, 400])
@pytest.mark.parametrize("name", forms())
def test_training_and_detection_see_the_same_pixels(tmp_path, monkeypatch, name, size):
    pixels = forms()[name]
    path = save(tmp_path / "photographs" / name, pixels)
    save(tmp_path / f"masks/{path.stem}.png", np.eye(*pixels.shape[:2], dtype=bool))
    data = lesions_data(
        kind="folder",
        data_dir=str(path.parent),
        masks_dir=str(tmp_path / "masks"),
        hold_out_every=0,
        size=size,
        gain=3.0,
    )
    shown = shown_to_the_networks(monkeypatch, lesions_config(data), path)
    for part in PARTS:
        (eye,) = eyes.read_all(eyes.training_eyes(data, seed=0, scale=part), 1)
        np.testing.assert_array_equal(eye["image"], shown[part])
        assert eye["image"].std() > 1
        assert eye["target"].shape == eye["field"].shape == eye["image"].shape[:2]
        assert (eye["target"].dtype, eye["field"].dtype) == (np.uint8, bool)
    assert abs(max(shown["full"].shape) - size) <= 2


def half_of_file():
    """A photograph and its mask, and the scale that is half of the file's."""
    image, mask = photograph(), mask_of()
    return image, mask, Scale(field_diameter(field_of_view(image)) / 2, 5.0, 4.0)


def test_targets_are_the_share_of_a_pixel_that_is_lesion():
    image, mask, scale = half_of_file()
    eye = eyes.prepared(image, mask, scale)
    made = prepare(image, scale)
    box = field_box(made.field)
    np.testing.assert_array_equal(eye["field"], made.field[box])
    np.testing.assert_array_equal(eye["target"], block_mean(255 * mask)[box])
    assert 0 < np.median(eye["target"][eye["target"] > 0]) <= 255


@pytest.mark.parametrize("factor", [0.37, 0.5, 0.8, 1.0, 1.7])
def test_targets_keep_the_area_of_lesions(factor):
    image, mask, scale = half_of_file()
    eye = eyes.prepared(image, mask, Scale(2 * factor * scale.field_px))
    sx, sy = prepare(image, Scale(2 * factor * scale.field_px)).scale
    area = eye["target"].sum() / 255 / (sx * sy)
    assert area == pytest.approx(mask.sum(), rel=0.02)
    # And each lesion lies on the bright spot that it marks.
    spots = eye["target"] >= 128
    beside = cv2.dilate(spots.astype(np.uint8), np.ones((9, 9))) - spots
    green = eye["image"][..., 1].astype(float)
    assert green[spots].mean() > green[beside > 0].mean() + 30


def test_what_lies_outside_the_field_is_neither_lesion_nor_seen():
    image, mask, scale = half_of_file()
    eye = eyes.prepared(image, mask | ~field_of_view(image), scale)
    assert not eye["field"].all()
    assert not eye["target"][~eye["field"]].any()
    assert (eye["image"][~eye["field"]] == 128).all()
    inside = eyes.prepared(image, mask, scale)["target"]
    away = cv2.erode(np.pad(eye["field"], 3).astype(np.uint8), np.ones((5, 5))) > 0
    away = away[3:-3, 3:-3]
    np.testing.assert_array_equal(eye["target"][away], inside[away])


def test_half_scale_is_means_of_cells():
    rng = np.random.default_rng(0)
    eye = {
        "image": rng.integers(0, 256, (7, 11, 3), np.uint8),
        "target": rng.integers(0, 256, (7, 11), np.uint8),
        "field": rng.random((7, 11)) < 0.8,
    }
    found = eyes.halved(eye)
    for name in ("image", "target"):
        np.testing.assert_array_equal(found[name], block_mean(eye[name]))
        assert found[name].dtype == np.uint8
    field = eye["field"][:6, :10].reshape(3, 2, 5, 2).all(axis=(1, 3))
    np.testing.assert_array_equal(found["field"], field)
    assert field.any()
    assert not field.all()


def listed(data, most=99):
    """Return the names of photographs that are trained on, and of those held out."""
    held = eyes.held_out_eyes(data, seed=0, scale="full", most=most)
    training = eyes.training_eyes(data, seed=0, scale="full").names
    return list(training), None if held is None else list(held.names)


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return str(root)


def plain_names(root, count):
    """Make the names of the plain layout: every other photograph has a mask."""
    names = [f"eye{i:02}" for i in range(1, count + 1)]
    touch(root / "photographs", *(f"{name}.jpg" for name in reversed(names)))
    touch(root / "masks", *(f"{name}.png" for name in names[::2]))
    options = {"data_dir": str(root / "photographs"), "masks_dir": str(root / "masks")}
    return names, {"kind": "folder", **options}


@pytest.mark.parametrize("every", [2, 3, 5])
def test_every_so_manieth_photograph_is_held_out(tmp_path, every):
    names, options = plain_names(tmp_path, 11)
    data = lesions_data(**options, hold_out_every=every)
    training, held = listed(data)
    assert held == [n for i, n in enumerate(names, 1) if i % every == 0]
    assert sorted(training + held) == names
    data.healthy_dir = touch(tmp_path / "healthy", *(f"h{i}.jpg" for i in range(7)))
    assert listed(data) == ([*training, *(f"healthy h{i}" for i in range(7))], held)


def test_a_healthy_photograph_never_replaces_another(tmp_path):
    _, options = plain_names(tmp_path, 4)
    touch(tmp_path / "photographs", "healthy h0.jpg")
    healthy = touch(tmp_path / "healthy", "h0.jpg")
    data = lesions_data(**options, hold_out_every=0, healthy_dir=healthy)
    with pytest.raises(ValueError, match=r"'healthy h0' is the name.*rename one"):
        listed(data)


def test_fewer_held_out_photographs_are_spread_over_all(tmp_path):
    _, options = plain_names(tmp_path, 22)
    data = lesions_data(**options, hold_out_every=2)
    training, held = listed(data)
    assert len(held) == 11
    assert listed(data, 1) == (training, held[:1])
    assert listed(data, 3) == (training, [held[0], held[5], held[10]])
    assert listed(data, 11) == (training, held)


def test_nothing_is_held_out_where_nobody_asks(tmp_path):
    names, options = plain_names(tmp_path, 6)
    assert listed(lesions_data(**options, hold_out_every=0)) == (names, None)
    assert listed(lesions_data(**options, hold_out_every=2), most=0)[1] is None
    assert listed(lesions_data(), most=0)[1] is None
    with pytest.raises(ValueError, match=r"no photograph to evaluate on; .*hold_out"):
        listed(lesions_data(**options, hold_out_every=7))


def test_idrid_holds_out_photographs_of_its_training_part(tmp_path):
    for part, numbers in (("a. Training Set", range(1, 12)), ("b. Testing Set", [55])):
        for n in numbers:
            name = f"{part}/IDRiD_{n:02}.jpg"
            touch(tmp_path / lesion_folders.PHOTOGRAPHS, name)
            for kind in lesion_folders.LESIONS.values():
                name = f"{part}/{kind.folder}/IDRiD_{n:02}_{kind.suffix}.tif"
                touch(tmp_path / lesion_folders.MASKS, name)
    data = lesions_data(kind="idrid", data_dir=str(tmp_path))
    training, held = listed(data)
    assert held == ["IDRiD_05", "IDRiD_10"]
    assert sorted(training + held) == [f"IDRiD_{n:02}" for n in range(1, 12)]


def drawn(**options):
    return lesions_data(
        **{"size": 72, "synthetic_labeled": 2, "synthetic_unlabeled": 1, **options}
    )


def images(source):
    return [eye["image"].tobytes() for eye in eyes.read_all(source, 2)]


def test_drawn_eyes_are_never_the_same():
    training = eyes.training_eyes(drawn(), seed=0, scale="full")
    held = eyes.held_out_eyes(drawn(), seed=0, scale="full", most=2)
    assert (len(training), len(held)) == (3, 2)
    other = eyes.training_eyes(drawn(), seed=1, scale="full")
    shown = images(training) + images(held) + images(other)
    assert len(set(shown)) == len(shown)
    sick = [eye["target"].any() for eye in eyes.read_all(training, 1)]
    assert sick == [True, True, False]
    assert all(eye["target"].any() for eye in eyes.read_all(held, 1))


def test_the_lesion_is_an_option():
    masks = {
        lesion: eyes.training_eyes(drawn(lesion=lesion), seed=0, scale="full")[0]
        for lesion in lesion_folders.LESIONS
    }
    first = masks["microaneurysms"]
    for lesion, eye in masks.items():
        np.testing.assert_array_equal(eye["image"], first["image"])
        assert (eye["target"] != first["target"]).any() == (eye is not first), lesion


def test_runs_of_an_experiment_share_photographs(monkeypatch):
    made, prepared = [], eyes.prepared
    monkeypatch.setattr(eyes, "prepared", lambda *a: made.append(a) or prepared(*a))
    full = eyes.training_eyes(drawn(), seed=3, scale="full")
    half = eyes.training_eyes(drawn(batch_size=9), seed=3, scale="half")
    again = eyes.training_eyes(drawn(), seed=3, scale="full")
    assert [len(x) for x in map(images, (full, half, again))] == [3, 3, 3]
    assert len(made) == 3
    held = eyes.held_out_eyes(drawn(), seed=3, scale="full", most=1)
    images(held)
    images(eyes.held_out_eyes(drawn(), seed=3, scale="half", most=1))
    assert len(made) == 4
    for other in (drawn(lesion="haemorrhages"), drawn(gain=2.0), drawn(size=74)):
        count = len(made)
        images(eyes.training_eyes(other, seed=3, scale="full"))
        assert len(made) == count + 3


def test_memory_is_given_back():
    full = eyes.training_eyes(drawn(), seed=4, scale="full")
    half = eyes.training_eyes(drawn(), seed=4, scale="half")
    count = len(eyes._known)
    del full
    assert len(eyes._known) == count  # the half scale is made of it
    del half
    assert len(eyes._known) == count - 1


def test_several_threads_read_as_one():
    source = eyes.training_eyes(drawn(cache_mb=0), seed=0, scale="half")
    one, four = (eyes.read_all(source, threads) for threads in (0, 4))
    for a, b in zip(one, four, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.fixture
def idrid(tmp_path):
    """Write three photographs in IDRiD's layout; the second has no microaneurysms."""
    part, root = "a. Training Set", tmp_path / "A. Segmentation"
    masks = root / lesion_folders.MASKS / part
    for number in range(3):
        name = f"IDRiD_{number + 1:02}"
        save(
            root / lesion_folders.PHOTOGRAPHS / part / f"{name}.jpg",
            photograph(number) if number != 1 else draw_eye(spots=()),
        )
        for kind in (*lesion_folders.LESIONS.values(), lesion_folders.OPTIC_DISC):
            path = masks / kind.folder / f"{name}_{kind.suffix}.tif"
            if (number, kind.suffix) != (1, "MA"):
                # Those of the other lesions are of other places.
                mask = mask_of(number) if kind.suffix == "MA" else mask_of(2 - number)
                save(path, mask.astype(np.uint8))
    return root


def test_files_give_the_same_examples_however_they_are_laid_out(idrid, tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    from rkd_jax.data import builders

    tfds.disable_progress_bar()
    builders.build(
        "idrid_segmentation", raw_dir=idrid, data_dir=tmp_path / "prepared"
    ).download_and_prepare()
    tfds.enable_progress_bar()
    part = "a. Training Set"
    masks = idrid / lesion_folders.MASKS / part
    kinds = {
        "idrid": {"data_dir": str(idrid)},
        "folder": {
            "data_dir": str(idrid / lesion_folders.PHOTOGRAPHS / part),
            "masks_dir": str(masks / lesion_folders.LESIONS["microaneurysms"].folder),
            "suffix": "_MA",
        },
        "tfds": {"data_dir": str(tmp_path / "prepared")},
    }
    found = {}
    for kind, options in kinds.items():
        data = lesions_data(kind=kind, **options, hold_out_every=3)
        sources = (
            eyes.training_eyes(data, seed=0, scale="full"),
            eyes.held_out_eyes(data, seed=0, scale="full", most=9),
        )
        assert [len(source) for source in sources] == [2, 1]
        found[kind] = [eye for source in sources for eye in eyes.read_all(source, 1)]
    assert [eye["target"].any() for eye in found["idrid"]] == [True, False, True]
    for kind in ("folder", "tfds"):
        for a, b in zip(found["idrid"], found[kind], strict=True):
            for name in ("image", "target", "field"):
                np.testing.assert_array_equal(a[name], b[name])


def test_a_folder_and_its_options_are_all_that_is_read(tmp_path):
    """Photographs without a mask file have no lesion; healthy ones come last."""
    options = write_folders(tmp_path, sick=2, healthy=1)
    save(tmp_path / "photographs/more.png", photograph(1))
    source = eyes.training_eyes(lesions_data(**options), seed=0, scale="full")
    assert list(source.names) == ["eye0", "eye1", "more", "healthy h0"]
    read = eyes.read_all(source, 1)
    assert [eye["target"].any() for eye in read] == [True, True, False, False]
    np.testing.assert_array_equal(read[1]["image"], read[2]["image"])
