"""Landmark files: any valid table is read, columns that are not clear are refused."""

import re

import numpy as np
import pytest

from rkd_jax.registration.files.landmarks import read_points


def test_read_points_forms_and_errors(tmp_path):
    path = tmp_path / "p.txt"
    path.write_text("# x y\n1 2\n3,4,extra\n5;6\n")
    np.testing.assert_array_equal(read_points(path), [[1, 2], [3, 4], [5, 6]])
    for text, message in [
        ("1 2\nthree 4\n", "line 2: expected two numbers"),
        ("1\n", "line 1: expected two numbers"),
        ("1 nan\n", "must be finite"),
        ("x y\n", "no points"),
        ("", "no points"),
        ("x y\nx y\n1 2\n", "line 2: expected two numbers"),
        ("id,x_px,y_px\n1,2,3\n", "line 1: columns 'id, x_px, y_px'; expected x"),
        ("x_fixed,y_fixed\n1,2\n", "line 1: columns 'x_fixed, y_fixed'"),
        ("id,x,y\n1,2\n", "line 2: expected two numbers"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_points(path)
    with pytest.raises(FileNotFoundError, match="no such landmark file"):
        read_points(tmp_path / "q.txt")


@pytest.mark.parametrize("header", ["id,Y,X", "x_fixed;y_moving;x_moving", '"y" z "x"'])
def test_read_points_takes_columns_by_name(tmp_path, header):
    path = tmp_path / "p.csv"
    names = [n.strip('"').lower() for n in re.split("[,; ]", header)]
    x, y = (
        next(i for i, n in enumerate(names) if n in (a, a + "_moving")) for a in "xy"
    )
    row = np.array([7.0, 8.0, 9.0])
    path.write_text(header + "\n7 8 9\n")
    np.testing.assert_array_equal(read_points(path), [row[[x, y]]])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100,5;200,3\n-1,25;7\n", [[100.5, 200.3], [-1.25, 7]]),
        ("x;y\n100.5;200.3\n", [[100.5, 200.3]]),
        # As pandas and R write a table: the names of the rows have no name.
        (",x,y\n0,10.5,20.1\n1,30,40\n", [[10.5, 20.1], [30, 40]]),
        ("x_fixed,y_fixed,x_moving,y_moving\n,,3,4\n", [[3, 4]]),
        ("x1, y1\n5, 6\n", [[5, 6]]),
        ("\tx\ty\n0\t10.5\t20.1\n", [[10.5, 20.1]]),
        ("10,5\t20\ta, b\n", [[10.5, 20]]),
    ],
)
def test_read_points_keeps_to_the_columns_of_spreadsheets(tmp_path, text, expected):
    path = tmp_path / "p.csv"
    path.write_text(text)
    np.testing.assert_array_equal(read_points(path), expected)


def test_read_points_does_not_skip_an_empty_cell(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("x,y,note\n1,2,3\n,5,6\n")
    with pytest.raises(ValueError, match="line 3: expected two numbers"):
        read_points(path)


@pytest.mark.parametrize(
    "text",
    [
        '"x","y"\n"100.5","200.5"\n',
        "# of the moving image\n# by hand\nx,y\n100.5,200.5\n",
        "# of the moving image\n# x y\n100.5 200.5\n",
        '# by A. "B"\n100.5 200.5\n',
        "index;Y;X\n0;200,5;100,5\n",
        'Name,X,Y\n"p, one",100.5,200.5\n',
        " ,Area,Mean,X,Y\n1,0,77,100.5,200.5\n",
        "x [px]\ty [px]\r\n1.005e2\t2.005E+2\r\n",
        '"100,5","200,5"\n',
        "sep=;\n100,5;200,5\n",
        "x_ref,y_ref,x_moving,y_moving\n1,2,100.5,200.5\n",
        "x,y,x_fixed,y_fixed\n100.5,200.5,1,2\n",
        "  100.5   200.5  \r\r\n",
        "100.5,200.5,fovea\n",
        "x,y\n100.5,200.5,fovea\n",
    ],
)
def test_valid_tables_are_read(tmp_path, text):
    path = tmp_path / "p.csv"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_bytes(text.encode(encoding))
        np.testing.assert_array_equal(read_points(path), [[100.5, 200.5]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,100.5,200.5\n1,300,350\n", "line 1: 3 columns of numbers.*index,x,y"),
        ("10 20 100.5 200.5\n", "line 1: 4 columns.*x_fixed,y_fixed,x_moving"),
        ("1 2\n3 4 5\n", "line 2: 3 columns of numbers"),
        ("# FIRE\n1 2 3 4\n", "line 2: 4 columns"),
        ("x1,y1,x2,y2\n1,2,3,4\n", "line 1: columns 'x1, y1, x2, y2'"),
        ("x_ref,y_ref,x_mov,y_mov\n1,2,3,4\n", "line 1: columns 'x_ref"),
        ("x_query,y_query\n1,2\n", "line 1: columns 'x_query"),
        ("x1,y2\n1,2\n", "line 1: columns 'x1, y2'"),
        ("x,y,x,y\n1,2,3,4\n", "line 1: two columns are named 'x'"),
        ("p1,100,200\n", "line 1: expected two numbers"),
        ('x,y\n\n# note\n"1\n2",3\n', "line 4: expected two numbers"),
        ('x,y\n"1,000","2,000"\n', "line 2: expected two numbers"),
        ('"x" "y"\n"1" 100 200\n', "line 2: 3 cells below 2 names"),
        ("x,y,what\n1,100,200,disc\n", "line 2: 4 cells below 3 names"),
        ("# x y\n1 2\n3 4 5\n", "line 3: 3 cells below 2 names"),
        ("x,y\n1,inf\n", "line 2: x y must be finite"),
        ("x,y\n1,1e999\n", "line 2: x y must be finite"),
        ("x,y\n1_0,2\n", "line 2: expected two numbers"),
        ("x,y\n1\n", "line 2: expected two numbers"),
        ("1,2\n3\0,4\n", "line 2: a zero byte"),
        ('x,y\n"1,2\n3,4\n', "line 2: cannot be read as CSV"),
    ],
)
def test_what_is_not_clear_is_refused_by_line(tmp_path, text, message):
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"p\.csv, " + message):
        read_points(path)


def test_points_of_the_fixed_image_are_read_by_their_names(tmp_path):
    path = tmp_path / "p.csv"
    for text in (
        "x_moving,y_moving,x_fixed,y_fixed\n1,2,3,4\n",
        "x_fixed,y_fixed\n3,4\n",
        "x_ref,y_ref\n3,4\n",
        "# x_fixed y_fixed\n3 4\n",
        "x,y,x_moving\n3,4,9\n",
        "3;4\n",
    ):
        path.write_text(text)
        np.testing.assert_array_equal(read_points(path, image="fixed"), [[3, 4]])
    for text in ("x_moving,y_moving\n1,2\n", "x_source,y_source\n1,2\n", "1,2,3\n"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"x_fixed and y_fixed|of the fixed image"):
            read_points(path, image="fixed")
