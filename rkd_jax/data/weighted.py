"""Examples whose loss is large are read more often."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rkd_jax.data.sampling import State, members_of


class Weighted:
    """Examples drawn, with replacement, the more often the larger their last loss is.

    Selective sampling (van Grinsven et al., 2016). The list is drawn in rounds: what a
    round holds depends on the losses that were recorded before it began, so that
    reading ahead within it changes nothing. The first round is uniform. The chance of
    an example in its group is proportional to its last loss, at least `floor` times the
    largest; an example that has not been read yet counts as one of mean loss.

    Args:
        groups: int `[N]`, the group of each example.
        round_size: examples of a round; a multiple of the global batch.
        seed: of the draws.
        shares: share of each group in the list, evenly spread; they sum to 1. None: all
            examples are one group.
        by_loss: groups that are drawn by loss; the others are drawn uniformly. None:
            all.
        floor: see above; keeps easy examples from never being read again.

    Raises:
        ValueError: a round of no example, shares that are none, or a group without an
            example.

    >>> order = Weighted([0, 0, 0], round_size=4, seed=0)
    >>> order.begin(0)
    >>> order.record([0, 1, 2], [0.0, 0.0, 5.0])
    >>> order.begin(1)
    >>> [order[place] for place in range(4, 8)]
    [2, 2, 2, 2]
    """

    batch_size: int | None = None

    def __init__(
        self,
        groups: Sequence[int] | np.ndarray,
        *,
        round_size: int,
        seed: int,
        shares: Mapping[int, float] | None = None,
        by_loss: Sequence[int] | None = None,
        floor: float = 1e-3,
    ) -> None:
        if round_size < 1:
            raise ValueError(f"round_size={round_size}; expected at least 1")
        if shares is None:
            groups, shares = np.zeros(len(groups), int), {0: 1.0}
        self.round_size: int | None = round_size
        self._seed, self._floor = seed, floor
        self._members = members_of(groups, shares)
        self._weighted = [by_loss is None or name in by_loss for name in shares]
        self._kinds = _interleaved(list(shares.values()), round_size)
        self._count = len(groups)
        self._round = -1
        self._before = self._losses = np.full(self._count, np.nan, np.float32)
        self._drawn = np.zeros(0, int)

    def __getitem__(self, place: int) -> int:
        number, place = divmod(place, self.round_size)
        if number != self._round:
            raise IndexError(f"place of round {number}, in round {self._round}")
        return int(self._drawn[place])

    def begin(self, number: int) -> None:
        """Draw a round by the losses recorded so far, if it is not the one that is on.

        Raises:
            ValueError: no loss at all was recorded in the rounds before.
        """
        if number != self._round:
            self._draw(number, self._losses)

    def record(self, examples: Any, losses: Any) -> None:
        """Take the losses of examples that have been read; of equal ones the last.

        Args:
            examples: int `[B]`, their numbers.
            losses: float `[B]`, finite and not negative.

        Raises:
            ValueError: a loss that is not.
        """
        losses = np.asarray(losses, np.float32)
        bad = ~(np.isfinite(losses) & (losses >= 0))
        if bad.any():
            raise ValueError(
                f"the loss of example {np.asarray(examples)[bad][0]} is "
                f"{losses[bad][0]}; a sampler by loss needs finite losses of 0 or more"
            )
        self._losses[np.asarray(examples)] = losses

    def get_state(self) -> State:
        return {
            "round": self._round,
            "before": _pack(self._before),
            "losses": _pack(self._losses),
        }

    def set_state(self, state: State) -> None:
        """Go back to a state.

        Raises:
            ValueError: it is that of another number of examples.
        """
        before, losses = _unpack(state["before"]), _unpack(state["losses"])
        if not len(before) == len(losses) == self._count:
            raise ValueError(
                f"the saved losses are those of {len(losses)} examples; now there are "
                f"{self._count}"
            )
        self._draw(state["round"], before)
        self._losses = losses

    def _draw(self, number: int, losses: np.ndarray) -> None:
        """Draw a round by the losses before it; -1 is before the first."""
        self._round, self._before, self._losses = number, losses, losses.copy()
        if number < 0:
            return
        if number > 0 and np.isnan(losses).all():
            raise ValueError(
                "a sampler by loss was given no loss in its first round; the task's "
                'loss must return Aux.examples with "loss", one value an example'
            )
        drawn = np.zeros(self.round_size, int)
        rng = np.random.default_rng((self._seed, number))
        for kind, members in enumerate(self._members):
            chances = None
            if self._weighted[kind]:
                chances = self._chances(losses[members])
            here = self._kinds == kind
            drawn[here] = rng.choice(members, here.sum(), p=chances)
        self._drawn = drawn

    def _chances(self, losses: np.ndarray) -> np.ndarray | None:
        if np.isnan(losses).all() or not np.nanmax(losses) > 0:
            return None
        weights = np.where(np.isnan(losses), np.nanmean(losses), losses)
        weights = np.maximum(weights.astype(np.float64), self._floor * weights.max())
        return weights / weights.sum()


def _interleaved(shares: Sequence[float], count: int) -> np.ndarray:
    """Return `count` of 0, 1, ... in given shares, evenly spread.

    >>> _interleaved([0.75, 0.25], 8).tolist()
    [0, 0, 1, 0, 0, 0, 1, 0]
    """
    owed, chosen = np.zeros(len(shares)), np.zeros(count, int)
    for place in range(count):
        owed += shares
        chosen[place] = owed.argmax()
        owed[chosen[place]] -= 1
    return chosen


def _pack(losses: np.ndarray) -> str:
    """Return float32 numbers as text: a third of the length of their digits."""
    return base64.b64encode(losses.astype("<f4").tobytes()).decode("ascii")


def _unpack(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)
