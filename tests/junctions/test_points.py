"""Junctions of drawn vessels: number, kind and position are known."""

import cv2
import numpy as np
import pytest
from scipy import ndimage

from rkd_jax.junctions.points import bright_disc, fill_small_holes, find_junctions
from rkd_jax.junctions.skeleton import SkeletonGraph

SIZE = 240
CENTER = np.array([120.0, 120.0])


def lines(*segments, size=SIZE):
    """Draw `(xy0, xy1, width)` segments as a bool mask."""
    mask = np.zeros((size, size), np.uint8)
    for start, end, width in segments:
        ends = [tuple(round(float(v)) for v in p) for p in (start, end)]
        cv2.line(mask, *ends, 1, width)
    return mask > 0


def ray(angle_deg, length=90.0, start=CENTER):
    angle = np.deg2rad(angle_deg)
    return np.asarray(start) + length * np.array([np.cos(angle), np.sin(angle)])


def through(angle_deg, width):
    return ray(angle_deg), ray(angle_deg + 180.0), width


def assert_points(junctions, expected, within_px):
    """Check that points and expected positions are the same set."""
    expected = np.reshape(np.array(expected, np.float64), (-1, 2))
    assert junctions.xy.dtype == np.float32
    assert len(junctions.xy) == len(expected), junctions.xy
    if len(expected):
        gap = np.linalg.norm(junctions.xy[:, None] - expected[None], axis=2)
        assert gap.min(axis=0).max() < within_px, junctions.xy
        assert gap.min(axis=1).max() < within_px, junctions.xy


@pytest.mark.parametrize("width", [1, 3, 7])
@pytest.mark.parametrize("turn", [0, 25, 90])
def test_fork_is_one_bifurcation(width, turn):
    mask = lines(*((CENTER, ray(turn + a), width) for a in (90, 215, 325)))
    junctions = find_junctions(mask)
    assert_points(junctions, [CENTER], 2.5)
    assert not junctions.crossing.any()


@pytest.mark.parametrize("widths", [(1, 1), (3, 3), (5, 3), (9, 3), (9, 9)])
@pytest.mark.parametrize("angle", [35, 50, 70, 90])
@pytest.mark.parametrize("turn", [0, 20])
def test_crossing_is_one_point(widths, angle, turn):
    mask = lines(through(turn, widths[0]), through(turn + angle, widths[1]))
    junctions = find_junctions(mask)
    assert_points(junctions, [CENTER], 3.0)
    assert junctions.crossing.all()


def test_wide_crossing_is_two_three_way_nodes_before_merging():
    mask = lines(through(0, 9), through(40, 9))
    unmerged = find_junctions(mask, crossing_widths=-10.0, merge_frac=0.0)
    assert len(unmerged.xy) == 2
    assert not unmerged.crossing.any()


def test_branches_on_both_sides_of_a_vessel_stay_two_points():
    mask = lines(
        ((20, 120), (220, 120), 5),
        ((90, 120), (90, 30), 3),
        ((150, 120), (150, 210), 3),
    )
    junctions = find_junctions(mask)
    assert_points(junctions, [(90, 120), (150, 120)], 2.5)
    assert not junctions.crossing.any()


def test_forward_branches_close_together_are_no_crossing():
    """Two children that leave one trunk forward to both sides do not cross it."""
    trunk = ((20, 120), (220, 120), 5)
    mask = lines(
        trunk, ((100, 120), ray(-45, 80, (100, 120)), 3),
        ((112, 120), ray(45, 80, (112, 120)), 3),
    )  # fmt: skip
    junctions = find_junctions(mask)
    # The center lines part where the borders do, a few pixels further on.
    assert_points(junctions, [(104, 120), (116, 120)], 3.0)
    assert not junctions.crossing.any()


def test_parallel_vessels_have_no_junction():
    mask = lines(((20, 100), (220, 104), 5), ((20, 116), (220, 120), 5))
    assert_points(find_junctions(mask), [], 0.0)


