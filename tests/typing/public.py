"""What programs of users say, for mypy and pyright in their strict modes; never run.

`assert_type` fails where the package gives another type than the one that is promised.
"""

from pathlib import Path
from typing import assert_type

import jax
import numpy as np

import rkd_jax
from rkd_jax import keypoints, losses
from rkd_jax.geometry import affine, homography
from rkd_jax.geometry.warp import inside, warp
from rkd_jax.metrics import fire, landmarks, registration
from rkd_jax.registration.transforms import Transform

Picture = np.ndarray[tuple[int, int], np.dtype[np.uint8]]
Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]


def register(fixed: Path, moving: Picture) -> None:
    """One pair, from files and from arrays."""
    options = rkd_jax.MatcherOptions(working_size=640)
    matcher = rkd_jax.load_matcher("small", options=options)
    rkd_jax.load_matcher(fixed, method="network", max_keypoints=100)
    for result in (
        matcher.register(fixed, moving),
        matcher.register(str(fixed), str(fixed), transform="homography"),
        rkd_jax.register_pair(fixed, moving, weights="small"),
    ):
        assert_type(result, rkd_jax.Registration)
        assert_type(result.ok, bool)
        assert_type(result.reason, str)
        assert_type(result.confidence, float)
        assert_type(result.transform, Transform | None)
        for points in ([[100.0, 200.0]], np.zeros((1, 2)), ((1, 2), (3, 4))):
            result.warp_points(points).astype(np.float32)
            result.supports(points).sum()
        result.warp_image(fixed).mean()
        result.warp_image(moving, interpolation="nearest").max()
        if result.transform is not None:
            print(result.transform.apply([[1, 2]]).shape)
            print(result.transform.apply_inverse([[1.0, 2.0]]).shape)
            again = Transform.from_dict(result.transform.to_dict())
            assert_type(again, Transform)
            print(again.warp(moving, (100, 100)).shape)


def apply(path: Path, moving: Picture) -> None:
    """A saved result."""
    saved = rkd_jax.load_transform(path)
    assert_type(saved, rkd_jax.SavedTransform)
    assert_type(rkd_jax.load_transform(str(path)).ok, bool)
    assert_type(saved.transform, Transform | None)
    assert_type(saved.fixed_size, tuple[int, int])
    assert_type(saved.confidence, float)
    expected, bound = saved.expected_error([[1.0, 2.0]])
    print(expected.max(), bound.max(), saved.supports([[1, 2]]).sum())
    print(saved.warp_points_inverse(saved.warp_points([[1, 2]])).shape)
    saved.warp_image(path, interpolation="nearest").max()
    saved.warp_image(moving, inverse=True, fill=7).mean()


def find_lesions(path: Path, image: Picture) -> None:
    """Lesions of a photograph."""
    detector = rkd_jax.load_lesion_detector("microaneurysms", tile=512)
    assert_type(detector, rkd_jax.LesionDetector)
    for found in (detector.detect(path), detector.detect(image, threshold=0.3)):
        assert_type(found, rkd_jax.LesionMap)
        assert_type(found.ok, bool)
        assert_type(found.reason, str)
        assert_type(found.lesions[0].score, float)
        assert_type(found.lesions[0].area_um2, float | None)
        print(found.probability.max(), found.mask.sum(), found.to_dict()["count"])
    print(detector.maps(path)["full"].mean())


def classify(path: Path, image: Picture) -> None:
    """Classes of photographs."""
    classifier = rkd_jax.load_classifier(path)
    assert_type(classifier, rkd_jax.Classifier)
    for found in (classifier.classify(path), classifier.classify(image, explain=True)):
        assert_type(found, rkd_jax.Classification)
        assert_type(found.predicted, str)
        assert_type(found.probability, float)
        assert_type(found.distance, float | None)
        print(found.classes, found.probabilities.sum(), found.to_dict()["predicted"])
        if found.explanation is not None:
            print(found.explanation.max(), found.explained)


def train(a: jax.Array, b: jax.Array, mask: jax.Array, key: jax.Array) -> None:
    """Losses of one's own loop."""
    assert_type(losses.dice_loss(a, b), jax.Array)
    assert_type(losses.heatmap_distillation(a, b, per_example=True), jax.Array)
    assert_type(losses.descriptor_distillation(a, b, key, where=mask), jax.Array)
    assert_type(losses.info_nce(a, b, where=mask, temperature=0.1), jax.Array)
    assert_type(losses.triplet_loss(a, b, key, where=mask), jax.Array)
    assert_type(losses.landmark_mse(a, b), jax.Array)
    assert_type(losses.distilled_landmark_mse(a, b, a, weight=0.5), jax.Array)
    assert_type(losses.soft_argmax(a), jax.Array)
    assert_type(losses.choose_negatives(a, b, key), tuple[jax.Array, jax.Array])


def detect(heatmap: jax.Array, descriptors: jax.Array) -> None:
    """Keypoints of one's own network."""
    found = keypoints.detect(
        heatmap, max_keypoints=10, threshold=0.1, radius=4, border=4, size=(64, 64)
    )
    assert_type(found, rkd_jax.Keypoints)
    assert_type(found.xy, jax.Array)
    assert_type(keypoints.sample_descriptors(descriptors, found.xy), jax.Array)


def measure(errors: Numbers) -> None:
    """Scores of one's own predictions."""
    assert_type(fire.auc([0.5, 5.0]), float)
    assert_type(fire.auc(errors), float)
    assert_type(landmarks.auc(errors), float)
    fire.pair_errors(np.zeros((3, 2)), np.ones((3, 2))).mean()
    assert_type(registration.registration_score([1.0]), dict[str, float])


def bend(h: jax.Array, xy: jax.Array, image: jax.Array, key: jax.Array) -> None:
    """Coordinates and warps."""
    assert_type(homography.apply_homography(h, xy), jax.Array)
    assert_type(homography.inverse(h), jax.Array)
    assert_type(warp(image, h, (64, 64)), jax.Array)
    assert_type(inside(xy, (64, 64)), jax.Array)
    draw = affine.draw_affine(key, (64, 64), "detector")
    assert_type(affine.affine_matrix(draw, (64, 64)), jax.Array)
