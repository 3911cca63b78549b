"""Training examples: the photographs that they are made of, and their three views."""

import jax
import numpy as np
import pytest
from made_pictures import texture

from rkd_jax.config import Config
from rkd_jax.geometry.deformation import deform
from rkd_jax.geometry.homography import apply_homography
from rkd_jax.geometry.warp import sample
from rkd_jax.tasks.retina import RetinaConfig, training_source
from rkd_jax.tasks.retina.views import make_views

SIDE, CROP = 96, 64


@pytest.fixture
def example():
    points = np.random.default_rng(1).uniform(10, SIDE - 10, (16, 2))
    return {
        "image": texture(0, SIDE, SIDE).astype(np.float32)[..., None] / 255,
        "size": np.full(2, SIDE, np.int32),
        "field": np.random.default_rng(2).random((SIDE, SIDE)) > 0.3,
        "keypoints": points.astype(np.float32),
        "keypoint_mask": np.ones(16, bool),
    }


def test_missing_samples_are_left_out_where_the_config_says_so(tmp_path):
    for folder in ("ImageData", "Annotations", "ImageSets"):
        (tmp_path / folder).mkdir()
    (tmp_path / "ImageData/a.png").write_bytes(b"not read here")
    (tmp_path / "Annotations/a.txt").write_text("0.5 0.5\n")
    (tmp_path / "ImageSets/train.txt").write_text("a.png, a.txt\nb.png, b.txt\n")
    config = Config(task=RetinaConfig())
    config.data.kind, config.data.data_dir = "superretina", str(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"--config\.data\.skip_missing=true"):
        training_source(config)
    config.data.skip_missing = True
    assert len(training_source(config)) == 1


@pytest.mark.parametrize("deformation", ["none", "retina"])
def test_views_show_the_image_through_their_warp(example, deformation):
    views = make_views(
        jax.random.PRNGKey(4),
        example,
        crop=CROP,
        detector_geometry="detector",
        descriptor_geometry="wide",
        deformation=deformation,
        light="none",
    )
    x0, y0 = (int(v) for v in views.origin)
    expected = example["image"][y0 : y0 + CROP, x0 : x0 + CROP]
    np.testing.assert_array_equal(views.raw, expected)
    expected = example["field"][y0 : y0 + CROP, x0 : x0 + CROP]
    np.testing.assert_array_equal(views.field, expected)
    grid = np.stack(np.meshgrid(np.arange(16.0, 48, 4), np.arange(16.0, 48, 4)), -1)
    grid = grid.reshape(-1, 2).astype(np.float32)
    # Linear interpolation is off by at most an eighth of the second difference an
    # axis; the views are read twice, the second time at up to 1.35 raw pixels a step.
    image = example["image"][..., 0]
    bends = [np.abs(np.diff(image, 2, axis)).max() for axis in (0, 1)]
    twice_read = (1 + 1.35**2) * sum(bends) / 8
    for view, mapped in (
        (views.detector, apply_homography(views.h_detector, grid)),
        (views.descriptor, deform(views.descriptor_warp, grid)),
    ):
        mapped = np.asarray(mapped)
        inside = np.all((mapped > 1) & (mapped < CROP - 2), axis=1)
        assert inside.sum() > 10
        there = sample(view[..., 0], mapped[inside])
        here = sample(views.raw[..., 0], grid[inside])
        np.testing.assert_allclose(there, here, atol=twice_read)
    on = np.asarray(views.labels_mask)
    assert on.any()
    np.testing.assert_allclose(
        np.asarray(views.labels)[on] + [x0, y0], example["keypoints"][on], atol=1e-4
    )


def test_field_mask_and_clipping_are_options_of_the_views(example):
    image = example["image"]
    image[:] = np.maximum(image, 0.95)

    def views(**options):
        return make_views(
            jax.random.PRNGKey(3),
            example,
            crop=0,
            detector_geometry="detector",
            descriptor_geometry="descriptor",
            **options,
        )

    np.testing.assert_array_equal(views(light="none").field, example["field"])
    assert np.all(views(light="none", mask_field=False).field)
    bright = np.asarray(views(light="paper", clip_light=False).raw)
    clipped = np.asarray(views(light="paper").raw)
    np.testing.assert_allclose(clipped, np.minimum(bright, 1.0), atol=1e-6)
    assert bright.max() > 1.0
