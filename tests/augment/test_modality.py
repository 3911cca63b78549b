"""Other modalities: what turns bright, what stays, how often."""

import jax
import numpy as np
import pytest
from scipy import ndimage

from rkd_jax.augment import ModalityDraw, apply_modality, draw_modality

SIZE = (128, 128)
RNG = np.random.default_rng(0)
SLOPE = np.linspace(0.3, 0.7, SIZE[1], dtype=np.float32)[None].repeat(SIZE[0], 0)
DETAIL = ndimage.gaussian_filter(RNG.normal(size=SIZE), 1.5)
DETAIL = (0.1 * DETAIL / np.abs(DETAIL).max()).astype(np.float32)


def draw(*, inverted, local=False, contrast=1.0, veil=0.0, veil_light=0.6):
    scalars = (contrast, veil, veil_light)
    return ModalityDraw(
        np.bool_(inverted), np.bool_(local), *(np.float32(v) for v in scalars)
    )


def correlation(a, b):
    return np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]


def fine(image):
    return image - ndimage.gaussian_filter(image, 8.0)


def test_nothing_drawn_changes_nothing():
    got = apply_modality(SLOPE + DETAIL, draw(inverted=False))
    np.testing.assert_allclose(got, SLOPE + DETAIL, atol=1e-6)


@pytest.mark.parametrize("contrast", [0.7, 1.3])
def test_global_inversion_is_a_reflection_about_one_half(contrast):
    got = apply_modality(SLOPE + DETAIL, draw(inverted=True, contrast=contrast))
    expected = np.clip(0.5 + contrast * (0.5 - SLOPE - DETAIL), 0, 1)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_local_inversion_turns_detail_and_keeps_the_slope():
    got = np.asarray(apply_modality(SLOPE + DETAIL, draw(inverted=True, local=True)))
    assert correlation(fine(got), fine(SLOPE + DETAIL)) < -0.95
    assert correlation(ndimage.gaussian_filter(got, 12.0), SLOPE) > 0.95


def test_a_veil_takes_contrast_towards_its_own_light():
    got = apply_modality(SLOPE + DETAIL, draw(inverted=False, veil=0.5))
    np.testing.assert_allclose(got, 0.5 * (SLOPE + DETAIL) + 0.5 * 0.6, atol=1e-6)


def test_the_black_margin_stays_black():
    image = SLOPE.copy()
    image[:, :40] = 0.0
    for local in (False, True):
        drawn = draw(inverted=True, local=local, veil=0.5)
        assert not np.any(np.asarray(apply_modality(image, drawn))[:, :40])


def test_draws_are_as_frequent_as_said():
    keys = jax.random.split(jax.random.key(2), 1000)
    drawn = jax.tree.map(np.asarray, jax.jit(jax.vmap(draw_modality))(keys))
    assert 0.25 < drawn.inverted.mean() < 0.35
    assert 0.45 < drawn.local.mean() < 0.55
    assert 0.15 < (drawn.veil > 0).mean() < 0.25
    assert drawn.veil.max() <= 0.6
    assert 0.7 <= drawn.contrast.min() < 0.75 < 1.35 < drawn.contrast.max() <= 1.4
