"""The inverse map is as exact as it promises, and images are drawn by it."""

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage

from rkd_jax.registration.transforms import (
    Frame,
    Homography,
    Quadratic,
    Radial,
    RadialQuadratic,
    ThinPlate,
    sampling,
)
from rkd_jax.registration.transforms.inverse_map import TOLERANCE_PX, InverseMap, Layer

SIDE = 300
FRAME = Frame.of_size((SIDE, SIDE))
MIDDLE, RADIUS = np.array([150.0, 150.0]), 150.0
RNG = np.random.default_rng(0)
KNOTS = RNG.uniform(-0.9, 0.9, (32, 2))


def turned(strength):
    tilt = strength * np.array(
        [[-0.02, 0.1, 0.1], [-0.1, 0.01, -0.15], [0.1, -0.05, 0]]
    )
    return np.eye(3) + tilt


def perspective(of_field):
    to_field = FRAME.matrix()
    return Homography(np.linalg.inv(to_field) @ of_field @ to_field)


def bend(depth):
    return depth * np.array([[0.2, 0, 0, 1, -0.7, 0.5], [0, 0.3, 0, 0.4, 0.8, -1]])


def dents(depth):
    weights = RNG.normal(size=(2, 35))
    weights[:, :32] *= depth / 4
    weights[:, 32:] *= depth / 10
    return weights


CURVED = Radial(turned(1), 0.12, FRAME, FRAME)
GENTLE = [
    perspective(turned(1)),
    CURVED,
    Quadratic(perspective(turned(1)).matrix, bend(20), MIDDLE, RADIUS),
    RadialQuadratic(CURVED, bend(20), MIDDLE, RADIUS),
    ThinPlate(CURVED, KNOTS, dents(8), MIDDLE, RADIUS),
]
SEEN_ASLANT = np.array([[0.9, 0.1, 0], [-0.1, 0.8, 0.1], [1.4, -0.6, 1]])
STEEP = Radial(np.linalg.inv(SEEN_ASLANT), 0.5, FRAME, FRAME)
# A horizon and folds cross the fixed image; places change by several pixels a pixel.
HARSH = [
    perspective(np.linalg.inv(SEEN_ASLANT)),
    STEEP,
    Quadratic(perspective(turned(2)).matrix, bend(120), MIDDLE, RADIUS),
    RadialQuadratic(STEEP, bend(120), MIDDLE, RADIUS),
    ThinPlate(CURVED, KNOTS, dents(120), MIDDLE, RADIUS),
]
SIZES = [(1, 1), (1, 333), (333, 1), (16, 17), (SIDE, SIDE - 13)]


def name_of(value):
    return getattr(value, "family", None)


def grid(size, start=(0, 0)):
    return (
        np.stack(
            np.meshgrid(*(np.arange(n) + first for n, first in zip(size, start))),
            axis=-1,
        )
        .swapaxes(0, 1)[..., ::-1]
        .astype(float)
    )


def whole(inverse, size):
    """Put the strips of a map together, `[H, W, 2]`."""
    found = np.empty((*size, 2), np.float32)
    for rows, x, y in inverse.strips():
        found[rows] = np.stack([x, y], axis=-1)
    return found


def deviation(inverse, size, in_size, tolerance_px=TOLERANCE_PX):
    """Return how far a map is off where it shows the moving image; check the rest."""
    found = whole(
        InverseMap(inverse, size, in_size, tolerance_px=tolerance_px), size
    ).astype(float)
    exact = inverse(grid(size))
    last = np.array(in_size[::-1]) - 1
    shows = np.all((exact > -1) & (exact < last + 1), axis=-1)
    off = np.linalg.norm(found - exact, axis=-1)[shows]
    # What shows nothing, or is undefined, must not show anything by the map.
    reach = 1 - tolerance_px
    seen = np.all((found > -reach) & (found < last + reach), axis=-1)
    assert not np.any(seen & ~shows & ~beside_fold(exact))
    return off


def beside_fold(exact):
    """Return undefined pixels beside defined ones, where Newton's method fails at some.

    It fails at single pixels between others, which the map may interpolate; but at few.
    """
    undefined = np.isnan(exact).any(axis=-1)
    return undefined & ndimage.binary_dilation(~undefined, iterations=2)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("transform", GENTLE, ids=name_of)
def test_map_is_within_its_tolerance(transform, size):
    off = deviation(transform.apply_inverse, size, (SIDE, SIDE))
    assert off.size == 0 or off.max() < TOLERANCE_PX


