import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import signal, stats

from rkd_jax.losses import dice_loss, label_kernel, smooth_labels

RNG = np.random.default_rng(0)
MAPS = hnp.arrays(np.float32, (2, 4, 5), elements=st.floats(0, 1, width=32))


def slow_dice(probs, targets, mask, eps=1e-3):
    overlap = power = 0.0
    for p, q, m in zip(probs.ravel(), targets.ravel(), mask.ravel()):
        if m:
            overlap += float(p) * float(q)
            power += float(p) ** 2 + float(q) ** 2
    return 1.0 - (2.0 * overlap + eps) / (power + eps)


def test_batch_form_matches_loop_over_the_flattened_batch(maybe_jit):
    probs, targets = RNG.random((2, 3, 5, 4), dtype=np.float32)
    mask = RNG.random((3, 5, 4)) < 0.6
    loss = maybe_jit(lambda p, q, m: dice_loss(p, q, where=m))(probs, targets, mask)
    assert loss.shape == ()
    np.testing.assert_allclose(loss, slow_dice(probs, targets, mask), rtol=1e-5)


def test_per_example_form_matches_single_examples(maybe_jit):
    probs, targets = RNG.random((2, 3, 5, 4), dtype=np.float32)
    mask = RNG.random((3, 5, 4)) < 0.6
    fn = maybe_jit(lambda p, q, m: dice_loss(p, q, where=m, per_example=True))
    expected = [slow_dice(*row) for row in zip(probs, targets, mask)]
    np.testing.assert_allclose(fn(probs, targets, mask), expected, rtol=1e-5)
    batch = dice_loss(jnp.asarray(probs), jnp.asarray(targets), where=mask)
    assert abs(float(batch) - np.mean(expected)) > 1e-5, "the forms differ for B > 1"


