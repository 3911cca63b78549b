"""What files in `configs/` share, whatever the task."""

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


def learn_fast(config: Config) -> None:
    """Learn from small crops in hundreds of steps instead of tens of thousands.

    Instance norm makes the large learning rate possible; the average of the parameters
    is what is evaluated.
    """
    config.model.norm = "instance"
    config.data.crop = 256
    config.data.batch_size = 2
    config.data.labeled_share = 0.6
    config.optim.lr = 2e-3
    config.optim.schedule = "cosine"
    config.optim.warmup_steps = 20
    config.optim.clip_norm = 1.0
    config.optim.ema_decay = 0.98
    config.loop.log_every = 10
    config.loop.checkpoint_every = 50
    config.loop.eval_every = 200
    config.loop.eval_pairs = 12
    config.loop.steps = 600
