"""Folds: whole groups, alike in classes, and the same for any order of rows."""

import numpy as np
import pytest
from made_classes import class_data, table, touch
from sklearn.model_selection import StratifiedGroupKFold

from rkd_jax.data.class_data import check_apart
from rkd_jax.data.class_tables import Columns, from_table
from rkd_jax.data.folds import cross_validation, divide, fold_numbers, parts


def lesions(seed, count=400, classes=4):
    """Draw unequal classes and groups of one to four images of one class each."""
    rng = np.random.default_rng(seed)
    shares = 0.35 ** np.arange(classes)
    of_group = rng.choice(classes, count, p=shares / shares.sum())
    groups = np.repeat(np.arange(count), rng.integers(1, 5, count))
    return of_group[groups], [f"lesion {n}" for n in groups]


def spread(labels, numbers, folds):
    """Largest difference of a class between two folds, images."""
    counts = [np.bincount(labels[numbers == k], minlength=4) for k in range(folds)]
    return np.ptp(counts, axis=0).max()


@pytest.mark.parametrize("folds", [2, 5, 10])
def test_groups_stay_whole_and_classes_are_spread_as_by_scikit_learn(folds):
    labels, groups = lesions(folds)
    numbers = fold_numbers(labels, groups, [1] * folds, seed=1)
    together = {(group, number) for group, number in zip(groups, numbers.tolist())}
    assert len(together) == len(set(groups))
    theirs = np.zeros(len(labels), int)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    for number, (_, test) in enumerate(splitter.split(labels, labels, groups)):
        theirs[test] = number
    assert spread(labels, numbers, folds) <= max(spread(labels, theirs, folds), 2)


def test_patients_with_eyes_of_two_classes():
    rng = np.random.default_rng(0)
    labels = rng.choice(5, 600, p=[0.6, 0.2, 0.1, 0.06, 0.04])
    groups = [f"patient {n // 2}" for n in range(600)]
    numbers = fold_numbers(labels, groups, [1] * 5, seed=0)
    assert (numbers[::2] == numbers[1::2]).all()
    counts = np.array([np.bincount(labels[numbers == k]) for k in range(5)])
    assert np.abs(counts - counts.mean(axis=0)).max() <= 2


def test_the_order_of_rows_does_not_matter_and_the_seed_does():
    labels, groups = lesions(3)
    first = fold_numbers(labels, groups, [1] * 5, seed=0)
    order = np.random.default_rng(1).permutation(len(labels))
    shuffled = fold_numbers(labels[order], [groups[n] for n in order], [1] * 5, seed=0)
    np.testing.assert_array_equal(shuffled, first[order])
    other = fold_numbers(labels, groups, [1] * 5, seed=1)
    assert (other != first).mean() > 0.5


def test_folds_never_change():
    """Runs are compared with runs of other machines and other years."""
    labels = [0, 0, 0, 0, 1, 1, 1, 2]
    groups = ["a", "a", "b", "c", "d", "e", "f", "g"]
    found = [fold_numbers(labels, groups, [1, 1], seed=s).tolist() for s in (0, 2)]
    assert found == [[1, 1, 0, 0, 0, 0, 1, 0], [1, 1, 0, 0, 1, 0, 0, 0]]


def test_divide_by_shares():
    labels, groups = lesions(4, count=900)
    data = class_data(labels, groups, classes="abcd")
    found = divide(data, {"train": 7, "val": 1, "test": 2}, seed=0)
    check_apart(found)
    assert sum(map(len, found.values())) == len(data)
    for name, share in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
        assert np.abs(found[name].counts - share * data.counts).max() <= 3
    again = divide(data, {"train": 70, "val": 10, "test": 20}, seed=0)
    assert again == found


def test_single_images_are_apportioned_by_websters_rule():
    """Class by class: a part gets n where (2 n - 1) / share is among the least."""
    counts, shares = [37, 9, 4], [5, 3, 2]
    labels = np.repeat(np.arange(3), counts)
    names = [f"image {n}" for n in range(len(labels))]
    numbers = fold_numbers(labels, names, shares, seed=5)
    for label, count in enumerate(counts):
        quotients = sorted(
            ((2 * n + 1) / share, k)
            for k, share in enumerate(shares)
            for n in range(40)
        )
        expected = np.bincount([k for _, k in quotients[:count]], minlength=3)
        found = np.bincount(numbers[labels == label], minlength=3)
        cut = quotients[count - 1][0] == quotients[count][0]
        assert (found == expected).all() or (
            cut and np.abs(found - expected).max() <= 1
        )


def test_cross_validation_uses_each_image_once():
    data = class_data(*lesions(6, count=60), classes="abcd")
    seen = []
    for fold in range(4):
        train, test = cross_validation(data, fold, 4, seed=0)
        check_apart({"train": train, "test": test})
        assert len(train) + len(test) == len(data)
        seen += test.names
    assert sorted(seen) == sorted(data.names)


