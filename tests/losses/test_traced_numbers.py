"""Numbers of a loss may be arguments of a jitted function, or be learned."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax import losses

A, B = jax.random.normal(jax.random.key(0), (2, 6, 8))
MAP, OTHER = jax.random.uniform(jax.random.key(1), (2, 2, 16, 16))
XY = 4.0 * jnp.arange(12.0).reshape(6, 2)
RARE = jnp.zeros((40, 3)).at[7].set(0.5)
KEY = jax.random.key(2)
LABELS = jnp.array([0, 2, 1, 2, 0, 7])
BANK_ROWS = losses.unit(jax.random.normal(jax.random.key(3), (60, 8))).reshape(6, 10, 8)

# The arguments of every loss, those that gradients are taken of first; and its numbers,
# each with two values that are not the default.
CASES = {
    "balanced_weights": ((RARE,), {}, {"largest": (50.0, 7.0)}),
    "choose_negatives": ((A, B, KEY), {}, {}),
    "class_anchors": ((A, LABELS, 3), {}, {}),
    "class_contrast": (
        (losses.unit(A), BANK_ROWS, 4),
        {"bank_size": 30, "normalizer": 40.0, "reduction": "mean"},
        {"temperature": (0.5, 1.2), "eps": (0.1, 0.3)},
    ),
    "class_cross_entropy": ((A, LABELS), {"reduction": "mean"}, {}),
    "contrast_normalizer": (
        (losses.unit(A), BANK_ROWS, 30),
        {},
        {"temperature": (0.5, 1.2)},
    ),
    "descriptor_distillation": (
        (A, B, KEY),
        {"reduction": "mean"},
        {"margin": (0.5, 1.1), "gor_weight": (0.0, 2.0)},
    ),
    "dice_loss": ((MAP, OTHER), {}, {"eps": (1e-2, 3.0)}),
    "distilled_landmark_mse": ((A, B, 2.0 * B), {}, {"weight": (0.0, 0.5)}),
    "heatmap_distillation": ((MAP, OTHER), {}, {"eps": (1e-2, 3.0)}),
    "info_nce": (
        (A, B),
        {"xy": XY, "reduction": "mean"},
        {"temperature": (0.2, 1.0), "exclude_radius": (0.0, 7.0)},
    ),
    "label_kernel": ((), {"size": 7}, {"nsig": (1.0, 3.0)}),
    "landmark_mse": ((A, B), {}, {}),
    "prediction_distillation": ((A, B), {}, {"temperature": (0.5, 2.0)}),
    "ramp": ((10.0, 30.0), {}, {}),
    "relation_distillation": (
        (A, B, A[:3], B[:3]),
        {},
        {"temperature": (0.3, 1.0)},
    ),
    "smooth_labels": ((MAP,), {"size": 5}, {"nsig": (1.0, 3.0)}),
    "soft_argmax": ((MAP,), {}, {"temperature": (0.5, 2.0)}),
    "triplet_hinge": ((A, B, B[::-1]), {}, {"margin": (0.3, 0.9)}),
    "triplet_loss": (
        (A, B, KEY),
        {"reduction": "mean"},
        {"margin": (0.5, 1.1), "gor_weight": (0.0, 2.0)},
    ),
    "unit": ((A,), {}, {"eps": (0.5, 2.6)}),
    "update_bank": ((A, jnp.arange(6), B), {}, {"momentum": (0.2, 0.9)}),
}
# What these return is a constant of the loss that takes it.
CONSTANT = ("contrast_normalizer", "update_bank")
NUMBERS = [
    (loss, name, values)
    for loss, (_, _, numbers) in CASES.items()
    for name, values in numbers.items()
]


def test_every_number_of_every_loss_is_tried():
    assert CASES.keys() == set(losses.__all__)
    for loss, (_, _, numbers) in CASES.items():
        parameters = inspect.signature(getattr(losses, loss)).parameters.values()
        floats = {p.name for p in parameters if isinstance(p.default, float)}
        assert floats == numbers.keys(), loss


def total(loss, name):
    """Return a scalar function of one number and of the arrays of a loss."""
    arguments, options, _ = CASES[loss]

    def function(number, *arrays):
        given = (*arrays, *arguments[len(arrays) :])
        found = getattr(losses, loss)(*given, **options, **{name: number})
        # Weighted, so that no two parts of the value cancel.
        weight = jnp.arange(1.0, found.size + 1.0).reshape(found.shape)
        return jnp.sum(weight * found)

    first = arguments[:2]
    return function, first[: 1 + (loss != "update_bank")]  # an index has no gradient


@pytest.mark.parametrize(("loss", "name", "values"), NUMBERS)
def test_a_traced_number_gives_what_a_known_one_gives(loss, name, values):
    function, arrays = total(loss, name)
    which = tuple(range(1, 1 + len(arrays)))
    traced = jax.jit(jax.value_and_grad(function, argnums=(0, *which)))
    batched = jax.jit(jax.vmap(function, in_axes=(0, *[None] * len(arrays))))
    together = batched(jnp.array(values), *arrays)
    for value, from_vmap in zip(values, together):
        known = function(value, *arrays)
        found, (slope, *gradients) = traced(value, *arrays)
        np.testing.assert_allclose(found, known, rtol=2e-5)
        np.testing.assert_allclose(from_vmap, known, rtol=2e-5)
        assert np.isfinite(slope)
        if not arrays:
            continue
        wanted = jax.grad(function, argnums=which)(value, *arrays)
        for ours, theirs in zip(gradients, wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize(("loss", "name"), [number[:2] for number in NUMBERS])
def test_an_array_of_jax_is_known_inside_a_jitted_function(loss, name):
    function, arrays = total(loss, name)
    value = jnp.float32(2)
    inside = jax.jit(lambda *arrays: function(value, *arrays))(*arrays)
    np.testing.assert_allclose(inside, function(2.0, *arrays), rtol=2e-5)


@pytest.mark.parametrize("kind", [np.float16, np.float32, jnp.bfloat16])
def test_a_bump_is_not_computed_in_the_precision_of_its_number(kind):
    wanted = losses.label_kernel(nsig=2.0)
    np.testing.assert_array_equal(losses.label_kernel(nsig=kind(2)), wanted)
    traced = jax.jit(lambda nsig: losses.label_kernel(nsig=nsig))(kind(2))
    np.testing.assert_allclose(traced, wanted, atol=2e-5)


def test_a_known_temperature_may_be_one_for_each_map():
    temperatures = jnp.array([[0.5], [2.0]])
    found = losses.soft_argmax(MAP, temperature=temperatures)
    for i in (0, 1):
        alone = losses.soft_argmax(MAP[i], temperature=float(temperatures[i, 0]))
        np.testing.assert_allclose(found[i], alone, rtol=1e-5)
    with pytest.raises(ValueError, match="expected a positive number"):
        losses.soft_argmax(MAP, temperature=-temperatures)


@pytest.mark.parametrize(
    ("loss", "name", "values"),
    [n for n in NUMBERS if n[1] != "exclude_radius" and n[0] not in CONSTANT],
)
def test_the_gradient_of_a_number_is_its_slope(loss, name, values):
    function, arrays = total(loss, name)
    value, step = values[1], 1e-2
    slope = jax.grad(function)(value, *arrays)
    rise = function(value + step, *arrays) - function(value - step, *arrays)
    np.testing.assert_allclose(slope, rise / (2 * step), rtol=2e-2, atol=2e-3)


def test_a_traced_radius_leaves_out_what_a_known_one_does():
    """A negative radius leaves nothing out, as 0 does."""
    traced = jax.jit(lambda r: losses.info_nce(A, B, xy=XY, exclude_radius=r))
    for radius in (-9.0, 0.0, 7.0):
        known = losses.info_nce(A, B, xy=XY, exclude_radius=radius)
        np.testing.assert_allclose(traced(radius), known, rtol=1e-5)
    with pytest.raises(ValueError, match=r"pass xy \[N, 2\]"):
        jax.jit(lambda r: losses.info_nce(A, B, exclude_radius=r))(7.0)


@pytest.mark.parametrize(
    "value", [0.0, -1.0, float("nan"), np.float32(0), jnp.zeros(())]
)
@pytest.mark.parametrize(
    ("loss", "name"),
    [
        *[("info_nce", "temperature"), ("soft_argmax", "temperature")],
        *[("dice_loss", "eps"), ("heatmap_distillation", "eps")],
        *[("label_kernel", "nsig"), ("smooth_labels", "nsig")],
    ],
)
def test_known_numbers_are_checked(loss, name, value):
    arguments, options, _ = CASES[loss]
    with pytest.raises(ValueError, match=f"{name} is .*; expected a positive number"):
        getattr(losses, loss)(*arguments, **options, **{name: value})
