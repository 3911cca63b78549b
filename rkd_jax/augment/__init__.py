"""Random geometry and light of ONE image; callers `jax.vmap` over a batch.

Each light is split in two: `draw_*` turns a key into a plain tuple of factors, and
`apply_*` is a deterministic function of image and factors. The one-call forms
`loader_light`, `jitter_light`, `visit_light` and `modality_light` do both. An image is
`[H, W]` or `[H, W, 1]`, float32 in [0, 1], and keeps its shape. No gradient passes
through.
"""

from rkd_jax.augment.geometry import (
    DEFORMATION_PRESETS,
    GEOMETRY_PRESETS,
    DeformationPreset,
    HomographyPreset,
    sample_deformation,
    sample_geometry,
)
from rkd_jax.augment.light import (
    JitterDraw,
    LoaderDraw,
    apply_jitter,
    apply_loader,
    draw_jitter,
    draw_loader,
    jitter_light,
    loader_light,
)
from rkd_jax.augment.modality import (
    ModalityDraw,
    ModalityRanges,
    apply_modality,
    draw_modality,
    modality_light,
)
from rkd_jax.augment.pixels import gaussian_blur
from rkd_jax.augment.visit import (
    FACE_RANGES,
    VisitDraw,
    VisitRanges,
    apply_visit,
    draw_visit,
    visit_light,
)

__all__ = [
    "DEFORMATION_PRESETS",
    "FACE_RANGES",
    "GEOMETRY_PRESETS",
    "DeformationPreset",
    "HomographyPreset",
    "JitterDraw",
    "LoaderDraw",
    "ModalityDraw",
    "ModalityRanges",
    "VisitDraw",
    "VisitRanges",
    "apply_jitter",
    "apply_loader",
    "apply_modality",
    "apply_visit",
    "draw_jitter",
    "draw_loader",
    "draw_modality",
    "draw_visit",
    "gaussian_blur",
    "jitter_light",
    "loader_light",
    "modality_light",
    "sample_deformation",
    "sample_geometry",
    "visit_light",
]
