"""From evidence to the probability that a registration is right.

A logistic model on six numbers that need no knowledge of the keypoints' maker. Its
coefficients lie in `confidence.json`; `tools/calibrate_confidence.py` fits them on
registrable and unrelated pairs, and checks on others how often it is right.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

FILE = pathlib.Path(__file__).parent / "confidence.json"

# What rises with each says nothing but good, or nothing but bad, of a registration;
# the calibration may not give a weight the wrong sign.
FEATURES = {
    "support": 1,
    "support_ratio": 1,
    "near_gain": 1,
    "near_error": -1,
    "coverage": 1,
    "asymmetry": -1,
}


def features(evidence: Mapping[str, float]) -> np.ndarray:
    """Return the numbers that the model weighs, `[6]`, in the order of `FEATURES`.

    Counts and distances by their logarithm, shares by their square root.

    Example:
        >>> evidence = dict(
        ...     support=99, support_ratio=0.25, near=199, near_by_chance=19,
        ...     near_error_px=1.0, coverage=0.36, near_coverage=0.49, asymmetry_px=0.0)
        >>> features(evidence).round(2).tolist()
        [4.61, 0.5, 2.3, 0.25, 0.6, 0.0]
    """
    return np.array(
        [
            math.log1p(evidence["support"]),
            math.sqrt(evidence["support_ratio"]),
            math.log1p(evidence["near"]) - math.log1p(evidence["near_by_chance"]),
            evidence["near_error_px"] / 4.0,
            math.sqrt(min(evidence["coverage"], evidence["near_coverage"], 1.0)),
            math.log1p(evidence["asymmetry_px"]),
        ]
    )


@dataclasses.dataclass(frozen=True, eq=False)
class ConfidenceModel:
    """A logistic model: sigmoid(weights (features - center) / scale + bias).

    Attributes:
        weights: `[6]`, for standardized features.
        bias: scalar.
        center: `[6]`.
        scale: `[6]`, above 0.
        calibration: how it was fitted and checked, for the record.
    """

    weights: np.ndarray
    bias: float
    center: np.ndarray
    scale: np.ndarray
    calibration: dict[str, Any] = dataclasses.field(default_factory=dict)

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Return the log-odds of feature rows `[N, 6]`."""
        return (rows - self.center) / self.scale @ self.weights + self.bias

    def probability(self, evidence: Mapping[str, float]) -> float:
        """Return the probability, 0 to 1, that a registration with it is right."""
        logit = float(self.logits(features(evidence)[None])[0])
        return 1.0 / (1.0 + math.exp(-min(max(logit, -60.0), 60.0)))

    def to_json(self) -> str:
        """Return the text of `confidence.json`."""
        content = {
            "features": list(FEATURES),
            "weights": [round(float(v), 6) for v in self.weights],
            "bias": round(float(self.bias), 6),
            "center": [round(float(v), 6) for v in self.center],
            "scale": [round(float(v), 6) for v in self.scale],
            "calibration": self.calibration,
        }
        return json.dumps(content, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ConfidenceModel:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is of other features.
        """
        content = json.loads(text)
        if content.pop("features") != list(FEATURES):
            raise ValueError(
                f"confidence model: expected the features {list(FEATURES)}; calibrate "
                "anew with tools/calibrate_confidence.py"
            )
        for name in ("weights", "center", "scale"):
            content[name] = np.array(content[name], np.float64)
        return cls(**content)


@functools.cache
def model_digest() -> str:
    """Return the SHA-256 of the packaged model's file."""
    return hashlib.sha256(FILE.read_bytes()).hexdigest()


@functools.cache
def packaged_model() -> ConfidenceModel:
    """Return the model that comes with the package."""
    return ConfidenceModel.from_json(FILE.read_text(encoding="utf-8"))


def fit_logistic(
    rows: np.ndarray, right: np.ndarray, *, ridge: float = 1.0
) -> ConfidenceModel:
    """Fit the model by penalized maximum likelihood with the signs of `FEATURES`.

    Args:
        rows: `[N, 6]` features.
        right: `[N]` bool, whether the registration is right.
        ridge: penalty on the squared weights of standardized features.

    Raises:
        ValueError: fewer than ten of either kind.
    """
    from scipy.optimize import minimize

    right = np.asarray(right, bool)
    if min(right.sum(), (~right).sum()) < 10:
        raise ValueError(
            f"{right.sum()} right and {(~right).sum()} wrong registrations; at least "
            "10 of either kind are needed"
        )
    center, scale = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-6)
    standard = (rows - center) / scale
    sign = np.where(right, 1.0, -1.0)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = parameters[:-1], parameters[-1]
        margin = sign * (standard @ weights + bias)
        value = np.logaddexp(0.0, -margin).sum() + 0.5 * ridge * weights @ weights
        slope = -sign * np.exp(-np.logaddexp(0.0, margin))
        gradient = np.append(standard.T @ slope + ridge * weights, slope.sum())
        return float(value), gradient

    bounds = [(0, None) if s > 0 else (None, 0) for s in FEATURES.values()]
    result = minimize(
        loss, np.zeros(len(center) + 1), jac=True, bounds=[*bounds, (None, None)]
    )
    return ConfidenceModel(result.x[:-1], float(result.x[-1]), center, scale)
