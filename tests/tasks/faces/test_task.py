"""The landmarks task: views, terms, decoding; the same on any number of devices."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rkd_jax import models
from rkd_jax.data.source import CachedSource
from rkd_jax.geometry.warp import sample
from rkd_jax.models.output import ModelOutput
from rkd_jax.synthetic import faces as face_synthesis
from rkd_jax.synthetic.faces.points import FLIP
from rkd_jax.tasks.faces import task as landmarks
from rkd_jax.tasks.faces.config import FacesConfig
from rkd_jax.tasks.faces.crops import make_source
from rkd_jax.training import state, step

SIDE, CROP = 48, 32
SMALL = {"widths": (4, 4, 8, 8), "descriptor_dim": 0, "out_channels": 98}


@functools.cache
def faces():
    source = make_source("synthetic", size=SIDE, box_scale=1.8, count=4)
    return [source[i] for i in range(4)]


def batch_of(labeled=(True, True, True, True)):
    batch = {
        k: np.stack([face[k] for face in faces()[: len(labeled)]])
        for k in ("image", "landmarks")
    }
    count = len(labeled)
    return {
        **batch,
        "labeled": np.array(labeled),
        "example": np.arange(count, dtype=np.int32),
        "record": np.arange(count, dtype=np.int32),
    }


def make_task(axis_name=None, *, distill=True, **options):
    model = models.build("superretina", norm="instance", **SMALL)
    fixed = {"sigma_px": 1.5, "point_weight": 1.0, "light": "none"}
    return landmarks.LandmarksTask(
        model=model,
        teacher_model=model,
        options=FacesConfig(distill=distill, **{**fixed, **options}),
        crop=CROP,
        axis_name=axis_name,
    )


@pytest.fixture(scope="module")
def small():
    task = make_task(flip=False)
    variables, _ = task.init(jax.random.PRNGKey(0), batch_of())
    other, _ = task.init(jax.random.PRNGKey(1), batch_of())
    # One compiled function for values and gradients serves all tests of terms.
    return task, variables, other, jax.jit(jax.value_and_grad(task.loss, has_aux=True))


def terms_of(small, teacher, labeled):
    _, variables, _, loss = small
    batch = batch_of(labeled)
    (total, (metrics, *_)), _ = loss(
        variables, {}, teacher, batch, jax.random.PRNGKey(5), jnp.int32(0)
    )
    return float(total), {k: float(v) for k, v in metrics.items()}


def test_following_oneself_costs_nothing(small):
    total, terms = terms_of(small, small[1], (True,) * 4)
    assert terms["heatmap_distillation"] == pytest.approx(0, abs=1e-9)
    assert terms["point_distillation"] == pytest.approx(0, abs=1e-9)
    assert terms["point"] > 0.1
    assert total == pytest.approx(terms["heatmap"] + terms["point"])


def test_the_teacher_answers_for_a_view_as_for_the_mirrored_one(small):
    task, variables = make_task(), small[1]
    views = jnp.asarray(batch_of()["image"][:, 8:40, 8:40])
    answer = functools.partial(
        landmarks.teacher_answers, task.model, variables, options=task.options
    )
    maps, points, sure = answer(views)
    other_maps, others, other_sure = answer(views[:, :, ::-1])
    np.testing.assert_array_equal(other_sure[:, list(FLIP)], sure)
    order = list(FLIP)
    np.testing.assert_allclose(other_maps[:, :, ::-1][..., order], maps, atol=1e-5)
    back = np.asarray(others)[:, order] * [-1, 1] + [CROP - 1, 0]
    np.testing.assert_allclose(back, points, atol=1e-4)
    # The mean of both predictions, each read by itself.
    answers = [
        landmarks.read_points(
            task.model.apply(variables, x, heads=("detector",)).logits, 1.5, 0.2
        )[1]
        for x in (views, views[:, :, ::-1])
    ]
    mirrored = np.asarray(answers[1])[:, order] * [-1, 1] + [CROP - 1, 0]
    np.testing.assert_allclose(points, (answers[0] + mirrored) / 2, atol=1e-4)
    apart = np.linalg.norm(answers[0] - mirrored, axis=-1)
    np.testing.assert_array_equal(sure, apart < 3.0)
    assert 0 < np.mean(sure) < 1


def test_every_term_has_its_weight(small):
    """The loss is E(labels) + lambda E(teacher), each E of heatmaps and of points."""
    names = ("heatmap_weight", "point_weight", "distillation_weight")
    plain = make_task(flip=False, **dict.fromkeys(names, 1.0))
    weighed = make_task(flip=False, **dict(zip(names, (2.0, 3.0, 0.25))))
    given = (small[1], {}, small[2], batch_of(), jax.random.PRNGKey(5), jnp.int32(0))
    _, (ones, *_) = jax.jit(plain.loss)(*given)
    total, (terms, *_) = jax.jit(weighed.loss)(*given)
    factors = {"heatmap": 2.0, "point": 3.0}
    factors |= {f"{name}_distillation": 0.25 * f for name, f in factors.items()}
    for name, factor in factors.items():
        assert ones[name] > 0
        assert float(terms[name]) == pytest.approx(factor * float(ones[name]), rel=1e-5)
    assert float(total) == pytest.approx(
        sum(float(terms[name]) for name in factors), rel=1e-5
    )


def test_faces_without_labels_teach_by_the_teacher_alone(small):
    total, terms = terms_of(small, small[2], (False,) * 4)
    assert terms["heatmap"] == terms["point"] == terms["error_px"] == 0
    assert terms["point_distillation"] > 0
    assert total == pytest.approx(
        terms["heatmap_distillation"] + terms["point_distillation"]
    )


def test_labels_of_unlabeled_faces_do_not_matter(small):
    _, variables, teacher, loss = small
    batch = batch_of((True, False, True, False))
    other = {**batch, "landmarks": batch["landmarks"].copy()}
    other["landmarks"][[1, 3]] = np.nan
    key = jax.random.PRNGKey(2)
    gradients = [
        loss(variables, {}, teacher, b, key, jnp.int32(0))[1] for b in (batch, other)
    ]
    jax.tree.map(np.testing.assert_array_equal, *gradients)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradients[0]))


def test_errors_equal_a_loop():
    rng = np.random.default_rng(0)
    maps, wanted_maps = rng.uniform(0, 1, (2, 2, 6, 7, 3)).astype(np.float32)
    points, wanted = rng.uniform(0, 6, (2, 2, 3, 2)).astype(np.float32)
    where = np.array([[True, False, True], [True, True, True]])
    found = landmarks.squared_errors(
        (maps, points), (wanted_maps, wanted), 1.5, jnp.asarray(where)
    )
    for b in range(2):
        heat, place = [], []
        for i in range(3):
            if where[b, i]:
                squares = (maps[b, :, :, i] - wanted_maps[b, :, :, i]) ** 2
                heat.append(squares.sum() / (2 * math.pi * 1.5**2))
                place.append(np.mean((points[b, i] - wanted[b, i]) ** 2) / 1.5**2)
        assert found[0][b] == pytest.approx(np.mean(heat), rel=1e-5)
        assert found[1][b] == pytest.approx(np.mean(place), rel=1e-5)


def test_heatmaps_of_the_right_logits_decode_to_their_points():
    """Round trip: logits whose softmax is the Gaussian give it back, and the points."""
    rng = np.random.default_rng(1)
    points = rng.uniform(8, 39, (2, 98, 2)).astype(np.float32)
    target = landmarks.gaussian_heatmaps(jnp.asarray(points), 48, 1.5)
    assert target.shape == (2, 48, 48, 98)
    heatmaps, found = landmarks.read_points(jnp.log(target + 1e-30), 1.5)
    np.testing.assert_allclose(found, points, atol=1e-3)
    np.testing.assert_allclose(heatmaps, target, atol=1e-4)
    apart = landmarks.squared_errors((heatmaps, found), (target, points), 1.5)
    np.testing.assert_allclose(apart, 0, atol=1e-5)


@pytest.mark.parametrize("flip", [False, True])
def test_views_show_points_where_the_picture_shows_them(flip):
    """Grey levels at the points of the stored crop and of the view are the same."""
    record = faces()[0]
    options = FacesConfig(light="none", flip=flip)
    mirrored = set()
    for number in range(8):
        view, points = landmarks.make_view(
            jax.random.PRNGKey(number),
            jnp.asarray(record["image"]),
            jnp.asarray(record["landmarks"]),
            crop=CROP,
            options=options,
        )
        view, points = np.asarray(view), np.asarray(points)
        assert view.shape == (CROP, CROP, 1)
        # Mirrored or not, the left ear is on the left.
        assert points[0, 0] < points[32, 0]
        # Compare the shape with the shape as it was and mirrored.
        shape = points - points.mean(axis=0)
        as_it_was = record["landmarks"] - record["landmarks"].mean(axis=0)
        opposite = (as_it_was * [-1, 1])[list(FLIP)]
        gaps = [_misfit(shape, s) for s in (as_it_was, opposite)]
        mirrored.add(gaps[1] < gaps[0])
        own = record["landmarks"]
        if gaps[1] < gaps[0]:
            own = own[list(FLIP)]
        inside = np.all((points > 2) & (points < CROP - 3), axis=1)
        here = sample(view[..., 0], points[inside])
        there = sample(record["image"][..., 0], own[inside])
        assert inside.sum() > 30
        assert np.corrcoef(here, there)[0, 1] > 0.9
    assert mirrored == ({False, True} if flip else {False})


def _misfit(shape, model):
    """Return what is left of `shape` after the best similarity of `model`."""
    a, b = (s[:, 0] + 1j * s[:, 1] for s in (shape, model))
    factor = np.vdot(b, a) / np.vdot(b, b)
    return np.linalg.norm(a - factor * b)


class _Recording:
    """A network that answers with zeros and keeps what it was shown."""

    def __init__(self):
        self.seen = []

    def apply(self, variables, images, **_):
        self.seen.append(np.asarray(images))
        return ModelOutput(
            heatmap=None,
            descriptors=None,
            logits=jnp.zeros((*images.shape[:3], 98)),
            intermediates={},
        )


def test_the_teacher_sees_the_students_view_in_its_own_light():
    shown = {}
    for light in ("none", "face"):
        student, teacher = _Recording(), _Recording()
        task = dataclasses.replace(
            make_task(light=light, flip=False), model=student, teacher_model=teacher
        )
        task.loss({}, {}, {}, batch_of(), jax.random.PRNGKey(3), jnp.int32(0))
        shown[light] = student.seen[0], teacher.seen[0]
    np.testing.assert_array_equal(*shown["none"])
    np.testing.assert_array_equal(shown["face"][1], shown["none"][1])
    changed = np.abs(shown["face"][0] - shown["face"][1]).max(axis=(1, 2, 3))
    assert (changed > 0.02).all()


def test_nothing_is_followed_where_a_label_tells_that_a_point_is_cut_off(small):
    """A teacher's answer about a point outside the view has no gradient."""
    _, variables, teacher, loss = small
    batch = batch_of((True,) * 4)
    batch["landmarks"] = np.full_like(batch["landmarks"], -1000.0)
    key = jax.random.PRNGKey(2)
    (_, (terms, *_)), gradient = loss(variables, {}, teacher, batch, key, jnp.int32(0))
    assert terms["point_distillation"] == terms["heatmap_distillation"] == 0
    assert all((np.asarray(x) == 0).all() for x in jax.tree.leaves(gradient))
    unlabeled = {**batch, "labeled": np.zeros(4, bool)}
    (_, (terms, *_)), _ = loss(variables, {}, teacher, unlabeled, key, jnp.int32(0))
    assert terms["point_distillation"] > 0


