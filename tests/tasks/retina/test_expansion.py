"""Keypoint expansion against a slow oracle in plain Python, and what it promises."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from rkd_jax.tasks.retina import expansion
from rkd_jax.tasks.retina.expansion import (
    ExpansionOptions,
    confirmed_candidates,
    content_matches,
)

SIZE = (64, 72)
SMALL = {
    "radius": 3,
    "threshold": 0.3,
    "value_radius": 4,
    "merge_radius": 5,
    "border": 4,
}
SANE = ExpansionOptions(**SMALL, max_candidates=64)
UPSTREAM = replace(ExpansionOptions.upstream(), **SMALL)
CASES = {
    "sane": SANE,
    "few, best": replace(SANE, max_candidates=12),
    "few, first": replace(SANE, max_candidates=12, choice="raster"),
    "low cap": replace(SANE, max_value=12),
    "round": replace(SANE, rounding="round"),
    "upstream": UPSTREAM,
    "superretina": replace(
        ExpansionOptions.upstream("superretina"), **SMALL, merge_threshold=0.1
    ),
}
expand = jax.jit(expansion.expand, static_argnames="options")
update_values = jax.jit(expansion.update_values, static_argnames="options")
merge_labels = jax.jit(expansion.merge_labels, static_argnames="options")


# The oracle: section 5 of the specification, step by step, in float64 and loops.


def nms(scores, radius, method):
    def pool(values):
        return ndimage.maximum_filter(
            values, 2 * radius + 1, mode="constant", cval=-np.inf
        )

    kept = scores == pool(scores)
    if method == "two_round":
        for _ in range(2):
            covered = pool(kept.astype(float)) > 0
            rest = np.where(covered, 0, scores)
            kept |= (rest == pool(rest)) & ~covered
        return np.where(kept, scores, 0)
    result = np.zeros_like(scores)
    maxima = np.argwhere(kept & (scores > 0))
    for i, (y, x) in enumerate(maxima):
        if not any(max(abs(v - y), abs(u - x)) <= radius for v, u in maxima[:i]):
            result[y, x] = scores[y, x]
    return result


def read_descriptor(cells, x, y, grid):
    rows, columns, depth = cells.shape
    if grid == "upstream":
        u = x * (columns - 1) / (8 * columns - 1)
        v = y * (rows - 1) / (8 * rows - 1)
    else:
        u = min(max((x - 11.5) / 8, 0), columns - 1)
        v = min(max((y - 11.5) / 8, 0), rows - 1)
    read = np.array(
        [
            ndimage.map_coordinates(
                cells[..., d], [[v], [u]], order=1, mode="grid-constant"
            )[0]
            for d in range(depth)
        ]
    )
    norm = np.linalg.norm(read)
    return read / norm if norm > 1e-12 else read


def in_border(y, x, size, border):
    return border <= y < size[0] - border and border <= x < size[1] - border


def confirmed(heat, warped_heat, h, o):
    """Steps 1 to 3: list of (score, y, x, mapped x, mapped y) in raster order."""
    height, width = heat.shape
    scores = nms(heat, o.radius, o.method)
    found = []
    for y, x in np.argwhere(scores > o.threshold):
        u, v, w = h @ [x, y, 1.0]
        u, v = u / w, v / w
        if not in_border(y, x, heat.shape, o.border):
            continue
        if not (0 < u < width - 1 and 0 < v < height - 1):
            continue
        half = 0.5 if o.rounding == "round" else 0.0
        if warped_heat[int(v + half), int(u + half)] >= o.geometric_threshold:
            found.append((scores[y, x], y, x, u, v))
    if o.choice == "best":
        found = sorted(found, key=lambda f: (-f[0], f[1], f[2]))
    return sorted(found[: o.max_candidates], key=lambda f: f[1:3])


def matched(found, desc, warped_desc, o):
    """Step 4: those that are their own clear nearest neighbor."""
    if len(found) <= 1:
        return []
    one = np.array([read_descriptor(desc, f[2], f[1], o.grid) for f in found])
    two = np.array([read_descriptor(warped_desc, f[3], f[4], o.grid) for f in found])
    kept = []
    for i, point in enumerate(found):
        distance = np.linalg.norm(two - one[i], axis=1)
        order = np.argsort(distance, kind="stable")
        if order[0] == i and distance[i] < o.content_ratio * distance[order[1]]:
            kept.append((int(point[1]), int(point[2])))
    return kept


def updated(values: dict, points, o) -> dict:
    """Step 5, on a dictionary of the non-zero pixels."""
    before, values = dict(values), dict(values)
    reach = o.window // 4

    def raise_by(at, amount):
        values[at] = values.get(at, 0) + amount
        if o.wrap_uint8:
            values[at] %= 256

    for y, x in points:
        near = [
            (v, u)
            for v in range(y - reach, y + reach)
            for u in range(x - reach, x + reach)
            if values.get((v, u), 0)
        ]
        if values.get((y, x), 0) or not near:
            raise_by((y, x), o.hit)
        else:
            for at in near:
                raise_by(at, o.near)
    for at, value in values.items():
        if value and value == before.get(at, 0):
            values[at] = max(value - o.decay, 0)
        if not o.wrap_uint8:
            values[at] = min(values[at], o.max_value)
    return {at: value for at, value in values.items() if value}


def merged(values: dict, labels: set, o):
    """Steps 6 and 7: label map and statistic."""
    value_map = np.zeros(SIZE)
    for at, value in values.items():
        value_map[at] = value
    scores = np.zeros(SIZE)
    scores[nms(value_map, o.value_radius, o.method) >= o.accept_value] = o.merge_value
    for at in labels:
        scores[at] = 1.0
    scores = nms(scores, o.merge_radius, o.method)
    result = {
        (y, x)
        for y, x in np.argwhere(scores > o.merge_threshold)
        if in_border(y, x, SIZE, o.border)
    }
    if o.keep_labels:
        result |= labels
    if o.labels_if_fewer and len(result) < len(labels):
        result = set(labels)
    label_map = np.zeros(SIZE, np.float32)
    for at in result:
        label_map[at] = 1
    return label_map, len(result) - len(labels)


# Made-up input: peaks that come and go, wander a little, and are mostly confirmed.


def smooth(rng, size, sigma):
    field = ndimage.gaussian_filter(rng.normal(size=size), sigma)
    return (field - field.min()) / np.ptp(field)


def scenes(seed, count):
    """Yield `count` successive inputs of one image, without value map."""
    rng = np.random.default_rng(seed)
    base = smooth(rng, SIZE, 1.5)
    cells = rng.normal(size=(7, 8, 6))
    labels = rng.uniform(0, [72, 64], (10, 2)).astype(np.float32)
    labels[1] = labels[0] + [2, 1]
    labels[2] = [1.5, 30.0]
    labels_mask = rng.random(10) > 0.2
    for _ in range(count):
        heat = 0.8 * base + 0.2 * smooth(rng, SIZE, 1.0)
        warped_heat = np.clip(smooth(rng, SIZE, 2.0) + 0.2, 0, 1)
        noisy = cells + 0.2 * rng.normal(size=cells.shape)
        h = np.eye(3)
        h[:2] += rng.uniform(-1, 1, (2, 3)) * [0.02, 0.02, 2.0]
        h[2, :2] = rng.uniform(-1e-4, 1e-4, 2)
        arrays = (heat, warped_heat, cells, noisy, h)
        yield (*(a.astype(np.float32) for a in arrays), labels, labels_mask)


def label_pixels(labels, mask, rounding):
    half = 0.5 if rounding == "round" else 0.0
    whole = np.floor(labels[mask] + half).astype(int)
    return {(min(y, SIZE[0] - 1), min(x, SIZE[1] - 1)) for x, y in whole}


def as_map(values: dict) -> np.ndarray:
    dense = np.zeros(SIZE, np.int32)
    for at, value in values.items():
        dense[at] = value
    return dense


@pytest.mark.parametrize("case", sorted(CASES))
def test_successive_calls_match_the_oracle(case):
    options = CASES[case]
    counts = []
    for seed in range(3):
        values, value_map = {}, np.zeros(SIZE, np.int32)
        for inputs in scenes(seed, 5):
            heat, warped_heat, desc, warped_desc, h, labels, mask = inputs
            wide = (warped_heat, h, desc, warped_desc)
            warped64, h64, desc64, warped_desc64 = (a.astype(float) for a in wide)
            found = confirmed(heat.astype(float), warped64, h64, options)
            points = matched(found, desc64, warped_desc64, options)
            values = updated(values, points, options)
            given = label_pixels(labels, mask, options.rounding)
            label_map, added = merged(values, given, options)
            got = expand(*inputs[:5], value_map, labels, mask, options=options)
            np.testing.assert_array_equal(got.value_map, as_map(values))
            np.testing.assert_array_equal(got.label_map, label_map)
            assert int(got.added) == added
            value_map = got.value_map
            counts.append((len(found), len(points), added))
    found, points, added = np.array(counts).T
    assert points.max() >= 5
    assert (points < found).any()
    assert (added > 0).any()
    if "few" in case:
        assert found.max() == 12


@pytest.mark.parametrize("options", [SANE, UPSTREAM], ids=["sane", "upstream"])
def test_values_follow_the_order_of_points(options):
    """Crowded points and values near the wrap, where order and area matter."""
    rng = np.random.default_rng(5)
    values = {
        (int(y), int(x)): int(v)
        for y, x, v in rng.integers([0, 0, 1], [12, 12, 256], (30, 3))
    }
    for _ in range(6):
        points = [tuple(map(int, p)) for p in rng.integers(0, 12, (24, 2))]
        before = as_map(values)
        values = updated(values, points, options)
        y, x = np.array(points, np.int32).T
        got = update_values(before, x, y, np.ones(24, bool), options=options)
        np.testing.assert_array_equal(got, as_map(values))


def hit(value_map, y, x, options=SANE):
    at = jnp.array([x], jnp.int32), jnp.array([y], jnp.int32)
    return update_values(value_map, *at, jnp.array([y >= 0]), options=options)


def test_a_pixel_hit_52_times_is_lost_only_when_wrapping():
    empty = jnp.zeros(SIZE, jnp.float32)
    for options, last in ((SANE, 255), (UPSTREAM, 4)):
        value_map = jnp.zeros(SIZE, jnp.int32)
        for call in range(1, 53):
            value_map = hit(value_map, 20, 30, options)
            if call == 51:
                assert int(value_map[20, 30]) == 255
        assert int(value_map[20, 30]) == last
        labels, added = merge_labels(value_map, empty, options=options)
        assert int(labels[20, 30]) == int(added) == (last >= 5)


def test_a_point_missed_once_drops_out_and_comes_back():
    empty = jnp.zeros(SIZE, jnp.float32)
    value_map = jnp.zeros(SIZE, jnp.int32)
    seen = []
    for y in (20, -1, 21, -1, -1, -1, -1, -1):  # found, missed, found near, missed ...
        value_map = hit(value_map, y, 30)
        labels, _ = merge_labels(value_map, empty, options=SANE)
        seen.append((int(value_map[20, 30]), int(labels[20, 30])))
    assert seen == [(5, 1), (4, 0), (5, 1), (4, 0), (3, 0), (2, 0), (1, 0), (0, 0)]


@pytest.mark.parametrize(
    ("offset", "known"), [(-3, False), (-2, True), (1, True), (2, False)]
)
def test_the_area_is_asymmetric(offset, known):
    value_map = jnp.zeros(SIZE, jnp.int32).at[30 + offset, 30].set(9)
    after = hit(value_map, 30, 30)
    assert int(after[30, 30]) == (0 if known else 5)
    assert int(after[30 + offset, 30]) == (10 if known else 8)


def test_masked_points_change_nothing_but_by_fading():
    value_map = jnp.zeros(SIZE, jnp.int32).at[30, 30].set(9)
    at = jnp.array([30, 12], jnp.int32)
    after = update_values(value_map, at, at, jnp.zeros(2, bool), options=SANE)
    assert np.argwhere(after).tolist() == [[30, 30]]
    assert int(after[30, 30]) == 8


def test_given_labels_at_the_border_and_near_each_other():
    given = jnp.zeros(SIZE).at[1, 40].set(1.0).at[30, 30].set(1.0).at[31, 32].set(1.0)
    values = jnp.zeros(SIZE, jnp.int32)
    kept, added = merge_labels(values, given, options=SANE)
    np.testing.assert_array_equal(kept, given)
    assert int(added) == 0
    # Upstream loses the one at the border; the other two tie and both survive.
    kept, added = merge_labels(values, given, options=UPSTREAM)
    assert np.argwhere(kept).tolist() == [[30, 30], [31, 32]]
    assert int(added) == -1
    fallback = replace(UPSTREAM, labels_if_fewer=True)
    kept, added = merge_labels(values, given, options=fallback)
    np.testing.assert_array_equal(kept, given)
    assert int(added) == 0


def test_an_expanded_label_gives_way_to_a_given_one():
    values = jnp.zeros(SIZE, jnp.int32).at[30, 33].set(200).at[50, 50].set(5)
    given = jnp.zeros(SIZE).at[30, 30].set(1.0)
    kept, added = merge_labels(values, given, options=SANE)
    assert np.argwhere(kept).tolist() == [[30, 30], [50, 50]]
    assert int(added) == 1


def test_content_needs_a_rival():
    vectors = jnp.eye(4)
    both = jnp.array([True, True, False, False])
    assert content_matches(vectors, vectors, both, ratio=0.7).tolist() == both.tolist()
    alone = jnp.array([True, False, False, False])
    assert not content_matches(vectors, vectors, alone, ratio=0.7).any()
    # A masked twin is no rival; a present one is.
    twins = vectors.at[2].set(vectors[0])
    assert content_matches(twins, twins, both, ratio=0.7).tolist() == both.tolist()
    all_four = jnp.ones(4, bool)
    assert content_matches(twins, twins, all_four, ratio=0.7).tolist() == [
        False, True, False, True,
    ]  # fmt: skip


def test_padding_is_never_a_candidate():
    heat, warped_heat, _, _, h, _, _ = next(scenes(3, 1))
    size = (50, 60)
    blank, junk = heat.copy(), heat.copy()
    blank[50:], blank[:, 60:] = 0, 0
    junk[50:], junk[:, 60:] = 1, 1
    find = jax.jit(confirmed_candidates, static_argnames="options")
    expected = find(blank, warped_heat, h, options=SANE, size=size)
    got = find(junk, warped_heat, h, options=SANE, size=jnp.array(size))
    for a, b in zip(expected, got):
        np.testing.assert_array_equal(a, b)
    y, x = np.divmod(np.asarray(got[0])[np.asarray(got[1])], SIZE[1])
    assert len(y) > 3
    assert y.max() < 50 - SANE.border
    assert x.max() < 60 - SANE.border


def test_vmap_equals_one_by_one():
    batch = list(scenes(8, 2))
    value_maps = np.zeros((2, *SIZE), np.int32)
    stacked = [np.stack(arrays) for arrays in zip(*batch)]
    together = jax.jit(jax.vmap(lambda *a: expansion.expand(*a, options=SANE)))(
        *stacked[:5], value_maps, *stacked[5:]
    )
    for i, inputs in enumerate(batch):
        alone = expand(*inputs[:5], value_maps[i], *inputs[5:], options=SANE)
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone)):
            np.testing.assert_array_equal(a[i], b)


def test_options_are_static_and_checked():
    assert hash(UPSTREAM) == hash(replace(ExpansionOptions.upstream(), **SMALL))
    with pytest.raises(ValueError, match=r"'random'.*best, raster"):
        ExpansionOptions(choice="random")
    with pytest.raises(ValueError, match="max_candidates is 0"):
        ExpansionOptions(max_candidates=0)
    with pytest.raises(ValueError, match=r"'poster'.*rkd, superretina"):
        ExpansionOptions.upstream("poster")


def test_maps_of_different_sizes_are_refused():
    inputs = next(scenes(1, 1))
    with pytest.raises(ValueError, match=r"\(64, 72\).*\(8, 8\)"):
        expand(*inputs[:5], np.zeros((8, 8), np.int32), *inputs[5:], options=SANE)


@pytest.mark.parametrize("choice", ["best", "raster"])
def test_candidates_come_in_raster_order_and_map_inside(choice):
    heat = next(scenes(3, 1))[0]
    bright = np.ones(SIZE, np.float32)
    shift = np.array([[1, 0, 20], [0, 1, -9.5], [0, 0, 1]], np.float32)
    options = replace(SANE, choice=choice)
    found = confirmed(heat.astype(float), bright, shift.astype(float), options)
    assert 4 < len(found) < options.max_candidates
    index, mask = confirmed_candidates(heat, bright, shift, options)
    expected = [y * SIZE[1] + x for _, y, x, _, _ in found]
    assert np.asarray(index)[np.asarray(mask)].tolist() == expected
    everywhere, mask = confirmed_candidates(heat, bright, np.eye(3), options)
    assert int(mask.sum()) > len(found)
    assert (np.diff(np.asarray(everywhere)[np.asarray(mask)]) > 0).all()
