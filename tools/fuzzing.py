"""Mutate files, give them to the readers, and judge what the readers do.

Allowed are a result, or a `ValueError` or `OSError` whose text names the file. A
mutation depends on the seed, the format and its number only, so that each can be made
again.
"""

from __future__ import annotations

import dataclasses
import pathlib
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

_BLOWN = (
    0,
    1,
    255,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 + 5,
    2**64 - 1,
)
_WORDS = (
    *(b"nan", b"-inf", b"1e999", b"-1", b'"', b"'", b";", b"\t", b",", b"\n", b"\r"),
    *(
        b"#",
        b"\0",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xc3\x28",
        b"9" * 5000,
        b"a" * 140000,
    ),
    *(b"[" * 5000, b"{", b"}", b"null", b"1,5", b"0x10", b"\xe2\x80\xa8", b"1_0"),
)


@dataclasses.dataclass(frozen=True)
class Format:
    """One kind of file and its reader.

    Attributes:
        name: for reports.
        suffix: of the file.
        seeds: sound files, which the reader must accept unless `refused`.
        read: called with the path.
        text: whether words are put in as well.
        refused: whether the reader refuses the sound files, too.
        share: tries to those of other formats; small for slow readers.
        place: where below its folder the file stands.
    """

    name: str
    suffix: str
    seeds: Sequence[bytes]
    read: Callable[[pathlib.Path], Any]
    text: bool = False
    refused: bool = False
    share: float = 1.0
    place: str = ""

    def path(self, folder: pathlib.Path) -> pathlib.Path:
        """Return where a file of this kind is to stand."""
        return folder / self.name / (self.place or f"mutated{self.suffix}")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a reader did: `kind` is "read", "refused" or "failed"; `text` says how."""

    kind: str
    text: str = ""


def mutate(form: Format, number: int, seed: int, others: Sequence[bytes]) -> bytes:
    """Return the file of one mutation.

    Args:
        form: its format.
        number: of the mutation.
        seed: of all mutations.
        others: files of other formats, to splice with.
    """
    rng = np.random.default_rng([seed, zlib.crc32(form.name.encode()), number])
    data = form.seeds[number % len(form.seeds)]
    steps = [_flip, _set, _cut, _double, _remove, _swap, _blow, _insert]
    steps += [_blow, _flip] if not form.text else [_word, _word]
    for _ in range(1 + int(rng.integers(3))):
        if rng.random() < 0.06:
            data = _splice(rng, data, others[int(rng.integers(len(others)))])
        elif data:
            data = steps[int(rng.integers(len(steps)))](rng, data)
    return _with_checksums(data) if rng.random() < 0.6 else data


def _with_checksums(data: bytes) -> bytes:
    """Return a PNG whose chunks have the right checksums; other files as they are.

    Decoders stop at a wrong one, so that nothing behind it would be tried.
    """
    out, at = bytearray(data), 8
    while data.startswith(b"\x89PNG") and at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        out[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(out)


def attempt(form: Format, data: bytes, folder: pathlib.Path) -> Outcome:
    """Give one file to the reader of its format."""
    path = form.path(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            form.read(path)
    except (ValueError, OSError) as error:
        if path.name not in str(error):
            return Outcome("failed", f"names no file: {type(error).__name__}: {error}")
        return Outcome("refused", str(error))
    except Exception as error:  # this is what is looked for
        return Outcome("failed", f"{type(error).__name__}: {error}")
    return Outcome("read")


def _at(rng: np.random.Generator, data: bytes) -> int:
    """Draw a place, often in the header."""
    end = min(len(data), 400) if rng.random() < 0.6 else len(data)
    return int(rng.integers(end))


def _block(rng: np.random.Generator, data: bytes) -> tuple[int, int]:
    start = _at(rng, data)
    return start, min(len(data), start + int(2 ** rng.uniform(0, 10)))


def _flip(rng: np.random.Generator, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(1 + int(rng.integers(8))):
        out[_at(rng, data)] ^= 1 << int(rng.integers(8))
    return bytes(out)


def _set(rng: np.random.Generator, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(1 + int(rng.integers(4))):
        out[_at(rng, data)] = int(rng.choice([0, 255, rng.integers(256)]))
    return bytes(out)


def _cut(rng: np.random.Generator, data: bytes) -> bytes:
    return data[: _at(rng, data)]


def _double(rng: np.random.Generator, data: bytes) -> bytes:
    start, end = _block(rng, data)
    return data[:end] + data[start:end] + data[end:]


def _remove(rng: np.random.Generator, data: bytes) -> bytes:
    start, end = _block(rng, data)
    return data[:start] + data[end:]


def _swap(rng: np.random.Generator, data: bytes) -> bytes:
    (a, b), (c, d) = sorted([_block(rng, data), _block(rng, data)])
    b = min(b, c)
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _blow(rng: np.random.Generator, data: bytes) -> bytes:
    """Write a number that may be a length, an offset or a size."""
    code, size = [("H", 2), ("I", 4), ("Q", 8)][int(rng.integers(3))]
    value = _BLOWN[int(rng.integers(len(_BLOWN)))] % 2 ** (8 * size)
    at = _at(rng, data)
    packed = struct.pack("<>"[int(rng.integers(2))] + code, value)
    return data[:at] + packed + data[at + size :]


def _insert(rng: np.random.Generator, data: bytes) -> bytes:
    at = _at(rng, data)
    return data[:at] + rng.bytes(int(rng.integers(1, 40))) + data[at:]


def _word(rng: np.random.Generator, data: bytes) -> bytes:
    at = _at(rng, data)
    word = _WORDS[int(rng.integers(len(_WORDS)))]
    return data[:at] + word + data[at + int(rng.integers(3)) :]


def _splice(rng: np.random.Generator, data: bytes, other: bytes) -> bytes:
    cut = int(rng.integers(len(data) + 1))
    return data[:cut] + other[int(rng.integers(len(other) + 1)) :]
