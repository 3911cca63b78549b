"""Keypoints against brute force, SciPy, the networks' own arithmetic, and torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from rkd_jax import keypoints
from rkd_jax.keypoints import rasterize, sample_descriptors

# Compiled once per setting; the tests that take `maybe_jit` also run uncompiled.
suppress = jax.jit(keypoints.suppress, static_argnums=1, static_argnames="method")
detect = jax.jit(
    keypoints.detect,
    static_argnames=("max_keypoints", "radius", "border", "method", "subpixel"),
)

RNG = np.random.default_rng(0)


def plateaus(size=(24, 31), levels=6) -> np.ndarray:
    """Scores with many ties."""
    return (RNG.integers(0, levels, size) / levels).astype(np.float32)


def one_round_oracle(scores: np.ndarray, radius: int) -> np.ndarray:
    height, width = scores.shape
    maxima = np.zeros(scores.shape, bool)
    for y in range(height):
        for x in range(width):
            area = scores[max(0, y - radius) : y + radius + 1,
                          max(0, x - radius) : x + radius + 1]  # fmt: skip
            maxima[y, x] = scores[y, x] == area.max()
    kept = np.zeros_like(scores)
    for y, x in np.argwhere(maxima):
        rivals = [
            (v, u)
            for v in range(max(0, y - radius), min(height, y + radius + 1))
            for u in range(max(0, x - radius), min(width, x + radius + 1))
            if maxima[v, u]
        ]
        if min(rivals) == (y, x):
            kept[y, x] = scores[y, x]
    return kept


def two_round_oracle(scores: np.ndarray, radius: int) -> np.ndarray:
    def pool(values):
        return ndimage.maximum_filter(
            values, 2 * radius + 1, mode="constant", cval=-np.inf
        )

    kept = scores == pool(scores)
    for _ in range(2):
        covered = pool(kept.astype(float)) > 0
        rest = np.where(covered, 0, scores)
        kept |= (rest == pool(rest)) & ~covered
    return np.where(kept, scores, 0)


ORACLES = {"one_round": one_round_oracle, "two_round": two_round_oracle}


@pytest.mark.parametrize("method", sorted(ORACLES))
@pytest.mark.parametrize("radius", [0, 1, 2, 5])
def test_suppression_matches_brute_force(method, radius):
    smooth = ndimage.gaussian_filter(RNG.random((24, 31)), 1.0).astype(np.float32)
    for scores in (smooth, plateaus(), plateaus(levels=60)):
        np.testing.assert_array_equal(
            suppress(scores, radius, method=method), ORACLES[method](scores, radius)
        )


def test_suppressing_twice_is_suppressing_once():
    once = suppress(plateaus(levels=40), 3)
    np.testing.assert_array_equal(suppress(once, 3), once)


def test_ties_survive_two_rounds_and_not_one():
    scores = jnp.zeros((12, 12)).at[4, 4].set(1.0).at[6, 5].set(1.0)
    assert jnp.count_nonzero(suppress(scores, 4, method="two_round")) == 2
    assert np.argwhere(suppress(scores, 4, method="one_round")).tolist() == [[4, 4]]


def test_two_rounds_recover_what_only_non_maxima_suppressed():
    row = jnp.array([[0.9, 0.8, 0.7, 0.6, 0.5]])
    assert np.flatnonzero(suppress(row, 1, method="one_round")).tolist() == [0]
    assert np.flatnonzero(suppress(row, 1, method="two_round")).tolist() == [0, 2, 4]


def test_suppression_names_its_methods():
    with pytest.raises(ValueError, match=r"'three_round'.*one_round.*two_round"):
        suppress(jnp.zeros((4, 4)), 1, method="three_round")
    with pytest.raises(ValueError, match=r"\(1, 4, 4\).*\[H, W\]"):
        suppress(jnp.zeros((1, 4, 4)), 1)


SETTINGS = {"max_keypoints": 20, "threshold": 0.5, "radius": 2, "border": 3}


def test_detect_returns_the_best_maxima_in_order(maybe_jit):
    heatmap = plateaus((40, 50), levels=50)
    maxima = one_round_oracle(heatmap, 2)
    expected = [
        (-maxima[y, x], y, x)
        for y in range(3, 37)
        for x in range(3, 47)
        if maxima[y, x] > 0.5
    ]
    expected = sorted(expected)[:20]
    found = maybe_jit(lambda h: keypoints.detect(h, **SETTINGS))(heatmap)
    assert found.mask.all()
    np.testing.assert_array_equal(found.xy, [(x, y) for _, y, x in expected])
    np.testing.assert_array_equal(found.scores, [-s for s, _, _ in expected])


def test_detect_pads_what_it_does_not_find():
    heatmap = jnp.zeros((20, 20)).at[5, 9].set(0.9).at[12, 3].set(0.6)
    found = detect(heatmap, **SETTINGS)
    assert found.mask.tolist() == [True, True] + [False] * 18
    assert found.xy[:2].tolist() == [[9.0, 5.0], [3.0, 12.0]]
    assert not np.any(found.xy[2:])
    assert not np.any(found.scores[2:])
    assert found.descriptors is None


def test_threshold_is_strict():
    heatmap = jnp.zeros((20, 20)).at[5, 9].set(0.5)
    assert not detect(heatmap, **SETTINGS).mask.any()


def test_more_keypoints_than_pixels_are_masked():
    heatmap = jnp.zeros((3, 3)).at[1, 1].set(0.9)
    found = detect(heatmap, max_keypoints=12, threshold=0.1, radius=1, border=0)
    assert found.xy.shape == (12, 2)
    assert int(found.mask.sum()) == 1


def test_padding_changes_nothing():
    heatmap = plateaus((30, 26), levels=50)
    padded = np.ones((40, 40), np.float32)
    padded[:30, :26] = heatmap
    alone = detect(heatmap, **SETTINGS)
    within = detect(padded, size=jnp.array([30, 26]), **SETTINGS)
    for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(within)):
        np.testing.assert_array_equal(a, b)


def test_subpixel_finds_the_top_of_a_parabola():
    y, x = np.mgrid[:30, :30]
    heatmap = 0.9 - 0.01 * (x - 12.3) ** 2 - 0.02 * (y - 16.6) ** 2
    found = detect(heatmap.astype(np.float32), **SETTINGS, subpixel=True)
    np.testing.assert_allclose(found.xy[0], [12.3, 16.6], atol=1e-3)


def test_subpixel_stays_on_a_flat_top():
    heatmap = jnp.zeros((20, 20)).at[8:12, 8:12].set(0.9)
    found = detect(heatmap, **SETTINGS, subpixel=True)
    # Level to the right and below, falling to the left and above: half a pixel.
    np.testing.assert_allclose(found.xy[0], [8.5, 8.5])


def test_detection_passes_no_gradient():
    heatmap = jnp.asarray(plateaus())
    slope = jax.grad(lambda h: detect(h, **SETTINGS).scores.sum())(heatmap)
    assert not np.any(slope)


def test_upstream_grid_is_the_published_formula():
    cells = RNG.normal(size=(10, 14, 5)).astype(np.float32)
    xy = RNG.uniform(0, [127, 95], (60, 2)).astype(np.float32)
    u = xy[:, 0] * 13 / (8 * 14 - 1)
    v = xy[:, 1] * 9 / (8 * 10 - 1)
    read = np.stack(
        [
            ndimage.map_coordinates(
                cells[..., d], [v, u], order=1, mode="grid-constant"
            )
            for d in range(5)
        ],
        -1,
    )
    norm = np.linalg.norm(read, axis=1, keepdims=True)
    expected = np.where(norm > 1e-6, read / np.maximum(norm, 1e-6), 0)
    got = sample_descriptors(cells, xy, grid="upstream")
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert (norm == 0).any()


def test_upstream_grid_loses_the_far_edge_of_768_pixels():
    cells = jnp.ones((94, 94, 2))
    xy = jnp.array([[751.0, 300.0], [758.0, 300.0], [760.0, 300.0]])
    norms = jnp.linalg.norm(sample_descriptors(cells, xy, grid="upstream"), axis=-1)
    np.testing.assert_allclose(norms, [1.0, 1.0, 0.0], atol=1e-6)


def test_aligned_grid_follows_the_descriptor_head():
    """A map of x sent through the head's geometry must read x back.

    The head averages four trunk cells (4x4, stride 2, no padding), then writes each
    result into two cells (2x2 transposed, stride 2).
    """
    trunk = 8.0 * np.arange(16) + 3.5
    pooled = np.array([trunk[2 * j : 2 * j + 4].mean() for j in range(7)])
    cells = np.repeat(pooled, 2)
    field = np.zeros((14, 14, 2), np.float32)
    field[..., 0], field[..., 1] = cells[None, :], 100.0
    x = np.array([pooled[2], pooled[3], (pooled[3] + pooled[4]) / 2], np.float32)
    got = np.asarray(sample_descriptors(field, np.stack([x, x], -1)))
    np.testing.assert_allclose(100 * got[:, 0] / got[:, 1], x, rtol=1e-5)


def test_aligned_grid_repeats_the_edge():
    cells = jnp.asarray(RNG.normal(size=(4, 4, 8)), jnp.float32)
    outside = sample_descriptors(cells, jnp.array([[0.0, 0.0], [99.0, 99.0]]))
    edge = sample_descriptors(cells, jnp.array([[11.5, 11.5], [35.5, 35.5]]))
    np.testing.assert_array_equal(outside, edge)
    np.testing.assert_allclose(jnp.linalg.norm(outside, axis=-1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("grid", ["aligned", "upstream"])
def test_zero_descriptors_have_finite_gradients(grid):
    def total(cells):
        return sample_descriptors(cells, jnp.full((2, 2), 20.0), grid=grid).sum()

    slope = jax.grad(total)(jnp.zeros((4, 4, 3)))
    assert np.isfinite(slope).all()
    assert np.abs(slope).max() <= 2.0


def test_unknown_grid_is_refused():
    with pytest.raises(ValueError, match=r"'shifted'.*aligned.*upstream"):
        sample_descriptors(jnp.zeros((4, 4, 3)), jnp.zeros((1, 2)), grid="shifted")


def test_rasterize_marks_pixels(maybe_jit):
    xy = np.array(
        [[1.9, 0.2], [4.0, 3.0], [2.0, 2.0], [-0.4, 1.5], [1e9, 2.0]], np.float32
    )
    mask = np.array([True, True, False, True, True])
    expected = np.zeros((4, 4), np.float32)
    expected[0, 1] = expected[3, 3] = expected[1, 0] = expected[2, 3] = 1
    got = maybe_jit(lambda xy, mask: rasterize(xy, mask, (4, 4)))(xy, mask)
    np.testing.assert_array_equal(got, expected)


def test_rasterize_can_round():
    got = rasterize(
        jnp.array([[1.5, 0.4]]), jnp.array([True]), (2, 4), rounding="round"
    )
    assert np.argwhere(got).tolist() == [[0, 2]]
    with pytest.raises(ValueError, match="'ceil'"):
        rasterize(jnp.zeros((1, 2)), jnp.array([True]), (2, 2), rounding="ceil")
