"""Strict JAX for every test: four CPU devices, no silent promotion."""

import os
import shutil
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Commands that run here keep nothing in the user's cache.
os.environ["RKD_JAX_CACHE_DIR"] = ""
# A program is compiled once for all tests of this process and the commands they start.
# Each worker of xdist has a folder of its own: JAX does not write files atomically.
os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="rkd_jax_compiled_")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"

import jax
import jax.numpy as jnp
import pytest

from rkd_jax import models, weights

# Most of the time of these tests goes into compiling: less of it, also in commands.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
jax.config.update("jax_disable_most_optimizations", True)
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_unconfigure():
    shutil.rmtree(os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)


@pytest.fixture(autouse=True, scope="module")
def bounded_memory():
    """Drop the programs of a file when its tests are done: they take gigabytes."""
    yield
    jax.clear_caches()


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
