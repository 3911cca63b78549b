"""What files in `configs/` share: names of variants, and changes that several make."""

from collections.abc import Sequence

from rkd_jax.config.schema import Config


def parse_variants(text: str, known: Sequence[str]) -> set[str]:
    """Split `"a,b"` after the colon of `--config FILE:a,b` into variant names.

    Raises:
        ValueError: an unknown variant; the known ones are listed. Or two that exclude
            each other.

    >>> sorted(parse_variants("demo,pretrained", ["demo", "pretrained"]))
    ['demo', 'pretrained']
    """
    names = {name.strip() for name in text.split(",") if name.strip()}
    unknown = sorted(names - set(known))
    if unknown:
        raise ValueError(
            f"unknown variant {', '.join(unknown)}; known: {', '.join(known)}"
        )
    if "upstream" in names and names & {"crops", "demo", "gpu"}:
        raise ValueError(
            "variant upstream trains whole images: leave out crops, demo, gpu"
        )
    if "gpu" in names and names & {"crops", "demo"}:
        raise ValueError("variant gpu has crops of its own: leave out crops, demo")
    if {"upstream", "robust"} <= names:
        raise ValueError("variants upstream and robust exclude each other: choose one")
    return names


def shrink_to_crops(config: Config) -> None:
    """Make an experiment fit a CPU: 256-pixel crops, hard light, denser descriptors.

    Instance norm, the InfoNCE term beside the paper's triplet and points drawn where
    the image has texture let descriptors learn from hundreds of steps instead of tens
    of thousands; parameter counts stay the paper's.
    """
    config.model.norm = config.teacher.model.norm = "instance"
    config.data.crop = 256
    config.data.batch_size = 2
    config.data.labeled_share = 0.6
    config.task.light = "visit"
    config.task.descriptor_geometry = "visit"
    config.task.descriptor_loss = "triplet+infonce"
    config.task.texture_points = 128
    config.task.infonce_exclude_radius = 10.0
    config.task.max_keypoints = 64
    config.task.pke_start_epoch = 4
    config.optim.lr = config.teacher.lr = 2e-3
    config.optim.schedule = "cosine"
    config.optim.warmup_steps = 20
    config.optim.clip_norm = 1.0
    config.optim.ema_decay = 0.98
    config.loop.log_every = 10
    config.loop.checkpoint_every = 50
    config.loop.eval_every = 200
    config.loop.eval_pairs = 12
    config.loop.steps = config.teacher.steps = 600


def fill_gpu(config: Config) -> None:
    """Make an experiment fill one GPU: what `shrink_to_crops` does, on larger crops.

    512-pixel crops in batches of eight and bfloat16 layers; more points an image, which
    are InfoNCE's negatives.
    """
    shrink_to_crops(config)
    config.model.compute_dtype = config.teacher.model.compute_dtype = "bfloat16"
    config.data.crop = 512
    config.data.batch_size = 8
    config.data.num_threads = 12
    config.task.max_keypoints = 256
    config.task.texture_points = 256
    config.optim.warmup_steps = 100
    config.optim.ema_decay = 0.995
    config.loop.log_every = 50
    config.loop.checkpoint_every = 1000
    config.loop.eval_every = 0
    config.loop.steps = config.teacher.steps = 4000


def harden(config: Config) -> None:
    """Train for any two visits and modalities: what the packaged `default` has seen.

    Bent views, wider turns and zooms, and views whose vessels are bright or hazy.
    """
    config.task.descriptor_geometry = "any_visit"
    config.task.deformation = "retina"
    config.task.light = "modality"


def follow_upstream(config: Config, release: str) -> None:
    """Take numbers and quirks of the authors' code (docs/paper/specification.md, 10).

    Args:
        config: changed in place.
        release: "rkd" or "superretina", whose constants differ.
    """
    task, data = config.task, config.data
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
