"""The camera's field: discs, edges, and one mask for training and registration."""

import numpy as np
import pytest
from made_pictures import texture

from rkd_jax.data.records import Item, Records
from rkd_jax.images.field import (
    display_field,
    field_of_view,
    prepared_field,
    rim_px,
)
from rkd_jax.images.prepare import fit_to
from rkd_jax.registration.matcher import load_matcher
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


def test_displayed_field_is_the_disc_without_rim_and_tab():
    """Hull and disc differ by black wedges beside a tab: these must not be shown."""
    disc = _disc(900, 1300, 650, 450, 400)
    image = np.where(disc, 150, 0).astype(np.uint8)
    image[430:470, 1030:1090] = 150  # a tab
    wedge = field_of_view(image) & (image == 0)
    assert wedge.sum() > 2000
    field = display_field(image) > 127
    assert not (field & (image == 0)).any()
    # Less than 1 % of the side is lost around.
    assert field[_disc(900, 1300, 650, 450, 400 - 13)].all()
    whole = np.full((100, 160), 150, np.uint8)
    assert (display_field(whole) == 255).all()
    assert not display_field(np.zeros((90, 90), np.float32)).any()


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
    photo = load_matcher(method="sift", working_size=size).photo(image)
    np.testing.assert_array_equal(example["field"], photo.field)
    assert 0.4 < example["field"].mean() < 0.9
