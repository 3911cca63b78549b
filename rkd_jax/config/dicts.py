"""Configs as plain nested dicts: for JSON, for comparing, and for publishing."""

import dataclasses
import os
import pathlib
from typing import Any

from rkd_jax.config.fields import Section


def as_dict(config: Section, *, public: bool = False) -> dict[str, Any]:
    """Return a config as plain nested dicts (tuples become lists, as in JSON).

    Args:
        config: the whole or a section.
        public: cut every path to its name, so that a published file names no folder of
            anybody's disk: fields that are marked as paths, of any class, and other
            text that is an absolute path, unless it is marked as none.

    >>> from rkd_jax.config import DataConfig
    >>> data = DataConfig(data_dir="/home/ann/DRIVE")
    >>> as_dict(data, public=True)["data_dir"]
    'DRIVE'
    """

    def plain(value: Any, is_path: bool | None = None) -> Any:
        if isinstance(value, Section):
            return {
                field.name: plain(
                    getattr(value, field.name), field.metadata.get("path")
                )
                for field in dataclasses.fields(value)
            }
        if isinstance(value, dict):
            return {plain(k): plain(v, is_path) for k, v in value.items()}
        if isinstance(value, tuple | list):
            return [plain(v, is_path) for v in value]
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not (public and isinstance(value, str)):
            return value
        if is_path or (is_path is None and _is_absolute(value)):
            return value.replace("\\", "/").rstrip("/").rpartition("/")[2]
        return value

    return plain(config)


def _is_absolute(text: str) -> bool:
    kinds = (pathlib.PurePosixPath, pathlib.PureWindowsPath)
    return text.startswith("~") or any(kind(text).is_absolute() for kind in kinds)


def flatten_dict(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return `{"optim.lr": ...}` of nested dicts.

    >>> flatten_dict({"a": {"b": 1}, "c": 2})
    {'a.b': 1, 'c': 2}
    """
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(flatten_dict(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Return one line a field in which two config dicts differ.

    >>> difference({"optim": {"lr": 1.0}}, {"optim": {"lr": 2.0}})
    ['optim.lr: 1.0 -> 2.0']
    """
    a, b = flatten_dict(ours), flatten_dict(theirs)
    return [
        f"{key}: {a.get(key, '(absent)')!r} -> {b.get(key, '(absent)')!r}"
        for key in sorted(a.keys() | b.keys())
        if key not in a or key not in b or a[key] != b[key]
    ]
