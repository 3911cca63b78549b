"""Traced programs are found again, unless something that they depend on has changed."""

import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.runtime import traced

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    pytest.importorskip("flatbuffers")
    monkeypatch.setattr(traced, "_folder", lambda: tmp_path)
    return tmp_path


def make():
    return lambda tree, rows: (jnp.sin(rows) @ tree["weights"], rows > 2)


def never():
    raise AssertionError("traced again")


def run(make, rows=ROWS, facts=1):
    arguments = ({"weights": np.ones((rows.shape[1], 2), np.float32)}, rows)
    return traced.kept_program(make, arguments, facts)(*arguments)


def test_the_second_process_traces_nothing(folder):
    first = run(make)
    np.testing.assert_allclose(first[0], np.sin(ROWS) @ np.ones((3, 2)), rtol=1e-6)
    for ours, again in zip(first, run(never), strict=True):
        np.testing.assert_array_equal(ours, again)
    assert len(list(folder.iterdir())) == 1


def test_other_facts_shapes_and_code_are_traced(folder, monkeypatch):
    run(make)
    with pytest.raises(AssertionError, match="traced again"):
        run(never, facts=2)
    with pytest.raises(AssertionError, match="traced again"):
        run(never, rows=ROWS[:1])
    monkeypatch.setattr(traced, "_code_digest", lambda: "other")
    with pytest.raises(AssertionError, match="traced again"):
        run(never)


@pytest.mark.parametrize("keep", [0, 40, -1])
def test_a_damaged_file_is_traced_and_written_anew(folder, keep):
    run(make)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    with pytest.raises(AssertionError, match="traced again"):
        run(never)
    run(make)
    assert len(path.read_bytes()) == len(whole)
    run(never)


def test_without_a_folder_nothing_is_kept(monkeypatch):
    monkeypatch.setattr(traced, "_folder", lambda: None)
    for _ in range(2):
        np.testing.assert_array_equal(run(make)[1], ROWS > 2)


def test_a_folder_that_cannot_be_written_keeps_nothing(folder, monkeypatch):
    def fail(*_):
        raise PermissionError("read only")

    monkeypatch.setattr(traced.atomic, "write_bytes", fail)
    np.testing.assert_array_equal(run(make)[1], ROWS > 2)
    assert not list(folder.iterdir())