@pytest.mark.parametrize(("length", "count"), [(7, 0), (60, 1)])
def test_spur_is_removed_and_branch_is_kept(length, count):
    mask = lines(((20, 120), (220, 120), 7), ((120, 120), (120, 120 - 3 - length), 3))
    assert_points(find_junctions(mask), [(120, 120)] * count, 3.0)


def test_ragged_border_gives_no_points():
    mask = lines(((20, 120), (220, 120), 9))
    rng = np.random.default_rng(0)
    edge = ndimage.binary_dilation(mask) & ~mask
    ragged = mask | (edge & (rng.random(mask.shape) < 0.4))
    assert_points(find_junctions(ragged), [], 0.0)


def test_thin_branch_of_thick_trunk():
    mask = lines(((20, 120), (220, 120), 13), ((120, 120), (160, 30), 1))
    assert_points(find_junctions(mask), [(122, 120)], 4.0)


def test_ring_has_no_junction_and_with_two_tails_has_two():
    mask = np.zeros((SIZE, SIZE), np.uint8)
    cv2.circle(mask, (120, 120), 50, 1, 3)
    assert_points(find_junctions(mask), [], 0.0)
    tails = (mask > 0) | lines(((20, 120), (70, 120), 3), ((170, 120), (220, 120), 3))
    assert_points(find_junctions(tails), [(70, 120), (170, 120)], 2.5)


def test_loop_that_leaves_and_meets_one_vessel():
    mask = lines(((20, 160), (220, 160), 3)).astype(np.uint8)
    cv2.ellipse(mask, (120, 160), (40, 70), 0, 180, 360, 1, 3)
    assert_points(find_junctions(mask), [(80, 160), (160, 160)], 3.5)


def test_no_points_at_the_rim():
    field = np.zeros((SIZE, SIZE), np.uint8)
    cv2.circle(field, (120, 120), 100, 1, -1)
    near = ray(0, 98.5)
    mask = lines(
        (CENTER, ray(0, 115), 3), (near, near + (12, 40), 3),
        (near, near + (2, -60), 3),
        (CENTER, ray(120), 3), (CENTER, ray(240), 3),
    )  # fmt: skip
    junctions = find_junctions(mask, field)
    assert_points(junctions, [CENTER], 2.5)


def test_small_holes_and_small_islands_do_not_count():
    mask = lines(((20, 120), (220, 120), 9))
    mask[119:121, 100:102] = False
    mask[40:44, 40:44] = True
    assert_points(find_junctions(mask), [], 0.0)


def test_components_too_short_are_dropped():
    plus = lines(((115, 120), (125, 120), 1), ((120, 115), (120, 125), 1))
    options = {"spur_frac": 0.0, "spur_widths": 0.0}
    assert_points(find_junctions(plus, component_frac=0.0, **options), [CENTER], 1.0)
    assert_points(find_junctions(plus, component_frac=0.2, **options), [], 0.0)


def test_widest_junctions_are_kept():
    mask = lines(
        ((20, 80), (220, 80), 7), ((120, 80), (120, 20), 7),
        ((20, 160), (220, 160), 3), ((120, 160), (120, 220), 3),
    )  # fmt: skip
    assert_points(find_junctions(mask), [(120, 80), (120, 160)], 3.0)
    assert_points(find_junctions(mask, max_points=1), [(120, 80)], 3.0)
    assert_points(find_junctions(mask, max_points=0), [], 0.0)


def tree(size=SIZE):
    """A drawing with forks, crossings and dead ends of several widths."""
    return lines(
        ((10, 60), (230, 90), 5), ((40, 20), (140, 220), 3), ((150, 79), (220, 200), 3),
        ((101, 142), (60, 225), 2), ((185, 139), (120, 230), 2),
        ((200, 20), (190, 84), 3),
    )  # fmt: skip


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_turn_the_points(turns):
    mask = tree()
    base = find_junctions(mask).xy
    assert len(base) >= 5
    turned = find_junctions(np.rot90(mask, turns))
    expected = base
    for _ in range(turns):  # np.rot90: (x, y) -> (y, W - 1 - x)
        expected = np.stack([expected[:, 1], SIZE - 1 - expected[:, 0]], axis=1)
    assert_points(turned, expected, 2.5)


