"""Images with classes as training reads them."""

import cv2
import numpy as np
import pytest
from made_classes import picture, table

from rkd_jax.data import class_sources as sources
from rkd_jax.data.class_data import check_apart
from rkd_jax.data.class_layouts import APTOS2019_COUNTS
from rkd_jax.data.class_tables import from_table


def test_examples(tmp_path):
    pixels = [picture(tmp_path / f"{n}.png", n, 40 + n, 60) for n in range(3)]
    rows = ("2,mel", "0,nv", "1,nv")
    data = from_table(table(tmp_path / "l.csv", "image,class", *rows))
    source = sources.class_source(
        data, lambda image: cv2.resize(image, (16, 16)), cache_mb=1
    )
    assert len(source) == 3
    assert source.groups.tolist() == [0, 1, 1]
    assert source.names == ("2", "0", "1")
    for index, n in enumerate((2, 0, 1)):
        example = source[index]
        expected = cv2.resize(pixels[n], (16, 16))
        np.testing.assert_array_equal(example["image"], expected)
        assert (example["label"], example["index"]) == (source.groups[index], index)
        assert example["label"].dtype == example["index"].dtype == np.int32
    (tmp_path / "2.png").unlink()
    assert source[0]["image"].shape == (16, 16, 3)  # kept


@pytest.mark.parametrize("count", [5, 17, 400])
def test_shares(count):
    counts = np.array(sources.share_out(count, APTOS2019_COUNTS))
    exact = count * np.array(APTOS2019_COUNTS) / sum(APTOS2019_COUNTS)
    assert counts.sum() == count
    assert counts.min() >= 1
    if count == 400:
        assert np.abs(counts - exact).max() < 1
    with pytest.raises(ValueError, match="4 images of classes with the shares 1, 1"):
        sources.share_out(4, [1] * 5)
    with pytest.raises(ValueError, match="expected shares above 0"):
        sources.share_out(4, [1, 0])


def test_drawn_eyes():
    train = sources.drawn_grades((2, 0, 1, 1, 1), seed=3, size=64)
    val = sources.drawn_grades((1, 1, 1, 1, 1), seed=3, part="val", size=64)
    assert train.classes == tuple("01234")
    assert train.ordered
    assert train.labels.tolist() == [0, 0, 2, 3, 4]
    check_apart({"train": train, "val": val})
    assert train.folds == ("train",)
    first = train.items[0].read()
    assert first.shape == (64, 64, 3)
    np.testing.assert_array_equal(first, train.items[0].read())
    for other in (train.items[1], val.items[0]):
        assert not np.array_equal(first, other.read())
    with pytest.raises(ValueError, match="6 counts; expected one for each of 5 grades"):
        sources.drawn_grades([1] * 6)
    with pytest.raises(ValueError, match="drawn eyes: no image with a class"):
        sources.drawn_grades([0, 0])
