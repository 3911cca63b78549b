"""Changes of a whole config that several experiments with retinas make."""

from rkd_jax.config import Config, learn_fast
from rkd_jax.tasks.photographs import PhotographsConfig
from rkd_jax.tasks.retina.config import RetinaConfig


def shrink_to_crops(config: Config) -> None:
    """Make an experiment fit a CPU: 256-pixel crops, hard light, denser descriptors.

    The InfoNCE term beside the paper's triplet and points drawn where the image has
    texture let descriptors learn from hundreds of steps instead of tens of thousands;
    parameter counts stay the paper's.
    """
    task = RetinaConfig.of(config)
    learn_fast(config)
    task.light = "visit"
    task.descriptor_geometry = "visit"
    task.descriptor_loss = "triplet+infonce"
    task.texture_points = 128
    task.infonce_exclude_radius = 10.0
    task.max_keypoints = 64
    task.pke_start_epoch = 4
    task.teacher.model.norm = config.model.norm
    task.teacher.lr = config.optim.lr
    task.teacher.steps = config.loop.steps


def fill_gpu(config: Config) -> None:
    """Make an experiment fill one GPU: what `shrink_to_crops` does, on larger crops.

    512-pixel crops in batches of eight and bfloat16 layers; more points an image, which
    are InfoNCE's negatives.
    """
    task = RetinaConfig.of(config)
    shrink_to_crops(config)
    config.model.compute_dtype = task.teacher.model.compute_dtype = "bfloat16"
    config.data.crop = 512
    config.data.batch_size = 8
    config.data.num_threads = 12
    task.max_keypoints = 256
    task.texture_points = 256
    config.optim.warmup_steps = 100
    config.optim.ema_decay = 0.995
    config.loop.log_every = 50
    config.loop.checkpoint_every = 1000
    config.loop.eval_every = 0
    config.loop.steps = task.teacher.steps = 4000


def other_modalities(config: Config) -> None:
    """Train for any two visits and modalities, as the packaged `unet_robust`.

    Bent views, wider turns and zooms, and views whose vessels are bright or hazy.
    """
    task = RetinaConfig.of(config)
    task.descriptor_geometry = "any_visit"
    task.deformation = "retina"
    task.light = "modality"


def follow_upstream(config: Config, release: str) -> None:
    """Take numbers and quirks of the authors' code (docs/paper/specification.md, 10).

    Args:
        config: changed in place.
        release: "rkd" or "superretina", whose constants differ.
    """
    task, data = RetinaConfig.of(config), PhotographsConfig.of(config)
    task.detector_geometry = "upstream_detector"
    task.descriptor_geometry = "upstream_descriptor"
    rkd = release == "rkd"
    task.nms_radius = task.teacher_nms_radius = 20 if rkd else 10
    task.threshold = task.teacher_threshold = 0.5 if rkd else 0.1
    task.nms_method = "two_round" if rkd else "one_round"
    task.descriptor_grid = "upstream"
    task.dice_per_example = False
    task.mask_geometric = False
    task.mask_field = False
    task.clip_light = False
    task.expansion = release
    task.deterministic_expansion = False
    task.max_keypoints = 1000
    data.crop_field = False
    data.resize_mode = "stretch"
    data.batch_size = 1
