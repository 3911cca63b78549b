"""Microaneurysms, or other lesions, in two stages: two maps, then a judge of patches.

    python -m rkd_jax.train --config configs/lesions.py:thin,idrid \
        --config.data.data_dir="A. Segmentation" --config.data.healthy_dir=DIR

Without variants: networks and training as published, on drawn eyes. The run trains the
network of the full scale (`<workdir>/full`), that of the half scale (`half`) and the
classifier, whose `weights.safetensors` holds all three. Other lesions:
--config.data.lesion=haemorrhages.

Variants, joined by commas after a colon:
    idrid   the segmentation part of IDRiD, every fifth photograph held out
    thin    a field of 1725 pixels, thin networks and faster learning, for a CPU
    demo    minutes on two cores: drawn eyes, thinner networks, and the classifier
            without triplet loss for comparison
"""

from rkd_jax.config import Config, parse_variants
from rkd_jax.tasks.lesions import (
    LesionsConfig,
    LesionsData,
    LesionsModel,
    PatchesModel,
    ProposalModel,
)

VARIANTS = ("idrid", "thin", "demo")


def get_config(variant: str = "") -> Config:
    """Return the experiment; see the module's text for the variants."""
    asked = parse_variants(variant, VARIANTS)
    if "demo" in asked and len(asked) > 1:
        raise ValueError("variant demo is of drawn eyes: choose it alone")
    task, data = LesionsConfig(), LesionsData()
    config = Config(task=task, data=data, model=LesionsModel())
    # Triplets of a batch of the classifier: 32.
    config.data.batch_size = 96
    config.data.synthetic_labeled, config.data.synthetic_unlabeled = 44, 80
    task.negatives = "healthy"
    config.optim.schedule = "step"
    config.loop.steps = 10_000
    config.loop.eval_pairs = 10
    if "idrid" in asked:
        data.kind = "idrid"
    if "thin" in asked:
        _thin(config)
    if "demo" in asked:
        _demo(config)
    return config


def _thin(config: Config) -> None:
    """Networks of some 2 million parameters, and learning in 3000 steps each."""
    task = LesionsConfig.of(config)
    config.model = LesionsModel(
        proposal=ProposalModel(width=16, lanes=16),
        patches=PatchesModel(
            widths=(24, 48, 96, 128), depths=(2, 2, 2, 1), bottleneck=False
        ),
    )
    config.data.size, task.patch_px = 1725, 32
    task.negatives = "all"
    proposals = task.proposals
    proposals.crop, proposals.batch_size, proposals.largest_weight = 128, 8, 10.0
    proposals.steps, config.loop.steps = 3000, 3000
    proposals.lr = proposals.half_lr = 2e-3
    config.optim.lr, config.optim.schedule = 2e-3, "onecycle"
    config.optim.weight_decay, config.optim.clip_norm = 1e-4, 1.0
    config.optim.ema_decay = 0.99
    # Most places that are drawn at random are easy to judge.
    task.hard_share, task.negative_patches = 0.75, 40_000
    task.round_batches = 100
    config.loop.eval_every, config.loop.checkpoint_every = 500, 200


def _demo(config: Config) -> None:
    """Small drawn eyes, in which a microaneurysm is a few pixels wide."""
    _thin(config)
    task, data = LesionsConfig.of(config), config.data
    task.compare_cls = True
    config.model = LesionsModel(
        proposal=ProposalModel(width=8, lanes=8),
        patches=PatchesModel(widths=(16, 32, 64), depths=(1, 1, 1), bottleneck=False),
    )
    data.size, data.synthetic_labeled, data.synthetic_unlabeled = 480, 24, 12
    LesionsData.of(config).sigma_px = 6.0
    task.patch_px, task.proposals.crop = 24, 64
    task.proposals.steps, config.loop.steps = 400, 600
    task.negative_patches, task.round_batches = 6000, 50
    data.batch_size = 48
    config.optim.ema_decay = 0.98
    config.loop.eval_pairs, config.loop.eval_every = 6, 0
