"""The networks against PyTorch and MONAI, frozen by tools/freeze_references.py."""

from pathlib import Path

import freeze_references as frozen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.models import build
from rkd_jax.weights import convert as convert_weights

REFERENCES = Path(__file__).parents[1] / "references"
FAST_COMPILE = {"xla_backend_optimization_level": 0}
# The references are computed in float64. A sum of up to n = 2304 products in float32
# is off by about sqrt(n) eps of its terms, and some 20 layers follow each other.
OF_OUTPUTS = 20 * np.sqrt(2304) * float(np.finfo(np.float32).eps)
# Gradients pass the layers twice, and largely cancel in front of an instance norm.
# Where two values of a maximum all but tie, rounding decides which one has the
# gradient: a pixel of a sum over at least 1536 (32x48).
OF_GRADIENTS = 2 * OF_OUTPUTS + 1 / 1536


def network(kind):
    variables, options = convert_weights.convert(kind, frozen.state_by_rule(kind))
    return build(convert_weights.KINDS[kind], **options), variables


def maps_of(module, variables, x):
    output = module.apply(variables, x)
    heads = {"logits": output.logits[..., None], "descriptors": output.descriptors}
    return output.intermediates | heads


def run(fn, *operands):
    return jax.jit(fn).lower(*operands).compile(FAST_COMPILE)(*operands)


def check_outputs(maps, kind, size):
    with np.load(REFERENCES / f"{kind}.npz") as stored:
        kept = {k: stored[k] for k in stored if k.startswith(f"{size[0]}x{size[1]}/")}
    names = {key.partition("/")[2]: key for key in kept}
    assert {"logits", "descriptors"} <= names.keys()
    found = {
        key: frozen.thin(key, maps[name], frozen.MOST_OUTPUTS)
        for name, key in names.items()
    }
    check(found, kept, OF_OUTPUTS)


def check(found, kept, share):
    """Compare values, within a share of the largest one of each tensor."""
    assert found.keys() == kept.keys()
    for key, expected in kept.items():
        atol = share * np.abs(expected).max()
        np.testing.assert_allclose(found[key], expected, rtol=0, atol=atol, err_msg=key)


@pytest.mark.parametrize("kind", frozen.NETWORKS)
def test_outputs_and_gradients_equal_the_reference(kind):
    module, variables = network(kind)
    size = frozen.NETWORKS[kind][0]

    def total(variables, x):
        maps = maps_of(module, variables, x)
        heads = {name: maps[name] for name in ("logits", "descriptors")}
        weights = {k: frozen.cotangent_by_rule(k, v.shape) for k, v in heads.items()}
        return sum(jnp.sum(heads[k] * weights[k]) for k in heads), maps

    (_, maps), gradients = run(
        jax.value_and_grad(total, has_aux=True), variables, frozen.images_by_rule(size)
    )
    check_outputs(maps, kind, size)
    with np.load(REFERENCES / f"{kind}.npz") as stored:
        kept = {k: stored[k] for k in stored if k.startswith("gradient/")}
    found = {
        f"gradient/{name}": frozen.thin(name, value, frozen.MOST_GRADIENTS)
        for name, value in frozen.flatten(gradients).items()
    }
    check(found, kept, OF_GRADIENTS)


def test_swin_of_whole_and_padded_windows_equals_monai():
    module, variables = network("swin_student")
    size = frozen.NETWORKS["swin_student"][1]
    x = frozen.images_by_rule(size)
    maps = run(lambda v, x: maps_of(module, v, x), variables, x)
    check_outputs(maps, "swin_student", size)
