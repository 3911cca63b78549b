"""Matchers on made pairs with a known map, and on pairs that must not register."""

import dataclasses

import cv2
import jax
import numpy as np
import pytest

from rkd_jax import weights as weight_files
from rkd_jax.images.prepare import fit_to, normalize
from rkd_jax.keypoints import detect, sample_descriptors
from rkd_jax.registration.fitting.fit import residuals
from rkd_jax.registration.keypoints.sift import SIFT_OPTIONS, SiftKeypoints
from rkd_jax.registration.matcher import Matcher, load_matcher, register_pair
from rkd_jax.registration.options import MatcherOptions
from rkd_jax.registration.transforms import Frame

STRONG = {
    "support": 90.0,
    "support_ratio": 0.6,
    "support_error_px": 0.5,
    "coverage": 0.5,
    "near": 200.0,
    "near_by_chance": 10.0,
    "near_error_px": 0.5,
    "near_coverage": 0.6,
    "asymmetry_px": 0.5,
}


@pytest.fixture(scope="module")
def sift():
    return load_matcher(method="sift", working_size=320)


@pytest.fixture(scope="module")
def network(tiny_weights):
    return load_matcher(
        tiny_weights,
        points="detector",
        max_keypoints=256,
        threshold=0.0,
        nms_radius=3,
    )


@pytest.mark.parametrize("estimator", ["magsac", "lmeds"])
@pytest.mark.parametrize("two_pass", [False, True])
def test_sift_finds_the_known_map(
    sift, fixed, moving, truth, inner_points, estimator, two_pass
):
    result = sift.register(fixed, moving, estimator=estimator, two_pass=two_pass)
    assert result.ok, result.reason
    error = residuals(truth, inner_points, result.warp_points(inner_points))
    assert error.max() < 0.5
    assert result.confidence > 0.8
    assert ("inlier_ratio_pass_2" in result.evidence) == two_pass


@pytest.mark.parametrize("decides", [False, True])
def test_a_second_pass_without_points_fails_the_pair_only_on_request(
    fixed, moving, decides
):
    class Blind(SiftKeypoints):
        """Finds nothing in the third image, which is the warped one."""

        calls = 0

        def _one(self, photo):
            self.calls += 1
            found = super()._one(photo)
            return found.replace(mask=found.mask & (self.calls < 3))

    options = dataclasses.replace(
        SIFT_OPTIONS, working_size=320, second_pass_decides=decides, search=False
    )
    matcher = Matcher(Blind(options), options)
    result = matcher.register(fixed, moving, two_pass=True)
    assert result.ok is not decides
    assert (result.transform is None) is decides
    assert result.evidence["inlier_ratio_pass_1"] > 0.2


def test_quadratic_family_and_image_arrays_of_all_kinds(
    sift, fixed, moving, truth, inner_points
):
    color = np.repeat(moving[..., None], 3, axis=-1)
    for image in (color, moving / np.float32(255), moving.astype(np.uint16) * 257):
        result = sift.register(fixed, image, transform="quadratic")
        assert result.transform.family == "quadratic"
        error = residuals(truth, inner_points, result.warp_points(inner_points))
        assert error.max() < 1.0
        warped = result.warp_image(image)
        assert warped.dtype == image.dtype
        assert warped.shape == (*fixed.shape, *image.shape[2:])


@pytest.mark.parametrize("two_pass", [False, True])
def test_fields_are_those_of_the_files_in_both_passes(sift, moving, two_pass):
    large = cv2.resize(moving[40:300, 20:220], None, fx=2, fy=2)
    result = sift.register(large, moving, transform="radial", two_pass=two_pass)
    assert result.ok, result.reason
    frames = [Frame.of_size(image.shape) for image in (moving, large)]
    assert list(result.frames) == frames
    assert result.transform.moving_frame == frames[0]


def test_warped_image_is_the_fixed_one(sift, fixed, moving):
    result = sift.register(fixed, moving)
    warped = result.warp_image(moving).astype(float)
    inside = result.transform.overlap(moving.shape, fixed.shape, margin_px=4)
    difference = np.abs(warped - fixed)[inside]
    assert inside.mean() > 0.4
    assert difference.mean() < 2.0
    with pytest.raises(ValueError, match=r"expected height and width \(320, 320\)"):
        result.warp_image(fixed)


def test_image_of_another_shape_and_scale(sift, moving):
    """A crop twice as large, so that scale, padding and box all matter."""
    large = cv2.resize(moving[40:300, 20:220], None, fx=2, fy=2)
    points = np.array([[60.0, 80.0], [180.0, 90.0], [100.0, 250.0]])
    expected = (points - [20, 40] + 0.5) * 2 - 0.5
    result = sift.register(large, moving)
    assert result.ok, result.reason
    np.testing.assert_allclose(result.warp_points(points), expected, atol=1.0)


