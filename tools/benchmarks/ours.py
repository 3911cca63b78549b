"""The arms of this library; see `measure.Arm`."""

import contextlib
import math
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.inputs import images, labels
from benchmarks.measure import Arm
from rkd_jax import keypoints, models
from rkd_jax.config import Config
from rkd_jax.models import conv
from rkd_jax.registration.matching.nearest import match_keypoints
from rkd_jax.tasks.retina import RetinaConfig
from rkd_jax.tasks.retina.recipes import follow_upstream
from rkd_jax.tasks.retina.task import RetinaTask
from rkd_jax.training import optimizer as optimizers
from rkd_jax.training import state as states
from rkd_jax.training import step as stepping

SMALL = {
    "superretina": {"widths": (4, 4, 8, 8), "descriptor_dim": 8},
    "swin_unetr": {"feature_size": 12, "depths": (1, 1, 1, 1), "descriptor_dim": 8},
}
MATMUL_PRECISION = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": None}


def build(name: str, precision: str = "float32", *, small: bool = False):
    """Build a network by its name in `rkd_jax.models`, or a tiny one of its kind."""
    options = SMALL[name] if small else {}
    return models.build(name, **options, compute_dtype=_dtype(precision))


def _dtype(precision: str) -> str:
    return "bfloat16" if precision == "bfloat16" else "float32"


def precise(precision: str):
    """Return the context in which the arms of a precision run."""
    asked = MATMUL_PRECISION[precision]
    if asked is None:
        return contextlib.nullcontext()
    return jax.default_matmul_precision(asked)


def _waiting(function, *operands, precision: str = "float32") -> Arm:
    def arm(count):
        with precise(precision):
            for _ in range(count):
                result = function(*operands)
            jax.block_until_ready(result)

    return arm


def matmul(side: int, precision: str = "float32") -> Arm:
    """Multiply two square matrices."""
    a = jax.random.normal(jax.random.key(0), (side, side))
    if precision == "bfloat16":
        a = a.astype(jnp.bfloat16)
    return _waiting(jax.jit(jnp.matmul), a, a, precision=precision)


def weight_gradient(size: int, c: int, f: int, *, plain: bool) -> Arm:
    """Weight gradient of a 3x3 convolution: ours, or XLA's own (`plain`)."""
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], (1, size, size, c))
    g = jax.random.normal(keys[1], (1, size, size, f))
    kernel = jnp.zeros((3, 3, c, f))

    def ours(x, g):
        return jax.vjp(lambda k: conv.conv2d(x, k, padding=1), kernel)[1](g)[0]

    def xla(x, g):
        def convolve(k):
            numbers = ("NHWC", "HWIO", "NHWC")
            return jax.lax.conv_general_dilated(
                x, k, (1, 1), "SAME", dimension_numbers=numbers
            )

        return jax.vjp(convolve, kernel)[1](g)[0]

    return _waiting(jax.jit(xla if plain else ours), x, g)


def network(
    size: int,
    batch: int,
    *,
    backward: bool,
    precision: str = "float32",
    small: bool = False,
) -> Arm:
    """Forward pass of the U-Net, or forward and backward to all parameters."""
    forward, gradient, operands = _passes(size, batch, precision, small=small)
    run = jax.jit(gradient if backward else forward)
    return _waiting(run, *operands, precision=precision)


def _passes(size: int, batch: int, precision: str, *, small: bool):
    """Return the U-Net's forward pass, the gradient of a loss, and their operands."""
    model = build("superretina", precision, small=small)
    x = jnp.asarray(images(size, batch))
    variables = jax.jit(model.init)(jax.random.key(0), x[:1])

    def forward(variables, x):
        output = model.apply(variables, x)
        return output.heatmap, output.descriptors

    def loss(variables, x):
        return sum(jnp.sum(y**2) for y in forward(variables, x))

    return forward, jax.grad(loss), (variables, x)