def test_points_do_not_depend_on_resolution():
    mask = tree()
    large = np.kron(mask, np.ones((3, 3), bool))
    base = find_junctions(mask).xy
    assert_points(find_junctions(large), (base + 0.5) * 3 - 0.5, 7.0)


def test_same_mask_same_points():
    one, two = find_junctions(tree()), find_junctions(tree().astype(np.uint8) * 255)
    np.testing.assert_array_equal(one.xy, two.xy)
    assert (np.diff(one.xy[:, 1]) >= 0).all()
    assert not (one.skeleton & ~tree()).any()


def test_empty_mask_gives_no_points():
    junctions = find_junctions(np.zeros((50, 60), bool))
    assert junctions.xy.shape == (0, 2)
    assert junctions.crossing.shape == (0,)


def test_fill_small_holes_agrees_with_scipy_on_closed_shapes():
    rng = np.random.default_rng(1)
    mask = ndimage.binary_dilation(rng.random((60, 60)) < 0.15)
    mask = np.pad(mask[2:-2, 2:-2], 2)  # one outer background
    everything = fill_small_holes(mask, (~mask)[0].size * 60)
    assert everything.all()
    outer = (ndimage.label(~mask)[0] == ndimage.label(~mask)[0][0, 0]).sum()
    np.testing.assert_array_equal(
        fill_small_holes(mask, outer), ndimage.binary_fill_holes(mask)
    )


@pytest.mark.parametrize("dark", [0, 12])
def test_the_disc_is_found_despite_vessels_and_noise(dark):
    image = np.full((200, 260, 3), dark, np.uint8)
    cv2.circle(image, (130, 100), 90, (190, 110, 60), -1)
    expected = image[..., 0] > 100
    cv2.line(image, (130, 10), (130, 190), (25, 15, 8), 5)
    rng = np.random.default_rng(0)
    noisy = np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)
    found = bright_disc(noisy)
    union = (found | expected).sum()
    assert (found & expected).sum() / union > 0.98


@pytest.mark.parametrize(
    ("vessels", "field", "message"),
    [
        (np.ones((4, 4, 3)), None, r"must be \[H, W\]"),
        (np.ones((4, 4)), np.ones((4, 5)), "must be of one image"),
        (np.ones((4, 4)), np.zeros((4, 4)), "field of view is empty"),
    ],
)
def test_bad_input_is_named(vessels, field, message):
    with pytest.raises(ValueError, match=message):
        find_junctions(vessels, field)


def test_constant_image_has_no_field():
    with pytest.raises(ValueError, match="constant"):
        bright_disc(np.full((40, 40, 3), 7, np.uint8))


def test_graph_counts_obey_euler():
    """Nodes + free ends - branches = components - loops for any tangle of lines."""
    from skimage.morphology import skeletonize

    rng = np.random.default_rng(3)
    for _ in range(6):
        ends = rng.integers(10, SIZE - 10, (12, 2, 2))
        mask = fill_small_holes(lines(*((a, b, 3) for a, b in ends)), 9)
        skeleton = skeletonize(mask)
        graph = SkeletonGraph(skeleton, np.ones(mask.shape))
        free = sum(e is None for b in graph.branches.values() for e in b.ends)
        assert all(len(graph.at(n)) >= 3 for n in graph.nodes)
        components = ndimage.label(skeleton, np.ones((3, 3)))[1]
        holes = ndimage.label(~skeleton)[1] - 1
        euler = len(graph.nodes) + free - len(graph.branches)
        assert euler == components - holes
        assert len(graph.branches) > 20
