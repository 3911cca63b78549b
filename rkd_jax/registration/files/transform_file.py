"""The file `transform.json`: what `register` writes of a pair, and its reading.

`docs/transform_file.md` describes the format. Version 2 has all numbers in pixels of
the files. Version 1, of rkd_jax 0.2.0 and before, has neither "format" nor "version".
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from rkd_jax.files.portable import portable
from rkd_jax.images.decoding import MAX_SIDE_PX
from rkd_jax.registration.expected_error.error_map import ErrorMap
from rkd_jax.registration.mapped import Mapped
from rkd_jax.registration.result import Registration
from rkd_jax.registration.transforms import Transform
from rkd_jax.registration.transforms.checks import finite_array

NAME = "transform.json"
FORMAT, VERSION = "rkd_jax.transform", 2
_AGAIN = "register the pair again"


@dataclasses.dataclass(frozen=True, eq=False)
class SavedTransform(Mapped):
    """A registration that was read from `transform.json`; see `load_transform`.

    Attributes:
        path: the file.
        ok: whether the pair may be taken as registered.
        reason: why not; empty if `ok`.
        confidence: 0 to 1; NaN where the file has none.
        transform: moving to fixed, in file pixels; None if nothing could be fitted. A
            doubtful pair (`ok` False) may still have one.
        fixed_size: (height, width) of the fixed file.
        moving_size: (height, width) of the moving file.
        error_map: by how many pixels the transform may be off; None where the file
            does not hold it.
        hull: see `Mapped`.
        content: all that the file holds.
    """

    path: pathlib.Path
    ok: bool
    reason: str
    confidence: float
    transform: Transform | None
    fixed_size: tuple[int, int]
    moving_size: tuple[int, int]
    error_map: ErrorMap | None = None
    hull: np.ndarray | None = None
    content: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        transform: Transform,
        fixed_size: tuple[int, int],
        moving_size: tuple[int, int],
    ) -> SavedTransform:
        """Return a registered pair of which nothing but the transform is known."""
        return cls(
            pathlib.Path(NAME), True, "", math.nan, transform, fixed_size, moving_size
        )

    def _named(self) -> str:
        return f"{self.path}: the pair"


def describe(
    registration: Registration,
    names: tuple[str, str],
    settings: Mapping[str, Any],
    more: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the content of `transform.json` for a pair.

    Args:
        registration: of the pair.
        names: of the fixed and the moving file.
        settings: all that the result depends on, besides the files.
        more: further keys.
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "fixed": portable(names[0]),
        "moving": portable(names[1]),
        **registration.to_dict(),
        "settings": settings,
        **more,
    }


def to_text(content: Any, indent: str = "") -> str:
    r"""Return content as JSON, a list of numbers in one line.

    >>> print(to_text({"a": [[1, 2], [3, 4.5]], "b": {}}))
    {
      "a": [
        [1, 2],
        [3, 4.5]
      ],
      "b": {}
    }
    """
    inner = indent + "  "
    if isinstance(content, Mapping) and content:
        lines = [
            f"{json.dumps(key)}: {to_text(value, inner)}"
            for key, value in content.items()
        ]
        opening, closing = "{}"
    elif isinstance(content, (list, tuple)) and any(
        isinstance(value, (Mapping, list, tuple)) for value in content
    ):
        lines = [to_text(value, inner) for value in content]
        opening, closing = "[]"
    else:
        return json.dumps(content, allow_nan=False)
    joined = f",\n{inner}".join(lines)
    return f"{opening}\n{inner}{joined}\n{indent}{closing}"


def load_transform(path: str | os.PathLike[str]) -> SavedTransform:
    """Read the transform that `register` wrote.

    Files of all versions are read. A pair that is not registered is read, too: its
    `ok` is False, and what needs its transform raises an error.

    Args:
        path: a `transform.json`, or the folder that holds it.

    Returns:
        An object with `transform`, `ok`, `reason`, `warp_points`, `warp_image`,
        `supports`, `expected_error` and more.

    Raises:
        FileNotFoundError: no such file.
        OSError: it cannot be read.
        ValueError: it is no transform of rkd_jax, of a newer version, or damaged; the
            message names file and key.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "transform.json")
        ...     shift = {"family": "homography", "direction": "moving_to_fixed"}
        ...     shift["matrix"] = [[1, 0, 5], [0, 1, 0], [0, 0, 1]]
        ...     content = {"ok": True, "reason": "", "transform": shift}
        ...     content |= {"fixed_size": [80, 90], "moving_size": [80, 90]}
        ...     _ = path.write_text(json.dumps(content))
        ...     load_transform(path).warp_points([[10.0, 20.0]]).tolist()
        [[15.0, 20.0]]
    """
    path = pathlib.Path(path)
    if path.is_dir():
        path = path / NAME
    content = _content(path)
    try:
        return _saved(path, content)
    except _WrongError as error:
        raise ValueError(f"{path}: {error}") from None


class _WrongError(ValueError):
    """What is wrong with the content, without the name of the file."""


def _content(path: pathlib.Path) -> dict[str, Any]:
    """Return what the file holds, if it is a transform's."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such transform file; expected a {NAME} that `register` wrote, "
            "or its folder"
        )

    def refuse(word: str) -> NoReturn:
        raise _WrongError(f"expected finite numbers, found {word}; {_AGAIN}")

    try:
        content = json.loads(path.read_bytes(), parse_constant=refuse)
    except _WrongError as error:
        raise ValueError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        what = str(error)[:80]
        raise ValueError(
            f"{path}: not JSON ({what}); expected a {NAME} that `register` wrote"
        ) from None
    if not isinstance(content, dict) or "transform" not in content:
        raise ValueError(
            f"{path}: JSON of another kind (without the key 'transform'); expected a "
            f"{NAME} that `register` wrote"
        )
    return content


