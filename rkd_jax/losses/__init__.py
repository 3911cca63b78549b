"""Losses as pure functions on arrays: usable alone, needs JAX and NumPy only.

Every function works under `jit`, `grad` and `vmap`, takes masks for padded points or
pixels, and has finite values and gradients at zero vectors and empty masks. Numbers
such as a temperature or a weight may be traced too: they are checked where known.
"""

from rkd_jax.losses._masked import unit
from rkd_jax.losses.banks import (
    class_contrast,
    contrast_normalizer,
    update_bank,
)
from rkd_jax.losses.class_weights import balanced_weights
from rkd_jax.losses.contrastive import info_nce
from rkd_jax.losses.dice import dice_loss, label_kernel, smooth_labels
from rkd_jax.losses.distillation import descriptor_distillation, heatmap_distillation
from rkd_jax.losses.hinge import triplet_hinge
from rkd_jax.losses.landmarks import distilled_landmark_mse, landmark_mse, soft_argmax
from rkd_jax.losses.predictions import (
    class_cross_entropy,
    prediction_distillation,
    ramp,
)
from rkd_jax.losses.relation import class_anchors, relation_distillation
from rkd_jax.losses.triplet import choose_negatives, triplet_loss

__all__ = [
    "balanced_weights",
    "choose_negatives",
    "class_anchors",
    "class_contrast",
    "class_cross_entropy",
    "contrast_normalizer",
    "descriptor_distillation",
    "dice_loss",
    "distilled_landmark_mse",
    "heatmap_distillation",
    "info_nce",
    "label_kernel",
    "landmark_mse",
    "prediction_distillation",
    "ramp",
    "relation_distillation",
    "smooth_labels",
    "soft_argmax",
    "triplet_hinge",
    "triplet_loss",
    "unit",
    "update_bank",
]
