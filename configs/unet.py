"""SuperRetina: the U-Net detector and descriptor, the paper's teacher and baseline.

    python -m rkd_jax.train --config configs/unet.py \
        --config.data.kind=superretina --config.data.data_dir=DIR

Variants, joined by commas after a colon:
    crops      256-pixel crops and faster learning, for a CPU
    gpu        512-pixel crops in batches of eight and bfloat16, for one GPU
    robust     other modalities, bent and turned views, as the packaged `unet_robust`
    demo       minutes on two cores, synthetic eyes
    upstream   numbers and quirks of SuperRetina's code; not with crops or demo
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
    asked = parse_variants(variant, ("crops", "gpu", "robust", "demo", "upstream"))
    config = Config(task=RetinaConfig())
    config.model.name = "superretina"
    if asked & {"crops", "demo"}:
        shrink_to_crops(config)
    if "gpu" in asked:
        fill_gpu(config)
    if "robust" in asked:
        other_modalities(config)
    if "demo" in asked:
        config.model.widths, config.model.descriptor_dim = (16, 16, 32, 32), 64
        config.data.size, config.data.crop, config.data.batch_size = 384, 128, 4
        config.loop.steps = 300
    if "upstream" in asked:
        follow_upstream(config, "superretina")
    return config
