"""Distances to the training data among features."""

import json

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from rkd_jax.classification.embedding import Embedding, fit_embedding


def _features(count=300, seed=0):
    """Two classes of different features; the last feature is always the same."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    spread = np.array([1.0, 5.0, 0.5, 0.0])
    features = rng.normal(0, 1, (count, 4)) * spread + 3.0 * labels[:, None]
    return features, labels


def test_distances_are_those_of_scipy():
    features, labels = _features()
    found = fit_embedding(features, labels, 2)
    means = np.stack([features[labels == one].mean(axis=0) for one in (0, 1)])
    within = features - means[labels]
    np.testing.assert_allclose(found.center, means, rtol=1e-5)
    np.testing.assert_allclose(found.scale[:3], within[:, :3].std(axis=0), rtol=1e-5)
    # A feature without spread gets a tenth of the typical one.
    typical = np.sqrt((within**2).mean())
    assert found.scale[3] == pytest.approx(0.1 * typical, rel=1e-5)
    new = features + 0.7
    apart = cdist(new, means, "seuclidean", V=found.scale**2).min(axis=1) / np.sqrt(4)
    np.testing.assert_allclose(found.distances(new), apart, rtol=1e-4)


def test_the_share_of_reference_images_that_lie_nearer():
    features, labels = _features()
    reference = _features(seed=1)[0]
    for given in (None, reference):
        found = fit_embedding(features, labels, 2, reference=given)
        others = found.distances(features if given is None else given)
        for distance in (0.4, 1.0, 1.3):
            share = np.mean(others < distance)
            (quantile,) = found.quantiles_of(np.array([distance]))
            assert quantile == pytest.approx(share, abs=0.01)
        assert found.quantiles_of(np.array([0.0, 99.0])).tolist() == [0, 1]


def test_what_a_file_holds_gives_the_same_distances():
    features, labels = _features()
    found = fit_embedding(features, labels, 2)
    again = Embedding.from_dict(json.loads(json.dumps(found.to_dict())))
    np.testing.assert_array_equal(found.distances(features), again.distances(features))
    np.testing.assert_allclose(found.quantiles, again.quantiles, rtol=1e-5)


def test_features_without_any_spread():
    found = fit_embedding(np.ones((3, 2)), np.array([0, 1, 1]), 2)
    assert found.distances(np.array([[1.0, 3.0]])).tolist() == [np.sqrt(2)]


def test_bad_numbers():
    with pytest.raises(ValueError, match="images of 1 classes of 2"):
        fit_embedding(np.ones((2, 3)), np.zeros(2, int), 2)
    good = fit_embedding(*_features(), 2).to_dict()
    for name, bad, message in (
        ("scale", [1.0, 1.0], r"center has the shape \(2, 4\); expected .* \(2, 2\)"),
        ("scale", [1.0, 1.0, 0.0, 1.0], "a scale above 0"),
        ("quantiles", [1.0], "expected finite numbers of \\(101,\\)"),
        ("quantiles", [*np.linspace(1, 0, 101)], "quantiles that rise"),
        ("center", [[np.nan] * 4], "embedding.center"),
    ):
        with pytest.raises(ValueError, match=message):
            Embedding.from_dict({**good, name: bad})
