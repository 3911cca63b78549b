"""rkd_jax: retinal keypoints, matching and registration in JAX.

`load_matcher(weights).register(fixed, moving)` registers photographs,
`register_pair(fixed, moving)` is its short form, `load_transform(path)` reads what the
command wrote, `load_lesion_detector(weights).detect(photograph)` finds lesions,
`load_classifier(weights).classify(photograph)` gives probabilities of classes, `losses`
may be used alone. Names are loaded when they are first used, so that importing the
package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rkd_jax.version import __version__ as __version__

if TYPE_CHECKING:
    from rkd_jax import losses as losses
    from rkd_jax.classification.classifier import Classifier as Classifier
    from rkd_jax.classification.classifier import load_classifier as load_classifier
    from rkd_jax.classification.result import Classification as Classification
    from rkd_jax.keypoints import Keypoints as Keypoints
    from rkd_jax.lesions.detector import LesionDetector as LesionDetector
    from rkd_jax.lesions.detector import load_lesion_detector as load_lesion_detector
    from rkd_jax.lesions.result import LesionMap as LesionMap
    from rkd_jax.registration.files.transform_file import (
        SavedTransform as SavedTransform,
    )
    from rkd_jax.registration.files.transform_file import (
        load_transform as load_transform,
    )
    from rkd_jax.registration.matcher import load_matcher as load_matcher
    from rkd_jax.registration.matcher import register_pair as register_pair
    from rkd_jax.registration.options import MatcherOptions as MatcherOptions
    from rkd_jax.registration.result import Registration as Registration
    from rkd_jax.runtime.compile_cache import keep_compiled as keep_compiled

_TRANSFORM_FILE = "rkd_jax.registration.files.transform_file"
_PUBLIC = {
    "Classification": ("rkd_jax.classification.result", "Classification"),
    "Classifier": ("rkd_jax.classification.classifier", "Classifier"),
    "Keypoints": ("rkd_jax.keypoints", "Keypoints"),
    "LesionDetector": ("rkd_jax.lesions.detector", "LesionDetector"),
    "LesionMap": ("rkd_jax.lesions.result", "LesionMap"),
    "MatcherOptions": ("rkd_jax.registration.options", "MatcherOptions"),
    "Registration": ("rkd_jax.registration.result", "Registration"),
    "SavedTransform": (_TRANSFORM_FILE, "SavedTransform"),
    "keep_compiled": ("rkd_jax.runtime.compile_cache", "keep_compiled"),
    "load_classifier": ("rkd_jax.classification.classifier", "load_classifier"),
    "load_lesion_detector": ("rkd_jax.lesions.detector", "load_lesion_detector"),
    "load_matcher": ("rkd_jax.registration.matcher", "load_matcher"),
    "load_transform": (_TRANSFORM_FILE, "load_transform"),
    "losses": ("rkd_jax.losses", None),
    "register_pair": ("rkd_jax.registration.matcher", "register_pair"),
}

__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'rkd_jax' has no attribute {name!r}")
    module_name, attribute = _PUBLIC[name]
    module = importlib.import_module(module_name)
    value = module if attribute is None else getattr(module, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