def _saved(path: pathlib.Path, content: Mapping[str, Any]) -> SavedTransform:
    kind, version = content.get("format", FORMAT), content.get("version", 1)
    if kind != FORMAT:
        raise _WrongError(f"format: expected {FORMAT!r}, found {kind!r:.60}")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _WrongError(f"version: expected a whole number, found {version!r:.60}")
    if version > VERSION:
        raise _WrongError(
            f"version: expected at most {VERSION}, found {version}, which a newer "
            "rkd_jax wrote: update rkd_jax"
        )
    ok = _get(content, "ok", bool, "true or false")
    if version > 1:
        _check_units(content["transform"])
    transform = _transform(content["transform"])
    if ok and transform is None:
        raise _WrongError(
            f"transform: expected an object, as ok is true, found null; {_AGAIN}"
        )
    confidence = content.get("confidence")
    return SavedTransform(
        path=path,
        ok=ok,
        reason=_get(content, "reason", str, "a text"),
        confidence=math.nan if confidence is None else _number(confidence),
        transform=transform,
        fixed_size=_size(content, "fixed_size"),
        moving_size=_size(content, "moving_size"),
        error_map=_error_map(content.get("expected_error")),
        hull=_hull(content.get("supported_area")),
        content=content,
    )


def _get(content: Mapping[str, Any], key: str, kind: type, words: str) -> Any:
    if key not in content:
        raise _WrongError(f"{key}: missing; expected {words}; {_AGAIN}")
    if not isinstance(content[key], kind):
        raise _WrongError(f"{key}: expected {words}, found {content[key]!r:.60}")
    return content[key]


def _number(value: Any) -> float:
    try:
        return float(finite_array("confidence", value, ()))
    except ValueError as error:
        raise _WrongError(f"{error}; {_AGAIN}") from None


def _size(content: Mapping[str, Any], key: str) -> tuple[int, int]:
    words = "[height, width] in pixels"
    size = _get(content, key, list, words)
    whole = all(type(side) is int and side > 0 for side in size)
    if len(size) != 2 or not whole:
        raise _WrongError(f"{key}: expected {words}, found {size!r:.60}; {_AGAIN}")
    if max(size) > MAX_SIDE_PX:
        raise _WrongError(
            f"{key}: expected sides of at most {MAX_SIDE_PX} px, found {size!r:.60}; "
            f"{_AGAIN}"
        )
    return size[0], size[1]


def _check_units(description: Any) -> None:
    """Refuse a transform without units: it would be read as one of version 1."""
    while isinstance(description, Mapping):
        if "units" not in description:
            raise _WrongError(
                f"transform.units: missing; expected 'px' as in all files of version "
                f"{VERSION}, also of a base; {_AGAIN}"
            )
        description = description.get("base")


def _transform(description: Any) -> Transform | None:
    if description is None:
        return None
    try:
        return Transform.from_dict(description)
    except (ValueError, RecursionError) as error:
        raise _WrongError(f"transform: {error}; {_AGAIN}") from None


def _hull(polygon: Any) -> np.ndarray | None:
    if polygon is None:
        return None
    try:
        hull = finite_array("supported_area", polygon, (None, 2))
    except ValueError as error:
        raise _WrongError(f"{error}; {_AGAIN}") from None
    return hull.astype(np.float32) if len(hull) > 2 else None


def _error_map(errors: Any) -> ErrorMap | None:
    if errors is None:
        return None
    try:
        return ErrorMap.from_dict(errors["map"])
    except (KeyError, TypeError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise _WrongError(f"expected_error.map: {what}; {_AGAIN}") from None
