"""The camera's field: discs, edges, and one mask for training and registration."""

import numpy as np
import pytest
from made_pictures import texture

from rkd_jax.data.records import Item, Records
from rkd_jax.images.field import field_of_view, prepared_field, rim_px
from rkd_jax.images.prepare import fit_to
from rkd_jax.registration.keypoints.sift import SiftMatcher
from rkd_jax.synthetic import fundus


def _disc(height, width, x, y, radius):
    rows, columns = np.mgrid[:height, :width]
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_field_is_the_disc(kind):
    disc = _disc(900, 1300, 650, 450, 400)
    image = np.where(disc, 0.6, 0.01)[..., None] * np.array([1.0, 0.5, 0.2])
    image[440:460, 640:660] = 0  # a dark spot inside belongs to the field
    image = (image * 255).astype(np.uint8) if kind == np.uint8 else image.astype(kind)
    field = field_of_view(image)
    assert (field != disc).mean() < 0.01
    prepared = fit_to(image[..., 1].astype(np.float32), 130, box=(200, 0, 1100, 900))
    inner = prepared_field(image, prepared)
    assert inner.shape == (130, 130)
    expected = _disc(130, 130, 64.5, 64.5, 400 * 130 / 900 - rim_px(130))
    assert (inner != expected).mean() < 0.03


def test_full_frame_image_is_all_field_but_padding_is_none():
    image = np.random.default_rng(0).integers(90, 200, (100, 160), np.uint8)
    assert field_of_view(image).all()
    prepared = fit_to(image / np.float32(255), 64)
    inner = prepared_field(image, prepared)
    assert inner[:40].all()
    assert not inner[40:].any()


def _on_a_disc():
    """Return something like a photograph: texture in a disc, cut off at the top."""
    grey = texture(3, 240, 300)[..., None] * np.array([1.0, 0.6, 0.3])
    inside = _disc(240, 300, 150, 110, 125)[..., None]
    noise = np.random.default_rng(0).integers(0, 4, (240, 300, 3))
    return np.where(inside, 60 + 0.6 * grey, noise).astype(np.uint8)


@pytest.mark.parametrize("draw", [_on_a_disc, lambda: fundus.photograph(1, size=128)])
@pytest.mark.parametrize("size", [96, 384])
def test_training_and_registration_mask_the_same_pixels(draw, size):
    image = draw()
    image = getattr(image, "image", image)
    example = Records(
        [Item("eye", lambda: (image, None), False)],
        size=size,
        max_labels=1,
        crop_field=True,
    )[0]
    (view,) = SiftMatcher(working_size=size).view(image)
    np.testing.assert_array_equal(example["field"], view.field)
    assert 0.4 < example["field"].mean() < 0.9
