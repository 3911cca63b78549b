"""Names of pairs, each of which is a folder of results."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence

from rkd_jax.files.own_files import LIST
from rkd_jax.registration.files.pairs import Pair

TABLE, CAMERA = "pairs.csv", "camera.json"
_MAX_NAME_BYTES = 255  # of a file, on all common file systems
_WINDOWS_DEVICES = {
    *("con", "prn", "aux", "nul"),
    *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)),
}


def unusable_name(name: str, *, windows: bool = os.name == "nt") -> str:
    """Return why a name cannot be that of a pair's folder; empty if it can.

    Args:
        name: of a pair.
        windows: by the rules of Windows, which are stricter.

    >>> unusable_name("eye 1"), unusable_name("a/b")
    ('', 'it has / or \\\\')
    """
    if name in ("", ".", ".."):
        return "it has no letters"
    if "/" in name or "\\" in name:
        return "it has / or \\"
    if name.lower() in (TABLE, CAMERA, LIST):
        return "a file of the results has this name"
    try:
        size = len(os.fsencode(name))
    except UnicodeEncodeError:
        return "names of files cannot have its letters in this locale"
    if size > _MAX_NAME_BYTES:
        return f"it has {size} bytes, more than {_MAX_NAME_BYTES}"
    if windows:
        if name.partition(".")[0].rstrip().lower() in _WINDOWS_DEVICES:
            return "Windows has a device of this name"
        if name[-1] in ". " or any(c in '<>:"|?*' or ord(c) < 32 for c in name):
            return 'Windows allows no < > : " | ? * and no dot or blank at the end'
    return ""


def same_up_to_case(pairs: Sequence[Pair]) -> tuple[str, str] | None:
    """Return two names that are one on file systems that ignore case, if there are."""
    first: dict[str, str] = {}
    for pair in pairs:
        key = unicodedata.normalize("NFC", pair.name).casefold()
        other = first.setdefault(key, pair.name)
        if other != pair.name:
            return other, pair.name
    return None
