"""Weight files: round trip, refusals, atomic writing."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from rkd_jax import models, weights
from rkd_jax.weights import storage

NAME, OPTIONS = "large_kernel", {"widths": (8, 8, 16, 16), "descriptor_dim": 16}


@pytest.fixture(scope="module")
def variables():
    module = models.build(NAME, **OPTIONS)
    return jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, 64, 64, 1)))


@pytest.fixture
def path(tmp_path, variables):
    path = tmp_path / "new" / "a.safetensors"
    preprocess = {"channel": "green", "size": 768, "descriptor_grid": "aligned"}
    weights.save(
        path,
        variables,
        model=NAME,
        options=OPTIONS,
        preprocess=preprocess,
        recipe={"config": "unet", "seed": 3},
    )
    return path


def test_round_trip(path, variables):
    loaded = weights.load(path, model=NAME)
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, variables)
    assert loaded.model == NAME
    assert models.build(NAME, **loaded.options) == models.build(NAME, **OPTIONS)
    assert loaded.preprocess["descriptor_grid"] == "aligned"
    assert loaded.recipe == {"config": "unet", "seed": 3}
    assert loaded.metadata["parameters"].isdigit()
    assert os.listdir(path.parent) == ["a.safetensors"]


def test_float16_storage_is_half_as_large(path, variables):
    small = path.with_name("b.safetensors")
    weights.save(small, variables, model=NAME, options=OPTIONS, dtype="float16")
    assert small.stat().st_size < 0.6 * path.stat().st_size
    loaded = weights.load(small)
    for a, b in zip(jax.tree.leaves(loaded.variables), jax.tree.leaves(variables)):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, atol=1e-3)
    large = jax.tree.map(lambda leaf: leaf + 1e5, variables)
    with pytest.raises(ValueError, match=r"params/slope.*too large for float16"):
        weights.save(small, large, model=NAME, options=OPTIONS, dtype="float16")
    with pytest.raises(ValueError, match="dtype is 'int8'"):
        weights.save(small, variables, model=NAME, options=OPTIONS, dtype="int8")


@pytest.mark.parametrize("cut", [0, 5, 500, -3])
def test_truncated_file_is_refused(path, cut):
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"a\.safetensors: not a complete"):
        weights.load(path)


def test_a_flipped_bit_anywhere_is_refused(path):
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    name = whole.index(b"params/")
    for place in (header, len(whole) - 1, name):
        data = bytearray(whole)
        data[place] ^= 1
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"a\.safetensors"):
            weights.load(path)
    tensors = safetensors.numpy.load(whole)
    path.write_bytes(whole)
    metadata = dict(weights.load(path).metadata, preprocess='{"size": 512}')
    path.write_bytes(safetensors.numpy.save(tensors, metadata))
    with pytest.raises(ValueError, match=r"damaged or edited.*copy it again"):
        weights.load(path)
    del metadata["sha256"]  # as in files of earlier versions
    path.write_bytes(safetensors.numpy.save(tensors, metadata))
    assert weights.load(path).preprocess == {"size": 512}


def test_a_file_with_its_digest_is_read_without_the_model(path, monkeypatch):
    whole, full = path.read_bytes(), weights.load(path)
    tensors, metadata = safetensors.numpy.load(whole), full.metadata
    monkeypatch.setattr(storage, "expected_shapes", None)
    quick = weights.load(path, check_shapes=False)
    assert (quick.sha256, quick.metadata) == (full.sha256, full.metadata)
    del tensors["params/slope"]
    path.write_bytes(safetensors.numpy.save(tensors, metadata))
    with pytest.raises(ValueError, match="damaged or edited"):
        weights.load(path, check_shapes=False)
    monkeypatch.undo()
    del metadata["sha256"]
    path.write_bytes(safetensors.numpy.save(tensors, metadata))
    with pytest.raises(ValueError, match="missing: params/slope"):
        weights.load(path, check_shapes=False)


def test_missing_and_foreign_files_are_refused(path, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such weight file"):
        weights.load(tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match="of model 'large_kernel', expected 'swin"):
        weights.load(path, model="swin_unetr")
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(3)}))
    with pytest.raises(ValueError, match=r"format is None.*convert-weights"):
        weights.load(path)


def test_all_wrong_entries_are_listed(path):
    tensors = safetensors.numpy.load_file(path)
    metadata = weights.load(path).metadata
    del tensors["params/slope"]
    tensors["params/extra"] = np.zeros(3, np.float32)
    tensors["params/stage1/conv_a/bias"] = np.zeros(9, np.float32)
    path.write_bytes(safetensors.numpy.save(tensors, metadata))
    with pytest.raises(ValueError, match="unknown") as error:
        weights.load(path)
    message = str(error.value)
    assert "unknown: params/extra" in message
    assert "missing: params/slope" in message
    assert "params/stage1/conv_a/bias (is (9,), expected (8,))" in message


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("options", "{", "'options' is not JSON"),
        ("options", "[1]", "expected an object"),
        ("options", '{"width": 3}', "no option 'width'; did you mean 'widths'"),
        ("model", "unet", "unknown network 'unet'"),
    ],
)
def test_bad_metadata_is_refused(path, field, value, message):
    tensors = safetensors.numpy.load_file(path)
    metadata = weights.load(path).metadata | {field: value}
    path.write_bytes(safetensors.numpy.save(tensors, metadata))
    with pytest.raises(ValueError, match=message):
        weights.load(path)


def test_values_that_are_not_finite_are_neither_saved_nor_loaded(path, variables):
    params = dict(variables["params"], slope=jnp.array(jnp.nan))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"infinite values in params/slope;"):
        weights.save(path, {"params": params}, model=NAME, options=OPTIONS)
    assert path.read_bytes() == before
    tensors = safetensors.numpy.load_file(path)
    tensors["params/stage1/conv_a/bias"][2] = np.inf
    metadata = dict(weights.load(path).metadata)
    del metadata["sha256"]
    path.write_bytes(safetensors.numpy.save(tensors, metadata))
    with pytest.raises(ValueError, match=r"a\.safetensors.*params/stage1/conv_a/bias"):
        weights.load(path)


def test_a_failed_save_leaves_the_old_file(path, variables, monkeypatch):
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        weights.save(path, variables, model=NAME, options=OPTIONS)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["a.safetensors"]


def test_variables_of_another_model_are_not_saved(path, variables):
    with pytest.raises(ValueError, match="variables of superretina: unknown"):
        weights.save(path, variables, model="superretina", options=OPTIONS)


def test_files_are_found_by_path_and_by_packaged_name(path, monkeypatch):
    assert weights.find(path) == path
    packaged = weights.find("small")
    assert packaged == weights.find(packaged)
    assert weights.find() == packaged
    with pytest.raises(FileNotFoundError, match="are called unet_robust now"):
        weights.find("default")
    # A file of that name here comes first.
    monkeypatch.chdir(path.parent)
    (path.parent / "small").write_bytes(path.read_bytes())
    assert weights.load(weights.find("small")).model == NAME
    with pytest.raises(
        FileNotFoundError, match=r"nets/small: .*unet_robust.*convert-we"
    ):
        weights.find("nets/small")
