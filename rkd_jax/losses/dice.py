"""Squared Dice between heatmaps, and the smoothed labels it is trained on."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax.losses._masked import broadcast_mask, check_positive, check_same_shape

Array = jax.Array


def dice_loss(
    probs: Array,
    targets: Array,
    *,
    where: Array | None = None,
    eps: float | Array = 1e-3,
    per_example: bool = False,
    total: Callable[[Array], Array] | None = None,
) -> Array:
    """Compare two heatmaps by the Dice coefficient with squared terms.

    With sums over every pixel that counts,

        D(P, Q) = 1 - (2 sum(P Q) + eps) / (sum(P^2) + sum(Q^2) + eps).

    D(0, 0) is 0, D(P, P) is 0, D of two disjoint maps is close to 1.

    Args:
        probs: `[B, H, W]` predictions in 0..1, any float type.
        targets: `[B, H, W]` targets in 0..1, any float type.
        where: mask of the pixels that count, `[B, H, W]` or sides of 1 such as
            `[B, 1, 1]` for whole examples. Pixels outside may hold anything. None
            counts all. An empty mask gives 0 with zero gradient.
        eps: keeps the quotient finite on empty maps; must be positive.
        per_example: False sums over the flattened batch (one scalar, what the papers'
            code does); True sums over each example (the two agree for B = 1).
        total: applied to each sum before the quotient is taken, for example the sum
            over the devices that share a batch. None leaves the sums as they are.

    Returns:
        float32 scalar in 0..1, or `[B]` with `per_example`.

    Raises:
        ValueError: shapes differ, the mask does not fit, or eps is not positive.

    >>> import jax.numpy as jnp
    >>> heatmap = jnp.zeros((1, 4, 4)).at[0, 1, 2].set(1.0)
    >>> round(float(dice_loss(heatmap, heatmap)), 4)
    0.0
    >>> round(float(dice_loss(heatmap, 1.0 - heatmap)), 4)
    0.9999

    Source: V-Net (Milletari et al. 2016), squared denominators; SuperRetina (Liu et
    al. 2022) detector loss and RKD heatmap distillation, eps 1e-3 over the flattened
    batch. The mask and the per-example form are ours.
    """
    check_same_shape("probs", probs, "targets", targets)
    check_positive("eps", eps)
    mask = broadcast_mask(where, "probs", probs)
    probs = jnp.where(mask, probs.astype(jnp.float32), 0.0)
    targets = jnp.where(mask, targets.astype(jnp.float32), 0.0)
    axes = tuple(range(1, probs.ndim)) if per_example else None
    overlap = jnp.sum(probs * targets, axis=axes)
    power = jnp.sum(probs * probs, axis=axes) + jnp.sum(targets * targets, axis=axes)
    if total is not None:
        overlap, power = total(overlap), total(power)
    return 1.0 - (2.0 * overlap + eps) / (power + eps)


def label_kernel(size: int = 13, nsig: float | Array = 2.0) -> np.ndarray | Array:
    """Return the bump that a label point becomes in the training target.

    Cut -nsig..nsig, widened by half a cell at both ends, into `size` cells; g_i is the
    mass of a standard normal in cell i. Then K0[i, j] = sqrt(g_i g_j), stretched so
    that the corners are 0 and the centre is 1. For the defaults it looks like a
    Gaussian with a sigma of 4.19 px minus its corner value: `nsig` is not in pixels.

    Args:
        size: side in pixels, odd, at least 3.
        nsig: half width in standard deviations of the normal, positive.

    Returns:
        float32 `[size, size]` in 0..1, symmetric; of JAX where `nsig` is traced.

    Raises:
        ValueError: size is even or below 3, or nsig is not positive.

    >>> [f"{value:.3f}" for value in label_kernel()[6, :7]]
    ['0.266', '0.418', '0.582', '0.742', '0.877', '0.968', '1.000']

    Source: SuperRetina (Liu et al. 2022), label smoothing of its released code.
    """
    if size < 3 or size % 2 == 0:
        raise ValueError(f"size is {size}; expected an odd number of at least 3")
    check_positive("nsig", nsig)
    # In float64 wherever the number is known; never in the number's own precision.
    traced = isinstance(nsig, jax.core.Tracer)
    xp, erf = (jnp, jax.lax.erf) if traced else (np, np.vectorize(math.erf))
    nsig = nsig.astype(jnp.float32) if traced else float(nsig)
    half_cell = (2.0 * nsig + 1.0) / size / 2.0
    edges = xp.linspace(-nsig - half_cell, nsig + half_cell, size + 1)
    mass = xp.diff(0.5 * (1.0 + erf(edges / math.sqrt(2.0))))
    mass = 0.5 * (mass + mass[::-1])  # exactly symmetric, so that all corners are 0
    kernel = xp.sqrt(xp.outer(mass, mass))
    kernel = (kernel - kernel.min()) / (kernel.max() - kernel.min())
    return kernel.astype(np.float32)


def smooth_labels(labels: Array, *, size: int = 13, nsig: float | Array = 2.0) -> Array:
    """Turn 0/1 label maps into heatmap targets of overlapping bumps.

    Y~ = min(1, Y * K) with `K = label_kernel(size, nsig)` and zeros outside the image;
    bumps that overlap add up and are clipped at 1.

    Args:
        labels: `[B, H, W]`, 1 at label points and 0 elsewhere, any float type.
        size: side of the bump in pixels, odd.
        nsig: half width of the bump in standard deviations.

    Returns:
        float32 `[B, H, W]` in 0..1.

    Raises:
        ValueError: labels are not `[B, H, W]`, or a bump that `label_kernel` refuses.

    >>> import jax.numpy as jnp
    >>> labels = jnp.zeros((1, 32, 32)).at[0, 16, 16].set(1.0)
    >>> target = smooth_labels(labels)
    >>> round(float(target[0, 16, 16]), 4), round(float(target.sum()), 3)
    (1.0, 73.394)

    Source: SuperRetina (Liu et al. 2022), smoothed keypoint heatmaps.
    """
    if labels.ndim != 3:
        raise ValueError(f"labels have shape {labels.shape}; expected [B, H, W]")
    kernel = jnp.asarray(label_kernel(size, nsig))
    blurred = jax.lax.conv_general_dilated(
        labels.astype(jnp.float32)[:, None],
        kernel[None, None],
        window_strides=(1, 1),
        padding=[(size // 2, size // 2)] * 2,
        precision=jax.lax.Precision.HIGHEST,
    )[:, 0]
    return jnp.minimum(blurred, 1.0)
