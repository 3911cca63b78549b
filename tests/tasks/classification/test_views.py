"""Both views of an image: how far they are moved, and in which ways."""

import jax
import numpy as np
import pytest
from made_pictures import photo

from rkd_jax.augment.geometry import HomographyPreset
from rkd_jax.tasks.classification import views

STILL = HomographyPreset(0.0, (1.0, 1.0), 0.0, 0.0)


@pytest.fixture
def image():
    return photo(3, 24, 24)


def seen(view, image, count=64):
    keys = jax.random.split(jax.random.key(0), count)
    return np.asarray(jax.vmap(lambda key: view(key, image))(keys))


def test_a_student_sees_the_image_turned_and_shifted_a_little():
    """An image whose pixels say where they are shows by how much it was moved."""
    y, x = np.indices((25, 25))
    found = seen(views.student_view, np.stack([x, y, 0 * x], axis=-1).astype(np.uint8))
    assert found.shape == (64, 25, 25, 3)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    places = 255 * found[..., :2]
    along_x = (places[:, 12, 16] - places[:, 12, 8]) / 8
    angles = np.degrees(np.arctan2(along_x[:, 1], np.abs(along_x[:, 0])))
    np.testing.assert_allclose(np.linalg.norm(along_x, axis=1), 1, atol=1e-3)
    assert np.abs(angles).max() < 10.01
    assert np.ptp(angles) > 10
    shifts = np.abs(places[:, 12, 12] - 12)
    assert 0.25 < shifts.max() < 0.02 * 25 * 1.2  # seen along turned axes
    mirrored = along_x[:, 0] < 0
    assert 16 < mirrored.sum() < 48


def test_without_geometry_a_student_sees_the_image_or_its_mirror(image, monkeypatch):
    monkeypatch.setattr(views, "RANGES", STILL)
    original = image.astype(np.float32) / 255
    kinds = {0: original, 1: original[:, ::-1]}
    which = [kind_of(view, kinds) for view in seen(views.student_view, image)]
    assert 16 < sum(which) < 48


def test_without_geometry_a_teacher_sees_all_eight_ways(image, monkeypatch):
    monkeypatch.setattr(views, "RANGES", STILL)
    original = image.astype(np.float32) / 255
    kinds = {
        (turn, mirror): np.rot90(original[:, ::-1] if mirror else original, turn)
        for turn in range(4)
        for mirror in range(2)
    }
    which = [kind_of(view, kinds) for view in seen(views.teacher_view, image)]
    assert set(which) == set(kinds)


def kind_of(view, kinds):
    """Return which of some pictures a view equals."""
    apart = {kind: np.abs(view - other).max() for kind, other in kinds.items()}
    nearest = min(apart, key=apart.get)
    assert apart[nearest] < 1e-5
    return nearest
