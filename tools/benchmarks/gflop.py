"""How much work a case is: the products of its networks, counted by JAX's trace.

Counted is what an algorithm cannot do without, not what a program happens to do: a
backward pass is two forward passes, and heads that no loss looks at are not run.
Warping, suppression and losses are left out: they are less than a hundredth.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from rkd_jax.models.output import HEADS


def of_case(kind: str, size: int, batch: int, *, small: bool = False) -> float:
    """Return the GFLOP of one run of a case.

    A step takes its raw view forward and backward, the detector view forward, and the
    descriptor view forward and backward without the detector; RKD's teacher takes the
    raw view forward.

    Args:
        kind: One of `cases.KINDS`.
        size: Side of the images, px.
        batch: Images.
        small: Of the tiny networks.
    """
    name = "swin_unetr" if kind == "rkd_step" else "superretina"
    whole = forward(name, size, small=small)
    if kind in ("forward", "forward_backward"):
        return batch * whole * (3 if kind == "forward_backward" else 1)
    partial = forward(name, size, heads=("descriptor",), small=small)
    teacher = forward("superretina", size, small=small) if kind == "rkd_step" else 0.0
    return batch * (4 * whole + 3 * partial + teacher)


@functools.cache
def forward(
    name: str, size: int, *, heads: tuple[str, ...] = HEADS, small: bool = False
) -> float:
    """Return the GFLOP of the products in a network's forward pass of one image.

    >>> round(forward("superretina", 768))
    306
    """
    from benchmarks import ours

    model = ours.build(name, small=small)
    images = jnp.zeros((1, size, size, 1))
    variables = jax.eval_shape(model.init, jax.random.key(0), images)

    def run(variables, images):
        output = model.apply(variables, images, heads=heads)
        return [y for y in (output.logits, output.descriptors) if y is not None]

    return 1e-9 * _products(jax.make_jaxpr(run)(variables, images).jaxpr)


def _products(jaxpr: Any) -> float:
    """Return the floating-point operations of matrix products and convolutions."""
    total = 0.0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general":
            (contracted, _), _ = eqn.params["dimension_numbers"]
            depth = math.prod(eqn.invars[0].aval.shape[i] for i in contracted)
            total += 2 * eqn.outvars[0].aval.size * depth
        elif eqn.primitive.name == "conv_general_dilated":
            kernel = eqn.invars[1].aval
            features = kernel.shape[eqn.params["dimension_numbers"].rhs_spec[0]]
            # A transposed convolution is told by a dilated input, mostly zeros.
            zeros = math.prod(eqn.params["lhs_dilation"])
            work = 2 * eqn.outvars[0].aval.size * kernel.size / features
            total += work / zeros
        total += sum(_products(inner) for inner in core.jaxprs_in_params(eqn.params))
    return total
