"""The detector: places in file pixels, fusions of its maps, and what it refuses."""

import dataclasses

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from made_eyes import SPOTS, draw_eye
from PIL import Image

import rkd_jax
from rkd_jax import models
from rkd_jax import weights as weight_files
from rkd_jax.evaluation import lesion_maps
from rkd_jax.lesions import regions
from rkd_jax.lesions.detector import LesionDetector, NoFundusError
from rkd_jax.lesions.fusion import FUSIONS, MAPS, fuse
from rkd_jax.lesions.prepare import Scale, prepare


def _nearest(lesions, x, y):
    return min(lesions, key=lambda one: np.hypot(one.x - x, one.y - y))


@pytest.mark.parametrize("scale", [0.75, 1.0, 2.0])
def test_spots_are_found_where_they_are(bright_spots, untrained, scale):
    detector = rkd_jax.load_lesion_detector(untrained(stride=1))
    found = detector.detect(draw_eye(scale))
    assert found.ok
    assert len(found.lesions) == len(SPOTS)
    for x, y, radius in SPOTS:
        expected = (np.array([x, y]) + 0.5) * scale - 0.5
        lesion = _nearest(found.lesions, *expected)
        assert np.hypot(*(np.array([lesion.x, lesion.y]) - expected)) < 1.0
        # The disc that OpenCV draws ends half a pixel beyond its radius.
        area = np.pi * ((radius + 0.5) * scale) ** 2
        assert lesion.area_px == pytest.approx(area, rel=0.4)


def test_a_doubled_photograph_has_its_lesions_at_doubled_places(
    bright_spots, untrained
):
    detector = rkd_jax.load_lesion_detector(untrained(stride=1))
    image = draw_eye()
    single = detector.detect(image).lesions
    double = detector.detect(np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)).lesions
    assert len(single) == len(double) == len(SPOTS)
    for one in single:
        x, y = 2 * one.x + 0.5, 2 * one.y + 0.5
        other = _nearest(double, x, y)
        assert np.hypot(other.x - x, other.y - y) < 1.0


def test_numbers_of_a_result(bright_spots, untrained):
    found = rkd_jax.load_lesion_detector(untrained()).detect(draw_eye(), um_per_px=2.0)
    assert found.mask.sum() == found.area_px == found.to_dict()["area_px"]
    scores = [one.score for one in found.lesions]
    assert scores == sorted(scores, reverse=True)
    for one in found.lesions:
        assert one.area_um2 == 4 * one.area_px
        assert one.score <= found.probability.max() + 1e-6
    assert found.to_dict()["lesions"][0]["score"] == scores[0]


def test_a_healthy_eye_has_no_lesions(bright_spots, untrained):
    found = rkd_jax.load_lesion_detector(untrained()).detect(draw_eye(spots=()))
    assert found.ok
    assert found.lesions == ()
    assert not found.mask.any()


def test_nothing_is_found_outside_the_field(untrained):
    detector = rkd_jax.load_lesion_detector(untrained())
    image = draw_eye()
    found = detector.detect(image)
    outside = np.hypot(*(np.indices(image.shape[:2]).T - [180, 200]).T) > 165
    assert found.probability[~outside].max() > 0
    assert found.probability[outside].max() == 0
    for one in detector.maps(image).values():
        assert one[outside].max() == 0


def test_nothing_is_found_at_the_border_of_the_field(untrained):
    image = draw_eye()
    whole = rkd_jax.load_lesion_detector(untrained(rim=0.0)).detect(image).probability
    found = rkd_jax.load_lesion_detector(untrained(rim=0.05)).detect(image).probability
    radius = np.hypot(*(np.indices(image.shape[:2]).T - [180, 200]).T)
    rim, inside = (radius > 146) & (radius < 158), radius < 142
    assert whole[rim].min() > 0
    assert found[rim].max() == 0
    np.testing.assert_array_equal(found[inside], whole[inside])


def test_a_photograph_of_few_pixels_has_a_note(untrained):
    detector = rkd_jax.load_lesion_detector(untrained())
    assert detector.detect(draw_eye(0.75)).note == ""
    note = detector.detect(draw_eye(0.25)).note
    assert "enlarged 4.0 times" in note


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_result_is_the_fusion_of_the_maps(bright_spots, untrained, fusion):
    weights = untrained(fusion=fusion, classifier_weight=0.25)
    detector = rkd_jax.load_lesion_detector(weights)
    image = draw_eye()
    maps = detector.maps(image)
    assert tuple(maps) == MAPS
    inside = maps["full"] > 0
    found = detector.detect(image).probability
    expected = fuse(maps, fusion, classifier_weight=0.25)
    np.testing.assert_allclose(found[inside], expected[inside], rtol=1e-6)
    if fusion.startswith("refined_"):
        alike = fuse(maps, fusion)
        assert np.abs(alike - expected)[inside].max() > 1e-3


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_classifier_is_asked_only_where_the_fusion_needs_it(
    bright_spots, untrained, monkeypatch, fusion
):
    parts, run = [], LesionDetector._run

    def recorded(self, part, images):
        parts.append(part)
        return run(self, part, images)

    monkeypatch.setattr(LesionDetector, "_run", recorded)
    found = rkd_jax.load_lesion_detector(untrained(fusion=fusion)).detect(draw_eye())
    asked = fusion.startswith("refined_")
    assert ("classifier" in parts) == asked
    assert (found.region_threshold is not None) == asked
    assert len(found.lesions) == len(SPOTS)


