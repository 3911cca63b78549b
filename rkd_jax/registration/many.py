"""Register many pairs: one loop for the `register` command and for the benchmarks.

Each photograph is read and encoded once, however many pairs it is part of.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

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


class Photographs:
    """The photographs of pairs: encoded when first needed, kept for later pairs.

    Args:
        matcher: finds the keypoints.
        pairs: all that will be asked for, in this order.
        keys: what each file holds, such as its SHA-256; equal ones are one photograph.
        rounds: how often all pairs are gone through.
        keep_pixels: keep the pixels of the files, too, for pictures.
        most_bytes: beyond this, the photograph whose last use is longest ago is
            dropped, and encoded again if a later pair needs it. The two photographs
            of the current pair are always kept.
    """

    def __init__(
        self,
        matcher: Matcher,
        pairs: Sequence[Pair],
        keys: Mapping[pathlib.Path, str],
        *,
        rounds: int = 1,
        keep_pixels: bool = False,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._matcher, self._keys, self._keep_pixels = matcher, keys, keep_pixels
        self._most_bytes, self._bytes = most_bytes, 0
        self._kept: collections.OrderedDict[str, Photo] = collections.OrderedDict()
        self._uses = collections.Counter(
            keys[path] for pair in pairs for path in (pair.fixed, pair.moving)
        )
        for key in self._uses:
            self._uses[key] *= rounds

    def of(self, pair: Pair) -> tuple[Photo, Photo]:
        """Return the photographs of a pair.

        Raises:
            OSError, ValueError: one of them cannot be read.
        """
        fixed, moving = self._one(pair.fixed), self._one(pair.moving)
        while self._bytes > self._most_bytes and len(self._kept) > 2:
            self._drop(next(iter(self._kept)))
        return fixed, moving

    def done(self, pair: Pair) -> None:
        """Forget the photographs of a pair that no later one needs."""
        for path in (pair.fixed, pair.moving):
            key = self._keys[path]
            self._uses[key] -= 1
            if self._uses[key] <= 0 and key in self._kept:
                self._drop(key)

    def _one(self, path: pathlib.Path) -> Photo:
        key = self._keys[path]
        if key not in self._kept:
            photo = self._matcher.photo(path)
            if not self._keep_pixels:
                photo = dataclasses.replace(photo, original=None)
            self._kept[key] = photo
            self._bytes += _nbytes(self._kept[key])
        self._kept.move_to_end(key)
        return self._kept[key]

    def _drop(self, key: str) -> None:
        self._bytes -= _nbytes(self._kept.pop(key))


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
    register: Callable[[Pair, Photo, Photo], T],
    *,
    known: Callable[[Pair], T | None] = lambda pair: None,
    stop_on_error: bool = False,
    what: str = "",
) -> Iterator[tuple[Pair, T | Exception]]:
    """Register the pairs that are not finished; yield what became of each.

    Args:
        photographs: of the pairs.
        pairs: in this order.
        register: makes the result of a pair from its photographs.
        known: returns the result of a pair that an earlier run finished, or None.
        stop_on_error: raise what goes wrong with a pair; else it is yielded in place
            of a result, and the next pair follows.
        what: noun for a progress bar; none is shown without.

    Yields:
        Each pair with its result, or the error, which names the pair's files.
    """
    for pair in progress(pairs, what) if what else pairs:
        try:
            result = known(pair)
            if result is None:
                result = register(pair, *photographs.of(pair))
        except Exception as error:
            if not any(str(path) in str(error) for path in pair.files()):
                error.add_note(f"{pair.name}: {pair.fixed}, {pair.moving}")
            if stop_on_error:
                raise
            result = error
        yield pair, result
        photographs.done(pair)


def find_camera(
    photographs: Photographs,
    pairs: Sequence[Pair],
    register: Callable[[Pair, Photo, Photo], Registration],
    *,
    stop_on_error: bool = False,
) -> Curvature:
    """Find the curvature that all pairs share: one camera took them.

    Args:
        photographs: of the pairs.
        pairs: all that the camera took.
        register: registers a pair with nothing known of the camera.
        stop_on_error: raise what goes wrong with a pair; else the pair is left out.
    """
    results = register_each(
        photographs, pairs, register, stop_on_error=stop_on_error, what="pair"
    )
    return calibrate(r for _, r in results if isinstance(r, Registration))
