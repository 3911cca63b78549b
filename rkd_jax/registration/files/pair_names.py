"""Names of pairs, each of which is a folder of results."""

from __future__ import annotations

from collections.abc import Sequence

from rkd_jax.files import folder_names
from rkd_jax.registration.files.pairs import Pair

TABLE, CAMERA = "pairs.csv", "camera.json"


def unusable_name(name: str) -> str:
    """Return why a name cannot be that of a pair's folder; empty if it can.

    >>> unusable_name("eye 1"), unusable_name("pairs.csv")
    ('', 'a file of the results has this name')
    """
    return folder_names.unusable_name(name, taken=(TABLE, CAMERA))


def same_up_to_case(pairs: Sequence[Pair]) -> tuple[str, str] | None:
    """Return two names that are one on file systems that ignore case, if there are."""
    return folder_names.same_up_to_case(pair.name for pair in pairs)
