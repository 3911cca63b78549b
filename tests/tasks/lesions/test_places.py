"""Where patches are cut."""

import cv2
import numpy as np
import pytest
from scipy import ndimage

from rkd_jax.tasks.lesions.places import LESION, Places, lattice, lesion_pixels
from rkd_jax.tasks.lesions.places import no_lesion as choose


def disc_field(side=120):
    y, x = np.indices((side, side + 11))
    return np.hypot(x - side / 2, y - side / 2) < side / 2 - 3


def some_lesions(field, count=12, seed=0):
    """Draw soft lesions of several sizes, uint8, and 0 outside of the field."""
    rng = np.random.default_rng(seed)
    target = np.zeros(field.shape, np.uint8)
    for _ in range(count):
        x, y = (int(rng.integers(0, side)) for side in field.shape[::-1])
        cv2.circle(target, (x, y), int(rng.integers(0, 5)), 255, -1)
    return cv2.GaussianBlur(target, (0, 0), 0.8) * field


def rng():
    return np.random.default_rng(7)


def at(array, xy):
    return array[xy[:, 1], xy[:, 0]]


def distinct(xy):
    return len({tuple(one) for one in xy.tolist()}) == len(xy)


@pytest.mark.parametrize("most", [1, 4, 1000])
def test_each_lesion_gives_pixels_of_its_own(most):
    target = some_lesions(disc_field())
    xy = lesion_pixels(target, most=most, rng=rng())
    assert (at(target, xy) >= LESION).all()
    assert distinct(xy)
    parts, count = ndimage.label(target >= LESION, np.ones((3, 3)))
    assert count > 4
    sizes = np.bincount(parts.ravel())[1:]
    assert sizes.min() < 4 < sizes.max()
    np.testing.assert_array_equal(
        np.bincount(at(parts, xy), minlength=count + 1)[1:], np.minimum(sizes, most)
    )


def test_one_pixel_of_a_lesion_is_in_its_middle():
    """Of a ring it is none of the hole."""
    target = np.zeros((40, 40), np.uint8)
    cv2.ellipse(target, (12, 14), (6, 3), 0, 0, 360, 255, -1)
    cv2.circle(target, (28, 28), 6, 255, 2)
    first, second = lesion_pixels(target, most=1, rng=rng())
    assert first.tolist() == [12, 14]
    distance = np.hypot(*(np.argwhere(target[20:] > 0) + (20, 0) - 28).T)
    assert np.hypot(*(second - 28)) == pytest.approx(distance.min(), abs=0.5)
    assert target[second[1], second[0]] == 255


def test_pixels_that_touch_at_a_corner_are_one_lesion():
    target = np.eye(6, dtype=np.uint8) * 255
    assert len(lesion_pixels(target, most=1, rng=rng())) == 1
    assert len(lesion_pixels(target, most=3, rng=rng())) == 3
    target[2, 2] = LESION - 1
    assert len(lesion_pixels(target, most=1, rng=rng())) == 2


def test_pixels_of_a_lesion_are_a_random_choice():
    target = np.zeros((30, 30), np.uint8)
    target[5:15, 8:18] = 255
    seen = np.zeros(target.shape, int)
    for seed in range(200):
        xy = lesion_pixels(target, most=10, rng=np.random.default_rng(seed))
        np.add.at(seen, (xy[:, 1], xy[:, 0]), 1)
    counts = seen[target > 0]  # 20 each, standard deviation 4.2
    assert counts.sum() == 2000
    assert counts.min() > 3
    assert counts.max() < 42


def test_no_lesion_gives_no_pixel():
    for most in (1, 5):
        assert lesion_pixels(
            np.zeros((9, 9), np.uint8), most=most, rng=rng()
        ).shape == (
            0,
            2,
        )


def test_places_know_their_photograph_and_label():
    places = Places.of(
        [
            (3, np.array([[1, 2], [3, 4]]), 1),
            (3, np.zeros((0, 2), int), 0),
            (5, np.array([[6, 7]]), 0),
        ]
    )
    assert places.eye.tolist() == [3, 3, 5]
    assert places.xy.tolist() == [[1, 2], [3, 4], [6, 7]]
    assert places.label.tolist() == [1, 1, 0]
    assert {part.dtype for part in places} == {np.dtype(np.int32)}


