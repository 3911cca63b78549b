"""Patches around places: their pixels, and which of them teach something."""

import numpy as np
import pytest
from made_lesion_folders import lesions_config, lesions_data, save, write_folders

from rkd_jax.data.source import CachedSource
from rkd_jax.lesions.regions import Points, classify
from rkd_jax.tasks.lesions import eyes, patches
from rkd_jax.tasks.lesions.places import LESION, Places


def random_eye(seed, height=30, width=41):
    rng = np.random.default_rng(seed)
    return {
        "image": rng.integers(0, 256, (height, width, 3), np.uint8),
        "target": rng.integers(0, 256, (height, width), np.uint8)
        * (rng.random((height, width)) < 0.3),
        "field": rng.random((height, width)) < 0.7,
    }


EYES = [random_eye(seed) for seed in range(2)]
SOURCE = CachedSource(lambda index: EYES[index], ["left eye", "right eye"])


def every_place(eye, step=5):
    """Places over a whole photograph, its corners too."""
    height, width = EYES[eye]["target"].shape
    y, x = np.meshgrid(
        [*range(0, height, step), height - 1],
        [*range(0, width, step), width - 1],
        indexing="ij",
    )
    return np.stack([x.ravel(), y.ravel()], axis=1)


def places():
    first, second = every_place(0), every_place(1)
    return Places.of([(0, first, 1), (1, second, 0), (1, second[:3], 1)])


