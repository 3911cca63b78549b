"""Facial landmarks by the same distillation: a Swin UNETR follows a small CNN.

    python -m rkd_jax.train --config configs/faces.py:wflw \
        --config.data.data_dir=WFLW --config.teacher.weights=FILE

98 heatmaps, soft-argmax; the teacher is trained first unless one is given. Without
variants the faces are synthetic, procedural ones.

Variants, joined by commas after a colon:
    wflw    WFLW in its official layout, whole network on 256-pixel crops
    folds   fold 0 of five of WFLW's test list, split by image, small crops: for a CPU;
            others by --config.data.fold=K, all by tools/wflw_folds.py
    demo    minutes on two cores: small networks, synthetic faces, and the same student
            without teacher for comparison
"""

from rkd_jax.config import LANDMARKS, Config, ModelConfig, parse_variants

VARIANTS = ("wflw", "folds", "demo")
_HEADS = {"out_channels": LANDMARKS, "descriptor_dim": 0, "norm": "instance"}


def get_config(variant: str = "") -> Config:
    """Return the experiment; see the module's text for the variants."""
    asked = parse_variants(variant, VARIANTS)
    if "demo" in asked and len(asked) > 1:
        raise ValueError("variant demo is of synthetic faces: choose it alone")
    config = Config()
    config.model = ModelConfig("swin_unetr", feature_size=48, drop_rate=0.0, **_HEADS)
    config.teacher.model = ModelConfig("superretina", **_HEADS)
    config.task.name = "landmarks"
    config.task.distill = True
    config.task.landmarks.sigma_px = 4.0
    config.data.size, config.data.crop = 320, 256
    config.data.batch_size = 16
    config.data.synthetic_labeled, config.data.synthetic_unlabeled = 1000, 4000
    config.optim.lr = config.teacher.lr = 1e-3
    config.optim.schedule, config.optim.warmup_steps = "cosine", 50
    config.optim.clip_norm, config.optim.ema_decay = 1.0, 0.999
    config.loop.steps = config.teacher.steps = 30_000
    config.loop.eval_pairs = 200
    if asked & {"wflw", "folds"}:
        config.data.kind, config.data.val_split = "wflw", "test"
        # Scored once, at the end: no step of a run is chosen on the test list.
        config.loop.eval_every = 0
    if asked & {"folds", "demo"}:
        _small(config)
    if "folds" in asked:
        config.data.fold = 0
        config.compare_scratch = True
        config.task.landmarks.geometry = "upright_face"
        config.task.landmarks.point_weight = 0.3
        config.optim.lr, config.optim.warmup_steps = 1e-3, 100
        config.teacher.steps = config.loop.steps = 2400
        config.loop.checkpoint_every = 400
    if "demo" in asked:
        _demo(config)
    return config


def _small(config: Config) -> None:
    """Crops of 64 pixels and small networks, for a CPU."""
    config.teacher.model = ModelConfig("superretina", widths=(16, 16, 32, 32), **_HEADS)
    # The token grids of 64 pixels have 32, 16 and 8 a side: windows of 8 tile them.
    swin = {"feature_size": 12, "window_size": 8, "drop_rate": 0.0}
    config.model = ModelConfig("swin_unetr", **swin, **_HEADS)
    config.task.landmarks.sigma_px = 1.5
    config.data.size, config.data.crop, config.data.batch_size = 80, 64, 8
    config.teacher.lr, config.optim.lr = 5e-3, 2e-3
    config.optim.warmup_steps, config.optim.ema_decay = 20, 0.98
    config.loop.log_every, config.loop.checkpoint_every = 20, 100
    config.loop.eval_every = 0


def _demo(config: Config) -> None:
    """One labeled face, many without labels: where a teacher helps most.

    The CNN converges in fewer steps than the transformer.
    """
    config.compare_scratch = True
    config.data.synthetic_labeled, config.data.synthetic_unlabeled = 1, 399
    config.data.labeled_share, config.data.batch_size = 0.5, 4
    config.teacher.steps, config.loop.steps = 800, 2000
    config.loop.eval_pairs = 100
