"""Pre-training: hidden squares, turns, and networks whose losses are known."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rkd_jax import models
from rkd_jax.config import Config
from rkd_jax.data import sources
from rkd_jax.images.prepare import prepare
from rkd_jax.models.output import ModelOutput
from rkd_jax.tasks import pretraining
from rkd_jax.tasks.pretraining import PretrainingConfig
from rkd_jax.tasks.pretraining.task import STRIDE, PretrainingTask, hidden_view
from rkd_jax.training import state, step

SIDE, COUNT = 64, 8
FAST_COMPILE = {"xla_backend_optimization_level": 0}
PIXELS = STRIDE * STRIDE


class Seen(nn.Module):
    """A deepest map that holds the pixels of each square and the corners' brightness.

    With `features` it is a trained layer of these.
    """

    features: int = 0

    @nn.compact
    def __call__(self, images, **_):
        batch, side = images.shape[:2]
        cells, half = side // STRIDE, side // 2
        squares = images.reshape(batch, cells, STRIDE, cells, STRIDE)
        squares = squares.transpose(0, 1, 3, 2, 4).reshape(batch, cells, cells, PIXELS)
        starts = ((0, 0), (half, 0), (half, half), (0, half))  # against the clock
        corners = [
            images[:, y : y + half, x : x + half].mean((1, 2, 3)) for y, x in starts
        ]
        corners = jnp.stack(corners, -1)[:, None, None]
        corners = jnp.broadcast_to(corners, (batch, cells, cells, 4))
        deepest = jnp.concatenate([squares, corners], -1)
        if self.features:
            deepest = nn.Dense(self.features)(deepest)
        return ModelOutput(None, None, None, {"h4": deepest})


def task_of(model=None, *, crop=SIDE, axis_name=None, **options):
    options = PretrainingConfig(**options)
    return PretrainingTask(
        model=model or Seen(), options=options, crop=crop, axis_name=axis_name
    )


def heads(*, tile=None, certainty=0.0, turned=0):
    """Return variables of `Seen`: a network that draws what it sees, or always `tile`,
    and takes the brightest corner for the one that was top left."""
    drawn = np.zeros((PIXELS + 4, PIXELS), np.float32)
    if tile is None:
        drawn[:PIXELS] = np.eye(PIXELS)
    rotation = np.zeros((PIXELS + 4, 4), np.float32)
    rotation[PIXELS:] = certainty * np.roll(np.eye(4), turned, axis=1)
    bias = np.zeros(PIXELS) if tile is None else np.ravel(tile)
    return {
        "params": {
            "network": {},
            "heads": {
                "reconstruction": {"kernel": drawn, "bias": np.float32(bias)},
                "rotation": {"kernel": rotation, "bias": np.zeros(4, np.float32)},
            },
        }
    }


def batch_of(images):
    count = len(images)
    return {
        "image": np.float32(images)[..., None],
        "size": np.full((count, 2), images.shape[1], np.int32),
        "example": np.arange(count, dtype=np.int32),
    }


def arguments_of(variables, images):
    key = jax.random.PRNGKey(0)
    return variables, {}, None, batch_of(images), key, jnp.int32(0)


@pytest.fixture(scope="module")
def loss():
    """The compiled loss of `COUNT` whole images, 40 % hidden in squares of 8 px."""
    task = task_of(mask_ratio=0.4, mask_size=8)
    operands = arguments_of(heads(), np.zeros((COUNT, SIDE, SIDE)))
    return jax.jit(task.loss).lower(*operands).compile(FAST_COMPILE)


def metrics_of(loss, variables, images):
    total, (metrics, *_) = loss(*arguments_of(variables, images))
    assert float(total) == metrics["loss"]
    return {name: float(value) for name, value in metrics.items()}


def symmetric_tile():
    """A tile that no quarter turn changes, in 0..1."""
    tile = np.random.default_rng(0).random((STRIDE, STRIDE))
    return sum(np.rot90(tile, k) for k in range(4)) / 4


def top_left():
    images = np.full((COUNT, SIDE, SIDE), 0.1)
    images[:, : SIDE // 2, : SIDE // 2] = 0.9
    return images


def test_a_perfect_drawing_and_no_idea_of_the_turn(loss):
    tile = symmetric_tile()
    images = np.tile(tile, (COUNT, 2, 2))
    found = metrics_of(loss, heads(tile=tile), images)
    assert found["reconstruction"] == pytest.approx(0, abs=1e-6)
    assert found["rotation"] == pytest.approx(np.log(4), rel=1e-6)
    assert found["loss"] == pytest.approx(np.log(4), rel=1e-6)


@pytest.mark.parametrize("off", [0.25, -0.5])
def test_the_drawing_costs_its_mean_absolute_error(loss, off):
    tile = symmetric_tile()
    images = np.tile(tile, (COUNT, 2, 2))
    found = metrics_of(loss, heads(tile=tile + off), images)
    assert found["reconstruction"] == pytest.approx(abs(off), rel=1e-5)


def test_hidden_pixels_are_seen_as_zeros_and_no_others_count(loss):
    """A network that draws what it sees is wrong by all of the hidden pixels."""
    found = metrics_of(loss, heads(), np.full((COUNT, SIDE, SIDE), 0.7))
    assert found["reconstruction"] == pytest.approx(0.7, rel=1e-5)


@pytest.mark.parametrize(("turned", "accuracy"), [(0, 1.0), (1, 0.0), (2, 0.0)])
def test_the_turns_to_tell_are_quarter_turns_against_the_clock(loss, turned, accuracy):
    """Top left goes to bottom left, bottom right and top right."""
    found = metrics_of(loss, heads(certainty=1000.0, turned=turned), top_left())
    assert found["rotation_accuracy"] == accuracy
    assert (found["rotation"] < 1e-3) == (accuracy == 1)


def test_crops_and_hidden_squares():
    ratio, square = 0.7, 24  # the squares at the far edges are cut
    height, width, count = 70, 90, 300
    image = np.zeros((96, 96, 1), np.float32)
    image[:height, :width, 0] = 1 + np.arange(height * width).reshape(height, width)
    options = PretrainingConfig(mask_ratio=ratio, mask_size=square)
    draw = functools.partial(hidden_view, crop=SIDE, options=options)
    keys = jax.random.split(jax.random.PRNGKey(0), count)
    size = np.array([height, width], np.int32)
    view, operands = jax.vmap(draw, (0, None, None)), (keys, image, size)
    compiled = jax.jit(view).lower(*operands).compile(FAST_COMPILE)
    crops, hidden, turns = compiled(*operands)
    places = set()
    for crop, turn in zip(np.asarray(crops[..., 0]), np.asarray(turns)):
        back = np.rot90(crop, -turn)
        y, x = np.divmod(int(back[0, 0]) - 1, width)
        np.testing.assert_array_equal(back, image[y : y + SIDE, x : x + SIDE, 0])
        places.add((y, x))
    assert {y for y, _ in places} == set(range(height - SIDE + 1))
    assert {x for _, x in places} == set(range(width - SIDE + 1))
    hidden = np.asarray(hidden)
    cells = hidden[:, ::square, ::square]
    whole = np.kron(cells, np.ones((1, square, square), bool))[:, :SIDE, :SIDE]
    np.testing.assert_array_equal(hidden, whole)
    four_sigma = 4 * np.sqrt(ratio * (1 - ratio) / cells.size)
    assert cells.mean() == pytest.approx(ratio, abs=four_sigma)
    of_each = np.bincount(turns, minlength=4) / count
    np.testing.assert_allclose(of_each, 0.25, atol=4 * np.sqrt(0.25 * 0.75 / count))


def held_out(images):
    batch = batch_of(images)
    return [{k: batch[k][i] for k in ("image", "size")} for i in range(len(images))]


def test_score_is_minus_both_losses_and_grows_with_a_better_network():
    tile = symmetric_tile()
    task = task_of(mask_size=8)
    data = held_out(np.tile(tile, (2, 2, 2)))
    worse, pictures = task.evaluate(heads(tile=tile + 0.25), data)
    assert worse["score"] == pytest.approx(-np.log(4) - 0.25, rel=1e-5)
    assert worse["reconstruction"] == pytest.approx(0.25, rel=1e-5)
    assert pictures == {}
    gray = heads(tile=np.full((STRIDE, STRIDE), 0.5), certainty=1000.0)
    upright = held_out(top_left())
    found, _ = task.evaluate(gray, upright)
    assert found["rotation_accuracy"] == 1
    # Every pixel is 0.4 from gray, bright or dark.
    assert found["score"] == pytest.approx(-0.4, abs=1e-3)
    assert task.evaluate(gray, upright)[0] == found


def test_held_out_images_are_synthetic_eyes_that_no_training_sees():
    config = Config(task=PretrainingConfig())
    config.data.size, config.loop.eval_pairs = 96, 2
    images = pretraining.held_out(config)
    assert len(images) == 2
    for number, item in enumerate(images):
        expected = prepare(sources.synthetic_pair(number, size=96)["fixed"], size=96)
        np.testing.assert_array_equal(item["image"][..., 0], expected.image)
        assert item["size"].tolist() == list(expected.size)


def test_init_has_a_whole_swin_unetr_and_the_heads_apart():
    options = {"feature_size": 12, "depths": (1, 1, 1, 1), "descriptor_dim": 8}
    model = models.build("swin_unetr", **options)
    task = task_of(model)
    batch = batch_of(np.zeros((1, SIDE, SIDE)))
    found, task_state = jax.eval_shape(task.init, jax.random.PRNGKey(0), batch)
    assert task_state == {}
    assert set(found["params"]) == {"network", "heads"}
    network = task.network(found)["params"]
    assert {"encoder", "decoder1", "descriptor", "out"} <= set(network)
    assert "reconstruction" not in network
    kernel = found["params"]["heads"]["reconstruction"]["kernel"]
    assert kernel.shape == (16 * options["feature_size"], PIXELS)


def test_a_weights_file_replaces_the_network_and_leaves_the_heads():
    task, fresh = task_of(), heads(tile=symmetric_tile())
    fresh["params"]["network"] = {"kernel": np.zeros(3)}
    found = task.load(fresh, {"params": {"kernel": np.ones(3)}})
    np.testing.assert_array_equal(task.network(found)["params"]["kernel"], 1)
    assert found["params"]["heads"] is fresh["params"]["heads"]


def test_two_devices_train_as_one():
    task = task_of(Seen(features=8), axis_name=step.AXIS)
    optimizer = optax.sgd(0.1)
    batch = batch_of(np.random.default_rng(0).random((COUNT, SIDE, SIDE)))
    start = jax.device_get(state.init_state(task, optimizer, batch, seed=0))

    def run(count):
        devices = jax.devices()[:count]
        step_fn = step.make_train_step(task, optimizer, devices=devices)
        moving, seen = step.replicate(start, devices), []
        for _ in range(2):
            moving, metrics, _ = step_fn(moving, None, step.shard(batch, count))
            seen.append(step.first_replica(metrics))
        return seen, step.first_replica(moving).variables

    (one, ours), (two, theirs) = run(1), run(2)
    for a, b in zip(one, two, strict=True):
        for name in ("loss", "reconstruction", "rotation", "rotation_accuracy"):
            np.testing.assert_allclose(a[name], b[name], rtol=1e-5, err_msg=name)
    for a, b, first in zip(*map(jax.tree.leaves, (ours, theirs, start.variables))):
        np.testing.assert_allclose(a, b, atol=1e-5)
        assert np.abs(a - first).max() > 1e-4  # network and heads learn