@pytest.fixture(scope="module")
def steps():
    task = make_task(step.AXIS)
    optimizer = optax.sgd(1e-3)
    start = jax.device_get(state.init_state(task, optimizer, batch_of(), seed=0))
    teacher, _ = task.init(jax.random.PRNGKey(9), batch_of())

    @functools.cache
    def run(count):
        devices = jax.devices()[:count]
        step_fn = step.make_train_step(task, optimizer, devices=devices)
        moving = step.replicate(start, devices)
        frozen = step.replicate(teacher, devices)
        losses = []
        for number in range(2):
            batch = batch_of((True, number == 0, False, False))
            moving, metrics, _ = step_fn(moving, frozen, step.shard(batch, count))
            losses.append(float(step.first_replica(metrics)["loss"]))
        return losses, step.first_replica(moving)

    run.start = start
    return run


@pytest.mark.slow
def test_two_devices_step_as_one(steps):
    one_losses, one = steps(1)
    losses, two = steps(2)
    np.testing.assert_allclose(losses, one_losses, rtol=1e-5)
    # Against what the steps changed: a term that counts by devices would halve it.
    before, ours, theirs = (
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
        for tree in (steps.start.variables, one.variables, two.variables)
    )
    assert np.linalg.norm(theirs - ours) < 1e-3 * np.linalg.norm(ours - before)


