"""Strict JAX for every test: four CPU devices, no silent promotion."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Doors that run here keep nothing in the user's cache.
os.environ["RKD_JAX_CACHE_DIR"] = ""

import jax
import jax.numpy as jnp
import pytest

from rkd_jax import models, weights

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(params=["plain", "jit"])
def maybe_jit(request):
    """Return the identity and `jax.jit`, so that a test runs both ways."""
    if request.param == "jit":
        return jax.jit
    return lambda fn, **_: fn


@pytest.fixture
def save_untrained(tmp_path):
    """Return a function that saves an untrained U-Net; it gives file and variables."""

    def save(options, *, size, recipe):
        module = models.build("superretina", **options)
        variables = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, 64, 64, 1)))
        path = tmp_path / "untrained.safetensors"
        weights.save(
            path,
            variables,
            model="superretina",
            options=options,
            preprocess={"channel": "green", "size": size, "descriptor_grid": "aligned"},
            recipe=recipe,
        )
        return path, variables

    return save
