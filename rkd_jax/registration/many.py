"""Register many pairs, with each photograph read and encoded once."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from rkd_jax.registration.files.pairs import Pair
from rkd_jax.registration.fitting.calibrate import calibrate
from rkd_jax.registration.fitting.curvature import Curvature
from rkd_jax.registration.matcher import Matcher
from rkd_jax.registration.photo import Photo
from rkd_jax.registration.result import Registration
from rkd_jax.runtime.many import progress

T = TypeVar("T")
MOST_BYTES = 2**30
"""Memory for photographs that later pairs need; 40 to 60 of 8 megapixels."""


class Use(NamedTuple):
    """A pair, and which of its photographs a later pair needs, too: fixed, moving."""

    pair: Pair
    again: tuple[bool, bool]


def uses(
    pairs: Sequence[Pair], key: Callable[[pathlib.Path], Hashable] = str
) -> Iterator[Use]:
    """Yield the pairs with what later ones need of them.

    Args:
        pairs: in this order.
        key: equal for equal photographs; by default each path is one.

    >>> a, b, c = map(pathlib.Path, "abc")
    >>> [use.again for use in uses([Pair("1", a, b), Pair("2", a, c)])]
    [(True, False), (False, False)]
    """
    # The hash takes less memory than the key; if two were equal, a photograph would be
    # kept too long.
    last: dict[int, int] = {}
    for number, pair in enumerate(pairs):
        last[hash(key(pair.fixed))] = last[hash(key(pair.moving))] = number
    for number, pair in enumerate(pairs):
        fixed, moving = (last[hash(key(path))] for path in (pair.fixed, pair.moving))
        yield Use(pair, (fixed > number, moving > number))


def share_a_photograph(last: Use, use: Use) -> bool:
    """Decide whether a pair has a photograph of the pair before it."""
    paths = {last.pair.fixed, last.pair.moving}
    return not paths.isdisjoint((use.pair.fixed, use.pair.moving))


class Photographs:
    """Photographs with keypoints: encoded when first needed, kept for later pairs.

    Args:
        matcher: finds the keypoints.
        keep_pixels: keep the pixels of the files, too, for pictures.
        most_bytes: beyond this, the photograph whose last use is longest ago is
            dropped, and encoded again if a later pair needs it.
    """

    def __init__(
        self,
        matcher: Matcher,
        *,
        keep_pixels: bool = False,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._matcher, self._keep_pixels = matcher, keep_pixels
        self._most_bytes, self._bytes = most_bytes, 0
        self._kept: collections.OrderedDict[Hashable, Photo] = collections.OrderedDict()
        self._lock = threading.Lock()  # a worker of Dask may have several threads

    def of(
        self, paths: Sequence[pathlib.Path], keys: Sequence[Hashable], use: Use
    ) -> tuple[Photo, Photo]:
        """Return the photographs of a pair; keep those that a later one needs.

        Args:
            paths: of the fixed and the moving file.
            keys: of what they hold, such as SHA-256; equal ones are one photograph.
            use: the pair.

        Raises:
            OSError, ValueError: one of them cannot be read.
        """
        found: dict[Hashable, Photo] = {}
        for path, key, again in zip(paths, keys, use.again, strict=True):
            with self._lock:
                photo = found.get(key) or self._kept.get(key)
            found[key] = photo or self._read(path)
            with self._lock:
                self._drop(key)
                if again:
                    self._kept[key] = found[key]
                    self._bytes += _nbytes(found[key])
                while self._bytes > self._most_bytes:
                    self._drop(next(iter(self._kept)))
        fixed, moving = (found[key] for key in keys)
        return fixed, moving

    def _read(self, path: pathlib.Path) -> Photo:
        photo = self._matcher.photo(path)
        return photo if self._keep_pixels else dataclasses.replace(photo, original=None)

    def _drop(self, key: Hashable) -> None:
        photo = self._kept.pop(key, None)
        self._bytes -= 0 if photo is None else _nbytes(photo)


def _nbytes(value: Any) -> int:
    """Return the bytes of the arrays in a record, however deep they lie."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if dataclasses.is_dataclass(value):
        return sum(map(_nbytes, vars(value).values()))
    return sum(map(_nbytes, value)) if isinstance(value, tuple) else 0


def register_each(
    photographs: Photographs,
    pairs: Sequence[Pair],
    keys: Mapping[pathlib.Path, Hashable],
    register: Callable[[Pair, Photo, Photo], T],
    *,
    keep: bool = False,
) -> Iterator[tuple[Pair, T]]:
    """Register pairs in this process, with a bar of the progress.

    Args:
        photographs: where they are kept.
        pairs: in this order.
        keys: what each file holds, such as its SHA-256; equal ones are one photograph.
        register: makes the result of a pair from its photographs.
        keep: keep all photographs, for another round over the pairs.

    Yields:
        Each pair with its result.

    Raises:
        Exception: what goes wrong with a pair; it names the pair's files.
    """
    for use in progress(uses(pairs, keys.__getitem__), "pair", len(pairs)):
        pair = use.pair
        paths = (pair.fixed, pair.moving)
        try:
            wanted = use._replace(again=(True, True)) if keep else use
            photos = photographs.of(paths, [keys[path] for path in paths], wanted)
            result = register(pair, *photos)
        except Exception as error:
            name_files(error, pair)
            raise
        yield pair, result


def name_files(error: Exception, pair: Pair) -> None:
    """Add the files of a pair to an error that names none of them."""
    if not any(str(path) in str(error) for path in pair.files()):
        error.add_note(f"{pair.name}: {pair.fixed}, {pair.moving}")


def find_camera(
    photographs: Photographs,
    pairs: Sequence[Pair],
    keys: Mapping[pathlib.Path, Hashable],
    register: Callable[[Pair, Photo, Photo], Registration],
) -> Curvature:
    """Find the curvature that all pairs share: one camera took them.

    Args:
        photographs: where they are kept, for the next round, too.
        pairs: all that the camera took.
        keys: see `register_each`.
        register: registers a pair with nothing known of the camera.
    """
    found = register_each(photographs, pairs, keys, register, keep=True)
    return calibrate(result for _, result in found)
