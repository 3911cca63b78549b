"""Light changes: drawn factors in range, applied as NumPy and SciPy apply them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from rkd_jax import augment
from rkd_jax.augment import (
    JitterDraw,
    LoaderDraw,
    VisitRanges,
    apply_jitter,
    apply_loader,
    apply_visit,
    draw_jitter,
    draw_loader,
    draw_visit,
    gaussian_blur,
)

SIZE = (41, 56)
IMAGE = np.random.default_rng(0).random(SIZE).astype(np.float32)
KEYS = jax.random.split(jax.random.key(1), 1000)
STILL = VisitRanges(
    log_gamma=0.0,
    log_gain=0.0,
    offset=0.0,
    gain_field=0.0,
    offset_field=0.0,
    max_blur_px=0.0,
    max_noise=0.0,
    lesions=0,
)
LIGHTS = {
    name: jax.jit(getattr(augment, name))
    for name in ("loader_light", "jitter_light", "visit_light", "modality_light")
}


def scalars(draw, keys=KEYS):
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(draw))(keys))


@pytest.mark.parametrize("name", sorted(LIGHTS))
def test_the_key_decides_and_the_range_holds(name):
    light = LIGHTS[name]
    results = [np.asarray(light(key, IMAGE)) for key in KEYS[:12]]
    np.testing.assert_array_equal(results[0], light(KEYS[0], IMAGE))
    assert all(r.shape == SIZE and r.dtype == np.float32 for r in results)
    assert min(r.min() for r in results) >= 0.0
    assert max(r.max() for r in results) <= 1.0
    assert len({r.tobytes() for r in results}) >= 4


@pytest.mark.parametrize("name", sorted(LIGHTS))
def test_a_channel_axis_and_a_batch_change_nothing(name):
    light = LIGHTS[name]
    images = np.stack([IMAGE, 1 - IMAGE])[..., None]
    together = jax.jit(jax.vmap(light))(KEYS[:2], images)
    for i in range(2):
        alone = light(KEYS[i], images[i, ..., 0])
        np.testing.assert_allclose(together[i, ..., 0], alone, atol=1e-5)


@pytest.mark.parametrize("name", sorted(LIGHTS))
def test_batches_without_vmap_are_refused(name):
    with pytest.raises(ValueError, match=r"\(2, 8, 8, 1\).*vmap"):
        LIGHTS[name](KEYS[0], np.zeros((2, 8, 8, 1), np.float32))


def test_light_passes_no_gradient():
    slope = jax.grad(lambda image: LIGHTS["visit_light"](KEYS[0], image).sum())
    assert not np.any(slope(jnp.asarray(IMAGE)))


@pytest.mark.parametrize("sigma", [0.0, 0.4, 1.7, 6.0])
def test_blur_matches_scipy(sigma):
    got = jax.jit(lambda image, s: gaussian_blur(image, s, max_sigma_px=6.0))(
        IMAGE, sigma
    )
    expected = ndimage.gaussian_filter(
        IMAGE.astype(float), sigma, mode="mirror", radius=18
    )
    np.testing.assert_allclose(got, expected if sigma else IMAGE, atol=2e-6)


def test_loader_factors():
    draw = scalars(draw_loader)
    assert 1.0 <= draw.multiply.min() < 1.01
    assert 1.19 < draw.multiply.max() <= 1.2
    contrasted, blurred = draw.contrast != 1, draw.sigma_px != 0
    for happens in (contrasted, blurred):
        assert 0.15 < happens.mean() < 0.25
    assert 0.75 <= draw.contrast.min() < 0.78
    assert 1.17 < draw.contrast.max() <= 1.2
    assert 5.5 < draw.sigma_px.max() < 6.0


@pytest.mark.parametrize("clip", [True, False])
def test_loader_matches_numpy_and_clips_on_request(clip):
    draw = LoaderDraw(jnp.float32(1.19), jnp.float32(1.1), jnp.float32(2.0))
    expected = 1.19 * 1.1 * ndimage.gaussian_filter(
        IMAGE.astype(float) ** 0.2, 2.0, mode="mirror", radius=18
    )  # fmt: skip
    assert expected.max() > 1.0
    got = apply_loader(IMAGE**0.2, draw, clip=clip)
    np.testing.assert_allclose(
        got, np.minimum(expected, 1) if clip else expected, atol=1e-5
    )


def test_loader_without_changes_is_the_identity():
    got = augment.loader_light(
        KEYS[0],
        IMAGE,
        multiply=(1.0, 1.0),
        blur_probability=0.0,
        contrast_probability=0.0,
    )
    np.testing.assert_allclose(got, IMAGE, atol=1e-6)


def test_jitter_factors():
    draw = scalars(draw_jitter)
    applied = draw.brightness != 1
    assert 0.55 < applied.mean() < 0.65
    assert 0.6 <= draw.brightness.min() < 0.62
    assert 1.38 < draw.brightness.max() <= 1.4
    assert 0.7 <= draw.contrast.min() < 0.72
    assert 1.28 < draw.contrast.max() <= 1.3
    np.testing.assert_array_equal(draw.contrast[~applied], 1.0)
    assert 0.45 < draw.contrast_first.mean() < 0.55


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("contrast_first", [True, False])
def test_jitter_matches_numpy(contrast_first, clip):
    draw = JitterDraw(jnp.float32(1.3), jnp.float32(1.25), jnp.array(contrast_first))
    expected = IMAGE.astype(float)
    for contrast in (contrast_first, not contrast_first):
        if contrast:
            expected = 1.25 * expected - 0.25 * expected.mean()
        else:
            expected = 1.3 * expected
        expected = np.clip(expected, 0, 1) if clip else expected
    got = apply_jitter(IMAGE, draw, clip=clip)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_jitter_never_applied_is_the_identity():
    got = augment.jitter_light(KEYS[0], IMAGE, probability=0.0)
    np.testing.assert_allclose(got, IMAGE, atol=1e-6)


def test_one_key_gives_a_batch_one_draw():
    images = np.stack([IMAGE * 0.5, IMAGE * 0.25])
    for key in KEYS[:4]:
        bright, dark = jax.vmap(LIGHTS["jitter_light"], (None, 0))(key, images)
        np.testing.assert_allclose(bright, 2 * dark, atol=1e-5)


def test_visit_factors():
    ranges = VisitRanges()
    draw = scalars(lambda key: draw_visit(key, (32, 48), ranges))
    assert 0.49 < np.abs(np.log(draw.gamma)).max() <= 0.5001
    assert 0.19 < np.abs(np.log(draw.gain)).max() <= 0.2001
    assert 0.09 < np.abs(draw.offset).max() <= 0.1
    assert 2.1 < draw.sigma_px.max() <= 2.2
    assert np.abs(draw.gain_field.std() - ranges.gain_field) < 0.01
    assert np.abs(draw.offset_field.std() - ranges.offset_field) < 0.003
    assert draw.noise.shape == (1000, 32, 48)
    assert 0.029 < draw.noise.std(axis=(1, 2)).max() < 0.033
    x, y, radius, depth = np.moveaxis(draw.lesions, -1, 0)
    assert 46 < x.max() <= 47
    assert 30 < y.max() <= 31
    assert radius.min() >= 0.01 * 32
    assert radius.max() <= 0.05 * 32
    assert 0.45 < (depth != 0).mean() < 0.55
    assert np.abs(depth).max() <= 0.3


def test_visit_without_changes_is_the_identity():
    got = augment.visit_light(KEYS[0], IMAGE, ranges=STILL)
    np.testing.assert_allclose(got, IMAGE, atol=1e-5)


def test_visit_matches_numpy_without_fields():
    ranges = VisitRanges(gain_field=0.0, offset_field=0.0, lesions=3)
    draw = jax.jit(lambda key: draw_visit(key, SIZE, ranges))(KEYS[7])
    plane = IMAGE.astype(float) ** float(draw.gamma) * float(draw.gain)
    plane = plane + float(draw.offset)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    for x, y, radius, depth in np.asarray(draw.lesions, float):
        inward = 1 - np.hypot(columns - x, rows - y) / radius
        plane += depth * np.clip(3 * inward, 0, 1)
    plane = ndimage.gaussian_filter(
        plane, float(draw.sigma_px), mode="mirror", radius=7
    )
    expected = np.clip(plane + np.asarray(draw.noise), 0, 1)
    np.testing.assert_allclose(apply_visit(IMAGE, draw), expected, atol=2e-5)


def test_visit_fields_are_smooth_and_meet_their_knots():
    quiet = draw_visit(KEYS[0], (64, 64), STILL)
    ramp = jnp.linspace(-0.2, 0.2, 4)[None, :] * jnp.ones((4, 1))
    image = jnp.full((64, 64), 0.5)
    lit = np.asarray(apply_visit(image, quiet._replace(gain_field=ramp))) / 0.5
    shifted = np.asarray(apply_visit(image, quiet._replace(offset_field=ramp))) - 0.5
    # A knot sits at the center of its cell of 16 px.
    for field in (np.log(lit), shifted):
        knots = (field[:, 7:64:16] + field[:, 8:64:16]) / 2
        np.testing.assert_allclose(knots[10, 1:3], ramp[0, 1:3], atol=0.01)
        assert np.abs(np.diff(field, axis=1)).max() < 0.02
        np.testing.assert_allclose(np.diff(field, axis=0), 0, atol=1e-6)
