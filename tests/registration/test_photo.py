"""A photograph is read, prepared and encoded once, whatever is made of it."""

import cv2
import numpy as np
import pytest

from rkd_jax.images.field import prepared_field
from rkd_jax.images.prepare import field_box, normalize, prepare
from rkd_jax.registration import batch, photo
from rkd_jax.registration.keypoints.sift import SiftKeypoints
from rkd_jax.registration.matcher import load_matcher
from rkd_jax.registration.options import MatcherOptions
from rkd_jax.registration.transforms import Frame


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_photo_has_the_parts_that_its_file_has(moving, kind):
    color = np.zeros((340, 400, 3), np.uint8)
    color[10:330, 50:370] = moving[..., None]
    color[..., 0] //= 2
    image = color if kind == np.uint8 else color / np.float32(255)
    made = photo.prepare_photo(image, MatcherOptions(), 160, name="eye")
    expected = prepare(image, size=160, crop_field=True)
    np.testing.assert_array_equal(made.image, expected.image)
    assert (made.size, made.box) == (expected.size, expected.box)
    assert made.frame == Frame.of_box(field_box(image))
    field = prepared_field(image, expected)
    np.testing.assert_array_equal(made.field, field)
    np.testing.assert_array_equal(made.levels / np.float32(255), normalize(image))
    np.testing.assert_array_equal(made.original, image)


def test_two_files_are_read_and_encoded_once_each(tmp_path, moving, monkeypatch):
    names = []
    for name, part in (("fixed", moving[:280]), ("moving", moving[20:])):
        names.append(str(tmp_path / f"{name}.png"))
        cv2.imwrite(names[-1], part)
    seen = {"read": 0, "encoded": 0}
    read, encode = photo.read_with_depth, SiftKeypoints._one

    def counted_read(*given, **more):
        seen["read"] += 1
        return read(*given, **more)

    def counted_encode(self, image):
        seen["encoded"] += 1
        return encode(self, image)

    monkeypatch.setattr(photo, "read_with_depth", counted_read)
    monkeypatch.setattr(SiftKeypoints, "_one", counted_encode)
    matcher = load_matcher(method="sift", working_size=320)
    work = batch.Work(matcher, {}, matcher.settings())
    summary = batch.register_files(work, tuple(names), tmp_path / "out")
    assert summary["ok"]
    assert (tmp_path / "out" / "registered.png").is_file()
    assert seen == {"read": 2, "encoded": 2}
