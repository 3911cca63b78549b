"""Scores of a classifier: right classes, order of probabilities, calibration.

By scikit-learn where it has them. Classes without an image in the data have no recall
and no ROC: averages over classes are those of the classes that are *present*.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from rkd_jax.metrics.calibration import brier, calibration_error

LABEL_SCORES = (
    *("accuracy", "balanced_accuracy"),
    *("macro_precision", "macro_recall", "macro_f1"),
)
"""Of the predicted classes alone."""
KAPPA = "quadratic_kappa"
"""Where classes are ordered."""
PROBABILITY_SCORES = ("auc_ovr", "auc_ovo", "brier", "ece")


def score_names(ordered: bool) -> tuple[str, ...]:
    """Return the names of all scores.

    Args:
        ordered: whether the classes are grades, from low to high.

    >>> "quadratic_kappa" in score_names(ordered=False)
    False
    """
    return (*LABEL_SCORES, *((KAPPA,) if ordered else ()), *PROBABILITY_SCORES)


def check(labels: np.ndarray, probabilities: np.ndarray) -> None:
    """Raise a ValueError unless there are labels with probabilities of their classes.

    Args:
        labels: int `[N]` in 0..C-1.
        probabilities: `[N, C]` in 0..1, rows with the sum 1.
    """
    if labels.ndim != 1 or not len(labels) or probabilities.ndim != 2:
        raise ValueError(
            f"labels have the shape {labels.shape}, probabilities "
            f"{probabilities.shape}; expected [N] and [N, C], N above 0"
        )
    if len(labels) != len(probabilities):
        raise ValueError(f"{len(labels)} labels for {len(probabilities)} probabilities")
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise ValueError(
            f"labels from {labels.min()} to {labels.max()}; expected 0 to "
            f"{probabilities.shape[1] - 1}"
        )
    if not np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-3):
        raise ValueError("probabilities whose sum is not 1")


def scores(
    labels: np.ndarray, probabilities: np.ndarray, *, ordered: bool = False
) -> dict[str, float | None]:
    """Return all scores of a classifier; the predicted class is the most probable.

    Args:
        labels: int `[N]`, the true classes.
        probabilities: `[N, C]`, see `check`.
        ordered: whether the classes are grades, from low to high.

    Returns:
        "accuracy"; "balanced_accuracy", the mean recall; "macro_precision",
        "macro_recall" and "macro_f1", means over the present classes, with a precision
        of 0 for a class that is never predicted; with `ordered` "quadratic_kappa";
        "auc_ovr", the mean area of the ROC of a class against all others; "auc_ovo",
        the mean over the pairs of classes; "brier", 0 to 2; "ece", the expected
        calibration error. None where a score is not defined.

    Raises:
        ValueError: see `check`.

    >>> found = scores(np.array([0, 1]), np.array([[0.9, 0.1], [0.4, 0.6]]))
    >>> found["accuracy"], found["auc_ovr"], round(found["brier"], 3)
    (1.0, 1.0, 0.17)

    Source: Hand and Till 2001 (one against one); Guo et al., ICML 2017 (ece).
    """
    from sklearn import metrics

    check(labels, probabilities)
    predicted = probabilities.argmax(axis=1)
    present = np.unique(labels)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        labels, predicted, labels=present, average="macro", zero_division=0.0
    )
    found: dict[str, Any] = {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": recall,
        "macro_precision": precision,
        "macro_recall": recall,
        "macro_f1": f1,
    }
    if ordered:
        found[KAPPA] = _kappa(labels, predicted, probabilities.shape[1])
    found["auc_ovr"] = _mean(class_areas(labels, probabilities))
    pairs = [_pair_area(labels, probabilities, *p) for p in _pairs(present)]
    found["auc_ovo"] = _mean(pairs)
    found["brier"] = brier(labels, probabilities).mean()
    found["ece"] = calibration_error(labels, probabilities)
    return {name: None if v is None else float(v) for name, v in found.items()}


def _kappa(labels: np.ndarray, predicted: np.ndarray, count: int) -> float | None:
    from sklearn.metrics import cohen_kappa_score

    if len(np.unique(np.concatenate([labels, predicted]))) < 2:
        return None  # one class alone: no agreement beyond chance
    every = np.arange(count)
    return cohen_kappa_score(labels, predicted, labels=every, weights="quadratic")


def class_areas(labels: np.ndarray, probabilities: np.ndarray) -> list[float | None]:
    """Return the area of the ROC of each class against all others.

    Args:
        labels: int `[N]`.
        probabilities: `[N, C]`.

    Returns:
        C numbers; None of a class that no label, or every label is.

    >>> class_areas(np.array([0, 1]), np.array([[0.9, 0.1, 0.0], [0.4, 0.6, 0.0]]))
    [1.0, 1.0, None]
    """
    from sklearn.metrics import roc_auc_score

    areas: list[float | None] = []
    for number in range(probabilities.shape[1]):
        positive = labels == number
        mixed = positive.any() and not positive.all()
        area = roc_auc_score(positive, probabilities[:, number]) if mixed else None
        areas.append(None if area is None else float(area))
    return areas


def _pairs(present: np.ndarray) -> list[tuple[int, int]]:
    return list(itertools.combinations(present.tolist(), 2))


def _pair_area(
    labels: np.ndarray, probabilities: np.ndarray, one: int, other: int
) -> float:
    """Return the area of two classes: the mean of both probabilities' ROC."""
    from sklearn.metrics import roc_auc_score

    among = (labels == one) | (labels == other)
    areas = [
        roc_auc_score(labels[among] == number, probabilities[among, number])
        for number in (one, other)
    ]
    return float(np.mean(areas))