@pytest.mark.parametrize("step", [8, 16, 31])
def test_a_lattice_of_crops_covers_the_field(step):
    """A crop is two steps wide; those of the lesions lie between."""
    field = disc_field()
    target = some_lesions(field)
    xy = lattice(field, target, step=step)
    assert at(field, xy).all()
    assert (at(target, xy) < LESION).all()
    assert distinct(xy)
    assert (xy % step == step // 2).all()
    whole = lattice(field, 0 * target, step=step)
    assert len(xy) <= len(whole)
    seen = np.zeros(field.shape, bool)
    for x, y in whole:
        rows, columns = (slice(max(0, v - step), v + step) for v in (y, x))
        seen[rows, columns] = True
    assert seen[field].all()
    left_out = {tuple(one) for one in whole.tolist()} - {tuple(o) for o in xy.tolist()}
    assert all(target[y, x] >= LESION for x, y in left_out)


def spotted(field, target, seed=0):
    """Draw an enhanced photograph with spots all over its field, uint8."""
    noise = np.random.default_rng(seed).normal(0, 1, (*field.shape, 3))
    image = 128 + 90 * cv2.GaussianBlur(noise, (0, 0), 1.2)
    image[target > 0] = 20
    return np.where(field[..., None], image, 128).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("count", [1, 7, 200, 10**6])
def test_what_is_no_lesion_has_no_part_of_one(count):
    field = disc_field()
    target = some_lesions(field)
    assert ((target > 0) & (target < LESION)).any()  # half covered ones, too
    xy = choose(spotted(field, target), target, field, count=count, rng=rng())
    assert 0 < len(xy) <= count
    assert distinct(xy)
    assert not at(target, xy).any()
    assert at(field, xy).all()
    if count == 10**6:
        assert len(xy) == (field & (target == 0)).sum()


def near_lesions(target, pixels):
    return ndimage.distance_transform_edt(target == 0) <= pixels


def on_extremes(image, field):
    """Return where the smoothed picture is most unlike 128 within two pixels."""
    smooth = ndimage.gaussian_filter(image[..., 1].astype(float), 1.5, mode="mirror")
    apart = np.where(field, abs(smooth - 128), 0)
    return (apart > 5) & (apart >= ndimage.maximum_filter(apart, 5) - 0.02)


def test_half_of_what_is_no_lesion_is_near_spots_and_a_quarter_around_lesions():
    field = disc_field(240)
    target = some_lesions(field)
    image = spotted(field, target)
    count = 240
    xy = choose(image, target, field, count=count, rng=rng())
    assert len(xy) > 0.9 * count
    around = at(near_lesions(target, 6.5), xy)
    near = ndimage.binary_dilation(on_extremes(image, field), np.ones((5, 5)))
    spots = at(near, xy)
    free = field & (target == 0)
    # By chance a pixel is near a spot this often, and around a lesion that often.
    by_chance = near[free].mean(), near_lesions(target, 6.5)[free].mean()
    expected = 0.5 + 0.5 * by_chance[0]
    assert spots.mean() == pytest.approx(expected, abs=0.12)
    assert by_chance[1] < 0.15
    assert 0.25 <= around.mean() < 0.25 + 0.75 * by_chance[1] + 0.1


def test_without_lesions_and_spots_the_field_is_left():
    field = disc_field()
    none = np.zeros(field.shape, np.uint8)
    flat = np.full((*field.shape, 3), 128, np.uint8)
    xy = choose(flat, none, field, count=100, rng=rng())
    assert len(xy) == 25
    assert at(field, xy).all()


def test_choices_follow_from_the_generator():
    field = disc_field()
    target = some_lesions(field)
    image = spotted(field, target)
    one, again, other = (
        choose(image, target, field, count=50, rng=np.random.default_rng(seed))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert (
        len({tuple(p) for p in one.tolist()} & {tuple(p) for p in other.tolist()}) < 25
    )
