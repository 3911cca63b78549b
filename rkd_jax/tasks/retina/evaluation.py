"""Register held-out pairs with a network in training: the score it is chosen by.

The pairs are visits of synthetic eyes, or, for data of the kind `superretina`,
validation images and random warps of them under other light. Never FIRE.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax import augment
from rkd_jax.config import Config
from rkd_jax.data.source import CachedSource, Source
from rkd_jax.data.sources import synthetic_pair
from rkd_jax.geometry.homography import apply_homography, inverse
from rkd_jax.geometry.warp import warp
from rkd_jax.keypoints import Keypoints, detect, sample_descriptors, within_border
from rkd_jax.metrics.registration import registration_score
from rkd_jax.registration.fitting.fit import fit
from rkd_jax.registration.matching.nearest import mutual_nearest
from rkd_jax.tasks.photographs import PhotographsConfig, validation_photographs
from rkd_jax.tasks.retina.config import RetinaConfig

Array = jax.Array
PyTree = Any
# FIRE counts errors up to 25 of 2912 pixels; small images get 4 pixels at least.
ERROR_SHARE, ERROR_LEAST_PX = 25 / 2912, 4.0
# Score of a keypoint: the paper's threshold of inference.
THRESHOLD, RADIUS, BORDER, KEYPOINTS = 0.01, 6, 4, 1024


def held_out_pairs(config: Config) -> CachedSource:
    """Return the evaluation pairs of an experiment, at its working size.

    Each is `images [2, S, S, 1]` float32 (fixed, moving), `fields [2, S, S]` bool
    (where keypoints may lie) and `control_points [M, 4]` float32 (x_fixed, y_fixed,
    x_moving, y_moving) in pixels of the images.
    """
    data, count = PhotographsConfig.of(config), config.loop.eval_pairs
    if data.kind == "superretina" and RetinaConfig.of(config).eval_kind == "auto":
        source = validation_photographs(data)
        size = len(source)
        names = [f"{source.names[i % size]}, warp {i}" for i in range(count)]
        make = functools.partial(_warped_pair, source)
    else:
        names = [f"synthetic pair {i}" for i in range(count)]
        make = functools.partial(_synthetic_pair, data.size)
    return CachedSource(make, names, cache_mb=data.cache_mb)


def _synthetic_pair(size: int, number: int) -> dict[str, np.ndarray]:
    from rkd_jax.images.field import prepared_field
    from rkd_jax.images.prepare import prepare

    pair = synthetic_pair(number, size=size)
    photographs = [pair[k] for k in ("fixed", "moving")]
    fixed, moving = prepared = [prepare(image, size=size) for image in photographs]
    points = np.asarray(pair["control_points"], np.float64)
    return {
        "images": np.stack([fixed.image, moving.image])[..., None],
        "fields": np.stack(list(map(prepared_field, photographs, prepared))),
        "control_points": np.concatenate(
            [fixed.from_file(points[:, :2]), moving.from_file(points[:, 2:])], axis=1
        ).astype(np.float32),
    }


def _warped_pair(source: Source, number: int) -> dict[str, np.ndarray]:
    from rkd_jax.images.field import rim_px

    record = source[number % len(source)]
    side = record["image"].shape[0]
    k_warp, k_fixed, k_moving = jax.random.split(jax.random.PRNGKey(number), 3)
    h = augment.sample_geometry(k_warp, (side, side), "wide")
    image = jnp.asarray(record["image"], jnp.float32)
    turned = warp(image, inverse(h), (side, side))
    # Beyond the edges of the photograph the turned one is black: a rim as the field's.
    height, width = (int(v) for v in record["size"])
    framed = record["field"] & within_border(
        (side, side), rim_px(side), (height, width)
    )
    field = warp(framed.astype(jnp.float32), inverse(h), (side, side)) > 0.99
    moving = augment.visit_light(k_moving, turned)
    grid = np.stack(
        np.meshgrid(np.linspace(0.2, 0.8, 5), np.linspace(0.2, 0.8, 5)), axis=-1
    ).reshape(-1, 2)
    fixed_xy = (grid * [width - 1, height - 1]).astype(np.float32)
    moving_xy = np.asarray(apply_homography(h, jnp.asarray(fixed_xy)))
    inside = np.all((moving_xy >= 0) & (moving_xy <= side - 1), axis=1)
    return {
        "images": np.stack([augment.visit_light(k_fixed, image), moving]),
        "fields": np.stack([record["field"], field]),
        "control_points": np.concatenate([fixed_xy, moving_xy], axis=1)[inside],
    }


@functools.lru_cache(maxsize=2)
def make_predictor(
    model: nn.Module, *, grid: str
) -> Callable[[PyTree, Array, Array], tuple[Array, Keypoints, Array]]:
    """Return a compiled `(variables, images [2, S, S, 1], fields [2, S, S])` function.

    It returns the heatmaps `[2, S, S]`, the keypoints of both images with descriptors
    (leading axis 2) and the match of each moving keypoint in the fixed image, -1 none.
    The same network gets the same function: later evaluations do not compile again.
    """

    def predict(
        variables: PyTree, images: Array, fields: Array
    ) -> tuple[Array, Keypoints, Array]:
        answer = model.apply(variables, images)

        def one(heatmap: Array, descriptors: Array, field: Array) -> Keypoints:
            found = detect(
                jnp.where(field, heatmap, 0.0),
                max_keypoints=KEYPOINTS,
                threshold=THRESHOLD,
                radius=RADIUS,
                border=BORDER,
                subpixel=True,
            )
            read = sample_descriptors(descriptors, found.xy, grid=grid)
            return found.replace(descriptors=read)

        found = jax.vmap(one)(answer.heatmap, answer.descriptors, fields)
        fixed, moving = (jax.tree.map(lambda x, i=i: x[i], found) for i in (0, 1))
        index, _ = mutual_nearest(
            moving.descriptors, moving.mask, fixed.descriptors, fixed.mask
        )
        return answer.heatmap, found, index

    return jax.jit(predict)


def evaluate(
    model: nn.Module,
    variables: PyTree,
    pairs: Source,
    *,
    grid: str,
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Register the pairs of `held_out_pairs` and score the landmark errors.

    Returns:
        `score` (area under the curve of pairs below 1, 2, ... 25 parts of the largest
        error that counts), `success` (share of pairs below that error), mean error
        and matches; a picture of the first pair's heatmaps and matches.
    """
    from rkd_jax.tasks.retina.pictures import matches_picture

    predict = make_predictor(model, grid=grid)
    errors, matched, pictures = [], [], {}
    side = pairs[0]["images"].shape[1]
    largest = max(ERROR_SHARE * side, ERROR_LEAST_PX)
    for number in range(len(pairs)):
        pair = pairs[number]
        heatmaps, found, index = jax.device_get(
            predict(variables, pair["images"], pair["fields"])
        )
        kept = index >= 0
        moving_xy, fixed_xy = found.xy[1][kept], found.xy[0][index[kept]]
        result = fit(moving_xy, fixed_xy, family="quadratic", threshold_px=2.0)
        truth = pair["control_points"]
        error = float("inf")
        if result.transform is not None:
            predicted = result.transform.apply(truth[:, 2:])
            error = float(np.mean(np.linalg.norm(predicted - truth[:, :2], axis=1)))
        errors.append(error)
        matched.append(int(kept.sum()))
        if number == 0:
            pictures["matches"] = matches_picture(
                pair["images"][..., 0], heatmaps, fixed_xy, moving_xy, result.inliers
            )
    scores = registration_score(
        errors, success_px=largest, threshold_scale=largest / 25
    )
    return {
        "score": scores["auc"],
        "success": scores["success"],
        "mean_error_px": scores["mean_error_px"],
        "matches": float(np.mean(matched)),
    }, pictures
