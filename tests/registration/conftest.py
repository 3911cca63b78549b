"""Made images and an untrained network for the tests of matching."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax import models, weights
from rkd_jax.registration.transforms import Homography


def texture(seed, size=320):
    """Return a smooth random uint8 image with structure of several sizes."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size, size), np.float32)
    for sigma in (2.5, 5, 12):
        layer = cv2.GaussianBlur(
            rng.normal(size=(size, size)).astype(np.float32), (0, 0), sigma
        )
        total += layer / layer.std()
    total = (total - total.min()) / (total.max() - total.min())
    return np.round(20 + 220 * total).astype(np.uint8)


@pytest.fixture(scope="session")
def moving():
    return texture(0)


@pytest.fixture(scope="session")
def unrelated():
    return texture(1)


@pytest.fixture(scope="session")
def truth():
    """A known map of the moving image to the fixed one."""
    return Homography([[0.96, 0.14, 12.0], [-0.12, 1.02, 25.0], [1e-4, -5e-5, 1.0]])


@pytest.fixture(scope="session")
def fixed(moving, truth):
    """The moving image seen through `truth`, in a larger frame."""
    return truth.warp(moving, (360, 400), fill=0)


@pytest.fixture(scope="session")
def tiny_weights():
    """An untrained small network: its keypoints repeat, which is all that is asked."""
    options = {"widths": (8, 8, 16, 16), "descriptor_dim": 32}
    module = models.build("superretina", **options)
    variables = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, 64, 64, 1)))
    return weights.Weights(
        "superretina",
        options,
        jax.tree.map(np.asarray, dict(variables)),
        {"channel": "green", "size": 128, "descriptor_grid": "aligned"},
        {},
        {},
    )


@pytest.fixture(scope="session")
def inner_points(moving):
    """Points well inside the moving image, `[25, 2]`."""
    height, width = moving.shape
    x, y = np.meshgrid(np.linspace(60, width - 60, 5), np.linspace(60, height - 60, 5))
    return np.stack([x, y], axis=-1).reshape(-1, 2)
