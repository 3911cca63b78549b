"""Tables in the forms that people have; damaged ones are refused by file and line."""

import csv
import io

import numpy as np
import pytest

from rkd_jax.files import tables
from rkd_jax.files.tables import Row, read_table

WORDS = [["name", "fixed", "moving"], ["ä", "a b.png", "c,d.png"], ["x", "1", "2"]]


def _write(path, separator, end, encoding, *, quoted):
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    csv.writer(
        text, delimiter=separator, lineterminator=end, quoting=quoting
    ).writerows(WORDS)
    path.write_bytes(text.getvalue().encode(encoding))


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [";", "\t", ","])
def test_what_the_csv_module_writes_is_read_back(tmp_path, separator, end, quoted):
    path = tmp_path / "a.csv"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"):
        _write(path, separator, end, encoding, quoted=quoted)
        table = read_table(path)
        assert [row.cells for row in table.rows] == WORDS
        assert [row.line for row in table.rows] == [1, 2, 3]
        assert table.separator == separator


@pytest.mark.parametrize("separator", [";", "\t", ","])
def test_odd_cells_are_read_back(tmp_path, separator):
    """A quote, a blank and a separator in a cell look like its end."""
    rng = np.random.default_rng(0)
    parts = ["a", "b c", "\u00e9", '"', " ", ",", ";", "\t", "\n", "\r\n", '" ,', '",']
    for _ in range(200):
        cells = ["".join(rng.choice(parts, 3)) + ".png" for _ in range(6)]
        rows = [["fixed", "moving", "name"], cells[:3], cells[3:]]
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=separator, lineterminator="\n").writerows(rows)
        (tmp_path / "a.csv").write_bytes(text.getvalue().encode())
        found = [row.cells for row in read_table(tmp_path / "a.csv").rows]
        assert found == [[cell.strip() for cell in row] for row in rows]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        # Lines are those of the file: comments, blank lines and quoted line breaks
        # count.
        ("# one\n\n# two\na,b\n\n#c,d\ne,f\n", [(4, "a", "b"), (7, "e", "f")]),
        ('a,"b\n# no comment\n\nc"\nd,e\n', [(1, "a", "b\n# no comment\n\nc")]),
        ('"a\n",b\n,,\nc,d\n', [(1, "a", "b"), (4, "c", "d")]),
        ("a,b\n , \n;;\n", [(1, "a", "b"), (3, ";;")]),
        # Blanks around cells, also outside of their quotes.
        (' "a" , "b ""c""" ,d\n', [(1, "a", 'b "c"', "d")]),
        ('x;"a,b" ;c\n', [(1, "x", "a,b", "c")]),
        # The separator fits the rows, not the first one in the file.
        ("a,b\nx;y.png,z.png\n", [(1, "a", "b"), (2, "x;y.png", "z.png")]),
        ("a;b\nx,y.png;z.png\n", [(1, "a", "b"), (2, "x,y.png", "z.png")]),
        ("1,5;2,5\n3,5;4,5\n", [(1, "1,5", "2,5"), (2, "3,5", "4,5")]),
        ("1\t2,5\n", [(1, "1", "2,5")]),
        ("10,20,a;b\n1,2,c;d\n", [(1, "10", "20", "a;b"), (2, "1", "2", "c;d")]),
        # The first line of Excel's own making.
        ("sep=;\na,b;c\n", [(2, "a,b", "c")]),
        # Only what ends a line of text ends a row.
        ("a\x0bb,c\u2028d\n", [(1, "a\x0bb", "c\u2028d")]),
        ("alone\n", [(1, "alone")]),
        ("", []),
        ("# nothing but words\n", []),
    ],
)
def test_rows_and_their_lines(tmp_path, text, rows):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    found = read_table(path).rows
    assert found[: len(rows)] == [Row(line, list(cells)) for line, *cells in rows]
    assert text.startswith('a,"b') or len(found) == len(rows)


