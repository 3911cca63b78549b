"""Whether probabilities of classes are frequencies, and what makes them so.

A network that is sure of too much has its logits divided by one temperature for all
classes: the order of the classes stays, and with it every score of predicted classes.
"""

from __future__ import annotations

import numpy as np

BINS = 15
"""Of equal width, of the probability of the predicted class."""
COLDEST, HOTTEST = 0.05, 20.0


def brier(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the squared distance of probabilities to the truth, image by image.

    Args:
        labels: int `[N]`.
        probabilities: `[N, C]`.

    Returns:
        `[N]` in 0..2; with two classes twice what is called so there.

    >>> brier(np.array([0]), np.array([[0.8, 0.2]])).round(3).tolist()
    [0.08]

    Source: Brier 1950.
    """
    truth = np.eye(probabilities.shape[1])[labels]
    return ((probabilities - truth) ** 2).sum(axis=1)


def bin_of(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return in which bin of equal width a probability lies; 1 is in the last.

    >>> bin_of(np.array([0.0, 0.49, 0.5, 1.0]), bins=2).tolist()
    [0, 0, 1, 1]
    """
    return np.minimum((confidence * bins).astype(int), bins - 1)


def calibration_bins(
    labels: np.ndarray, probabilities: np.ndarray, *, bins: int = BINS
) -> list[dict[str, float]]:
    """Return how often images of a confidence are right.

    Args:
        labels: int `[N]`.
        probabilities: `[N, C]`; the confidence is the largest.
        bins: of equal width.

    Returns:
        "confidence" (mean), "right" (share) and "images" (count) of each bin with any.

    >>> calibration_bins(np.array([0, 1]), np.array([[0.75, 0.25], [0.75, 0.25]]))
    [{'confidence': 0.75, 'right': 0.5, 'images': 2}]
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    number = bin_of(confidence, bins)
    return [
        {
            "confidence": float(confidence[number == one].mean()),
            "right": float(right[number == one].mean()),
            "images": int((number == one).sum()),
        }
        for one in np.unique(number)
    ]


def calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, *, bins: int = BINS
) -> float:
    """Return the expected calibration error: the mean gap of confidence to share right.

    Args:
        labels: int `[N]`.
        probabilities: `[N, C]`.
        bins: of equal width; the gap of each counts by its images.

    >>> calibration_error(np.array([0, 1]), np.array([[0.75, 0.25], [0.75, 0.25]]))
    0.25

    Source: Guo et al., ICML 2017.
    """
    rows = calibration_bins(labels, probabilities, bins=bins)
    gaps = [row["images"] * abs(row["confidence"] - row["right"]) for row in rows]
    return float(sum(gaps) / len(labels))


def probabilities_of(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return the softmax of logits that are divided by a temperature.

    Args:
        logits: `[..., C]`.
        temperature: above 0; above 1 it makes probabilities more alike.

    Returns:
        float64 `[..., C]`.

    >>> probabilities_of(np.array([0.0, 2.0 * np.log(3.0)]), 2.0).round(3).tolist()
    [0.25, 0.75]
    """
    from scipy.special import softmax

    return softmax(np.asarray(logits, np.float64) / temperature, axis=-1)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature with the least cross-entropy, on images not trained on.

    Args:
        logits: `[N, C]`, of all classes in one network.
        labels: int `[N]`.

    Returns:
        A number in 0.05..20. Logits that are all right have no optimum: one of the
        temperatures that makes all of them sure.

    Raises:
        ValueError: no images, or logits that are not finite.

    >>> rng = np.random.default_rng(0)
    >>> odds = rng.normal(size=20000)
    >>> labels = (rng.random(20000) < 1 / (1 + np.exp(-odds))).astype(int)
    >>> logits = 3.0 * np.stack([np.zeros(20000), odds], axis=1)
    >>> round(fit_temperature(logits, labels), 1)
    3.0

    Source: Guo et al., ICML 2017.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    if not len(labels) or not np.isfinite(logits).all():
        raise ValueError(
            f"logits of {len(labels)} images; expected finite numbers of one at least"
        )
    logits = np.asarray(logits, np.float64)
    rows = np.arange(len(labels))

    def cross_entropy(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-scaled[rows, labels].mean())

    # Convex in the inverse of the temperature, so that it has one minimum.
    ends = np.log([COLDEST, HOTTEST])
    found = minimize_scalar(cross_entropy, bounds=ends, method="bounded")
    return float(np.exp(found.x))
