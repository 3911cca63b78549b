"""In which order examples are read: shuffled, mixed or balanced.

A sampler is one endless list of numbers of examples: global batch g is its part
[g * G, (g + 1) * G). The list depends on the seed and on the groups of the examples
only, and any place of it can be read without those before. `weighted.Weighted` alone
depends on the run too, by the losses that it is given.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

State = dict[str, Any]


class Sampler(Protocol):
    """An endless list of numbers of examples.

    Attributes:
        batch_size: examples of a global batch that the list is made for; None: any.
        round_size: places of a round, which can be read once the round has begun; None:
            every place can be read at once.
    """

    batch_size: int | None
    round_size: int | None

    def __getitem__(self, place: int) -> int: ...

    def begin(self, number: int) -> None:
        """Begin a round, after the losses of all examples before it are recorded."""

    def record(self, examples: np.ndarray, losses: np.ndarray) -> None:
        """Take the losses `[B]` of the examples with the numbers `[B]`."""

    def get_state(self) -> State:
        """Return what the list depends on besides its arguments, as JSON takes it."""

    def set_state(self, state: State) -> None:
        """Go back to a state."""


class _Fixed:
    """A list that no run changes."""

    batch_size: int | None = None
    round_size: int | None = None

    def begin(self, number: int) -> None:
        pass

    def record(self, examples: np.ndarray, losses: np.ndarray) -> None:
        pass

    def get_state(self) -> State:
        return {}

    def set_state(self, state: State) -> None:
        pass


class InOrder(_Fixed):
    """0, 1, ..., count - 1 again and again."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __getitem__(self, place: int) -> int:
        return place % self._count


class Shuffle(_Fixed):
    """All examples in a new random order each epoch.

    Args:
        count: examples, N.
        seed: of the orders.

    >>> order = Shuffle(4, seed=0)
    >>> sorted(order[i] for i in range(4)), sorted(order[i] for i in range(4, 8))
    ([0, 1, 2, 3], [0, 1, 2, 3])
    """

    def __init__(self, count: int, *, seed: int) -> None:
        (self._order,) = _shuffled([np.arange(count)], seed)

    def __getitem__(self, place: int) -> int:
        return int(self._order[place])


class Mix(_Fixed):
    """Groups in given shares, each group in a new random order each of its epochs.

    Args:
        groups: int `[N]`, the group of each example.
        shares: share of each group in the list, above 0; they sum to 1. Examples of
            groups that are not named are never read.
        seed: of the orders.

    Raises:
        ValueError: shares that are none, or a group without an example.

    >>> mixed = Mix([1, 0, 0, 0, 0], {1: 0.5, 0: 0.5}, seed=0)
    >>> [mixed[i] == 0 for i in range(4)]
    [True, False, True, False]
    """

    def __init__(
        self, groups: Sequence[int] | np.ndarray, shares: Mapping[int, float], seed: int
    ) -> None:
        import grain

        members = members_of(groups, shares)
        orders = _shuffled(members, seed)
        self._order = grain.MapDataset.mix(orders, list(shares.values()))

    def __getitem__(self, place: int) -> int:
        return int(self._order[place])


class Balanced(_Fixed):
    """Batches of P groups with K examples of each, group after group.

    The groups are dealt out P a batch, in a new random order each time that fewer than
    P are left; those left over sit out until then. The examples of a group are dealt
    out in the same way, K each time that the group is in a batch, so that no batch has
    an example twice. A group of fewer than K gives all that it has, and then these
    again: one of a single example gives K copies of it.

    Args:
        groups: int `[N]`, the group of each example.
        count: groups of a batch, P.
        per_group: examples of each of them, K.
        seed: of the orders.

    Raises:
        ValueError: there are fewer than P groups.

    >>> groups = [7, 7, 7, 8, 8, 9]
    >>> order = Balanced(groups, count=3, per_group=2, seed=0)
    >>> sorted(groups[order[place]] for place in range(6))
    [7, 7, 8, 8, 9, 9]
    """

    def __init__(
        self,
        groups: Sequence[int] | np.ndarray,
        *,
        count: int,
        per_group: int,
        seed: int,
    ) -> None:
        names = np.unique(groups)
        if not (1 <= count <= len(names) and per_group >= 1):
            raise ValueError(
                f"{count} groups a batch and {per_group} examples of each, of "
                f"{len(names)} groups; expected 1 to {len(names)} groups and at least "
                "1 example"
            )
        self.batch_size = count * per_group
        self._count, self._per_group, self._seed = count, per_group, seed
        self._members = members_of(groups, dict.fromkeys(names.tolist()))
        self._decks: dict[int, tuple[int, np.ndarray]] = {}

    def __getitem__(self, place: int) -> int:
        batch, place = divmod(place, self.batch_size)
        part, number = divmod(place, self._per_group)
        groups = len(self._members)
        group = self._dealt(groups, groups, self._count, batch)[part]
        # A group is in one batch of each dealing of the groups, or in none.
        turn = batch // (groups // self._count)
        members = self._members[group]
        hand = self._dealt(group, len(members), self._per_group, turn)
        return int(members[hand[number % len(hand)]])

    def _dealt(self, deck: int, count: int, size: int, turn: int) -> np.ndarray:
        """Return the cards of a turn: `size` of 0 ... count - 1, or all if fewer."""
        epoch, hand = divmod(turn, max(count // size, 1))
        kept = self._decks.get(deck)
        if kept is None or kept[0] != epoch:
            rng = np.random.default_rng((self._seed, deck, epoch))
            kept = self._decks[deck] = epoch, rng.permutation(count)
        return kept[1][hand * size : (hand + 1) * size]


def by_groups(
    groups: Sequence[int] | np.ndarray, labeled_share: float, *, seed: int
) -> Sampler:
    """Return the sampler of a source whose groups are 1 (labeled) and 0 (not).

    Args:
        groups: int `[N]`.
        labeled_share: share of labeled examples in the order; 0 takes all examples
            equally often, as does a source of one kind only.
        seed: of the orders.

    Raises:
        ValueError: a share that is none.
    """
    if not labeled_share or len(np.unique(groups)) == 1:
        return Shuffle(len(groups), seed=seed)
    return Mix(groups, {1: labeled_share, 0: 1 - labeled_share}, seed=seed)


def members_of(
    groups: Sequence[int] | np.ndarray, names: Mapping[int, float | None]
) -> list[np.ndarray]:
    """Return the numbers of the examples of each named group, and check the shares."""
    groups = np.asarray(groups)
    shares = [share for share in names.values() if share is not None]
    if shares and not (min(shares) > 0 and abs(sum(shares) - 1) < 1e-6):
        raise ValueError(
            f"shares {dict(names)} of groups; expected shares above 0 that sum to 1"
        )
    members = [np.flatnonzero(groups == name) for name in names]
    empty = [str(name) for name, found in zip(names, members) if not len(found)]
    if empty:
        raise ValueError(
            f"no example is of group {', '.join(empty)}; the groups of the "
            f"{len(groups)} examples are {', '.join(map(str, np.unique(groups)[:20]))}"
        )
    return members


def _shuffled(lists: Sequence[np.ndarray], seed: int) -> list[Any]:
    """Return endless lists of the numbers in each of some lists, new in each epoch."""
    import grain

    # Grain shuffles epoch e by seed + e; spread seeds, so that no two share orders.
    spread = np.random.SeedSequence(seed).generate_state(len(lists))
    return [
        grain.MapDataset.source(numbers).shuffle(seed=int(own)).repeat()
        for numbers, own in zip(lists, spread, strict=True)
    ]
