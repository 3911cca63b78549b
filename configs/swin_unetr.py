"""Swin UNETR without a teacher: the paper's row "Swin from scratch".

    python -m rkd_jax.train --config configs/swin_unetr.py \
        --config.data.kind=superretina --config.data.data_dir=DIR

Variants, joined by commas after a colon:
    no_dropout   dropout 0 instead of 0.5
    pretrained   masked-region and rotation pre-training of the encoder first
    crops        256-pixel crops and faster learning, for a CPU
    gpu          512-pixel crops in batches of eight and bfloat16, for one GPU
    robust       other modalities, bent and turned views, as the packaged `unet_robust`
    upstream     numbers and quirks of RKD's code; not with crops
"""

from rkd_jax.config import Config, ModelConfig, parse_variants
from rkd_jax.tasks.retina import RetinaConfig
from rkd_jax.tasks.retina.recipes import (
    fill_gpu,
    follow_upstream,
    other_modalities,
    shrink_to_crops,
)


def get_config(variant: str = "") -> Config:
    """Return the experiment; see the module's text for the variants."""
    known = ("no_dropout", "pretrained", "crops", "gpu", "robust", "upstream")
    asked = parse_variants(variant, known)
    task = RetinaConfig()
    config = Config(task=task)
    config.model = ModelConfig(name="swin_unetr", drop_rate=0.5)
    if "no_dropout" in asked:
        config.model.drop_rate = 0.0
    if "pretrained" in asked:
        task.pretrain.steps = 10_000
    if "crops" in asked:
        shrink_to_crops(config)
    if "gpu" in asked:
        fill_gpu(config)
        config.optim.lr = 1e-3
    if "robust" in asked:
        other_modalities(config)
    if "upstream" in asked:
        follow_upstream(config, "rkd")
    return config
