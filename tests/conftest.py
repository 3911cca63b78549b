"""Strict JAX for every test: four CPU devices, no silent promotion."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Doors that run here keep nothing in the user's cache.
os.environ["RKD_JAX_CACHE_DIR"] = ""

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(params=["plain", "jit"])
def maybe_jit(request):
    """Return the identity and `jax.jit`, so that a test runs both ways."""
    if request.param == "jit":
        return jax.jit
    return lambda fn, **_: fn
