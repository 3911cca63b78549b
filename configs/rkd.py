"""Reverse knowledge distillation: a Swin UNETR student follows a small CNN.

The paper's row "Swin, SuperRetina teacher, dropout 50 %". The teacher is trained first
unless one is given:

    python -m rkd_jax.train --config configs/rkd.py \
        --config.data.kind=superretina --config.data.data_dir=DIR \
        --config.teacher.weights=FILE

Variants, joined by commas after a colon:
    large_kernel   the teacher is the large-kernel network
    no_dropout     dropout 0 instead of 0.5
    pretrained     masked-region and rotation pre-training of the encoder first
    upstream       augmentation, points and expansion with the authors' numbers and
                   quirks; not with crops or demo
    crops          256-pixel crops and faster learning, for a CPU
    gpu            512-pixel crops in batches of eight and bfloat16, for one GPU
    robust         other modalities, bent and turned views, as the packaged `default`
    demo           minutes on two cores: small networks, synthetic eyes, and the same
                   student without teacher for comparison
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

VARIANTS = (
    "large_kernel",
    "no_dropout",
    "pretrained",
    "upstream",
    "crops",
    "gpu",
    "robust",
    "demo",
)


def get_config(variant: str = "") -> Config:
    """Return the experiment; see the module's text for the variants."""
    asked = parse_variants(variant, VARIANTS)
    config = Config()
    config.model = ModelConfig(name="swin_unetr", drop_rate=0.5)
    config.task.distill = True
    config.loop.steps = 20_000
    if "large_kernel" in asked:
        config.teacher.model.name = "large_kernel"
    if "no_dropout" in asked:
        config.model.drop_rate = 0.0
    if "pretrained" in asked:
        config.pretrain.steps = 10_000
    if "upstream" in asked:
        follow_upstream(config, "rkd")
    if "crops" in asked:
        shrink_to_crops(config)
    if "gpu" in asked:
        fill_gpu(config)
        config.optim.lr = 1e-3
    if "robust" in asked:
        harden(config)
    if "demo" in asked:
        _demo(config)
    return config


def _demo(config: Config) -> None:
    """Few labels, many photographs: where a teacher helps most."""
    shrink_to_crops(config)
    small = {"widths": (16, 16, 32, 32), "descriptor_dim": 64, "norm": "instance"}
    config.teacher.model = ModelConfig(config.teacher.model.name, **small)
    config.model = ModelConfig(
        "swin_unetr", descriptor_dim=64, feature_size=12, drop_rate=0.0, norm="instance"
    )
    config.compare_scratch = True
    config.data.size = 384
    config.data.crop = 128
    config.data.batch_size = 4
    config.data.synthetic_labeled = 16
    config.data.synthetic_unlabeled = 48
    config.teacher.steps = 400
    config.optim.lr = 1e-3
    config.loop.steps = 250
    config.loop.eval_every = 0
    config.loop.eval_pairs = 24
    config.pretrain.steps = min(config.pretrain.steps, 100)
