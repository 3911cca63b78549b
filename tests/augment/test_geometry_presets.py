"""Named geometry: what each preset may do."""

import jax
import numpy as np
import pytest

from rkd_jax.augment import GEOMETRY_PRESETS, HomographyPreset, sample_geometry
from rkd_jax.geometry.affine import upstream_affine

SIZE = (64, 64)


@pytest.mark.parametrize("preset", sorted(GEOMETRY_PRESETS))
def test_presets_stay_near_the_identity(preset):
    keys = jax.random.split(jax.random.key(0), 300)
    draw = jax.jit(jax.vmap(lambda key: sample_geometry(key, SIZE, preset)))
    h = np.asarray(draw(keys), float)
    center = np.array([31.5, 31.5, 1.0])
    moved = h @ center
    shift = np.abs(moved[:, :2] / moved[:, 2:] - center[:2]).max()
    reach = {
        **{"upstream_detector": 0.14, "detector": 0.1, "visit": 0.351},
        **{"any_visit": 0.351},
        **{"wide": 0.157, "face": 0.061},
    }
    assert 0.04 * 64 < shift <= reach.get(preset, 0.056) * 64
    perspective = np.abs(h[:, 2, :2]).max()
    assert (perspective > 1e-4) == (not preset.startswith("upstream"))
    assert (np.linalg.det(h) > 0).all()


def test_wide_reaches_what_trained_well():
    ranges = GEOMETRY_PRESETS["wide"]
    np.testing.assert_allclose(np.deg2rad(ranges.rotation_deg), 0.5, atol=1e-3)
    np.testing.assert_allclose(np.log(ranges.scale), [-0.3, 0.3], atol=1e-3)
    np.testing.assert_allclose(ranges.shift_frac * 256, 40, atol=0.1)
    np.testing.assert_allclose(ranges.perspective / 128, 3e-4, rtol=1e-3)


def test_upstream_presets_are_upstream():
    key = jax.random.key(4)
    for name in ("detector", "descriptor"):
        np.testing.assert_array_equal(
            sample_geometry(key, SIZE, f"upstream_{name}"),
            upstream_affine(key, SIZE, preset=name),
        )


def test_own_ranges_and_unknown_names():
    still = HomographyPreset(0.0, (1.0, 1.0), 0.0, 0.0)
    np.testing.assert_allclose(
        sample_geometry(jax.random.key(0), SIZE, still), np.eye(3), atol=1e-6
    )
    with pytest.raises(ValueError, match=r"'wild'.*upstream_detector.*wide"):
        sample_geometry(jax.random.key(0), SIZE, "wild")
