"""The losses of both stages, in NumPy from what the networks answer."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_segmenter import Segmenter

from rkd_jax import models
from rkd_jax.tasks.lesions.classifier import ClassifierTask, training_patch
from rkd_jax.tasks.lesions.config import LesionsConfig, ProposalsConfig
from rkd_jax.tasks.lesions.proposals import ProposalTask, picture, training_crop

CROP, PATCH = 16, 8
KEY, STEP = jax.random.PRNGKey(3), jnp.int32(0)
SMALL = {"widths": (4, 8), "depths": (1, 1), "bottleneck": False}


def crops(count=4):
    rng = np.random.default_rng(0)
    side = CROP + 6
    target = np.zeros((count, side, side), np.uint8)
    target[:2, 8:14, 8:14] = 255
    target[:2, 7, 8:14] = 100
    counts = np.ones((count, side, side), bool)
    counts[1, :, :9] = False
    return {
        "image": rng.integers(0, 256, (count, side, side, 3), np.uint8),
        "target": target,
        "counts": counts,
        "example": np.arange(count, dtype=np.int32),
    }


def sigmoid_terms(logits, targets):
    """Return -log of the probability of a target between 0 and 1."""
    p = 1 / (1 + np.exp(-logits))
    return p, -(targets * np.log(p) + (1 - targets) * np.log(1 - p))


def dice(p, q):
    overlap, power = (p * q).sum(), (p * p).sum() + (q * q).sum()
    return 1 - (2 * overlap + 1e-3) / (power + 1e-3)


@pytest.mark.parametrize("with_teacher", [False, True])
def test_a_proposal_network_learns_weighted_entropy_dice_and_the_teachers_map(
    with_teacher,
):
    model = Segmenter()
    options = ProposalsConfig(
        crop=CROP,
        largest_weight=5.0,
        ce_weight=2.0,
        dice_weight=0.5,
        teacher_weight=0.25,
    )
    task = ProposalTask(model, options, teacher_model=model if with_teacher else None)
    batch = crops()
    variables, state = task.init(jax.random.PRNGKey(0), batch)
    teacher, _ = task.init(jax.random.PRNGKey(1), batch)
    total, aux = jax.jit(task.loss)(
        variables, state, teacher if with_teacher else None, batch, KEY, STEP
    )
    # What was seen is drawn by the same keys; the rest is NumPy in float64.
    seen = [
        training_crop(
            jax.random.fold_in(KEY, i),
            *(jnp.asarray(batch[k][i]) for k in ("image", "target", "counts")),
            crop=CROP,
        )
        for i in range(4)
    ]
    images, targets, counts = (np.stack(x) for x in zip(*seen, strict=True))
    output, _ = model.apply(variables, images, train=True, mutable=["batch_stats"])
    p, errors = sigmoid_terms(np.float64(output.logits), np.float64(targets))
    ones, n = targets[counts].sum(dtype=np.float64), counts.sum()
    w_1, w_0 = min(n / ones, 5.0), n / (n - ones)
    weights = counts * (targets * w_1 + (1 - targets) * w_0)
    assert w_1 == 5.0  # the limit acts
    wanted = {
        "cross_entropy": (weights * errors).sum() / weights.sum(),
        "dice": dice(p * counts, targets * counts),
    }
    value = 2.0 * wanted["cross_entropy"] + 0.5 * wanted["dice"]
    if with_teacher:
        q = np.float64(model.apply(teacher, images).heatmap)
        wanted["teacher"] = dice(p * counts, q * counts)
        value += 0.25 * wanted["teacher"]
    assert aux.metrics.keys() == {"loss", *wanted}
    for name, number in {**wanted, "loss": value}.items():
        assert float(aux.metrics[name]) == pytest.approx(number, rel=1e-4), name
    assert float(total) == pytest.approx(value, rel=1e-4)


def test_pixels_that_do_not_count_change_no_gradient():
    task = ProposalTask(Segmenter(), ProposalsConfig(crop=CROP))
    batch = crops()
    variables, _ = task.init(jax.random.PRNGKey(0), batch)
    other = {**batch, "target": np.where(batch["counts"], batch["target"], 7)}
    assert (other["target"] != batch["target"]).any()
    gradient = jax.jit(jax.grad(task.loss, has_aux=True))
    found = [gradient(variables, {}, None, b, KEY, STEP)[0] for b in (batch, other)]
    jax.tree.map(np.testing.assert_array_equal, *found)


def triplets(labels=(1, 0, 1, 1, 0, 1)):
    rng = np.random.default_rng(1)
    side, count = PATCH + 1, len(labels)
    return {
        "image": rng.integers(0, 256, (count, side, side, 3), np.uint8),
        "label": np.array(labels, np.int32),
        "example": np.arange(count, dtype=np.int32),
    }


def classifier(**options):
    fixed = {"patch_px": PATCH, "margin": 0.3, "triplet_weight": 2.0}
    return ClassifierTask(
        models.build("resnet", **SMALL), LesionsConfig(**{**fixed, **options}), {}
    )


def seen_by_classifier(task, variables, batch):
    images = jnp.stack(
        [
            training_patch(jax.random.fold_in(KEY, i), jnp.asarray(x), side=PATCH)
            for i, x in enumerate(batch["image"])
        ]
    )
    output, _ = task.model.apply(variables, images, train=True, mutable=["batch_stats"])
    return np.float64(output.logits), np.float64(output.features)


@pytest.mark.parametrize("distance", ["angular", "cosine", "l2"])
def test_a_classifier_learns_entropy_of_two_and_the_distance_of_three(distance):
    task, batch = classifier(distance=distance), triplets()
    variables, _ = task.init(jax.random.PRNGKey(0), batch)
    total, aux = jax.jit(task.loss)(variables, {}, None, batch, KEY, STEP)
    logits, features = seen_by_classifier(task, variables, batch)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    errors = -np.log(chances[np.arange(6), batch["label"]])
    entropy = errors[[0, 1, 3, 4]].mean()  # anchors and negatives

    def apart(a, b):
        if distance == "l2":
            return np.linalg.norm(a - b)
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        return 1 - cosine if distance == "cosine" else np.arccos(cosine) / np.pi

    hinges = [
        max(0, 0.3 + apart(a, p) - apart(a, n))
        for a, n, p in (features[:3], features[3:])
    ]
    assert float(aux.metrics["cross_entropy"]) == pytest.approx(entropy, rel=1e-4)
    assert float(aux.metrics["triplet"]) == pytest.approx(np.mean(hinges), abs=1e-5)
    assert float(total) == pytest.approx(entropy + 2 * np.mean(hinges), rel=1e-4)
    np.testing.assert_allclose(aux.examples["loss"], errors, rtol=1e-3)


def test_what_is_no_triplet_has_no_triplet_loss():
    """A sampler of another order would otherwise teach the opposite."""
    task, batch = classifier(), triplets((1, 0, 1, 0, 1, 1))
    variables, _ = task.init(jax.random.PRNGKey(0), batch)
    loss = jax.jit(task.loss)
    _, aux = loss(variables, {}, None, batch, KEY, STEP)
    first = {k: v[:3] for k, v in batch.items()}
    _, alone = loss(variables, {}, None, {**batch, **_again(first)}, KEY, STEP)
    assert float(alone.metrics["triplet"]) > 0
    _, features = seen_by_classifier(task, variables, batch)
    a, n, p = features[:3] / np.linalg.norm(features[:3], axis=1, keepdims=True)
    wanted = max(0, 0.3 + (np.arccos(a @ p) - np.arccos(a @ n)) / np.pi)
    assert float(aux.metrics["triplet"]) == pytest.approx(wanted, abs=1e-5)


def _again(part):
    return {k: np.concatenate([v, v]) for k, v in part.items()}


def test_a_share_that_is_no_triplets_is_refused():
    task, batch = classifier(), triplets((1, 0, 1, 1))
    with pytest.raises(ValueError, match=r"a device gets 4 patches.*multiple of 3"):
        task.loss({}, {}, None, batch, KEY, STEP)


class Eyes(list):
    groups = np.zeros(2, int)


def test_perfect_maps_score_one_and_wrong_ones_their_share():
    rng = np.random.default_rng(0)
    eyes = Eyes()
    for _ in range(2):
        lesion = rng.uniform(size=(40, 50)) < 0.1
        image = np.where(lesion, 255, 0).astype(np.uint8)
        eyes.append(
            {
                "image": np.repeat(image[..., None], 3, axis=2),
                "target": 255 * lesion.astype(np.uint8),
                "field": np.ones((40, 50), bool),
            }
        )
    task = ProposalTask(Bright(), ProposalsConfig(crop=CROP))
    metrics, pictures = task.evaluate({}, eyes)
    assert metrics["score"] == metrics["average_precision"] == metrics["best_f1"] == 1
    assert pictures["map"].shape == (40, 100, 3)
    for eye in eyes:
        eye["image"] = 255 - eye["image"]
    share = np.mean([eye["target"] > 0 for eye in eyes])
    # All lesions score below all else: precision is their share, at full recall.
    assert task.evaluate({}, eyes)[0]["score"] == pytest.approx(share)


@dataclasses.dataclass(frozen=True)
class Bright:
    """Calls bright pixels lesions."""

    def apply(self, variables, images):
        @dataclasses.dataclass
        class Output:
            heatmap: jax.Array

        return Output(images[..., 0])

    def reach(self):
        return 0


def test_the_picture_marks_lesions_beside_the_map():
    eye = {
        "image": np.full((8, 8, 3), 100, np.uint8),
        "target": np.zeros((8, 8), np.uint8),
    }
    eye["target"][2:6, 2:6] = 255
    found = np.zeros((8, 8), np.float32)
    found[3, 3] = 1.0
    made = picture(eye, found)
    assert made[2, 2].tolist() == [0, 255, 0]
    assert made[0, 0].tolist() == [100] * 3
    assert made[3, 8 + 3].tolist() == [255] * 3
    assert (eye["image"] == 100).all()


class Patches(list):
    groups = np.array([0, 1, 1, 0, 0])


def test_patches_that_are_told_apart_score_one():
    """Five patches: the last batch of an evaluation is padded."""

    class Classifier:
        def apply(self, variables, patches):
            from rkd_jax.models.output import ClassOutput

            level = patches[:, PATCH // 2, PATCH // 2, 0]
            return ClassOutput(jnp.stack([0.5 - level, level - 0.5], 1), level, level)

    patches = Patches()
    for label in Patches.groups:
        image = np.zeros((PATCH + 1, PATCH + 1, 3), np.uint8)
        image[PATCH // 2, PATCH // 2] = 255 * label
        patches.append({"image": image})
    task = ClassifierTask(Classifier(), LesionsConfig(patch_px=PATCH), {})
    metrics, _ = task.evaluate({}, patches)
    assert metrics["score"] == metrics["balanced_accuracy"] == 1
    patches.groups = np.array([1, 1, 1, 0, 0])
    metrics, _ = task.evaluate({}, patches)
    assert metrics["balanced_accuracy"] == pytest.approx((1 + 2 / 3) / 2)