def gradient_difference(size: int, *, small: bool = False) -> dict[str, float]:
    """Compare the U-Net's gradients by our weight gradient with those by XLA's.

    Returns:
        "relative_difference": the norm of the difference of all parameters to the
        norm of XLA's; "worst_relative_difference": the largest of single parameters.
        Both are 0 where XLA's own is used anyway, as on a GPU.
    """
    _, gradient, operands = _passes(size, 1, "float32", small=small)

    def norms(tree):
        return [float(np.linalg.norm(x)) for x in jax.tree.leaves(tree)]

    with precise("float32"):
        found = jax.device_get(jax.jit(gradient)(*operands))
        # Another function, so that it is traced anew.
        with mock.patch.object(conv, "_cpu_weight_gradient", conv._xla_weight_gradient):
            plain = jax.device_get(jax.jit(lambda *xs: gradient(*xs))(*operands))
    off, size_of = norms(jax.tree.map(np.subtract, found, plain)), norms(plain)
    return {
        "relative_difference": math.hypot(*off) / math.hypot(*size_of),
        "worst_relative_difference": max(a / b for a, b in zip(off, size_of)),
    }


def train_step(
    size: int,
    batch: int,
    *,
    distill: bool,
    precision: str = "float32",
    small: bool = False,
    devices: int = 1,
) -> Arm:
    """Step of the U-Net recipe, or of RKD: expansion on, all images labeled.

    Constants are those of the authors' code (`follow_upstream`), as in
    `torch_step.Step`. What still differs: heads that no loss looks at are not run (the
    detector of the descriptor view), raw and descriptor view are one batch, points
    are arrays of fixed size with masks instead of lists, and the detector view is
    neither resampled nor lit the way the authors do it but by our own functions.
    """
    options = RetinaConfig(distill=distill)
    follow_upstream(Config(task=options), "rkd")
    options.pke_start_epoch = 0
    teacher_model = build("superretina", precision, small=small) if distill else None
    name = "swin_unetr" if distill else "superretina"
    task = RetinaTask(
        model=build(name, precision, small=small),
        options=options,
        crop=0,
        labeled=batch,
        steps_per_epoch=1,
        teacher_model=teacher_model,
        axis_name=stepping.AXIS,
    )
    points = labels(size, batch)
    data = {
        "image": images(size, batch),
        "size": np.full((batch, 2), size, np.int32),
        "field": np.ones((batch, size, size), bool),
        "keypoints": points,
        "keypoint_mask": np.ones(points.shape[:2], bool),
        "labeled": np.ones(batch, bool),
        "index": np.arange(batch, dtype=np.int32),
        "example": np.arange(batch, dtype=np.int32),
    }
    chosen = jax.devices()[:devices]
    optimizer = optimizers.make_optimizer(lr=1e-4, steps=1000)
    start = states.init_state(task, optimizer, data, seed=0)
    teacher = None
    if distill:
        zeros = jnp.zeros((1, size, size, 1))
        teacher = jax.jit(task.teacher_model.init)(jax.random.key(1), zeros)
        teacher = stepping.replicate(teacher, chosen)
    run = stepping.make_train_step(task, optimizer, devices=chosen)
    # On the devices once, as PyTorch's images are; the pipeline has a row of its own.
    place = jax.pmap(lambda x: x, axis_name=stepping.AXIS, devices=chosen)
    placed = place(stepping.shard(data, len(chosen)))
    moving = [stepping.replicate(start, chosen)]
    del start

    def arm(count):
        with precise(precision):
            for _ in range(count):
                moving[0], metrics, _ = run(moving[0], teacher, placed)
        loss = float(stepping.first_replica(metrics)["loss"])
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss of the benchmarked step is {loss}")

    return arm


def matching(count: int, channels: int = 256) -> Arm:
    """Match two sets of `count` keypoints."""
    rng = np.random.default_rng(0)

    def draw():
        vectors = rng.normal(size=(count, channels)).astype(np.float32)
        return keypoints.Keypoints(
            xy=rng.uniform(0, 768, (count, 2)).astype(np.float32),
            scores=np.ones(count, np.float32),
            mask=np.ones(count, bool),
            descriptors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        )

    first, second = draw(), draw()

    def arm(count):
        for _ in range(count):
            match_keypoints(first, second, ratio=0.9, mutual=True)

    return arm
