"""Swin UNETR without a teacher: the paper's row "Swin from scratch".

    python -m rkd_jax.train --config configs/swin_unetr.py \
        --config.data.kind=superretina --config.data.data_dir=DIR

Variants, joined by commas after a colon:
    no_dropout   dropout 0 instead of 0.5
    pretrained   masked-region and rotation pre-training of the encoder first
    crops        256-pixel crops and faster learning, for a CPU
    gpu          512-pixel crops in batches of eight and bfloat16, for one GPU
    robust       other modalities, bent and turned views, as the packaged `default`
    upstream     numbers and quirks of RKD's code; not with crops
"""

from rkd_jax.config import (
    Config,
    ModelConfig,
    fill_gpu,
    follow_upstream,
    harden,
    parse_variants,
    shrink_to_crops,
)


def get_config(variant: str = "") -> Config:
    """Return the experiment; see the module's text for the variants."""
    known = ("no_dropout", "pretrained", "crops", "gpu", "robust", "upstream")
    asked = parse_variants(variant, known)
    config = Config()
    config.model = ModelConfig(name="swin_unetr", drop_rate=0.5)
    if "no_dropout" in asked:
        config.model.drop_rate = 0.0
    if "pretrained" in asked:
        config.pretrain.steps = 10_000
    if "crops" in asked:
        shrink_to_crops(config)
    if "gpu" in asked:
        fill_gpu(config)
        config.optim.lr = 1e-3
    if "robust" in asked:
        harden(config)
    if "upstream" in asked:
        follow_upstream(config, "rkd")
    return config
