"""The paired bootstrap of two runs, against a plain loop over eyes."""

import numpy as np
import pytest

from rkd_jax.evaluation.published import PAPER
from rkd_jax.metrics.fire import PairResult, auc, paired_difference, score


def _run(shift, seed=0):
    rng = np.random.default_rng(seed)
    names = [f"{c}{i:02}" for c in "SPA" for i in range(6)]
    errors = rng.uniform(1, 20, len(names)) + shift
    return [
        PairResult(name, False, np.full(10, error), eye=i // 2)
        for i, (name, error) in enumerate(zip(names, errors, strict=True))
    ]


def test_difference_is_that_of_the_scores():
    first, second = _run(0.0), _run(1.7)
    found = paired_difference(first, second[::-1])
    one, other = score(first), score(second)
    for name in ("S", "P", "A", "mAUC", "pooled"):
        assert found[name] == pytest.approx(one[name] - other[name])
    back = paired_difference(second, first)
    low, high = found["intervals"]["mAUC"]
    np.testing.assert_allclose(back["intervals"]["mAUC"], [-high, -low])
    assert low <= found["mAUC"] <= high


def test_pairing_removes_what_the_runs_share():
    """The same shift everywhere: hardly any spread, though each run has much."""
    first, second = _run(0.0), _run(1.0)
    low, high = paired_difference(first, second)["intervals"]["pooled"]
    alone = score(first)["intervals"]["pooled"]
    assert high - low < 0.3 * (alone[1] - alone[0])
    errors = np.array([p.mean_error for p in first])
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(2000):
        eyes = rng.integers(0, 9, 9)
        rows = np.concatenate([[2 * eye, 2 * eye + 1] for eye in eyes])
        drawn.append(auc(errors[rows]) - auc(errors[rows] + 1.0))
    np.testing.assert_allclose(
        [low, high], np.quantile(drawn, [0.025, 0.975]), atol=0.004
    )


def test_other_pairs_are_refused():
    with pytest.raises(ValueError, match="A05"):
        paired_difference(_run(0.0), _run(0.0)[:-1])


def test_printed_means_are_means_of_the_printed_classes():
    """The paper's mean of a row is that of its classes, to the last digit but one."""
    for row in PAPER.values():
        assert row.mAUC == pytest.approx((row.S + row.A + row.P) / 3, abs=0.0011)
        total = row.failed + row.inaccurate + row.acceptable
        assert total == pytest.approx(100, abs=0.011)
