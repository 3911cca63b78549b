"""Hard patches lie where the proposal networks find something that is no lesion."""

import numpy as np
import pytest
from made_lesion_folders import lesions_config, lesions_data

from rkd_jax import weights
from rkd_jax.lesions.prepare import half
from rkd_jax.tasks import lesions
from rkd_jax.tasks.lesions import hard_patches
from rkd_jax.tasks.lesions.patches import Patches, training_patches


@pytest.fixture
def bright(monkeypatch):
    """Let the networks call bright pixels lesions, at half scale the very bright."""

    def network(given, model):
        def run(part, images):
            level = images[..., 1].astype(np.float32) / 255.0
            return np.where(level > (0.75 if part == "full" else 0.95), level, 0.0)

        return run

    monkeypatch.setattr(hard_patches, "_network", network)
    monkeypatch.setattr(hard_patches, "_known", {})


def made(share, part_options=None, **task):
    data = lesions_data(synthetic_labeled=2, synthetic_unlabeled=1)
    config = lesions_config(data, hard_share=share, **{"region_threshold": 0.7, **task})
    one = weights.Weights("frrn", part_options or {}, {}, {}, {}, {})
    given = dict.fromkeys(("full", "half"), one)
    source = training_patches(config)
    return config, source, lesions.choose(config, source, given)


def rows(places, label):
    """Return the places of a label as a sorted list."""
    chosen = places.label == label
    return sorted(zip(places.eye[chosen], map(tuple, places.xy[chosen]), strict=True))


def test_without_a_share_the_patches_stay_as_they_are(bright):
    _, source, chosen = made(0.0)
    assert chosen is source


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_share_of_the_patches_without_lesion_is_hard(bright, share):
    _, source, chosen = made(share)
    assert isinstance(chosen, Patches)
    assert rows(chosen.places, 1) == rows(source.places, 1)
    assert len(chosen) == len(source)
    for number in range(len(source.eyes)):
        eye = source.eyes[number]
        small = half(eye["image"])[..., 1] > 0.96 * 255
        large = np.kron(small, np.ones((2, 2))) > 0
        suspicious = eye["image"][..., 1] > 0.75 * 255
        h, w = (min(a, b) for a, b in zip(large.shape, suspicious.shape, strict=True))
        suspicious[:h, :w] |= large[:h, :w]
        free = eye["field"] & (eye["target"] == 0)
        hard = {tuple(xy) for xy in np.argwhere(suspicious & free)[:, ::-1].tolist()}
        mine, before = (
            [xy for eye_number, xy in rows(x.places, 0) if eye_number == number]
            for x in (chosen, source)
        )
        wanted = min(round(share * len(before)), len(hard))
        new = [xy for xy in mine if xy not in set(before)]
        # What was chosen before may be hard by chance.
        assert wanted * 0.5 <= len(new) <= wanted
        assert wanted > 0
        inside = np.array([tuple(map(int, xy)) in hard for xy in new])
        # Between the pixels of the half map it is interpolated.
        assert inside.mean() > 0.9
        assert all(free[y, x] for x, y in mine)


def test_healthy_negatives_stay_in_healthy_photographs(bright):
    _, source, chosen = made(1.0, negatives="healthy")
    sick = [i for i in range(len(source.eyes)) if source.eyes[i]["target"].any()]
    assert sick
    assert not any(number in sick for number, _ in rows(chosen.places, 0))


def test_one_seed_chooses_the_same(bright):
    first = made(0.5)[2].places
    hard_patches._known.clear()
    second = made(0.5)[2].places
    for ours, theirs in zip(first, second, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_runs_of_one_experiment_share_the_places(bright, monkeypatch):
    first = made(0.5)[2].places
    other = made(1.0)[2].places
    assert len(rows(first, 0)) == len(rows(other, 0))
    assert rows(first, 0) != rows(other, 0)

    def propose(*args, **how):
        raise AssertionError("the maps were made again")

    monkeypatch.setattr(hard_patches, "propose", propose)
    assert rows(made(1.0)[2].places, 0) == rows(other, 0)
    for different in (
        {"part_options": {"width": 2}},
        {"region_threshold": 0.8},
        {"negatives": "healthy"},
    ):
        with pytest.raises(AssertionError, match="made again"):
            made(1.0, **different)
