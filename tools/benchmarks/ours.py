"""The arms of this library: each function returns one that runs and waits."""

import contextlib
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.inputs import images, labels
from rkd_jax import keypoints, models
from rkd_jax.config import TaskConfig
from rkd_jax.matching.match import match_keypoints
from rkd_jax.models import conv
from rkd_jax.tasks.retina import RetinaTask
from rkd_jax.training import state as states
from rkd_jax.training import step as stepping

Arm = Callable[[], None]
SMALL_CNN = {"widths": (4, 4, 8, 8), "descriptor_dim": 8}
SMALL_SWIN = {"feature_size": 12, "depths": (1, 1, 1, 1), "descriptor_dim": 8}
MATMUL_PRECISION = {"float32": "highest", "tf32": "tensorfloat32", "bfloat16": None}


def unet(precision: str = "float32", *, small: bool = False):
    """Build the U-Net."""
    options = SMALL_CNN if small else {}
    return models.build("superretina", **options, compute_dtype=_dtype(precision))


def student(precision: str = "float32", *, small: bool = False):
    """Build RKD's Swin UNETR."""
    options = SMALL_SWIN if small else {}
    return models.build("swin_unetr", **options, compute_dtype=_dtype(precision))


def _dtype(precision: str) -> str:
    return "bfloat16" if precision == "bfloat16" else "float32"


def precise(precision: str):
    """Return the context in which the arms of a precision run."""
    asked = MATMUL_PRECISION[precision]
    if asked is None:
        return contextlib.nullcontext()
    return jax.default_matmul_precision(asked)


def _waiting(function, *operands, precision: str = "float32") -> Arm:
    def arm():
        with precise(precision):
            jax.block_until_ready(function(*operands))

    return arm


def matmul(side: int, precision: str = "float32") -> tuple[Arm, float]:
    """Multiply two square matrices; return the arm and its GFLOP."""
    a = jax.random.normal(jax.random.key(0), (side, side))
    if precision == "bfloat16":
        a = a.astype(jnp.bfloat16)
    return _waiting(jax.jit(jnp.matmul), a, a, precision=precision), 2e-9 * side**3


def weight_gradient(size: int, c: int, f: int, *, plain: bool) -> tuple[Arm, float]:
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

    gflop = 2e-9 * 9 * c * f * size**2
    return _waiting(jax.jit(xla if plain else ours), x, g), gflop


def network(
    size: int,
    batch: int,
    *,
    backward: bool,
    precision: str = "float32",
    small: bool = False,
) -> Arm:
    """Forward pass of the U-Net, or forward and backward to all parameters."""
    model = unet(precision, small=small)
    x = jnp.asarray(images(size, batch))
    variables = jax.jit(model.init)(jax.random.key(0), x[:1])

    def forward(variables, x):
        output = model.apply(variables, x)
        return output.heatmap, output.descriptors

    def loss(variables, x):
        return sum(jnp.sum(y**2) for y in forward(variables, x))

    run = jax.jit(jax.grad(loss) if backward else forward)
    return _waiting(run, variables, x, precision=precision)


def train_step(
    size: int,
    batch: int,
    *,
    distill: bool,
    precision: str = "float32",
    small: bool = False,
    devices: int = 1,
) -> Arm:
    """Step of the U-Net recipe, or of RKD: expansion on, all images labelled."""
    network = student if distill else unet
    task = RetinaTask(
        model=network(precision, small=small),
        options=TaskConfig(pke_start_epoch=0, distill=distill),
        crop=0,
        labeled=batch,
        steps_per_epoch=1,
        teacher_model=unet(precision, small=small) if distill else None,
        axis_name=stepping.AXIS,
    )
    points = labels(size, batch)
    data = {
        "image": images(size, batch),
        "size": np.full((batch, 2), size, np.int32),
        "keypoints": points,
        "keypoint_mask": np.ones(points.shape[:2], bool),
        "labelled": np.ones(batch, bool),
        "index": np.arange(batch, dtype=np.int32),
        "example": np.arange(batch, dtype=np.int32),
    }
    chosen = jax.devices()[:devices]
    optimizer = states.make_optimizer(lr=1e-4, steps=1000)
    start = states.init_state(task, optimizer, data, seed=0)
    teacher = None
    if distill:
        zeros = jnp.zeros((1, size, size, 1))
        teacher = jax.jit(task.teacher_model.init)(jax.random.key(1), zeros)
        teacher = stepping.replicate(teacher, chosen)
    moving = [stepping.replicate(start, chosen)]
    del start
    run = stepping.make_train_step(task, optimizer, devices=chosen)

    def arm():
        with precise(precision):
            moving[0], metrics = run(
                moving[0], teacher, stepping.shard(data, len(chosen))
            )
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
    return lambda: match_keypoints(first, second, ratio=0.9, mutual=True)


def unet_gflop(size: int, *, heads: tuple[str, ...] = models.layers.HEADS) -> float:
    """Return the GFLOP of a forward pass of the U-Net of the paper, one image.

    >>> round(unet_gflop(768))
    306
    """
    encoder = ((1, 64, 1), (64, 64, 1), (64, 64, 2), (64, 64, 2), (64, 128, 4))
    encoder += ((128, 128, 4), (128, 128, 8), (128, 128, 8))
    decoder = ((256, 128, 4), (128, 128, 4), (192, 64, 2), (64, 64, 2))
    decoder += ((128, 64, 1), (64, 64, 1))

    def products(layers):
        return sum(9 * c * f * (size // s) ** 2 for c, f, s in layers)

    total = products(encoder)
    if "detector" in heads:
        total += products(decoder) + 64 * size**2
    if "descriptor" in heads:
        half = size // 16 - 1
        total += products([(128, 256, 8)]) + (16 + 1 + 4) * 256**2 * half**2
    return 2e-9 * total


def unet_step_gflop(size: int, batch: int) -> float:
    """Return the GFLOP that a step of the U-Net recipe needs, nothing unneeded.

    Raw view forward and backward (twice the forward pass), detector view forward,
    descriptor view without the detector forward and backward.
    """
    partial = unet_gflop(size, heads=("descriptor",))
    return batch * (4 * unet_gflop(size) + 3 * partial)
