"""Reverse knowledge distillation: a Swin UNETR student follows a small CNN.

The paper's row "Swin, SuperRetina teacher, dropout 50 %". The teacher is trained first
unless one is given:

    python -m rkd_jax.train --config configs/rkd.py \
        --config.data.kind=superretina --config.data.data_dir=DIR \
        --config.task.teacher.weights=FILE

Variants, joined by commas after a colon:
    large_kernel   the teacher is the large-kernel network
    no_dropout     dropout 0 instead of 0.5
    pretrained     masked-region and rotation pre-training of the encoder first
    upstream       augmentation, points and expansion with the authors' numbers and
                   quirks; not with crops or demo
    crops          256-pixel crops and faster learning, for a CPU
    gpu            512-pixel crops in batches of eight and bfloat16, for one GPU
    robust         other modalities, bent and turned views, as in `unet_robust`
    demo           minutes on two cores: small networks, synthetic eyes, and the same
                   student without teacher for comparison
"""

from rkd_jax.config import Config, ModelConfig, parse_variants
from rkd_jax.tasks.retina import RetinaConfig
from rkd_jax.tasks.retina.recipes import (
    fill_gpu,
    follow_upstream,
    other_modalities,
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
    task = RetinaConfig(distill=True)
    config = Config(task=task)
    config.model = ModelConfig(name="swin_unetr", drop_rate=0.5)
    config.loop.steps = 20_000
    if "large_kernel" in asked:
        task.teacher.model.name = "large_kernel"
    if "no_dropout" in asked:
        config.model.drop_rate = 0.0
    if "pretrained" in asked:
        task.pretrain.steps = 10_000
    if "upstream" in asked:
        follow_upstream(config, "rkd")
    if "crops" in asked:
        shrink_to_crops(config)
    if "gpu" in asked:
        fill_gpu(config)
        config.optim.lr = 1e-3
    if "robust" in asked:
        other_modalities(config)
    if "demo" in asked:
        _demo(config)
    return config


def _demo(config: Config) -> None:
    """Few labels, many photographs: where a teacher helps most."""
    task = RetinaConfig.of(config)
    shrink_to_crops(config)
    small = {"widths": (16, 16, 32, 32), "descriptor_dim": 64, "norm": "instance"}
    task.teacher.model = ModelConfig(task.teacher.model.name, **small)
    config.model = ModelConfig(
        "swin_unetr", descriptor_dim=64, feature_size=12, drop_rate=0.0, norm="instance"
    )
    task.compare_scratch = True
    config.data.size = 384
    config.data.crop = 128
    config.data.batch_size = 4
    config.data.synthetic_labeled = 16
    config.data.synthetic_unlabeled = 48
    task.teacher.steps = 400
    config.optim.lr = 1e-3
    config.loop.steps = 250
    config.loop.eval_every = 0
    config.loop.eval_pairs = 24
    task.pretrain.steps = min(task.pretrain.steps, 100)
