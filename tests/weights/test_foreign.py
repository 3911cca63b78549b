"""Files of other libraries given as weights: named, with what to do."""

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest

from rkd_jax import weights
from rkd_jax.weights.foreign import describe

CONVERT = "python -m rkd_jax convert-weights KIND "


def archive(*names):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name in names:
            file.writestr(name, b"x")
    return data.getvalue()


def arrays():
    data = io.BytesIO()
    np.savez(data, a=np.zeros(3))
    return data.getvalue()


PYTORCH = archive("archive/data.pkl", "archive/version", "archive/data/0")
PICKLE = pickle.dumps({"a": [1, 2]}, protocol=2)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.pth", PYTORCH, "a PyTorch file"),
        ("a.safetensors", PYTORCH, "a PyTorch file"),
        ("a.pt", PICKLE, "a PyTorch file (or another pickle)"),
        ("a.ckpt", b"anything", "a PyTorch file"),
        ("a.onnx", b"\x08\x07\x12\x07pytorch", "an ONNX file"),
        ("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(20), "an HDF5 file"),
        ("a.keras", archive("config.json", "model.weights.h5"), "a zip archive"),
        ("a.npz", arrays(), "a NumPy archive"),
        (
            "a.safetensors",
            b"version https://git-lfs.github.com/spec/v1",
            "git lfs pull",
        ),
        ("a.safetensors", b"<!doctype html><html>", "a web page"),
        ("a.pth", b"PK\x03\x04 cut", "a damaged archive"),
    ],
)
def test_a_foreign_file_is_named(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match="no weight file of rkd_jax") as raised:
        weights.load(weights.find(path))
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert (f"{CONVERT}{path} " in message) == ("a PyTorch" in message)
    assert "convert" in message


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\x00" * 40, struct.pack("<Q", 4) + b"{}"),
        # Cut off; the length of its head begins as a pickle does.
        struct.pack("<Q", 0x280) + b'{"__metadata__": {',
    ],
)
def test_what_is_not_known_is_a_damaged_file_of_ours(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    assert describe(path) == ""
    assert not weights.is_ours(path)
    with pytest.raises(ValueError, match="not a complete safetensors file"):
        weights.load(path)


def test_only_our_files_are_ours(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "a.safetensors"
    save_file({"a": np.zeros(2)}, path)
    assert not weights.is_ours(path)
    assert not weights.is_ours(tmp_path / "none")
    assert not weights.is_ours(tmp_path)
    assert weights.is_ours(weights.find("small"))


def test_a_folder_is_no_weight_file(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=f"{tmp_path}: a folder, no weight file"
    ):
        weights.find(tmp_path)
