"""FIRE as the tests of its benchmarks have it."""

import pytest
from made_fire import write_fire


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    """S01 and P02 share an eye and register; A03 is two flat images."""
    root = tmp_path_factory.mktemp("data") / "FIRE"
    write_fire(root)
    return root
