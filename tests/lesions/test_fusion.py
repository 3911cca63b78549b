"""Fusions: golden values, and the rows of the paper's table."""

import numpy as np
import pytest
import scipy.stats

from rkd_jax.lesions.fusion import FUSIONS, MAPS, fuse


def _maps():
    values = (0.2, 0.8, 0.5, 0.05)
    return {name: np.float32([[v]]) for name, v in zip(MAPS, values, strict=True)}


@pytest.mark.parametrize(
    ("fusion", "expected"),
    [
        ("full", 0.2),
        ("half", 0.8),
        ("geometric", 0.4),
        ("arithmetic", 0.5),
        ("refined_geometric", 0.2514867),
        ("refined_arithmetic", 0.3875),
    ],
)
def test_golden_values(fusion, expected):
    assert fuse(_maps(), fusion).item() == pytest.approx(expected, abs=1e-6)


def test_all_fusions_are_tested():
    assert len(FUSIONS) == 6
    assert set(FUSIONS["refined_geometric"].maps) == set(MAPS)


def test_geometric_mean_is_that_of_scipy():
    rng = np.random.default_rng(0)
    maps = {name: rng.random((5, 6)).astype(np.float32) for name in MAPS}
    expected = scipy.stats.gmean(np.stack(list(maps.values())), axis=0)
    np.testing.assert_allclose(fuse(maps, "refined_geometric"), expected, rtol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_the_classifier_counts_by_its_weight(weight):
    rng = np.random.default_rng(1)
    maps = {name: rng.uniform(0.01, 1, (5, 6)).astype(np.float32) for name in MAPS}
    shares = [(1 - weight) / 2] * 2 + [weight / 2] * 2
    stack = np.stack([maps[name] for name in MAPS]).astype(np.float64)
    for fusion, mean in (
        ("refined_arithmetic", np.average(stack, axis=0, weights=shares)),
        (
            "refined_geometric",
            np.exp(np.average(np.log(stack), axis=0, weights=shares)),
        ),
    ):
        found = fuse(maps, fusion, classifier_weight=weight)
        np.testing.assert_allclose(found, mean, rtol=1e-5)
    plain = fuse(maps, "geometric", classifier_weight=weight)
    np.testing.assert_array_equal(plain, fuse(maps, "geometric"))


def test_zero_keeps_the_order_of_the_others():
    maps = {
        "full": np.float32([[0.0, 0.0]]),
        "half": np.float32([[0.3, 0.6]]),
    }
    low, high = fuse(maps, "geometric")[0]
    assert 0 < low < high < 1e-3


def test_fusion_keeps_its_maps():
    maps = _maps()
    fuse(maps, "refined_geometric"), fuse(maps, "refined_arithmetic")
    assert maps["full"].item() == np.float32(0.2)


def test_unknown_fusion_and_missing_map():
    with pytest.raises(ValueError, match="fusion is 'best'; expected one of full, hal"):
        fuse(_maps(), "best")
    with pytest.raises(ValueError, match="fusion geometric: no map half"):
        fuse({"full": np.zeros((1, 1))}, "geometric")
