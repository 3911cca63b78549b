"""FRRN, ResNet and DenseNet against PyTorch, frozen by tools/freeze_batch_norm.py."""

import functools
from pathlib import Path

import freeze_batch_norm as frozen
import freeze_references as rule
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax import weights
from rkd_jax.models import build

REFERENCES = Path(__file__).parents[1] / "references"
FAST_COMPILE = {"xla_backend_optimization_level": 0}


@functools.cache
def reference(case):
    with np.load(REFERENCES / f"{case}.npz") as stored:
        return dict(stored)


@functools.cache
def computed(case):
    """Return ours of a case: by the averages; in training; gradients."""
    network, options, _ = frozen.CASES[case]
    module = build(network, **options)
    variables = {}
    for name, shape in weights.expected_shapes(network, options).items():
        *parents, leaf = name.split("/")
        level = variables
        for parent in parents:
            level = level.setdefault(parent, {})
        level[leaf] = jnp.asarray(frozen.array_by_rule(case, name, shape))
    images = jnp.asarray(frozen.images(case))
    params, averages = variables["params"], {"batch_stats": variables["batch_stats"]}

    def total(params):
        output, moved = module.apply(
            {"params": params, **averages}, images, train=True, mutable="batch_stats"
        )
        logits = output.logits
        shape = np.moveaxis(np.empty(logits.shape), -1, 1).shape
        seed = np.moveaxis(rule.cotangent_by_rule(case, shape), 1, -1)
        return jnp.sum(logits * seed), (logits, moved)

    def both(params):
        plain = module.apply({"params": params, **averages}, images).logits
        return plain, jax.value_and_grad(total, has_aux=True)(params)

    lowered = jax.jit(both).lower(params)
    plain, ((_, (logits, moved)), gradients) = lowered.compile(FAST_COMPILE)(params)
    return averages, plain, logits, moved, rule.flatten(gradients)


def check(found, expected, share):
    atol = share * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("case", frozen.CASES)
def test_logits_equal_the_reference(case):
    _, plain, logits, _, _ = computed(case)
    for key, found in (("eval", plain), ("train", logits)):
        thin = rule.thin(key, found, frozen.most(key))
        check(thin, reference(case)[key], 2e-4)


@pytest.mark.parametrize("case", frozen.CASES)
def test_averages_move_a_tenth_towards_the_batch(case):
    averages, _, _, moved, _ = computed(case)
    before, after = rule.flatten(averages), rule.flatten(moved)
    batch = {k: v for k, v in reference(case).items() if k.startswith("batch/")}
    assert {f"batch/{name}" for name in after} == batch.keys()
    for name, value in after.items():
        # The variance of the batch is divided by n; PyTorch's average by n - 1.
        expected = 0.9 * before[name] + 0.1 * batch[f"batch/{name}"]
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", frozen.CASES)
def test_gradients_equal_the_reference(case):
    gradients = {f"gradient/params/{k}": v for k, v in computed(case)[-1].items()}
    kept = {k: v for k, v in reference(case).items() if k.startswith("gradient/")}
    assert gradients.keys() == kept.keys()
    for key, expected in kept.items():
        check(rule.thin(key, gradients[key], frozen.most(key)), expected, 5e-3)
