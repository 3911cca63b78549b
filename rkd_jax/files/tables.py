"""Read tables that people and programs write: CSV in all its forms.

The separator is a semicolon, a tab or a comma, whichever fits the rows; the encoding
UTF-8 or UTF-16 (Excel's "Unicode text"), with or without a byte-order mark; line ends
of any system. Cells may be quoted. Blank lines and lines that begin with "#" are no
rows. Rows know their line in the file, so that an error can name it.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import io
import itertools
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

MAX_BYTES, MAX_LINES, MAX_LINE = 256 * 2**20, 1_100_000, 2**20
_SEPARATORS = (";", "\t", ",")
_SAMPLE = 200  # rows to choose the separator by
_EXCEL_FIRST_LINE = re.compile(r'"?sep=([;,\t|])"?\s*', re.IGNORECASE)
# Between a quote that ends a cell and the separator: no CSV by the book, but written.
_AFTER_QUOTE = re.compile(r'((?<!")(?:"")*") +(?=[;,\t\r\n]|$)')
_DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+(e[-+]?\d+)?", re.IGNORECASE)
_NUMBER = re.compile(
    r"[-+]?(\d+([.,]\d*)?|[.,]\d+)(e[-+]?\d+)?|[-+]?(nan|inf|infinity)", re.IGNORECASE
)


class Row(NamedTuple):
    """One row: the line of the file where it begins, and its cells without blanks."""

    line: int
    cells: list[str]

    def cell(self, column: int | None) -> str:
        """Return a cell; empty where the row ends before it, or of no column."""
        if column is None or column >= len(self.cells):
            return ""
        return self.cells[column]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table as read.

    Attributes:
        path: the file.
        rows: all that are not blank, a line of names included.
        comment: the comment just above the first row, as a row without its "#"; None
            without one. Some programs write the names of the columns so.
        separator: of the cells; None where each line has its own.
    """

    path: pathlib.Path
    rows: list[Row]
    comment: Row | None
    separator: str | None


def read_table(path: str | os.PathLike[str], *, blanks: bool = False) -> Table:
    """Read a table.

    Args:
        path: the file.
        blanks: blanks separate cells, too, and each line may have its own separator:
            for tables of numbers.

    Raises:
        OSError: no such file, or it cannot be read.
        ValueError: not a text file, too large, or a quoted cell that does not end; the
            message names the line.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "a.csv")
    ...     _ = path.write_text('# of clinic A\\n"x";y\\n\\n1,5;"2"\\n')
    ...     read_table(path).rows
    [Row(line=2, cells=['x', 'y']), Row(line=4, cells=['1,5', '2'])]
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; check the path")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(
            f"{path}: {size / 2**20:.0f} MB; expected a table of at most "
            f"{MAX_BYTES // 2**20} MB: split it"
        )
    text = _decoded(path.read_bytes(), path)
    _check_lines(text, path)
    by_the_book = _AFTER_QUOTE.sub(r"\1", text)
    separator = _Lines(text).separator or _separator(by_the_book, blanks=blanks)
    try:
        return _table(text, separator, path)
    except ValueError:
        # Only then: within a quoted cell the same characters are its content.
        return _table(by_the_book, separator, path)


def _table(text: str, separator: str | None, path: pathlib.Path) -> Table:
    lines = _Lines(text)
    if separator is None:
        rows = [Row(n, _split(line, f"{path}, line {n}")) for n, line in lines]
    else:
        rows = list(_rows(lines, separator, path))
    filled = [row for row in rows if any(row.cells)]
    return Table(path, filled, _comment(text), separator)


def number(cell: str, *, thousands: bool = False) -> float | None:
    """Return the number in a cell; a comma may stand for the decimal point.

    Args:
        cell: text.
        thousands: a comma before three digits may part thousands: no number, then.

    Returns:
        The number, possibly NaN or infinite; None if it is none.

    >>> [number(cell) for cell in ("1e3", "2,5", "1_0", "x", "1,234")]
    [1000.0, 2.5, None, None, 1.234]
    >>> number("1,234", thousands=True)
    """
    if not cell.isascii() or not _NUMBER.fullmatch(cell):
        return None
    if thousands and re.fullmatch(r".*,\d{3}", cell):
        return None
    return float(cell.replace(",", "."))


def find_column(header: Row, name: str, path: pathlib.Path) -> int | None:
    """Return which column has a name (in lower case), None if there is none.

    Raises:
        ValueError: two columns have it.
    """
    names = names_of(header)
    if names.count(name) > 1:
        raise ValueError(
            f"{path}, line {header.line}: two columns are named {name!r}; rename one"
        )
    return names.index(name) if name in names else None


def refuse_shifted(
    rows: Iterable[Row], header: Row, columns: Sequence[int], path: pathlib.Path
) -> None:
    """Refuse rows where the names may belong to the columns one further.

    R writes the numbers of rows below no name, so that all names are one column off.

    Args:
        rows: below the names.
        header: the names.
        columns: those that are to hold numbers.
        path: the file.

    Raises:
        ValueError: a row has more cells than there are names, and numbers in both
            places; the message names the line.

    >>> header, row = Row(1, ["x", "y"]), Row(2, ["1", "2", "left"])
    >>> refuse_shifted([row], header, (0, 1), pathlib.Path("a.csv"))
    """
    for row in rows:
        wider = any(row.cells[len(header.cells) :])
        if wider and all(number(row.cell(at + 1)) is not None for at in columns):
            raise ValueError(
                f"{path}, line {row.line}: {len(row.cells)} cells below "
                f"{len(header.cells)} names of columns, so that it is not clear which "
                "is which; write a name for each column"
            )


def names_of(header: Row) -> list[str]:
    """Return the names of columns in lower case, without units in brackets.

    >>> names_of(Row(1, ["X [px]", "Y (px)", "note"]))
    ['x', 'y', 'note']
    """
    return [_without_unit(cell.strip("\"'# ").lower()) for cell in header.cells]


def _without_unit(name: str) -> str:
    for opening, closing in ("[]", "()"):
        if name.endswith(closing) and opening in name:
            return name[: name.index(opening)].rstrip() or name
    return name


def _decoded(data: bytes, path: pathlib.Path) -> str:
    """Return the text of a file; bytes that are not UTF-8 stay as surrogates.

    So names of files that are not UTF-8 lead to these files.
    """
    encoding, errors = "utf-8-sig", "surrogateescape"
    start = data[:4096]
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding, errors = "utf-16", "strict"
    elif start[1::2].count(0) > len(start) / 4:
        encoding, errors = "utf-16-le", "strict"
    elif start[::2].count(0) > len(start) / 4:
        encoding, errors = "utf-16-be", "strict"
    try:
        text = data.decode(encoding, errors)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: damaged {encoding.upper()} text ({error.reason}); save it anew"
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise ValueError(
            f"{path}, line {line}: a zero byte; expected a text file (CSV), not a "
            "binary one"
        )
    return text


def _check_lines(text: str, path: pathlib.Path) -> None:
    """Refuse what would need much more memory than a list of a million pairs."""
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        if number > MAX_LINES:
            raise ValueError(f"{path}: more than {MAX_LINES} lines; split the table")
        if len(line) > MAX_LINE:
            raise ValueError(
                f"{path}, line {number}: {len(line)} characters in one line; expected "
                "a table, one row a line"
            )


class _Lines:
    """Lines with their numbers, without blank ones and comments between rows.

    `csv.reader` asks for a line when it needs one: within a quoted cell it gets all
    lines, and `begin` says that a row begins.
    """

    def __init__(self, text: str) -> None:
        self._lines = enumerate(io.StringIO(text, newline=""), start=1)
        self._between = True
        self.number = 0
        self.separator = None
        first = next(self._lines, (1, ""))
        if found := _EXCEL_FIRST_LINE.fullmatch(first[1]):
            self.separator = found[1]
        else:
            self._lines = itertools.chain([first], self._lines)

    def begin(self) -> None:
        self._between = True

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Yield each line as a row of its own."""
        for line in self.for_csv():
            yield self.number, line
            self.begin()

    def for_csv(self) -> Iterator[str]:
        for number, line in self._lines:
            if self._between and (not line.strip() or line.lstrip().startswith("#")):
                continue
            if self._between:
                self.number, self._between = number, False
            yield line


