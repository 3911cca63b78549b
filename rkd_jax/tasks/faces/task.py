"""The 98 points of a face: heatmaps, soft-argmax, distillation.

The student sees a view of the face (mirrored, turned, scaled) in other light; the
frozen teacher sees the same view in its own light, and its mirror image. A network's
logits become heatmaps by a softmax over the pixels, scaled so that a point known to
within the target's spread has a peak of 1; points are decoded by soft-argmax. With
E(a, b) the mean squared error of heatmaps plus that of points,

    loss = E(student, labels) [+ lambda E(student, teacher)]

The label term covers labeled faces, points inside the view. The teacher term covers
all faces; it skips points where the teacher's predictions on the view and on its mirror
image differ by more than 2 sigma, and points whose label lies outside the view.

Source: RKD (Nasser et al., WACV 2024), face experiment, "MSE loss plus lambda times MSE
to the teacher". Its code is not public; output form, decoding and weights are ours
(docs/paper/specification.md §8).
"""

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax import augment, losses
from rkd_jax.data.source import Source
from rkd_jax.geometry.homography import (
    apply_homography,
    as_matrix,
    compose,
    inverse,
    translation,
)
from rkd_jax.geometry.warp import warp
from rkd_jax.synthetic.faces.points import FLIP
from rkd_jax.tasks.base import Aux, Task
from rkd_jax.tasks.faces.config import FacesConfig
from rkd_jax.tasks.reductions import global_mean

Array = jax.Array
PyTree = Any


