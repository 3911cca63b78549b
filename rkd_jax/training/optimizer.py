"""Adam, its learning rate over a run, and which parameters it moves."""

import re
from collections.abc import Callable
from typing import Any

import jax
import optax

PyTree = Any


def make_schedule(
    name: str,
    *,
    lr: float,
    steps: int,
    warmup_steps: int = 0,
    drop_at: tuple[float, ...] = (2 / 3,),
    drop_factor: float = 0.1,
) -> optax.Schedule:
    """Return the learning rate as a function of the number of steps done.

    Args:
        name: "constant"; "cosine": to zero; "onecycle": from lr / 25 up to lr in 30 %
            of the steps and down to lr / 250,000; "step": times `drop_factor` at each
            of `drop_at`.
        lr: peak learning rate.
        steps: length of the run.
        warmup_steps: linear rise from 0 before the schedule begins.
        drop_at: shares of the run, of "step".
        drop_factor: of "step".

    Raises:
        ValueError: an unknown name, or a share that is none.

    >>> rate = make_schedule("step", lr=1.0, steps=30, drop_at=(0.5,), drop_factor=0.25)
    >>> float(rate(14)), float(rate(15))
    (1.0, 0.25)
    """
    length = max(steps - warmup_steps, 1)
    if not all(isinstance(share, int | float) and 0 < share < 1 for share in drop_at):
        raise ValueError(f"drop_at is {drop_at}; expected shares of the run in (0, 1)")

    def step() -> optax.Schedule:
        drops = {round(share * length): drop_factor for share in drop_at}
        return optax.piecewise_constant_schedule(lr, drops)

    known: dict[str, Callable[[], optax.Schedule]] = {
        "constant": lambda: optax.constant_schedule(lr),
        "cosine": lambda: optax.cosine_decay_schedule(lr, length),
        "onecycle": lambda: optax.cosine_onecycle_schedule(length, lr),
        "step": step,
    }
    if name not in known:
        raise ValueError(f"schedule {name!r}; expected one of {', '.join(known)}")
    main = known[name]()
    if warmup_steps:
        rise = optax.linear_schedule(0.0, lr, warmup_steps)
        main = optax.join_schedules([rise, main], [warmup_steps])
    return main


def make_optimizer(
    *,
    lr: float,
    steps: int,
    schedule: str = "constant",
    warmup_steps: int = 0,
    drop_at: tuple[float, ...] = (2 / 3,),
    drop_factor: float = 0.1,
    weight_decay: float = 0.0,
    decay_kind: str = "decoupled",
    clip_norm: float = 0.0,
    trainable: str = "",
) -> optax.GradientTransformation:
    """Return Adam under a schedule.

    Args:
        lr, steps, schedule, warmup_steps, drop_at, drop_factor: see `make_schedule`.
        weight_decay: 0 is plain Adam.
        decay_kind: "decoupled" (AdamW), or "l2": the decay is part of the gradient, as
            in PyTorch's Adam.
        clip_norm: global gradient norm; 0 does not clip.
        trainable: regular expression, searched for in the paths of parameters such as
            "decoder/conv1/kernel"; the others stay as they are. Empty: all are trained.

    Raises:
        ValueError: an unknown schedule or decay, or a `trainable` that is no regular
            expression; from the optimizer's `init`, one that is found in no path.

    >>> optimizer = make_optimizer(lr=1e-3, steps=10, trainable="^head/")
    >>> opt_state = optimizer.init({"head": {"w": 0.0}, "backbone": {"w": 0.0}})
    """
    if decay_kind not in ("decoupled", "l2"):
        raise ValueError(f"decay_kind {decay_kind!r}; expected decoupled or l2")
    rate = make_schedule(
        schedule,
        lr=lr,
        steps=steps,
        warmup_steps=warmup_steps,
        drop_at=drop_at,
        drop_factor=drop_factor,
    )
    parts = []
    if clip_norm:
        parts.append(optax.clip_by_global_norm(clip_norm))
    if weight_decay and decay_kind == "l2":
        parts.append(optax.add_decayed_weights(weight_decay))
    if weight_decay and decay_kind == "decoupled":
        parts.append(optax.adamw(rate, weight_decay=weight_decay))
    else:
        parts.append(optax.adam(rate))
    optimizer = optax.chain(*parts) if len(parts) > 1 else parts[0]
    if not trainable:
        return optimizer
    try:
        pattern = re.compile(trainable)
    except re.error as error:
        raise ValueError(
            f"trainable {trainable!r} is no regular expression: {error}"
        ) from None
    return optax.multi_transform(
        {True: optimizer, False: optax.set_to_zero()},
        lambda params: _matches(params, pattern),
    )


def _matches(params: PyTree, pattern: re.Pattern[str]) -> PyTree:
    """Return whether the pattern is found in each parameter's path, as a tree."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(params)
    paths = [
        jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves
    ]
    found = [pattern.search(path) is not None for path in paths]
    if not any(found):
        shown = ", ".join(paths[:: max(len(paths) // 4, 1)][:5])
        raise ValueError(
            f"trainable {pattern.pattern!r} is found in none of {len(paths)} paths of "
            f"parameters, such as {shown}; correct the regular expression"
        )
    return jax.tree.unflatten(structure, found)
