"""What the options of every network have, and checks of ranges."""

import dataclasses
from typing import Any

COMPUTE_DTYPES = ("float32", "bfloat16")


@dataclasses.dataclass
class NetworkOptions:
    """What every network has.

    Attributes:
        in_channels: Channels of the images.
        out_channels: Heatmaps an image (a single one has no channel axis), or classes.
        compute_dtype: "float32" or "bfloat16"; parameters and outputs are float32.
    """

    in_channels: int = 1
    out_channels: int = 1
    compute_dtype: str = "float32"

    def check(self, field: str = "") -> None:
        """Raise a ValueError that names the first option out of its range.

        Args:
            field: What the options are a part of, as "config.model".
        """
        where = f"{field}." if field else ""
        check_positive(self, where, "in_channels", "out_channels")
        check_known(self, where, "compute_dtype", COMPUTE_DTYPES)
        self._check(where)

    def _check(self, where: str) -> None:
        """Check what is the network's own."""


def check_known(options: Any, where: str, name: str, known: tuple[str, ...]) -> None:
    """Raise a ValueError unless an option is one of the known words."""
    value = getattr(options, name)
    if value not in known:
        raise ValueError(f"{where}{name} is {value!r}; expected {' or '.join(known)}")


def check_positive(options: Any, where: str, *names: str) -> None:
    """Raise a ValueError unless options are whole numbers above 0, or tuples."""
    for name in names:
        value = getattr(options, name)
        values = value if isinstance(value, tuple) else (value,)
        if not values or not all(isinstance(v, int) and v > 0 for v in values):
            raise ValueError(
                f"{where}{name} is {value!r}; expected whole numbers above 0"
            )


def check_optional(options: Any, where: str, name: str, what: str) -> None:
    """Raise a ValueError unless the width of a part is a whole number, 0 for none."""
    value = getattr(options, name)
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{where}{name} is {value!r}; expected 0 (no {what}) or more")