@pytest.mark.parametrize("kind", ["sift", "network"])
@pytest.mark.parametrize("two_pass", [False, True])
def test_identical_images_give_the_identity(request, kind, moving, two_pass):
    matcher = request.getfixturevalue(kind)
    result = matcher.register(moving, moving.copy(), two_pass=two_pass)
    assert result.ok, result.reason
    points = np.array([[5.0, 9.0], [160.0, 160.0], [310.0, 40.0], [20.0, 300.0]])
    np.testing.assert_allclose(result.warp_points(points), points, atol=0.1)


@pytest.mark.parametrize("kind", ["sift", "network"])
@pytest.mark.parametrize("estimator", ["magsac", "lmeds"])
def test_unrelated_images_are_not_registered(
    request, kind, estimator, moving, unrelated
):
    matcher = request.getfixturevalue(kind)
    result = matcher.register(moving, unrelated, estimator=estimator)
    assert not result.ok
    assert result.reason
    assert result.confidence < 0.2
    assert result.to_dict()["ok"] is False
    for use in (result.warp_points, result.warp_image):
        with pytest.raises(ValueError, match="not registered"):
            use(np.zeros((4, 2)))


def test_image_without_keypoints_is_a_result(network, tiny_weights, moving):
    deaf = load_matcher(tiny_weights, points="detector", threshold=0.999)
    result = deaf.register(moving, moving, two_pass=True)
    assert not result.ok
    assert result.transform is None
    assert "0 matches" in result.reason


def test_network_keypoints_are_those_of_its_maps(network, moving):
    prepared = fit_to(normalize(moving), 128)
    heatmap, _ = network.detector.maps(prepared.image[None, ..., None])
    found = detect(
        heatmap[0], max_keypoints=256, threshold=0.0, radius=3, border=8, subpixel=True
    )
    mask = np.asarray(found.mask)
    expected = (np.asarray(found.xy)[mask] + 0.5) * 2.5 - 0.5
    result = network.detect(moving)
    np.testing.assert_allclose(result.xy[result.mask], expected, atol=1e-3)
    assert result.xy.dtype == np.float32
    assert not result.xy[~result.mask].any()
    norms = np.linalg.norm(result.descriptors[result.mask], axis=1)
    np.testing.assert_allclose(norms, 1.0, atol=1e-5)


def test_a_photograph_does_not_depend_on_others_beside_it(network, moving, fixed):
    together = network.photos([fixed, moving])
    for photo, image in zip(together, (fixed, moving), strict=True):
        alone = network.photo(image)
        for ours, other in zip(
            jax.tree.leaves(photo.keypoints),
            jax.tree.leaves(alone.keypoints),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, other)
        np.testing.assert_array_equal(photo.original, image)
        assert network.photo(photo) is photo
    by_photos = network.register(*together)
    by_images = network.register(fixed, moving)
    np.testing.assert_array_equal(
        by_photos.matches.points_fixed, by_images.matches.points_fixed
    )


def test_one_program_serves_all_image_sizes(tiny_weights, moving):
    matcher = load_matcher(tiny_weights, max_keypoints=64)
    with jax.checking_leaks(), jax.log_compiles(False):
        matcher.photo(moving)
        matcher.photos([moving[:200], moving[:, :90]])
    (program,) = matcher.detector._programs.values()
    assert program._cache_size() == 1


def test_tiles_give_the_maps_of_the_whole(network, tiny_weights, moving):
    tiled = load_matcher(tiny_weights, working_size=network.working_size, tile=32)
    image = cv2.resize(moving, (224, 224)).astype(np.float32)[None, ..., None] / 255
    for ours, whole in zip(
        tiled.detector.maps(image), network.detector.maps(image), strict=True
    ):
        np.testing.assert_allclose(ours, whole, atol=1e-5 * np.abs(whole).max())
    with pytest.raises(ValueError, match=r"MatcherOptions\.tile: 40"):
        load_matcher(tiny_weights, tile=40)


