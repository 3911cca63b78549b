"""A small CNN that follows a large one: ordinary distillation, for CPUs.

The student is SuperRetina's U-Net with a quarter of its widths and the teacher's
descriptor size, because the loss compares its descriptors with the teacher's:

    python -m rkd_jax.train --config configs/small.py:crops,robust \
        --config.data.kind=superretina --config.data.data_dir=DIR \
        --config.task.teacher.weights=unet_robust

Variants, joined by commas after a colon:
    crops      256-pixel crops and faster learning, for a CPU
    gpu        512-pixel crops in batches of eight and bfloat16, for one GPU
    robust     other modalities, bent and turned views, as the packaged `unet_robust`
"""

from rkd_jax.config import Config, parse_variants
from rkd_jax.tasks.retina import RetinaConfig
from rkd_jax.tasks.retina.recipes import fill_gpu, other_modalities, shrink_to_crops


def get_config(variant: str = "") -> Config:
    """Return the experiment; see the module's text for the variants."""
    asked = parse_variants(variant, ("crops", "gpu", "robust"))
    config = Config(task=RetinaConfig(distill=True))
    config.model.widths = (16, 16, 32, 32)
    if "crops" in asked:
        shrink_to_crops(config)
        config.loop.steps = 2000
    if "gpu" in asked:
        fill_gpu(config)
    if "robust" in asked:
        other_modalities(config)
    return config