@pytest.mark.parametrize("transform", HARSH, ids=name_of)
def test_map_is_within_its_tolerance_at_folds_and_horizons(transform):
    size = (SIDE, SIDE - 13)
    exact = transform.apply_inverse(grid(size))
    steep = np.linalg.norm(np.diff(exact, n=2, axis=0), axis=-1)
    # The grid of 16 px alone would not do, or the inverse has a border.
    assert np.isnan(exact).any() or np.max(steep) * 32 > TOLERANCE_PX
    off = deviation(transform.apply_inverse, size, (SIDE, SIDE))
    assert off.size > 1000
    assert off.max() < TOLERANCE_PX


def test_bound_is_that_of_the_second_derivative():
    """Cells are split until they are exact enough, and no further: counted calls."""
    solved = []

    def bowl(points):
        solved.append(len(points))
        return points + 1e-3 * (points - 100.0) ** 2

    off = deviation(bowl, (200, 200), (300, 300))
    # h^2 / 8 times 2e-3 in x and in y: .09 px at 16 px, .006 px at 4 px.
    assert off.max() == pytest.approx(2e-3 * 4**2 / 8 * np.sqrt(2), rel=0.01)
    assert sum(solved[:-1]) > (200 / 4) ** 2
    solved.clear()
    coarse = deviation(bowl, (200, 200), (300, 300), tolerance_px=1.0)
    assert coarse.max() == pytest.approx(2e-3 * 16**2 / 8 * np.sqrt(2), rel=0.01)
    assert sum(solved[:-1]) == (13 + 3) ** 2  # the last call is the test's own


def test_undefined_pixels_are_those_of_the_inverse():
    folded = Quadratic(np.eye(3), [[0, 0, 0, 60.0, 0, 0], [0] * 6], [60, 0], 100.0)
    size = (50, 70)
    exact = folded.apply_inverse(grid(size))
    undefined = np.isnan(exact).any(axis=-1)
    assert 0.02 < undefined.mean() < 0.9
    inverse = InverseMap(folded.apply_inverse, size, (4000, 4000), margin_px=4000.0)
    found = whole(inverse, size)
    np.testing.assert_array_equal(np.isnan(found).any(axis=-1), undefined)
    image = np.full((300, 300), 9, np.uint8)
    assert not folded.warp(image, size)[undefined].any()


def smooth_image(size, channels=()):
    image = ndimage.gaussian_filter(
        RNG.random((*size, *channels)), (4, 4, 0)[: 2 + len(channels)]
    )
    window = np.outer(*(np.hanning(n) for n in size))
    image *= window.reshape(*size, *(1 for _ in channels))
    return (image / image.max()).astype(np.float32)


@pytest.mark.parametrize("transform", GENTLE + HARSH, ids=name_of)
def test_drawn_image_is_the_moving_one_at_the_exact_places(transform):
    size, in_size = (SIDE - 20, SIDE), (SIDE, SIDE)
    image = smooth_image(in_size)
    exact = np.nan_to_num(transform.apply_inverse(grid(size)), nan=-99.0)
    expected = ndimage.map_coordinates(
        image, [exact[..., 1], exact[..., 0]], order=1, mode="grid-constant"
    )
    # A place is off by the map's tolerance and OpenCV's rounding to 1/32 px.
    slope = np.hypot(*(np.abs(np.diff(image, axis=i)).max() for i in (0, 1)))
    limit = slope * (TOLERANCE_PX + np.sqrt(0.5) / 32)
    drawn = transform.warp(image, size)
    unclear = beside_fold(transform.apply_inverse(grid(size)))
    assert (drawn[unclear] > 0).sum() < 1e-3 * drawn.size
    drawn[unclear] = 0
    np.testing.assert_allclose(drawn, expected, atol=limit)
    assert limit < 0.02
    assert expected.max() > 0.5
    grey = transform.warp(np.round(255 * image).astype(np.uint8), size)
    grey[unclear] = 0
    np.testing.assert_allclose(grey, 255 * expected, atol=255 * limit + 1)


def test_layers_drawn_at_once_are_those_drawn_alone():
    transform, size = GENTLE[4], (300, 333)
    colour = (255 * smooth_image((SIDE, SIDE), (3,))).astype(np.uint8)
    labels = (colour[..., :1] > 90).astype(np.int32)
    layers = [Layer(colour), Layer(labels, "nearest", 7), Layer(colour, "cubic")]
    inverse = InverseMap(transform.apply_inverse, size, (SIDE, SIDE))
    for layer, drawn in zip(layers, inverse.draw(layers), strict=True):
        alone = transform.warp(
            layer.image, size, interpolation=layer.interpolation, fill=layer.fill
        )
        assert drawn.dtype == layer.image.dtype
        np.testing.assert_array_equal(drawn, alone)
    with pytest.raises(ValueError, match=r"expected height and width \(300, 300\), "):
        inverse.draw([Layer(np.zeros((5, 5)))])
    with pytest.raises(ValueError, match="interpolation: expected one of"):
        inverse.draw([Layer(colour, "bilinear")])


