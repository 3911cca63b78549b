"""Fields of a config class: what a value may be stands beside the field itself."""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Iterator
from typing import Any

_BIG = 2**31 - 1


@dataclasses.dataclass
class Section:
    """Base of all config classes: it has its own fields and no others.

    Subclasses are dataclasses whose fields `choice`, `count`, `number` and `path` make.

    >>> from rkd_jax.config import OptimConfig
    >>> OptimConfig().lrr = 0.1
    Traceback (most recent call last):
    AttributeError: OptimConfig has no field lrr; did you mean lr?
    """

    def __setattr__(self, name: str, value: Any) -> None:
        names = [field.name for field in dataclasses.fields(self)]
        if name not in names:
            near = difflib.get_close_matches(name, names, 5, 0.5) or names
            raise AttributeError(
                f"{type(self).__name__} has no field {name}; "
                + (f"did you mean {', '.join(near)}?" if near else "it has none")
            )
        object.__setattr__(self, name, value)

    def check_fields(self, path: str) -> None:
        """Check the value of every field, also of the sections inside this one.

        Args:
            path: of this section in the config, such as "data."; "" is the config.

        Raises:
            ValueError: names the first field that is wrong.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Section):
                value.check_fields(f"{path}{field.name}.")
            else:
                _check_value(f"config.{path}{field.name}", value, field.metadata)


def choice(default: str, *known: str, **facts: Any) -> Any:
    """Make a field that must be one of some words.

    Args:
        default: one of them.
        *known: all of them.
        **facts: further facts, such as `free=True`: a run may go on with another value.
    """
    return dataclasses.field(default=default, metadata={"known": known, **facts})


def count(default: int, *, least: int = 0, largest: int = _BIG, **facts: Any) -> Any:
    """Make a field of whole numbers; see `choice` for `facts`."""
    limits = {"least": least, "largest": largest}
    return dataclasses.field(default=default, metadata={**limits, **facts})


def number(
    default: float,
    *,
    least: float | None = None,
    above: float | None = None,
    largest: float | None = None,
    below: float | None = None,
) -> Any:
    """Make a field of finite numbers between two limits, if it has any."""
    limits = {"least": least, "above": above, "largest": largest, "below": below}
    given = {key: value for key, value in limits.items() if value is not None}
    return dataclasses.field(default=default, metadata={"number": True, **given})


def path(default: str = "", **facts: Any) -> Any:
    """Make a field that names a file or folder; no published file holds its folder.

    See `choice` for `facts`.
    """
    return dataclasses.field(default=default, metadata={"path": True, **facts})


def marked(section: Section, fact: str, prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of all fields below a section that have a fact.

    >>> from rkd_jax.config import LoopConfig
    >>> sorted(marked(LoopConfig(), "free"))[:2]
    ['checkpoint_every', 'eval_every']
    """
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if isinstance(value, Section):
            yield from marked(value, fact, f"{prefix}{field.name}.")
        elif field.metadata.get(fact):
            yield f"{prefix}{field.name}"


def check_choice(name: str, value: Any, known: Iterable[str]) -> None:
    """Refuse a value that is not one of some words.

    Raises:
        ValueError: names the field, what it is and what it may be.
    """
    if value not in known:
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(known)}")


_TESTS = {
    "least": (lambda value, limit: value >= limit, "at least {}"),
    "above": (lambda value, limit: value > limit, "above {}"),
    "largest": (lambda value, limit: value <= limit, "at most {}"),
    "below": (lambda value, limit: value < limit, "below {}"),
}


def _check_value(name: str, value: Any, facts: Any) -> None:
    if "known" in facts:
        check_choice(name, value, facts["known"])
    limits = {key: facts[key] for key in _TESTS if key in facts}
    if not limits and "number" not in facts:
        return
    words = [_TESTS[key][1].format(limit) for key, limit in limits.items()]
    right = isinstance(value, int | float) and math.isfinite(value)
    if not (right and all(_TESTS[k][0](value, limit) for k, limit in limits.items())):
        wanted = " and ".join(words).replace("above 0", "positive")
        raise ValueError(f"{name} must be finite, {wanted}; it is {value!r}")