@pytest.mark.parametrize("group", ["a", "patient 1"])
def test_published_parts_share_no_group_even_one_called_after_an_image(tmp_path, group):
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg")

    def read(*folds):
        names = zip("abcd", (group, group, "c", "d"), folds, strict=True)
        rows = [f"{name},x,{own},{fold}" for name, own, fold in names]
        path = table(tmp_path / "l.csv", "image,class,group,fold", *rows)
        return parts(from_table(path), (1, 1, 1), seed=0)

    found = read("train", "train", "train", "test")
    assert {found["train"].names, found["val"].names} == {("a", "b"), ("c",)}
    with pytest.raises(ValueError, match=f"line 3: group '{group}' is in fold 'test'"):
        read("train", "test", "train", "test")


def read_folds(folder, *folds):
    """Read a table of images with these cells in its column Split."""
    names = [f"image{number}.jpg" for number in range(len(folds))]
    touch(folder, *names)
    rows = [f"{name},x,{fold}" for name, fold in zip(names, folds, strict=True)]
    path = table(folder / "l.csv", "image,class,Split", *rows)
    return from_table(path, columns=Columns(fold="split"))


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("Train", "Val", "Test"),
        ("TRAINING", "validation", "Testing"),
        ("training", "Valid", "test"),
    ],
)
def test_published_parts_stay_whatever_they_are_called(tmp_path, train, val, test):
    data = read_folds(tmp_path, train, test, train, val, train)
    found = {name: part.names for name, part in parts(data, seed=0).items()}
    assert found == {
        "train": ("image0.jpg", "image2.jpg", "image4.jpg"),
        "val": ("image3.jpg",),
        "test": ("image1.jpg",),
    }
    assert data.fold(val).names == found["val"]


def test_what_a_published_division_lacks_is_taken_from_its_training(tmp_path):
    found = parts(read_folds(tmp_path, *["Train"] * 6, "Test"), (2, 1, 1), seed=0)
    assert found["test"].names == ("image6.jpg",)
    assert [len(found[name]) for name in ("train", "val")] == [4, 2]


def test_numbered_folds_are_those_of_cross_validation(tmp_path):
    numbers = ["10", "9", "1", "9", "1", "10"]
    data = read_folds(tmp_path, *numbers)
    for fold, number in enumerate(("1", "9", "10")):
        found = parts(data, (1, 1, 1), seed=0, folds=3, fold=fold)
        expected = {f"image{n}.jpg" for n in range(6) if numbers[n] == number}
        assert set(found["test"].names) == expected
        assert sorted(sum((part.names for part in found.values()), ())) == sorted(
            data.names
        )
    with pytest.raises(ValueError, match="fold is 3; expected 0 to 2"):
        parts(data, seed=0, folds=3, fold=3)


@pytest.mark.parametrize(
    ("cells", "folds", "message"),
    [
        (
            ["train", "dev", "Test"],
            0,
            r"l\.csv, column 'Split': the folds are 'train', 'dev', 'test'; expected "
            r"train, val, test, but .*, line 3 has 'dev': correct it, or leave column "
            "'Split' out",
        ),
        (["train", "0", "1"], 0, "line 3 has '0': correct it"),
        (["7", "7"], 0, "line 2 has '7': correct it"),
        (["Test", "val"], 0, "column 'Split': the folds are test, val; none is train"),
        (
            ["1", "0"],
            0,
            "are numbered 0, 1, but no cross-v.*set config.data.folds to 2",
        ),
        (["0", "1"], 5, "numbered 0, 1, but 5 folds are asked for; set .* to 2"),
    ],
)
def test_published_divisions_that_cannot_be_used(tmp_path, cells, folds, message):
    with pytest.raises(ValueError, match=message):
        parts(read_folds(tmp_path, *cells), seed=0, folds=folds)


def test_cross_validation_deals_out_named_parts_anew(tmp_path):
    data = read_folds(tmp_path, *["train"] * 6, "test", "dev", "dev")
    tests = [parts(data, seed=0, folds=3, fold=k)["test"].names for k in range(3)]
    assert sorted(sum(tests, ())) == sorted(data.names)


def test_what_cannot_be_divided():
    data = class_data([0, 1, 2])
    with pytest.raises(
        ValueError, match=r"made\.csv: folds of .*expected 2 to 3 folds"
    ):
        cross_validation(data, 0, 4, seed=0)
    with pytest.raises(ValueError, match="fold is 3; expected 0 to 2"):
        cross_validation(data, 3, 3, seed=0)
    with pytest.raises(ValueError, match="of whole sizes above 0"):
        divide(data, {"train": 1, "test": 0}, seed=0)
    with pytest.raises(ValueError, match=r"of the sizes 0\.7, 0\.3; expected 2 to 3"):
        divide(data, {"train": 0.7, "test": 0.3}, seed=0)
    with pytest.raises(
        ValueError, match=r"made\.csv: no image for val: too few groups"
    ):
        divide(data, {"train": 90, "val": 1}, seed=0)