@pytest.mark.parametrize("dtype", ["i2", "i4", "u4", "i8", "f8"])
def test_numbers_that_opencv_does_not_take_are_rounded(dtype):
    transform = GENTLE[1]
    image = 20_000 * smooth_image((SIDE, SIDE)).astype(float)
    image = image.round().astype(dtype)
    drawn = transform.warp(image, (SIDE, SIDE))
    assert drawn.dtype == image.dtype
    expected = transform.warp(image.astype(np.float32), (SIDE, SIDE))
    whole = dtype != "f8"
    np.testing.assert_array_equal(drawn, np.rint(expected) if whole else expected)
    assert drawn.max() > 15_000


@pytest.mark.parametrize("dtype", ["i4", "u4", "i8", "u8"])
def test_the_largest_numbers_stay_large(dtype):
    """As float32 they are above what the dtype holds: a cast would make them 0."""
    for limit in ("min", "max"):
        value = getattr(np.iinfo(dtype), limit)
        image = np.full((40, 50), value, dtype)
        drawn = Homography(np.eye(3)).warp(image, (40, 50))[2:-2, 2:-2]
        error = np.abs(drawn.astype(object) - value).max()
        assert error <= abs(value) * 2**-50


@pytest.mark.parametrize("channels", [1, 2, 5, 7])
@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_each_channel_is_drawn_as_if_alone(channels, interpolation):
    image = smooth_image((40, 50), (channels,))
    how = {"interpolation": interpolation, "fill": 0.5}
    drawn = GENTLE[1].warp(image, (60, 55), **how)
    assert drawn.shape == (60, 55, channels)
    for number in range(channels):
        alone = GENTLE[1].warp(
            np.ascontiguousarray(image[..., number]), (60, 55), **how
        )
        np.testing.assert_array_equal(drawn[..., number], alone)


@pytest.mark.parametrize("transform", GENTLE, ids=name_of)
def test_the_other_way_shows_the_image_where_it_came_from(transform):
    image = smooth_image((SIDE, SIDE))
    there = transform.warp(image, (SIDE, SIDE))
    back = transform.warp(there, (SIDE, SIDE), inverse=True)
    target = transform.apply(grid((SIDE, SIDE)))
    inside = np.all((target > 2) & (target < SIDE - 3), axis=-1)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(back[inside], image[inside], atol=0.03)


@pytest.mark.parametrize("margin", [0.0, 7.5, -20.0])
@pytest.mark.parametrize("transform", [GENTLE[0], GENTLE[4]], ids=name_of)
def test_overlap_is_exact_but_for_the_tolerance(transform, margin):
    size, in_size = (SIDE, SIDE), (190, 170)
    found = transform.overlap(in_size, size, margin_px=margin)
    exact = transform.apply_inverse(grid(size))
    last = np.array(in_size[::-1]) - 1
    inner = np.minimum(exact, last - exact).min(axis=-1) - margin
    clear = np.abs(inner) > TOLERANCE_PX
    np.testing.assert_array_equal(found[clear], inner[clear] > 0)
    assert 0.1 < found.mean() < 0.9
    assert clear.mean() > 0.99


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    ("matrix", "size"),
    [
        ([[1, 0, -7.5], [0, 1, 0.25], [0, 0, 1]], (35, 33500)),  # both long
        ([[0.001, 0, 3.25], [0, 1, 2.5], [0, 0, 1]], (40, 50)),  # all of it, small
        ([[0.9, 0.2, 90], [-0.2, 0.9, 20], [0, 0, 1]], (300, 200)),  # its beginning
    ],
)
def test_longer_sides_than_opencv_takes(matrix, size, transposed):
    image = np.tile(smooth_image((40, 300)), 120)
    matrix = np.array(matrix)
    if transposed:
        swap = np.eye(3)[[1, 0, 2]]
        image, matrix, size = image.T, swap @ matrix @ swap, size[::-1]
    transform = Homography(matrix)
    drawn = transform.warp(np.ascontiguousarray(image), size, fill=0.0)
    exact = transform.apply_inverse(grid(size))
    expected = ndimage.map_coordinates(
        image, [exact[..., 1], exact[..., 0]], order=1, mode="grid-constant"
    )
    assert expected.max() > 0.3
    np.testing.assert_allclose(drawn, expected, atol=0.01)
    assert max(image.shape) > sampling._LONGEST_PX


def test_memory_is_that_of_a_strip():
    size = (20000, 1000)
    tracemalloc.start()
    try:
        for _ in InverseMap(HARSH[0].apply_inverse, size, (SIDE, SIDE)).strips():
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.6 * 8 * np.prod(size)  # of the map as a whole