@dataclasses.dataclass(frozen=True)
class LandmarksTask(Task):
    """Train a network on faces; see `rkd_jax.tasks.base.Task`.

    Attributes:
        model: the student, with 98 outputs.
        options: losses and augmentation.
        crop: side C of what the network sees, the middle of the stored crop; 0: all.
        teacher_model: the network whose variables `loss` gets, if `options.distill`.
        axis_name: mapped axis over which `loss` averages; None for one device.
    """

    model: nn.Module
    options: FacesConfig
    crop: int
    teacher_model: nn.Module | None = None
    axis_name: str | None = None

    def init(self, key: Array, batch: dict[str, Array]) -> tuple[PyTree, PyTree]:
        """Return fresh variables; there is no task state."""
        side = self.crop or batch["image"].shape[-3]
        image = jnp.zeros((1, side, side, 1), jnp.float32)
        return jax.jit(self.model.init)(key, image), {}

    def loss(
        self,
        variables: PyTree,
        task_state: PyTree,
        teacher: PyTree,
        batch: dict[str, Array],
        key: Array,
        step: Array,
    ) -> tuple[Array, Aux]:
        """Return the loss of this device's share of a batch; see `tasks.base.Task`.

        `batch` holds `image [B, S, S, 1]`, `landmarks [B, 98, 2]`, `labeled [B]` and
        `example [B]`.
        """
        options = self.options
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch["example"])

        def draw(example_key: Array, image: Array, xy: Array) -> tuple:
            k_view, k_light = jax.random.split(example_key)
            plain, points = make_view(
                k_view, image, xy, crop=self.crop, options=options
            )
            return relight(k_light, plain, options=options), plain, points

        images, plain, points = jax.vmap(draw)(keys, batch["image"], batch["landmarks"])
        side = images.shape[1]
        answer = self.model.apply(
            variables,
            images,
            train=True,
            heads=("detector",),
            example_ids=batch["example"],
            rngs={"dropout": key},
        )
        answers = read_points(answer.logits, options.sigma_px, options.temperature)
        labeled = batch["labeled"]
        inside = jnp.all((points >= 0) & (points <= side - 1), axis=-1)
        target = gaussian_heatmaps(points, side, options.sigma_px)
        terms = self._terms(answers, (target, points), labeled, inside)
        if self.options.distill:
            *followed, sure = jax.lax.stop_gradient(
                teacher_answers(self.teacher_model, teacher, plain, options=options)
            )
            # A point whose label lies outside the view is a guess of the teacher.
            seen = sure & (inside | ~labeled[:, None])
            terms |= {
                f"{name}_distillation": options.distillation_weight * term
                for name, term in self._terms(
                    answers, followed, jnp.ones_like(labeled), seen
                ).items()
            }
        total = sum(terms.values())
        away = jnp.linalg.norm(jax.lax.stop_gradient(answers[1]) - points, axis=-1)
        error = self._mean(jnp.mean(away, axis=-1), labeled)
        return total, Aux({"loss": total, **terms, "error_px": error}, task_state)

    def _terms(
        self,
        answers: tuple[Array, Array],
        wanted: tuple[Array, Array],
        counts: Array,
        where: Array | None = None,
    ) -> dict[str, Array]:
        """Return the weighted errors to labels or teacher, of the faces that count."""
        options = self.options
        heatmap, point = squared_errors(answers, wanted, options.sigma_px, where)
        return {
            "heatmap": options.heatmap_weight * self._mean(heatmap, counts),
            "point": options.point_weight * self._mean(point, counts),
        }

    def evaluate(
        self, variables: PyTree, data: Source
    ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Return NME, failures and AUC of held-out faces, and pictures of the worst."""
        from rkd_jax.metrics import landmarks as metrics
        from rkd_jax.tasks.faces import landmarker, pictures

        predict = landmarker.make_predictor(self.model, self.options.temperature)
        predicted, labels = [], []
        for start in range(0, len(data), landmarker.BATCH):
            indices = range(start, min(start + landmarker.BATCH, len(data)))
            items = [data[i] for i in indices]
            images = np.stack([item["image"] for item in items])
            predicted.append(landmarker.in_batches(predict, variables, images))
            labels += [item["landmarks"] for item in items]
        found, truth = np.concatenate(predicted), np.stack(labels)
        errors = metrics.face_errors(found, truth, names=list(data.names))
        scores = metrics.summary(errors)
        worst = np.argsort(-errors, kind="stable")[:12]
        shown = [
            pictures.face_picture(
                data[int(i)]["image"][..., 0],
                found[i],
                truth[i],
                caption=f"{100 * errors[i]:.1f}",
            )
            for i in worst
        ]
        return {
            "score": -scores["nme"],
            "nme": scores["nme"],
            "failure_rate": scores["failure_rate"],
            "auc": scores["auc"],
        }, {"largest_errors": pictures.sheet(shown, columns=4)}

    def _mean(self, values: Array, weights: Array) -> Array:
        return global_mean(values, weights, self.axis_name)


def teacher_answers(
    teacher: nn.Module, variables: PyTree, views: Array, *, options: FacesConfig
) -> tuple[Array, Array, Array]:
    """Return a teacher's heatmaps and points of views `[B, C, C, 1]`.

    Where faces are mirrored in training, the teacher predicts the mirror image of each
    view as well, and the answer is the mean of both predictions.

    Returns:
        Heatmaps `[B, C, C, 98]`, points `[B, 98, 2]`, and bool `[B, 98]`: where the two
        predictions of a point lie within 2 sigma of each other.
    """
    count, shown = len(views), [views]
    if options.flip:
        shown.append(views[:, :, ::-1])
    answer = teacher.apply(
        variables, jnp.concatenate(shown), train=False, heads=("detector",)
    )
    maps, points = read_points(answer.logits, options.sigma_px, options.temperature)
    if len(shown) == 1:
        return maps, points, jnp.ones(points.shape[:2], bool)
    order, (x, y) = jnp.array(FLIP), jnp.moveaxis(points[count:], -1, 0)
    back = jnp.stack([views.shape[2] - 1 - x, y], axis=-1)[:, order]
    other = maps[count:, :, ::-1][..., order]
    apart = jnp.linalg.norm(points[:count] - back, axis=-1)
    sure = apart < 2.0 * options.sigma_px
    return 0.5 * (maps[:count] + other), 0.5 * (points[:count] + back), sure


def make_view(
    key: Array, image: Array, points: Array, *, crop: int, options: FacesConfig
) -> tuple[Array, Array]:
    """Draw a view of a face, in the light it has.

    Args:
        key: of this example and step.
        image: `[S, S, 1]` float32 in 0..1.
        points: `[98, 2]`, (x, y) px of it.
        crop: side C of the view; 0 takes S.
        options: geometry and flip.

    Returns:
        The view `[C, C, 1]` and its points `[98, 2]`, renumbered where it is mirrored.
    """
    side = crop or image.shape[0]
    k_flip, k_geometry = jax.random.split(key)
    margin = (image.shape[0] - side) // 2
    h = translation(-margin, -margin)
    flips = jnp.zeros((), bool)
    if options.flip:
        flips = jax.random.bernoulli(k_flip)
        sign = jnp.where(flips, -1.0, 1.0)
        shift = jnp.where(flips, side - 1.0, 0.0)
        mirror = as_matrix([[sign, 0.0, shift], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        h = compose(mirror, h)
    if options.geometry != "none":
        drawn = augment.sample_geometry(k_geometry, (side, side), options.geometry)
        h = compose(drawn, h)
    view = warp(image, inverse(h), (side, side))
    moved = apply_homography(h, points)
    return view, jnp.where(flips, moved[jnp.array(FLIP)], moved)


def relight(key: Array, view: Array, *, options: FacesConfig) -> Array:
    """Return a view `[C, C, 1]` in other light, if `options.light` asks for it."""
    if options.light == "none":
        return view
    return augment.visit_light(key, view, ranges=augment.FACE_RANGES)


def gaussian_heatmaps(points: Array, side: int, sigma_px: float) -> Array:
    """Return Gaussians of peak 1 about points `[B, L, 2]`: `[B, side, side, L]`.

    >>> heatmap = gaussian_heatmaps(jnp.full((1, 1, 2), 2.0), 5, 1.0)[0, ..., 0]
    >>> [f"{value:.3f}" for value in heatmap[2, 2:4]]
    ['1.000', '0.607']
    """
    axis = jnp.arange(side, dtype=jnp.float32)
    spread = 2.0 * sigma_px**2
    x = jnp.exp(-((axis[None, :, None] - points[:, None, :, 0]) ** 2) / spread)
    y = jnp.exp(-((axis[None, :, None] - points[:, None, :, 1]) ** 2) / spread)
    return y[:, :, None, :] * x[:, None, :, :]


def read_points(
    logits: Array, sigma_px: float, temperature: float = 1.0
) -> tuple[Array, Array]:
    """Return heatmaps and decoded points of a network's logits.

    Args:
        logits: `[B, H, W, L]`.
        sigma_px: of a Gaussian whose heatmap has a peak of 1.
        temperature: divides the logits.

    Returns:
        Heatmaps `[B, H, W, L]`, which sum to 2 pi sigma^2, and points `[B, L, 2]`.
    """
    mass = jax.nn.softmax(logits / temperature, axis=(1, 2))
    points = losses.soft_argmax(jnp.moveaxis(mass, -1, 1), normalize="sum")
    return 2.0 * math.pi * sigma_px**2 * mass, points


def squared_errors(
    student: tuple[Array, Array],
    wanted: tuple[Array, Array],
    sigma_px: float,
    where: Array | None = None,
) -> tuple[Array, Array]:
    """Return the errors of heatmaps and of points, `[B]` each.

    The first is summed over the image and divided by the Gaussian's area 2 pi sigma^2,
    so that it does not depend on the size of the crop; the second is in units of sigma.

    Args:
        student: heatmaps `[B, H, W, L]` and points `[B, L, 2]`.
        wanted: the same of labels or teacher.
        sigma_px: see `read_points`.
        where: `[B, L]` points that count; None: all.
    """
    (heatmaps, points), (wanted_heatmaps, wanted_points) = student, wanted
    maps_mask = None if where is None else where[:, None, None, :]
    points_mask = None if where is None else where[:, :, None]
    pixels = heatmaps.shape[1] * heatmaps.shape[2]
    area = pixels / (2.0 * math.pi * sigma_px**2)
    heatmap = losses.landmark_mse(
        heatmaps, wanted_heatmaps, where=maps_mask, per_example=True
    )
    point = losses.landmark_mse(
        points / sigma_px, wanted_points / sigma_px, where=points_mask, per_example=True
    )
    return area * heatmap, point
