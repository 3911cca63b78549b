"""Drawn eyes with lesions: the masks are where the picture differs."""

import cv2
import numpy as np
import pytest

from rkd_jax.data.lesion_folders import LESIONS
from rkd_jax.synthetic import fundus
from rkd_jax.synthetic.fundus import lesions
from rkd_jax.synthetic.fundus.session import Session

SIZE = 256
SEEDS = range(6)
DARK = ("microaneurysms", "haemorrhages")


@pytest.fixture(scope="module")
def eyes():
    return [fundus.diabetic(seed, size=SIZE) for seed in SEEDS]


@pytest.fixture(scope="module")
def healthy():
    return [fundus.diabetic(seed, size=SIZE, healthy=True) for seed in SEEDS]


def components(mask):
    """Area of each connected part."""
    return cv2.connectedComponentsWithStats(mask.astype(np.uint8))[2][1:, 4]


def test_names_are_those_of_the_data(eyes):
    for eye in eyes:
        assert list(eye.lesions) == list(lesions.KINDS) == list(LESIONS)
        for mask in eye.lesions.values():
            assert mask.dtype == bool
            assert mask.shape == (SIZE, SIZE)


def test_a_healthy_eye_is_the_photograph_without_lesions(healthy):
    for seed, eye in zip(SEEDS, healthy, strict=True):
        plain = fundus.photograph(seed, size=SIZE, lesions=False)
        np.testing.assert_array_equal(eye.image, plain.image)
        assert not any(mask.any() for mask in eye.lesions.values())
        assert plain.lesions == {}


def test_same_seed_same_lesions_other_seed_others(eyes):
    again = fundus.diabetic(SEEDS[1], size=SIZE)
    np.testing.assert_array_equal(again.image, eyes[1].image)
    for kind, mask in again.lesions.items():
        np.testing.assert_array_equal(mask, eyes[1].lesions[kind])
    first, second = (eye.lesions["microaneurysms"] for eye in eyes[:2])
    assert not np.array_equal(first, second)


def test_masks_are_where_the_picture_differs(eyes, healthy):
    """Dark lesions darken green, exudates brighten it, and nothing else changes."""
    for eye, plain in zip(eyes, healthy, strict=True):
        change = eye.image[..., 1].astype(float) - plain.image[..., 1]
        anything = np.any(list(eye.lesions.values()), axis=0)
        near = cv2.dilate(anything.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
        assert np.abs(change[~near]).max() <= 3
        for kind, mask in eye.lesions.items():
            others = [m for k, m in eye.lesions.items() if k != kind]
            apart = cv2.dilate(
                np.any(others, axis=0).astype(np.uint8), np.ones((9, 9), np.uint8)
            )
            alone = mask & (apart == 0)
            if alone.any():
                found = np.median(change[alone])
                assert found < -4 if kind in DARK else found > 4


def test_clear_differences_lie_in_the_masks(eyes, healthy):
    """Before the lens blurs it: what has over half of its contrast, by the picture."""
    hit = all_ = 0
    for eye, plain in zip(eyes, healthy, strict=True):
        change = np.abs(eye.image[..., 1].astype(float) - plain.image[..., 1])
        mask = np.any(list(eye.lesions.values()), axis=0)
        clear = change > 18
        hit += (clear & mask).sum()
        all_ += clear.sum()
    assert all_ > 300
    assert hit / all_ > 0.9


def test_lesions_lie_in_the_field_and_off_the_disc(eyes):
    for seed, eye in zip(SEEDS, eyes, strict=True):
        session = Session(seed, SIZE, 1.0, False, 0.12, (0.4, 0.97), 1.0, 1.0)
        x, y, wide, tall, _ = session.eye.disc
        grid = session.views[0].pixel_grid()
        disc = np.hypot((grid[..., 0] - x) / wide, (grid[..., 1] - y) / tall) < 1
        for mask in eye.lesions.values():
            assert not (mask & ~eye.field).any()
            assert not (mask & disc).any()


def test_every_spot_drawn_is_in_its_mask():
    """Microaneurysms do not touch each other: as many parts as spots."""
    for seed in SEEDS:
        session = Session(seed, 512, 1.0, False, 0.12, (0.4, 0.97), 1.0, 1.0)
        spots = session.spots()
        _, masks = lesions.paint(spots, session.views[0], session.eye.disc)
        for kind, mask in masks.items():
            count = sum(spot.kind == kind for spot in spots)
            parts = len(components(mask))
            assert parts == count if kind == "microaneurysms" else parts <= count
            assert bool(count) == mask.any()
        assert sum(spot.kind == "microaneurysms" for spot in spots) >= 4


def test_each_kind_occurs_and_no_kind_in_every_eye_but_microaneurysms():
    present = []
    for seed in range(20):
        session = Session(seed, 64, 0.3, False, 0.12, (0.4, 0.97), 1.0, 1.0)
        present.append({spot.kind for spot in session.spots()})
    for kind in LESIONS:
        share = np.mean([kind in kinds for kinds in present])
        assert share == 1 if kind == "microaneurysms" else 0.2 < share < 1


def test_microaneurysms_are_round_and_three_to_six_pixels_wide():
    areas = [
        area
        for seed in range(3)
        for area in components(
            fundus.diabetic(seed, size=512).lesions["microaneurysms"]
        )
    ]
    widths = np.sqrt(4 * np.array(areas) / np.pi)
    assert 3 < np.median(widths) < 6
    assert widths.min() > 2
    assert widths.max() < 7


def test_sizes_scale():
    """The same eye twice as large: the same lesions, each with four times the area."""
    for seed in range(2):
        small, large = (fundus.diabetic(seed, size=s) for s in (256, 512))
        for kind, mask in large.lesions.items():
            if mask.sum() < 40:
                continue
            down = cv2.resize(
                mask.astype(np.float32), (256, 256), interpolation=cv2.INTER_AREA
            )
            assert small.lesions[kind].sum() == pytest.approx(down.sum(), rel=0.2)
            agree = np.minimum(down, small.lesions[kind]).sum() / down.sum()
            assert agree > 0.7