@pytest.mark.parametrize("fusion", ["geometric", "refined_arithmetic"])
def test_the_map_that_is_evaluated_is_that_of_the_result(
    tmp_path, bright_spots, untrained, fusion
):
    path = tmp_path / "eye.png"
    Image.fromarray(draw_eye()).save(path)
    weights = untrained(fusion=fusion, classifier_weight=0.25)
    detector = rkd_jax.load_lesion_detector(weights)
    found = lesion_maps.finder(detector)(path, [fusion])[fusion]
    expected = detector.detect(path).probability
    assert (expected == 0).any()
    # A geometric mean is never 0, but outside the field.
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-7)
    np.testing.assert_array_equal(found[:8], 0)


def test_real_networks_agree_for_any_tile_and_batch(untrained, monkeypatch):
    weights = untrained(region_threshold=0.3)
    image = draw_eye()
    first = rkd_jax.load_lesion_detector(weights).maps(image)
    assert np.ptp(first["full_refined"]) > 0.1
    monkeypatch.setattr("rkd_jax.lesions.detector.BATCH", regions.BATCH // 4)
    second = rkd_jax.load_lesion_detector(weights, tile=4096).maps(image)
    for name in MAPS:
        np.testing.assert_allclose(second[name], first[name], atol=1e-5)


def _changed(variables, part):
    """Return variables in which a part of the network has other parameters."""
    params = dict(variables["params"])
    params[part] = jax.tree.map(lambda leaf: 0.5 * leaf, params[part])
    return {**variables, "params": params}


def test_two_classifiers_share_a_run_of_the_proposal_networks(
    bright_spots, untrained, monkeypatch
):
    own = untrained()
    other = untrained(_changed(own.variables, "classifier"))
    images = [draw_eye(), draw_eye(spots=SPOTS[:1])]
    calls, real = [], LesionDetector._run

    def run(self, part, pixels):
        calls.append(part)
        # In place of its own parameters.
        factor = 1 if self.weights is own or part != "classifier" else 0.5
        return factor * real(self, part, pixels)

    monkeypatch.setattr(LesionDetector, "_run", run)
    expected = [
        LesionDetector(one).maps(image) for image in images for one in (own, other)
    ]
    detectors = LesionDetector(own), LesionDetector(other)
    detectors[0].share_proposals(detectors[1])
    calls.clear()
    found = [one.maps(image) for image in images for one in detectors]
    assert calls.count("full") == calls.count("half") == len(images)
    for a, b in zip(found, expected, strict=True):
        assert list(a) == list(b)
        for name in MAPS:
            np.testing.assert_array_equal(a[name], b[name])
    assert not np.array_equal(found[0]["full_refined"], found[1]["full_refined"])


def test_other_proposal_networks_are_not_shared(untrained):
    own = untrained()
    first = LesionDetector(own, where="a.safetensors")
    scale = {"field_px": 100.0, "sigma_px": 5.0, "gain": 4.0}
    for weights in (
        untrained(_changed(own.variables, "half")),
        untrained(scale=scale),
        untrained(rim=0.2),
    ):
        other = LesionDetector(weights, where="b.safetensors")
        with pytest.raises(ValueError, match=r"b\.safetensors: its proposal networks"):
            first.share_proposals(other)


def test_the_classifier_sees_the_patch_of_its_pixel(untrained, monkeypatch):
    scale = {"field_px": 64.0, "sigma_px": 2.0, "gain": 4.0}
    weights = untrained(scale=scale, stride=1)
    detector = rkd_jax.load_lesion_detector(weights)
    real = detector._run

    def run(part, images):
        everywhere = np.ones(images.shape[:3], np.float32)
        return real(part, images) if part == "classifier" else everywhere

    monkeypatch.setattr(detector, "_run", run)
    image = cv2.resize(draw_eye(), (80, 72), interpolation=cv2.INTER_AREA)
    prepared = prepare(image, Scale(**scale))
    assert prepared.image.shape == image.shape  # so that both have the same pixels
    refined = detector.maps(image)["full_refined"]
    points = [(40, 36), (12, 40), (60, 20)]
    patches = [prepared.image[y - 8 : y + 8, x - 8 : x + 8] for x, y in points]
    module = models.build("two_stage", **weights.options)
    images = jnp.asarray(np.stack(patches), jnp.float32) / 255.0
    logits = module.apply(weights.variables, images, method="judge").logits
    expected = scipy.special.softmax(np.asarray(logits), axis=1)[:, 1]
    assert np.ptp(expected) > 1e-4
    found = [refined[y, x] for x, y in points]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_photograph_that_is_suspicious_everywhere(untrained):
    """No threshold leaves some of equal cells: the classifier is not asked."""
    weights = untrained(region_threshold=0.0)
    found = rkd_jax.load_lesion_detector(weights, most_points=100).detect(draw_eye())
    assert found.region_threshold > 0.0
    assert found.to_dict()["region_threshold"] == found.region_threshold


def test_16_bits_and_grey_are_taken(bright_spots, untrained):
    detector = rkd_jax.load_lesion_detector(untrained())
    image = draw_eye()
    expected = detector.detect(image).lesions
    deep = detector.detect(image.astype(np.uint16) * 257).lesions
    assert [(one.x, one.y) for one in deep] == [(one.x, one.y) for one in expected]
    assert detector.detect(image[..., 1]).ok


def _page():
    rng = np.random.default_rng(0)
    return rng.integers(150, 255, (300, 400, 3), np.uint8)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((300, 400, 3), np.uint8), "nothing in the image is lit"),
        (np.full((300, 400, 3), 127, np.uint8), "nearly equal"),
        (_page(), "has corners"),
        (np.pad(_page()[:60], ((100, 100), (50, 50), (0, 0))), "cut at two sides"),
        (np.pad(draw_eye(0.25), ((0, 0), (0, 300), (0, 0))), "80 pixels of an image"),
    ],
)
def test_no_fundus_is_a_result_with_a_reason(untrained, image, reason):
    detector = rkd_jax.load_lesion_detector(untrained())
    found = detector.detect(image)
    assert not found.ok
    assert reason in found.reason
    assert found.lesions == ()
    assert not found.probability.any()
    assert found.to_dict()["status"] == "refused"
    with pytest.raises(NoFundusError, match=reason):
        detector.maps(image)


