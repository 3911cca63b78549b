"""Names of folders that hold the results of one item each."""

from __future__ import annotations

import os
import pathlib
import tempfile
import unicodedata
from collections.abc import Collection, Iterable

from rkd_jax.files.own_files import LIST

_MAX_NAME_BYTES = 255  # of a file, on all common file systems
_WINDOWS_DEVICES = {
    *("con", "prn", "aux", "nul"),
    *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)),
}


def unusable_name(
    name: str, *, taken: Collection[str] = (), windows: bool = os.name == "nt"
) -> str:
    """Return why a name cannot be that of a folder of results; empty if it can.

    Args:
        name: of an item.
        taken: names of files that stand beside the folders, in lower case.
        windows: by the rules of Windows, which are stricter.

    >>> unusable_name("eye 1"), unusable_name("a/b")
    ('', 'it has / or \\\\')
    """
    if name in ("", ".", ".."):
        return "it has no letters"
    if "/" in name or "\\" in name:
        return "it has / or \\"
    if name.lower() in (*taken, LIST):
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


def same_up_to_case(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two names that are one on file systems that ignore case, if there are.

    >>> same_up_to_case(["a", "b", "A"])
    ('a', 'A')
    """
    first: dict[str, str] = {}
    for name in names:
        key = unicodedata.normalize("NFC", name).casefold()
        other = first.setdefault(key, name)
        if other != name:
            return other, name
    return None


def ignores_case(folder: pathlib.Path) -> bool:
    """Try whether a file system takes upper and lower case for the same."""
    place = next(p for p in (folder, *folder.absolute().parents) if p.is_dir())
    with tempfile.TemporaryDirectory(prefix="Rkd_Jax_", dir=place) as probe:
        path = pathlib.Path(probe)
        return (path.parent / path.name.swapcase()).exists()