def _mean(values: list[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def confusion(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return how often each class was taken for each.

    Args:
        labels: int `[N]`.
        probabilities: `[N, C]`.

    Returns:
        int `[C, C]`: [true, predicted].

    >>> confusion(np.array([0, 0]), np.array([[0.9, 0.1], [0.4, 0.6]])).tolist()
    [[1, 1], [0, 0]]
    """
    from sklearn.metrics import confusion_matrix

    every = np.arange(probabilities.shape[1])
    return confusion_matrix(labels, probabilities.argmax(axis=1), labels=every)


def class_scores(
    labels: np.ndarray, probabilities: np.ndarray
) -> list[dict[str, float | None]]:
    """Return the scores of each class by itself.

    Args:
        labels: int `[N]`.
        probabilities: `[N, C]`.

    Returns:
        C times "images", "predicted" (counts), "precision", "recall", "f1" and "auc",
        None where it is not defined.

    >>> class_scores(np.array([0, 0]), np.array([[0.9, 0.1], [0.4, 0.6]]))[1]["recall"]
    """
    matrix = confusion(labels, probabilities)
    rows: list[dict[str, float | None]] = []
    for number, area in enumerate(class_areas(labels, probabilities)):
        hits = matrix[number, number]
        images, predicted = matrix[number].sum(), matrix[:, number].sum()
        rows.append(
            {
                "images": int(images),
                "predicted": int(predicted),
                "precision": float(hits / predicted) if predicted else None,
                "recall": float(hits / images) if images else None,
                "f1": float(2 * hits / (images + predicted)) if images else None,
                "auc": area,
            }
        )
    return rows


def roc_curve(
    labels: np.ndarray, probabilities: np.ndarray, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ROC of a class against all others.

    Args:
        labels: int `[N]`, some of this class and some not.
        probabilities: `[N, C]`.
        number: of the class.

    Returns:
        False and true positive rates `[P]`, both rising.

    >>> one = np.array([[0.9, 0.1], [0.4, 0.6]])
    >>> [rates.tolist() for rates in roc_curve(np.array([0, 1]), one, 1)]
    [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    """
    from sklearn import metrics

    false, true, _ = metrics.roc_curve(labels == number, probabilities[:, number])
    return false, true
