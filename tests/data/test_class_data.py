"""What a set of images with classes guarantees."""

import dataclasses

import numpy as np
import pytest
from made_classes import class_data, picture

from rkd_jax.data.class_data import (
    ClassData,
    Labeled,
    check_apart,
    check_training,
    in_order,
)


def test_numbers():
    data = class_data([2, 0, 2, 1, 2], ["p", "q", "p", "r", "s"])
    assert len(data) == 5
    assert data.labels.dtype == np.int32
    assert data.labels.tolist() == [2, 0, 2, 1, 2]
    assert data.counts.tolist() == [1, 1, 3]
    assert data.groups == ("p", "q", "p", "r", "s")
    part = data.take(np.array([4, 1]))
    assert part.names == ("image 4", "image 1")
    assert part.counts.tolist() == [1, 0, 1]
    assert (part.classes, part.origin) == (data.classes, data.origin)


def test_refuses_what_is_no_set():
    with pytest.raises(ValueError, match=r"made\.csv: no image with a class"):
        class_data([0]).take([])
    with pytest.raises(ValueError, match="row 1: image 1 has class 3; expected a num"):
        class_data([0, 3])
    twice = class_data([0, 1]).items[:1] * 2
    again = dataclasses.replace(twice[0], where="row 9")
    with pytest.raises(ValueError, match="row 9: a second image named 'image 0', besi"):
        ClassData((twice[0], again), ("a",))


def test_images_of_files_bytes_and_arrays(tmp_path):
    pixels = picture(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    for image in (tmp_path / "a.png", lambda: data, lambda: pixels):
        np.testing.assert_array_equal(Labeled("a", image, 0, "a").read(), pixels)
    grey = Labeled("a", lambda: pixels[..., 0], 0, "a").read()
    np.testing.assert_array_equal(grey, np.repeat(pixels[..., :1], 3, axis=2))
    with pytest.raises(ValueError, match="eye 7: "):
        Labeled("eye 7", lambda: b"no image", 0, "a").read()


def test_a_class_that_is_missing_from_training():
    check_training(class_data([0, 1, 2]))
    with pytest.raises(
        ValueError, match=r"made\.csv: no image to .* class a, c \(of a"
    ):
        check_training(class_data([1, 1]))


def test_three_parts_are_checked_with_each_other():
    parts = {
        "train": class_data([0], ["p"], prefix="x"),
        "val": class_data([0], ["q"], prefix="y"),
        "test": class_data([0], ["p"], prefix="z"),
    }
    with pytest.raises(ValueError, match="group 'p' is in test, and in train by row 0"):
        check_apart(parts)
    del parts["train"]
    check_apart(parts)


def test_order_of_names():
    assert in_order(["2", "-1", "10"]) == ("-1", "2", "10")
    assert in_order(["2", "b", "10"]) == ("10", "2", "b")


def test_groups_may_be_called_after_their_first_image():
    """They are groups nevertheless; an image that stands alone links no others."""
    first, alone = (
        class_data([0], prefix=prefix).items[0] for prefix in ("eye", "other")
    )
    second = class_data([0], [first.group], prefix="again").items[0]
    parts = {
        name: ClassData((item,), ("a",))
        for name, item in (("train", first), ("test", second))
    }
    for order in (parts, dict(reversed(parts.items()))):
        with pytest.raises(ValueError, match="group 'eye 0' is in "):
            check_apart(order)
    check_apart({**parts, "test": ClassData((alone,), ("a",))})