def test_a_field_cut_at_two_sides_is_taken(bright_spots, untrained):
    image = draw_eye()[70:290]
    found = rkd_jax.load_lesion_detector(untrained()).detect(image)
    assert found.ok
    assert len(found.lesions) == len(SPOTS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fusion": "best"}, "fusion is 'best'"),
        ({"tile": 100}, "tile is 100; expected a positive multiple of 16"),
        ({"stride": 0}, "stride is 0"),
        ({"threshold": 0.0}, "threshold is 0.0"),
        ({"region_threshold": 1.5}, "region_threshold is 1.5"),
        ({"rim": 0.3}, "rim is 0.3"),
        ({"classifier_weight": 1.5}, "classifier_weight is 1.5"),
        ({"nothing": 1}, "nothing"),
    ],
)
def test_bad_options(untrained, changes, message):
    with pytest.raises((ValueError, TypeError), match=message):
        rkd_jax.load_lesion_detector(untrained(), **changes)


def test_weights_that_say_something_else(untrained, tmp_path):
    with pytest.raises(ValueError, match="unknown fields color of the preparation"):
        rkd_jax.load_lesion_detector(untrained(color="green"))
    for name, bad in (("field_px", 0), ("sigma_px", -1.0), ("gain", float("nan"))):
        with pytest.raises(ValueError, match=rf"weights: scale\.{name} is {bad}"):
            rkd_jax.load_lesion_detector(untrained(scale={name: bad}))
    with pytest.raises(ValueError, match="weights of the model 'superretina'; lesions"):
        rkd_jax.load_lesion_detector("small")
    with pytest.raises(FileNotFoundError, match="no such weight file"):
        rkd_jax.load_lesion_detector(tmp_path / "none.safetensors")
    assert weight_files.model_of(weight_files.find("small")) == "superretina"


def test_weights_that_give_no_numbers(untrained):
    weights = untrained()
    broken = jax.tree.map(lambda x: x * np.float32(np.nan), weights.variables)
    detector = LesionDetector(dataclasses.replace(weights, variables=broken))
    for use in (detector.detect, detector.maps):
        with pytest.raises(ValueError, match="weights: the map 'full' has values that"):
            use(draw_eye())


def test_bad_numbers(untrained):
    detector = rkd_jax.load_lesion_detector(untrained())
    with pytest.raises(ValueError, match="threshold is 2"):
        detector.detect(draw_eye(), threshold=2)
    with pytest.raises(ValueError, match="um_per_px is nan"):
        detector.detect(draw_eye(), um_per_px=float("nan"))
    with pytest.raises(ValueError, match="both sides must be at least 32 px"):
        detector.detect(np.zeros((10, 10, 3), np.uint8))