def _rows(lines: _Lines, separator: str, path: pathlib.Path) -> Iterator[Row]:
    """Yield the rows of a text by one separator."""
    # A quote that does not end would take the rest of the file into one cell.
    reader = csv.reader(
        lines.for_csv(), delimiter=separator, skipinitialspace=True, strict=True
    )
    while True:
        lines.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(
                f"{path}, line {lines.number}: cannot be read as CSV ({error}); "
                "correct its quotes"
            ) from None
        yield Row(lines.number, [cell.strip() for cell in cells])


def _split(line: str, where: str) -> list[str]:
    """Split one line by the first separator it has, else at blanks."""
    found = (separator for separator in _SEPARATORS if separator in line.strip(" \r\n"))
    separator = next(found, " ")
    line = line.strip(" \r\n") if separator == " " else line.strip("\r\n")
    try:
        (cells,) = csv.reader(
            [line], delimiter=separator, skipinitialspace=True, strict=True
        )
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{where}: cannot be read as CSV ({error})") from None
    return [cell.strip() for cell in cells]


def _separator(text: str, *, blanks: bool) -> str | None:
    """Choose the separator by which the rows look most like a table.

    Returns:
        One of `;`, tab and comma; None where, with `blanks`, none of them divides each
        row.
    """
    best, best_share = None, -1.0
    for separator in _SEPARATORS:
        try:
            rows = _rows(_Lines(text), separator, pathlib.Path())
            sample = [row.cells for row in itertools.islice(rows, _SAMPLE)]
        except ValueError:
            continue
        looked_at = sample if blanks else sample[:1]
        if not sample or min(len(cells) for cells in looked_at) < 2:
            continue
        cells = [cell for row in sample for cell in row]
        share = sum(_is_whole(cell, separator) for cell in cells) / len(cells)
        if share > best_share:
            best, best_share = separator, share
    return best if blanks else best or ","


def _is_whole(cell: str, separator: str) -> bool:
    """Decide whether no other separator stands in a cell, but for decimal commas."""
    if separator != "," and _DECIMAL_COMMA.fullmatch(cell):
        return True
    return not any(other in cell for other in _SEPARATORS)


def _comment(text: str) -> Row | None:
    """Return the last comment above the first row."""
    found = None
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        if line.lstrip().startswith("#"):
            content = line.strip().lstrip("# ")
            try:
                found = Row(number, _split(content, ""))
            except ValueError:
                found = None  # words with a quote, no names of columns
        elif line.strip():
            break
    return found