def test_evaluation_scores_what_the_metrics_score(small):
    from rkd_jax.metrics import landmarks as metrics
    from rkd_jax.tasks.faces import landmarker

    task, variables, _, _ = small
    data = [
        {
            "image": face["image"][8:40, 8:40],
            "landmarks": face["landmarks"] - np.float32(8),
        }
        for face in faces()
    ]
    source = CachedSource(data.__getitem__, ["a", "b", "c", "d"])
    scores, pictures = task.evaluate(variables, source)
    predict = landmarker.make_predictor(task.model, 0.2)
    images = np.stack([item["image"] for item in data])
    found = landmarker.in_batches(predict, variables, images)
    truth = np.stack([item["landmarks"] for item in data])
    errors = metrics.face_errors(found, truth)
    assert scores["nme"] == pytest.approx(100 * errors.mean())
    assert scores["score"] == -scores["nme"]
    assert pictures["largest_errors"].dtype == np.uint8


def test_drawn_faces_are_learnt_from_labels(small):
    """Overfit one view each of four faces: the error falls below a pixel.

    The teacher is the student itself, whose term is zero, gradient included.
    """
    _, variables, _, loss = small
    optimizer = optax.adam(1e-2)
    moments, batch, key = optimizer.init(variables), batch_of(), jax.random.PRNGKey(0)
    update = jax.jit(optimizer.update)
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(300):
            (_, (metrics, *_)), grads = loss(
                variables, {}, variables, batch, key, jnp.int32(0)
            )
            change, moments = update(grads, moments)
            variables = optax.apply_updates(variables, change)
    assert float(metrics["error_px"]) < 1.0


def test_synthetic_faces_fit_the_stored_crop():
    drawn = face_synthesis.face(0, size=96)
    assert np.ptp(drawn.points, axis=0).max() < 96
    for face in faces():
        assert (face["landmarks"] > 4).all()
        assert (face["landmarks"] < SIDE - 5).all()