def test_network_reads_its_descriptors_at_sifts_points_as_well(
    network, tiny_weights, moving
):
    both = load_matcher(
        tiny_weights,
        max_keypoints=256,
        threshold=0.0,
        nms_radius=3,
        points="detector+dog",
        max_dog=300,
    )
    own, all_points = network.photo(moving), both.photo(moving)
    first = all_points.keypoints
    assert first.xy.shape == (256 + 300, 2)
    np.testing.assert_allclose(first.xy[:256], own.keypoints.xy, atol=1e-4)
    sift = cv2.SIFT_create(contrastThreshold=0.01, enable_precise_upscale=True)
    levels = np.round(own.image * 255).astype(np.uint8)
    places = cv2.KeyPoint.convert(sift.detect(levels))
    more = first.xy[256:][first.mask[256:]]
    assert len(more) > 20
    away = np.linalg.norm(more[:, None] - places[None], axis=-1).min(axis=1)
    assert away.max() < 1e-4
    assert len(np.unique(np.round(more, 1), axis=0)) == len(more)
    _, cells = both.detector.maps(own.image[None, ..., None])
    expected = sample_descriptors(cells[0], first.xy, grid="aligned")
    np.testing.assert_allclose(
        first.descriptors[first.mask], np.asarray(expected)[first.mask], atol=1e-4
    )
    with pytest.raises(ValueError, match="points"):
        load_matcher(tiny_weights, points="dog")


def test_padding_and_dark_margin_hold_no_keypoints(network, moving):
    framed = np.zeros((320, 500), np.uint8)
    y, x = np.mgrid[:320, :500]
    disc = (x - 250) ** 2 + (y - 160) ** 2 < 140**2
    framed[:, 90:410][disc[:, 90:410]] = moving[disc[:, 90:410]]
    found = network.detect(framed)
    distance = np.hypot(*(found.xy[found.mask] - [250, 160]).T)
    assert found.mask.sum() > 20
    assert distance.max() < 140


def test_truncated_points_are_upstreams(tiny_weights, moving):
    options = MatcherOptions.paper(truncate_points=True, max_keypoints=64)
    matcher = load_matcher(tiny_weights, options=options)
    photo = matcher.photo(moving[:200])
    keypoints = matcher.detect(moving[:200])
    kept = np.asarray(keypoints.mask)
    working = photo.keypoints.xy[kept]
    expected = [[int(x / 128 * 320), int(y / 128 * 200)] for x, y in working]
    np.testing.assert_array_equal(keypoints.xy[kept], expected)


def test_loading_by_path_and_errors(tmp_path, tiny_weights, moving):
    path = tmp_path / "tiny.safetensors"
    weight_files.save(
        path,
        tiny_weights.variables,
        model=tiny_weights.model,
        options=tiny_weights.options,
        preprocess=tiny_weights.preprocess,
    )
    matcher = load_matcher(path, threshold=0.0, nms_radius=3)
    assert matcher.working_size == 128
    direct = load_matcher(tiny_weights, threshold=0.0, nms_radius=3)
    np.testing.assert_array_equal(matcher.detect(moving).xy, direct.detect(moving).xy)
    assert register_pair(moving, moving, weights=path).transform is not None
    with pytest.raises(FileNotFoundError, match="no such weight file"):
        load_matcher(tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match=r"unknown options \['nms'\].*nms_radius"):
        load_matcher(path, nms=3)
    with pytest.raises(ValueError, match="takes no weights"):
        load_matcher(path, method="sift")
    with pytest.raises(ValueError, match="'network' or 'sift'"):
        load_matcher(path, method="surf")
    with pytest.raises(ValueError, match="nms_radius"):
        load_matcher(path, nms_radius=-1)
    with pytest.raises(ValueError, match=r"\[B, H, W, 1\]"):
        matcher.detector.maps(np.zeros((64, 64)))


def test_settings_tell_which_parameters_they_were(tiny_weights):
    settings = load_matcher(tiny_weights).settings()
    again = dataclasses.replace(tiny_weights, metadata={"made": "elsewhere"})
    assert load_matcher(again).settings() == settings
    changed = jax.tree.map(np.copy, tiny_weights.variables)
    jax.tree.leaves(changed)[0].flat[0] += 1.0
    other = dataclasses.replace(tiny_weights, variables=changed)
    assert (
        load_matcher(other).settings()["weights_sha256"] != settings["weights_sha256"]
    )


def test_evidence_is_in_pixels_of_a_768_pixel_image(monkeypatch, moving):
    seen = []
    monkeypatch.setattr(
        "rkd_jax.registration.matcher.gather",
        lambda transform, free, pair, **_: seen.append(pair) or STRONG,
    )
    for size in (192, 384):
        load_matcher(method="sift", working_size=size).register(moving, moving[:200])
    for pair in seen:
        assert pair.fixed_scale * max(moving.shape) == pytest.approx(768)
        assert pair.moving_scale * max(moving[:200].shape) == pytest.approx(768)
    assert len(seen) == 2
