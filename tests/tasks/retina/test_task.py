"""The retina task: what its terms must be, on any number of devices."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rkd_jax import losses, models
from rkd_jax.geometry.homography import translation
from rkd_jax.keypoints import rasterize
from rkd_jax.models.output import ModelOutput
from rkd_jax.tasks.reductions import global_mean, global_sum
from rkd_jax.tasks.retina import value_maps
from rkd_jax.tasks.retina.config import RetinaConfig
from rkd_jax.tasks.retina.heatmap_loss import detector_terms
from rkd_jax.tasks.retina.task import RetinaTask, both_views, draw_views
from rkd_jax.tasks.retina.views import make_views
from rkd_jax.training import state, step

SIDE, CROP, LABELED = 96, 64, 4
EXPAND = value_maps.expand
FAST_COMPILE = {"xla_backend_optimization_level": 0}
SMALL = {"widths": (4, 4, 8, 8), "descriptor_dim": 8}
SWIN = {"feature_size": 12, "depths": (1, 1, 1, 1), "descriptor_dim": 8}


def batch_of(count, *, labeled=True, seed=0):
    rng = np.random.default_rng(seed)
    waves = rng.normal(size=(count, SIDE, SIDE, 1))
    for axis in (1, 2):
        for _ in range(12):
            waves = (np.roll(waves, 1, axis) + waves + np.roll(waves, -1, axis)) / 3
    image = (waves - waves.min()) / (waves.max() - waves.min())
    return {
        "image": image.astype(np.float32),
        "size": np.full((count, 2), SIDE, np.int32),
        "field": np.ones((count, SIDE, SIDE), bool),
        "keypoints": rng.uniform(10, SIDE - 10, (count, 16, 2)).astype(np.float32),
        "keypoint_mask": np.full((count, 16), labeled),
        "labeled": np.full((count,), labeled),
        "index": np.arange(count, dtype=np.int32)
        if labeled
        else -np.ones(count, np.int32),
        "example": np.arange(count, dtype=np.int32),
        "record": np.arange(count, dtype=np.int32),
    }


def unet_task(axis_name=None, **options):
    model = models.build("superretina", **SMALL)
    options = {"light": "none", "max_keypoints": 16, "nms_radius": 4, **options}
    return RetinaTask(
        model=model,
        teacher_model=model,
        options=RetinaConfig(**options),
        crop=CROP,
        labeled=LABELED,
        steps_per_epoch=1,
        axis_name=axis_name,
    )


@pytest.fixture(scope="module")
def unet():
    task = unet_task(distill=True, pke_start_epoch=1)
    variables, task_state = task.init(jax.random.PRNGKey(0), batch_of(1))
    return task, variables, task_state, jax.jit(task.loss)


def test_the_loss_is_the_sum_of_its_terms(unet):
    task, variables, task_state, loss = unet
    other, _ = task.init(jax.random.PRNGKey(9), batch_of(1))
    key = jax.random.PRNGKey(1)
    total, (metrics, *_) = loss(
        variables, task_state, other, batch_of(2), key, jnp.int32(0)
    )
    distilled = ("heatmap_distillation", "descriptor_distillation")
    shares = [float(metrics[t]) for t in ("detector", "descriptor", *distilled)]
    assert min(shares) > 1e-3
    assert metrics["geometric"] == 0  # before keypoints expand
    assert float(total) == pytest.approx(sum(shares), rel=1e-5)


def test_following_oneself_costs_nothing_in_the_heatmap(unet):
    _, variables, task_state, loss = unet
    key = jax.random.PRNGKey(1)
    total, (metrics, *_) = loss(
        variables, task_state, variables, batch_of(2), key, jnp.int32(0)
    )
    assert metrics["heatmap_distillation"] == pytest.approx(0.0, abs=1e-5)
    terms = ("detector", "geometric", "descriptor", "descriptor_distillation")
    assert float(total) == pytest.approx(
        sum(float(metrics[t]) for t in terms), abs=1e-4
    )
    assert metrics["detector"] > 0.1
    assert metrics["descriptor_distillation"] > 0.1


@pytest.mark.parametrize(("number", "follows"), [(0, False), (5, True)])
def test_unlabeled_images_train_the_descriptor_once_keypoints_expand(
    unet, number, follows
):
    _, variables, task_state, loss = unet
    _, (metrics, after, *_) = loss(
        variables,
        task_state,
        variables,
        batch_of(2, labeled=False),
        jax.random.PRNGKey(1),
        jnp.int32(number),
    )
    assert metrics["detector"] == 0
    assert metrics["geometric"] == 0
    assert (metrics["descriptor"] > 0) == follows
    assert not np.any(after["value_maps"])


def test_value_maps_move_from_the_start_epoch_on_and_only_their_own():
    # Whatever is not found again fades by 1: most of the crop that was seen.
    seen_share = (CROP / SIDE) ** 2
    task = unet_task(pke_start_epoch=1, threshold=0.0)
    variables, _ = task.init(jax.random.PRNGKey(3), batch_of(1))
    loss = jax.jit(task.loss)
    batch = batch_of(2)
    batch["index"] = np.array([2, 0], np.int32)
    seen = np.zeros((LABELED, SIDE, SIDE), np.int32)
    seen += 3 + 10 * np.arange(LABELED, dtype=np.int32)[:, None, None]
    for number, moves in ((0, False), (1, True)):
        _, (_, after, *_) = loss(
            variables,
            {"value_maps": jnp.asarray(seen)},
            None,
            batch,
            jax.random.PRNGKey(number),
            jnp.int32(number),
        )
        change = np.asarray(after["value_maps"]) - seen
        assert np.any(change, axis=(1, 2)).tolist() == [moves, False, moves, False]
        faded = np.mean(change == -1, axis=(1, 2))
        assert (faded > 0.9 * seen_share).tolist() == [moves, False, moves, False]


@pytest.mark.parametrize(
    ("name", "options"),
    [("superretina", SMALL), ("swin_unetr", {**SWIN, "drop_rate": 0.5})],
)
def test_one_pass_over_both_views_equals_two_passes(name, options):
    model = models.build(name, **options)
    task = dataclasses.replace(unet_task(), model=model)
    batch = batch_of(2)
    batch["example"] = np.array([4, 7], np.int32)
    variables, _ = task.init(jax.random.PRNGKey(0), batch)
    keys = jax.random.split(jax.random.PRNGKey(1), 2)
    draw = functools.partial(draw_views, crop=CROP, options=task.options)
    views = jax.jit(draw)(keys, batch)
    if name == "swin_unetr":
        views = views.replace(descriptor=views.raw)
    rngs = {"dropout": jax.random.fold_in(keys[0], 0)}

    def one_pass(variables):
        student = functools.partial(model.apply, variables)
        raw, there = both_views(student, views, keys[0], batch["example"])
        return raw.heatmap, raw.descriptors, there

    def two_passes(variables):
        run = functools.partial(model.apply, variables, train=True, rngs=rngs)
        raw = run(views.raw, example_ids=jnp.array([8, 14]))
        warped = run(
            views.descriptor, example_ids=jnp.array([9, 15]), heads=("descriptor",)
        )
        return raw.heatmap, raw.descriptors, warped.descriptors

    def compiled(fn):
        return jax.jit(fn).lower(variables).compile(FAST_COMPILE)(variables)

    values, expected = compiled(one_pass), compiled(two_passes)
    for ours, plain in zip(values, expected, strict=True):
        np.testing.assert_allclose(ours, plain, atol=1e-5)
    if name == "swin_unetr":
        # Two equal views: only their dropout can tell them apart.
        assert np.abs(values[1] - values[2]).max() > 0.01
        return

    def total(passes, variables):
        return sum(jnp.sum(jnp.sin(3 * y)) for y in passes(variables))

    ours, plain = (
        compiled(jax.grad(functools.partial(total, passes)))
        for passes in (one_pass, two_passes)
    )
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max() + 1e-6)


@pytest.fixture(scope="module")
def distillation():
    """Three steps of every term at once, under a teacher of its own."""
    task = unet_task(
        axis_name=step.AXIS,
        distill=True,
        pke_start_epoch=0,
        texture_points=16,
        descriptor_loss="triplet+infonce",
        light="visit",
    )
    # Plain gradient descent: Adam blows up gradients that are zero but for rounding.
    optimizer = optax.sgd(1e-2)
    teacher = jax.jit(task.teacher_model.init)(
        jax.random.PRNGKey(9), jnp.zeros((1, CROP, CROP, 1), jnp.float32)
    )
    start = jax.device_get(state.init_state(task, optimizer, batch_of(4), seed=0))

    @functools.cache
    def run(count):
        devices = jax.devices()[:count]
        step_fn = step.make_train_step(task, optimizer, devices=devices)
        moving = step.replicate(start, devices)
        frozen = step.replicate(teacher, devices)
        losses = []
        for number in range(3):
            batch = batch_of(4, seed=number)
            batch["labeled"] = np.array([True, False, True, True])
            moving, metrics, _ = step_fn(moving, frozen, step.shard(batch, count))
            losses.append(float(step.first_replica(metrics)["loss"]))
        return losses, step.first_replica(moving)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_devices_share_three_steps_within_1e_5(distillation, count):
    one_losses, one = distillation(1)
    losses, many = distillation(count)
    np.testing.assert_allclose(losses, one_losses, rtol=1e-5)
    np.testing.assert_array_equal(
        many.task_state["value_maps"], one.task_state["value_maps"]
    )
    for ours, theirs in zip(
        jax.tree.leaves(one.variables), jax.tree.leaves(many.variables), strict=True
    ):
        np.testing.assert_allclose(theirs, ours, atol=1e-5)


def test_global_mean_is_the_mean_however_the_batch_is_split():
    values = jnp.arange(8, dtype=jnp.float32)
    weights = jnp.array([1, 0, 1, 1, 0, 0, 1, 1], jnp.float32)
    expected = float(np.average(values, weights=weights))
    for count in (1, 2, 4):
        means = jax.pmap(
            lambda v, w: jax.lax.pmean(global_mean(v, w, "i"), "i"),
            axis_name="i",
            devices=jax.devices()[:count],
        )(values.reshape(count, -1), weights.reshape(count, -1))
        np.testing.assert_allclose(means, expected, rtol=1e-6)
    assert global_mean(values, jnp.zeros(8, jnp.float32), None) == 0


def test_global_sum_and_its_gradient_ignore_how_the_batch_is_split():
    values = jnp.arange(1, 9, dtype=jnp.float32)

    def squared_total(weight, share):
        return global_sum(jnp.sum(weight * share), "i") ** 2

    for count in (1, 2, 4):
        total, slope = jax.pmap(
            lambda v: jax.lax.pmean(
                jax.value_and_grad(squared_total)(jnp.float32(3), v), "i"
            ),
            axis_name="i",
            devices=jax.devices()[:count],
        )(values.reshape(count, -1))
        np.testing.assert_allclose(total, (3 * 36) ** 2, rtol=1e-6)
        np.testing.assert_allclose(slope, 2 * 3 * 36**2, rtol=1e-6)


def test_flattened_dice_sums_over_labeled_images_alone():
    task = unet_task(dice_per_example=False)
    batch = batch_of(3)
    variables, task_state = task.init(jax.random.PRNGKey(0), batch)
    loss = jax.jit(task.loss)

    def detector(labeled):
        given = {**batch, "labeled": np.array(labeled)}
        key = jax.random.PRNGKey(1)
        metrics = loss(variables, task_state, None, given, key, jnp.int32(0))[1][0]
        return float(metrics["detector"])

    # Sums of single images, from which the Dice of two flattened ones follows.
    sums = []
    for i in range(2):
        key = jax.random.fold_in(jax.random.PRNGKey(1), i)
        example = {k: batch[k][i] for k in ("image", "size", "field", "keypoints")}
        views = make_views(
            jax.random.split(key, 4)[0],
            {**example, "keypoint_mask": batch["keypoint_mask"][i]},
            crop=CROP,
            detector_geometry="detector",
            descriptor_geometry="descriptor",
            light="none",
        )
        heatmap = task.model.apply(variables, views.raw[None]).heatmap
        drawn = rasterize(
            views.labels, views.labels_mask, (CROP, CROP), rounding="round"
        )
        target = losses.smooth_labels(drawn[None])
        sums.append(
            [float(jnp.sum(x)) for x in (heatmap * target, heatmap**2, target**2)]
        )
    overlap, ours, theirs = np.sum(sums, axis=0)
    expected = 1 - (2 * overlap + 1e-3) / (ours + theirs + 1e-3)
    assert detector([True, True, False]) == pytest.approx(expected, rel=1e-4)
    assert detector([False, False, False]) == 0


class ShowsTraining(nn.Module):
    """A network whose heatmap is 0.9 in training, else 0.2."""

    @nn.compact
    def __call__(self, images, *, train=False, detector_images=None, **_):
        bias = self.param("bias", nn.initializers.zeros, ())
        count = detector_images or len(images)
        heatmap = jnp.full((count, CROP, CROP), 0.9 if train else 0.2, jnp.float32)
        cells = jnp.ones((len(images), CROP // 8 - 2, CROP // 8 - 2, 4), jnp.float32)
        return ModelOutput(heatmap + bias, None, cells, {})


@pytest.mark.parametrize(("deterministic", "value"), [(True, 0.2), (False, 0.9)])
def test_expansion_sees_the_warped_view_with_or_without_dropout(
    deterministic, value, monkeypatch
):
    options = RetinaConfig(
        light="none", deterministic_expansion=deterministic, pke_start_epoch=0
    )
    task = RetinaTask(
        model=ShowsTraining(),
        options=options,
        crop=CROP,
        labeled=LABELED,
        steps_per_epoch=1,
    )
    seen = []

    def expand(raw, detector_view, views, maps, *_, **__):
        seen.append((raw.heatmap, detector_view().heatmap))
        return EXPAND(raw, detector_view, views, maps, *_, **__)

    monkeypatch.setattr("rkd_jax.tasks.retina.task.expand", expand)
    batch = batch_of(1)
    variables, before = task.init(jax.random.PRNGKey(0), batch)
    task.loss(variables, before, None, batch, jax.random.PRNGKey(1), jnp.int32(0))
    np.testing.assert_allclose(seen[0][0], 0.9, rtol=1e-6)
    np.testing.assert_allclose(seen[0][1], value, rtol=1e-6)


@pytest.mark.parametrize("masked", [True, False])
def test_geometric_dice_with_and_without_what_the_warp_cannot_see(masked):
    raw = np.random.default_rng(0).random((1, CROP, CROP)).astype(np.float32)
    warped = np.ones((1, CROP, CROP), np.float32)
    # The detector view is shifted by half the crop: its right half shows nothing.
    on = jnp.array([True])
    _, geometric = detector_terms(
        jnp.asarray(raw),
        jnp.zeros((1, CROP, CROP), jnp.float32),
        on,
        jnp.asarray(warped),
        translation(CROP / 2, 0.0)[None],
        on,
        options=RetinaConfig(mask_geometric=masked),
        axis_name=None,
    )
    target = np.zeros_like(raw)
    target[..., : CROP // 2] = 1
    seen = np.zeros(raw.shape, bool)
    seen[:, 1:-1, : CROP // 2 - 1] = True
    counted = seen if masked else np.ones_like(seen)
    overlap = (raw * target)[counted].sum()
    power = (raw**2)[counted].sum() + (target**2)[counted].sum()
    expected = 1 - (2 * overlap + 1e-3) / (power + 1e-3)
    assert float(geometric) == pytest.approx(expected, rel=1e-3)
