"""A small CNN that follows a large one: ordinary distillation, for CPUs.

The student is SuperRetina's U-Net with a quarter of its widths and the teacher's
descriptor size, so that it can be held against the teacher's descriptors:

    python -m rkd_jax.train --config configs/small.py:crops,robust \
        --config.data.kind=superretina --config.data.data_dir=DIR \
        --config.teacher.weights=default

Variants, joined by commas after a colon:
    crops      256-pixel crops and faster learning, for a CPU
    gpu        512-pixel crops in batches of eight and bfloat16, for one GPU
    robust     other modalities, bent and turned views, as the packaged `default`
"""

from rkd_jax.config import Config, fill_gpu, harden, parse_variants, shrink_to_crops


def get_config(variant: str = "") -> Config:
    """Return the experiment; see the module's text for the variants."""
    asked = parse_variants(variant, ("crops", "gpu", "robust"))
    config = Config()
    config.model.widths = (16, 16, 32, 32)
    config.task.distill = True
    if "crops" in asked:
        shrink_to_crops(config)
        config.loop.steps = 2000
    if "gpu" in asked:
        fill_gpu(config)
    if "robust" in asked:
        harden(config)
    return config