@pytest.mark.parametrize("side", [8, 9, 64])
def test_patches_are_parts_of_a_padded_photograph(side):
    found, where = patches.Patches(SOURCE, places(), side=side, masks=True), places()
    assert len(found) == len(where.eye)
    before, after = side // 2, side - side // 2
    padded = []
    for eye in EYES:
        pad = ((before, after), (before, after))
        padded.append(
            {
                "image": np.pad(eye["image"], (*pad, (0, 0)), constant_values=128),
                "target": np.pad(eye["target"], pad),
                "counts": np.pad(eye["field"], pad),
            }
        )
    for index, (eye, (x, y)) in enumerate(zip(where.eye, where.xy, strict=True)):
        example = found[index]
        assert set(example) == {"image", "target", "counts", "label"}
        for name, whole in padded[eye].items():
            expected = whole[y : y + side, x : x + side]
            assert example[name].dtype == expected.dtype
            np.testing.assert_array_equal(example[name], expected)
        middle = example["image"][side // 2, side // 2]
        np.testing.assert_array_equal(middle, EYES[eye]["image"][y, x])
        assert example["label"] == where.label[index]
        assert example["label"].dtype == np.int32


def test_patches_are_those_that_the_detector_asks_about():
    """The classifier trains on patches of one more pixel, which it cuts itself."""
    stride, side = 5, 12
    lattice = np.ones((6, 9), bool)
    points = Points(lattice, stride, 0.1)
    seen = []

    def record(given):
        seen.extend(given)
        return np.zeros(len(given))

    classify(record, EYES[1]["image"], points, patch_px=side, batch=7)
    for more in (0, 1):
        found = patches.Patches(
            SOURCE, Places.of([(1, points.xy, 0)]), side=side + more
        )
        assert set(found[0]) == {"image", "label"}
        for index in range(len(found)):
            np.testing.assert_array_equal(
                found[index]["image"][:side, :side], seen[index]
            )


def test_only_lesions_count_where_the_rest_may_hide_some():
    whole = np.array([False, True])
    found = patches.Patches(SOURCE, places(), side=16, whole=whole, masks=True)
    for index, eye in enumerate(places().eye):
        example = found[index]
        field = patches.Patches(SOURCE, places(), side=16, masks=True)[index]["counts"]
        expected = field if eye else field & (example["target"] > 0)
        np.testing.assert_array_equal(example["counts"], expected)


def test_names_and_groups():
    where = Places.of([(1, np.array([[3, 4]]), 0), (0, np.array([[5, 6]]), 1)])
    found = patches.Patches(SOURCE, where, side=8)
    assert found.names == ["right eye at 3, 4", "left eye at 5, 6"]
    assert found.groups.tolist() == [0, 1]


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """Write two photographs with lesions and one without."""
    return write_folders(tmp_path_factory.mktemp("files"), sick=2, healthy=1)


def training(options, scale="full", **task):
    """Return the patches of a run, its photographs, and the number of each name."""
    data = lesions_data(**options)
    config = lesions_config(data, **task)
    if task.get("part", "all") != "all":
        config.model = config.model.proposal
    read = eyes.training_eyes(data, seed=config.seed, scale=scale)
    return patches.training_patches(config.validate()), eyes.read_all(read, 1)


def place_of(name):
    eye, _, place = name.rpartition(" at ")
    x, y = map(int, place.split(", "))
    return ["eye0", "eye1", "healthy h0"].index(eye), x, y


@pytest.mark.parametrize("negatives", ["all", "healthy"])
@pytest.mark.parametrize("part", ["full", "half"])
def test_crops_of_proposal_networks(options, part, negatives):
    found, read = training(options, part, part=part, negatives=negatives)
    crop, slack = 64, patches.crop_slack(64)
    assert slack == 24
    lesions = 0
    for index, name in enumerate(found.names):
        number, x, y = place_of(name)
        eye, example = read[number], found[index]
        assert example["image"].shape == (crop + 2 * slack,) * 2 + (3,)
        is_lesion = eye["target"][y, x] >= LESION
        assert is_lesion == found.groups[index] == example["label"]
        lesions += is_lesion
        if negatives == "healthy" and number < 2:
            assert is_lesion
            assert (example["target"][example["counts"]] > 0).all()
            assert example["counts"].any()
        elif number == 2:
            assert not example["target"].any()
            assert example["counts"].mean() > 0.2
    assert lesions == 6  # three spots in each of two eyes
    lacking = {number for number, *_ in map(place_of, found.names)}
    assert lacking == {0, 1, 2}


def test_a_moved_crop_keeps_its_lesion_away_from_the_border():
    for crop in (16, 64, 128, 256):
        slack = patches.crop_slack(crop)
        middle = (crop + 2 * slack) // 2
        for start in (0, 2 * slack):
            place = middle - start
            assert min(place, crop - place) >= patches.SLACK
    assert patches.crop_slack(16) == 0


@pytest.mark.parametrize("negatives", ["all", "healthy"])
def test_patches_of_the_classifier(options, negatives):
    found, read = training(options, negatives=negatives, patches_per_lesion=4)
    used = {0: set(), 1: set()}
    for index, name in enumerate(found.names):
        number, x, y = place_of(name)
        label = int(found.groups[index])
        used[label].add(number)
        example = found[index]
        assert set(example) == {"image", "label"}
        assert example["image"].shape == (17, 17, 3)
        value = read[number]["target"][y, x]
        assert value >= LESION if label else value == 0
    assert used[1] == {0, 1}
    assert used[0] == ({2} if negatives == "healthy" else {0, 1, 2})
    assert np.count_nonzero(found.groups == 1) == 2 * 3 * 4
    # The photograph without lesions has little else: spots are its rare extremes.
    assert 15 <= np.count_nonzero(found.groups == 0) <= 60


@pytest.mark.parametrize("count", [1, 9, 3000])
def test_held_out_patches_have_both_kinds(options, count):
    """All that is no lesion counts in evaluation, whatever is trained on."""
    data = lesions_data(**{**options, "hold_out_every": 2})
    config = lesions_config(data, negatives="healthy", negative_patches=count)
    found = patches.held_out(config)
    assert {place_of(name)[0] for name in found.names} == {1}
    kinds = np.bincount(found.groups, minlength=2)
    assert kinds.min() > 0
    assert kinds[0] <= max(count // 10, 1)
    trained = patches.training_patches(config)
    assert {place_of(name)[0] for name in trained.names} == {0, 2}
    config.loop.eval_pairs = 0
    assert patches.held_out(config) is None


def test_held_out_photographs_of_a_proposal_network(options):
    data = lesions_data(**{**options, "hold_out_every": 2})
    config = lesions_config(data, part="half")
    found = patches.held_out(config)
    assert list(found.names) == ["eye1"]
    expected = eyes.training_eyes(lesions_data(**options), seed=0, scale="half")[1]
    for name, value in found[0].items():
        np.testing.assert_array_equal(value, expected[name])


@pytest.mark.parametrize("part", ["all", "half"])
def test_held_out_photographs_without_a_lesion_give_no_score(tmp_path, part):
    options = write_folders(tmp_path, sick=2)
    (tmp_path / "masks/eye1_MA.png").unlink()
    config = lesions_config(lesions_data(**options), part=part)
    assert patches.held_out(config) is None
    config.data.hold_out_every = 2
    with pytest.raises(ValueError, match=r"no microaneurysms in any of 1 held-out"):
        patches.held_out(config)


def test_patches_follow_from_the_seed(options):
    config = lesions_config(lesions_data(**options))
    one, again = (patches.training_patches(config) for _ in range(2))
    assert one.names == again.names
    config.seed = 1
    assert patches.training_patches(config).names != one.names


def test_a_scale_at_which_nothing_is_left_is_named(tmp_path):
    """Lesions of less than half a pixel are none, and fields may be too small."""
    options = {**write_folders(tmp_path, sick=1), "size": 64}
    config = lesions_config(lesions_data(**options), part="full")
    config.task.proposals.crop = 256
    with pytest.raises(ValueError, match="photographs: no patch shows no lesion at"):
        patches.training_patches(config)
    dots = np.zeros((360, 400), bool)
    dots[100:300:50, 100:300:50] = True
    save(tmp_path / "masks/eye0_MA.png", dots)
    for part in ("all", "full", "half"):
        config = lesions_config(lesions_data(**options), part=part)
        with pytest.raises(ValueError, match=r"shows microaneurysms at .*data\.size"):
            patches.training_patches(config)
