"""Large-kernel SuperRetina: parallel 1x1, 3x3 and 5x5 kernels in the encoder.

    python -m rkd_jax.train --config configs/large_kernel.py \
        --config.data.kind=superretina --config.data.data_dir=DIR

Variants, joined by commas after a colon:
    kernels_1357   a 7x7 branch too (the paper's ablation)
    crops          256-pixel crops and faster learning, for a CPU
    gpu            512-pixel crops in batches of eight and bfloat16, for one GPU
    robust         other modalities, bent and turned views, as in `unet_robust`
    upstream       numbers and quirks of RKD's code; not with crops
"""

from rkd_jax.config import Config, parse_variants
from rkd_jax.tasks.retina import RetinaConfig
from rkd_jax.tasks.retina.recipes import (
    fill_gpu,
    follow_upstream,
    other_modalities,
    shrink_to_crops,
)


def get_config(variant: str = "") -> Config:
    """Return the experiment; see the module's text for the variants."""
    asked = parse_variants(
        variant, ("kernels_1357", "crops", "gpu", "robust", "upstream")
    )
    config = Config(task=RetinaConfig())
    config.model.name = "large_kernel"
    if "kernels_1357" in asked:
        config.model.kernels = (1, 3, 5, 7)
    if "crops" in asked:
        shrink_to_crops(config)
    if "gpu" in asked:
        fill_gpu(config)
    if "robust" in asked:
        other_modalities(config)
    if "upstream" in asked:
        follow_upstream(config, "rkd")
    return config
