"""Pre-training of the Swin encoder alone: masked regions and rotation.

    python -m rkd_jax.train --config configs/pretraining.py \
        --config.data.kind=folder --config.data.data_dir=DIR

Its `weights.safetensors` is the start of a student: `--config.init_weights=FILE` of
`configs/rkd.py` or `configs/swin_unetr.py`; their variant `pretrained` does both.

Variants: demo (minutes on two cores, synthetic eyes).
"""

from rkd_jax.config import Config, ModelConfig, parse_variants, shrink_to_crops


def get_config(variant: str = "") -> Config:
    """Return the experiment; see the module's text for the variants."""
    asked = parse_variants(variant, ("demo",))
    config = Config()
    config.task.name = "pretraining"
    config.model = ModelConfig(name="swin_unetr", drop_rate=0.0)
    if "demo" in asked:
        shrink_to_crops(config)
        config.model.feature_size, config.model.descriptor_dim = 12, 64
        config.data.size, config.data.crop, config.data.batch_size = 384, 128, 4
        config.data.synthetic_labeled = 0
        config.loop.steps = 100
    return config
