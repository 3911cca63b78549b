"""What a process sets before NumPy and JAX: results as on other machines."""

import os

import cv2
import pytest

from rkd_jax.runtime import process


@pytest.fixture
def environment(monkeypatch):
    """The environment of a process that set nothing; returned as it was."""
    given = dict(os.environ)
    for name in ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    yield os.environ
    os.environ.clear()
    os.environ.update(given)


def test_blas_has_one_thread_and_xla_at_least_two(environment, monkeypatch):
    monkeypatch.setattr(process, "cores", lambda: 1)
    process.prepare_start()
    assert environment["OPENBLAS_NUM_THREADS"] == "1"
    assert environment["NPROC"] == "2"
    del environment["NPROC"]
    monkeypatch.setattr(process, "cores", lambda: 8)
    environment["OPENBLAS_NUM_THREADS"] = "3"  # of the user
    process.prepare_start()
    assert environment["OPENBLAS_NUM_THREADS"] == "3"
    assert "NPROC" not in environment


@pytest.mark.parametrize(("given", "xla"), [("1", "2"), ("3", "3")])
def test_a_worker_takes_its_share(environment, given, xla):
    before = cv2.getNumThreads()
    try:
        environment["OMP_NUM_THREADS"] = given
        process.take_share()
        assert cv2.getNumThreads() == int(given)
        assert environment["NPROC"] == xla
        assert environment["OPENBLAS_NUM_THREADS"] == "1"
    finally:
        cv2.setNumThreads(before)


def test_without_a_share_nothing_is_set(environment):
    before = cv2.getNumThreads(), dict(environment)
    process.take_share()
    assert (cv2.getNumThreads(), dict(environment)) == before