def test_bytes_that_are_not_utf8_still_name_their_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"fixed,moving\ncaf\xe9.png,b.png\n")
    (tmp_path / "x").mkdir()
    cell = read_table(path).rows[1].cells[0]
    assert cell.encode("utf-8", "surrogateescape") == b"caf\xe9.png"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'a,b\n"c,d\ne,f\n', r"line 2: cannot be read as CSV"),
        (b'a,b\n\n"c"d,e\n', r"line 3: cannot be read as CSV"),
        (b"a,b\nc," + b"d" * 200_000 + b"\n", r"line 2: cannot be read as CSV"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", r"line 3: a zero byte"),
        (b"\xff\xfea\0,\0b", r"damaged UTF-16 text"),
        (b"\xff\xfe\0\0a\0\0\0", r"line 1: a zero byte"),
    ],
)
def test_what_is_no_table_is_refused_by_file_and_line(tmp_path, data, message):
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.csv.*" + message):
        read_table(path)


def test_a_huge_file_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    with open(path, "wb") as file:
        file.truncate(tables.MAX_BYTES + 1)  # takes no space on the disk
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda _: pytest.fail("was read"))
    with pytest.raises(ValueError, match="a table of at most 256 MB"):
        read_table(path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    ("line", "count", "message"),
    [
        (b"," * (tables.MAX_LINE + 1), 1, "line 1: 1048577 characters in one line"),
        (b"a\n", tables.MAX_LINES + 1, "more than 1100000 lines"),
    ],
)
def test_tables_that_would_fill_the_memory_are_refused(tmp_path, line, count, message):
    path = tmp_path / "a.csv"
    path.write_bytes(line * count)
    with pytest.raises(ValueError, match=r"a\.csv.*" + message):
        read_table(path)


def test_columns_are_found_by_name_and_doubles_refused(tmp_path):
    header = Row(3, ['"X [px]"', "Y (px)", "y", "#id"])
    assert tables.find_column(header, "x", tmp_path) == 0
    assert tables.find_column(header, "id", tmp_path) == 3
    assert tables.find_column(header, "z", tmp_path) is None
    with pytest.raises(ValueError, match="line 3: two columns are named 'y'"):
        tables.find_column(header, "y", tmp_path)


def test_numbers_are_those_of_python_but_for_commas_and_jokes():
    rng = np.random.default_rng(0)
    for value in [*rng.normal(0, 1e3, 50), 0.0, -1e-30, 5e300]:
        for text in (repr(float(value)), f"{value:.3f}", f"{value:+e}"):
            assert tables.number(text) == float(text)
            assert tables.number(text.replace(".", ",")) == float(text)
    for text in (
        "1_0",
        "0x10",
        "1 2",
        "\u0661",
        "",
        "-",
        "1,2,3",
        "1.2,3",
        "e5",
        "infin",
    ):
        assert tables.number(text) is None


def test_mutated_tables_are_read_or_refused(tmp_path):
    """Whatever the bytes: rows of text, or an error that names the file."""
    rng = np.random.default_rng(7)
    seeds = []
    for encoding in ("utf-8-sig", "utf-16"):
        for separator in ";\t,":
            _write(tmp_path / "s.csv", separator, "\r\n", encoding, quoted=True)
            seeds.append((tmp_path / "s.csv").read_bytes())
    seeds.append(b'# c\n1,5;2,5\n"3" ; 4\n\n5 6\n')
    path = tmp_path / "mutated.csv"
    refused = []
    for number in range(1500):
        data = bytearray(seeds[number % len(seeds)])
        for _ in range(rng.integers(1, 6)):
            at = int(rng.integers(len(data)))
            kind = rng.integers(3)
            if kind == 0:
                data[at] = rng.choice(list(b'",;\t\r\n #\0\xff\xe9a1'))
            elif kind == 1:
                del data[at : at + int(rng.integers(1, 20))]
            else:
                data[at:at] = data[: int(rng.integers(40))]
            data = data or bytearray(b"a")
        path.write_bytes(data)
        try:
            table = read_table(path, blanks=bool(number % 2))
        except ValueError as error:
            refused.append(str(error))
        else:
            lines = [row.line for row in table.rows]
            assert lines == sorted(set(lines))
            assert all(any(row.cells) for row in table.rows)
    assert 0 < len(refused) < 1500
    assert all(str(path) in message for message in refused)