def test_known_values():
    zero, one = jnp.zeros((1, 8, 8)), jnp.ones((1, 8, 8))
    assert float(dice_loss(zero, zero)) == 0.0
    assert float(dice_loss(one, one)) == 0.0
    np.testing.assert_allclose(dice_loss(zero, one), 1 - 1e-3 / (64 + 1e-3), rtol=1e-6)
    half = jnp.full((1, 8, 8), 0.5)  # squared form: 2 * 0.5 / (0.25 + 1)
    np.testing.assert_allclose(dice_loss(half, one), 0.2, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(MAPS, MAPS)
def test_is_symmetric_bounded_and_zero_on_itself(probs, targets):
    probs, targets = jnp.asarray(probs), jnp.asarray(targets)
    loss = float(dice_loss(probs, targets))
    assert -1e-6 <= loss <= 1.0
    np.testing.assert_allclose(loss, dice_loss(targets, probs), atol=1e-6)
    assert abs(float(dice_loss(probs, probs))) < 1e-5


def test_the_published_form_without_eps():
    """1 - 2 (0.9 + 0.7) / (0.81 + 0.04 + 0.16 + 0.49 + 1 + 1), by hand."""
    probs = jnp.array([[[0.9, 0.2], [0.4, 0.7]]])
    loss = dice_loss(probs, jnp.eye(2)[None], eps=1e-9)
    np.testing.assert_allclose(loss, 0.0857143, atol=1e-7)


def test_masked_pixels_change_nothing_even_nan():
    probs, targets = jnp.asarray(RNG.random((2, 2, 6, 6), dtype=np.float32))
    mask = jnp.asarray(RNG.random((2, 6, 6)) < 0.5)
    dirty = jnp.where(mask, probs, jnp.nan)
    fn = jax.jit(jax.value_and_grad(lambda p: dice_loss(p, targets, where=mask)))
    value, grads = fn(dirty)
    clean_value, clean_grads = fn(jnp.where(mask, probs, 0.0))
    assert value == clean_value
    np.testing.assert_array_equal(grads, clean_grads)
    np.testing.assert_array_equal(grads[~mask], 0.0)


def test_example_mask_selects_examples():
    probs, targets = jnp.asarray(RNG.random((2, 3, 6, 6), dtype=np.float32))
    keep = jnp.array([True, False, True])
    selected = dice_loss(probs[keep], targets[keep])
    masked = dice_loss(probs, targets, where=keep[:, None, None])
    np.testing.assert_allclose(masked, selected, rtol=1e-6)


def test_empty_mask_gives_zero_and_zero_gradient(maybe_jit):
    maps = jnp.full((2, 3, 3), 0.5)
    mask = jnp.zeros((2, 3, 3), dtype=bool)
    fn = maybe_jit(jax.value_and_grad(lambda p: dice_loss(p, 1.0 - p, where=mask)))
    value, grads = fn(maps)
    assert float(value) == 0.0
    np.testing.assert_array_equal(grads, 0.0)


def test_gradient_matches_finite_differences():
    targets = jnp.asarray(RNG.random((1, 3, 3), dtype=np.float32))
    probs = jnp.asarray(RNG.random((1, 3, 3), dtype=np.float32))
    chex.assert_numerical_grads(
        lambda p: dice_loss(p, targets), (probs,), order=1, atol=1e-2, rtol=1e-2
    )


def test_half_precision_is_computed_in_float32():
    probs = jnp.full((1, 512, 512), 0.125, dtype=jnp.bfloat16)
    loss = dice_loss(probs, jnp.ones((1, 512, 512), dtype=jnp.bfloat16))
    assert loss.dtype == jnp.float32
    np.testing.assert_allclose(loss, 1 - 2 * 0.125 / (0.125**2 + 1), rtol=1e-4)


def test_shape_errors_name_both_shapes():
    with pytest.raises(ValueError, match=r"\(1, 4, 4\).*\(1, 4, 5\)"):
        dice_loss(jnp.zeros((1, 4, 4)), jnp.zeros((1, 4, 5)))
    with pytest.raises(ValueError, match=r"where.*\(2,\).*\(2, 4, 4\)"):
        dice_loss(jnp.zeros((2, 4, 4)), jnp.zeros((2, 4, 4)), where=jnp.ones((2,)))
    with pytest.raises(ValueError, match="eps is 0"):
        dice_loss(jnp.zeros((1, 4, 4)), jnp.zeros((1, 4, 4)), eps=0)


def test_label_kernel_has_the_published_numbers():
    kernel = label_kernel()
    row = [0.266163, 0.417885, 0.582196, 0.742127, 0.877292, 0.968015, 1.0]
    np.testing.assert_allclose(kernel[6], row + row[-2::-1], atol=1e-6)
    assert kernel[0, 0] == 0.0
    np.testing.assert_allclose(kernel.sum(dtype=np.float64), 73.394, atol=5e-4)
    assert kernel.dtype == np.float32
    np.testing.assert_allclose(kernel, kernel.T)
    np.testing.assert_array_equal(kernel, kernel[::-1])


@pytest.mark.parametrize(("size", "nsig"), [(13, 2.0), (7, 3.0), (21, 1.5)])
def test_label_kernel_matches_scipy_normal(size, nsig):
    cell = (2 * nsig + 1) / size
    edges = np.linspace(-nsig - cell / 2, nsig + cell / 2, size + 1)
    mass = np.diff(stats.norm.cdf(edges))
    raw = np.array([[math.sqrt(a * b) for a in mass] for b in mass])
    expected = (raw - raw.min()) / (raw.max() - raw.min())
    np.testing.assert_allclose(label_kernel(size, nsig), expected, atol=1e-6)


@pytest.mark.parametrize(("size", "nsig"), [(12, 2.0), (1, 2.0), (13, 0.0)])
def test_label_kernel_refuses_bad_settings(size, nsig):
    with pytest.raises(ValueError, match="expected"):
        label_kernel(size, nsig)


def test_smooth_labels_matches_scipy_convolution(maybe_jit):
    labels = np.zeros((2, 40, 33), dtype=np.float32)
    labels[0, [5, 8, 20, 39], [5, 6, 30, 0]] = 1.0
    labels[1, 0, 0] = 1.0
    out = np.asarray(maybe_jit(smooth_labels)(labels))
    for image, expected in zip(out, labels):
        full = signal.convolve2d(expected, label_kernel(), mode="same")
        np.testing.assert_allclose(image, np.minimum(full, 1.0), atol=1e-5)
    assert out.max() == 1.0, "overlapping bumps are clipped"


def test_smooth_labels_of_nothing_is_nothing():
    assert float(smooth_labels(jnp.zeros((1, 20, 20))).sum()) == 0.0
    with pytest.raises(ValueError, match=r"\(20, 20\).*\[B, H, W\]"):
        smooth_labels(jnp.zeros((20, 20)))
