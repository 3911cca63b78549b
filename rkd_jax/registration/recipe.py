"""How a command registers pairs, in a form that can be sent to other processes."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from rkd_jax.registration.batch import Work
from rkd_jax.registration.matcher import load_matcher
from rkd_jax.runtime.compile_cache import keep_compiled


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What `Work` is made of.

    Attributes:
        weights: name or file; None: the default.
        keypoints: "network" or "sift".
        options: fields of `MatcherOptions` that are changed.
        method: keyword arguments of `Matcher.register`.
        one_camera: whether the pairs share their curvature.
        written: keyword arguments of `Work`: what is written.
        cache: folder of compiled programs; empty: none.
    """

    weights: str | None
    keypoints: str
    options: Mapping[str, Any]
    method: Mapping[str, Any]
    one_camera: bool
    written: Mapping[str, Any]
    cache: str

    def work(self, base: pathlib.Path = pathlib.Path()) -> Work:
        """Load the matcher.

        Args:
            base: relative paths are of this folder.

        Raises:
            OSError, ValueError: the weights cannot be used.
        """
        keep_compiled(str(base / self.cache) if self.cache else "")
        weights = self.weights
        if weights is not None and (base / weights).is_file():
            weights = str(base / weights)
        matcher = load_matcher(weights, method=self.keypoints, **self.options)
        settings = {
            **matcher.settings(),
            "weights": self.weights,
            **self.method,
            "one_camera": self.one_camera,
        }
        return Work(matcher, dict(self.method), settings, **self.written)
