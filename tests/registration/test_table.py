"""The rows of `pairs.csv`, and a table that is whole or that of an earlier run."""

import csv
import pathlib

import numpy as np
import pytest

from rkd_jax.registration.expected_error.error_map import ErrorMap
from rkd_jax.registration.files.pairs import Pair
from rkd_jax.registration.table import Result, writing_table

PAIR = Pair("eye", pathlib.Path("a.png"), pathlib.Path("b.png"))


def rows(out):
    with open(out / "pairs.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def summary(error):
    return {
        "ok": True,
        "reason": "",
        "confidence": 0.9871,
        "transform": {"family": "radial"},
        "expected_error": error,
        "matches": 20,
        "inliers": 15,
        "seconds": 1.5,
    }


def test_a_row_has_paths_expected_error_and_seconds(tmp_path):
    expected = np.array([[1.0, 2.0], [4.0, np.nan]])
    error = ErrorMap([0, 9], [0, 9], expected, 3 * expected, np.ones((2, 2), bool))
    content = summary({**error.summary(), "map": error.to_dict()})
    with writing_table(tmp_path) as add:
        add(Result(PAIR, content))
    (row,) = rows(tmp_path)
    assert row == {
        "name": "eye",
        "fixed": "a.png",
        "moving": "b.png",
        "ok": "True",
        "confidence": "0.987",
        "family": "radial",
        "matches": "20",
        "inliers": "15",
        "expected_error_median_px": "2.000",
        "expected_error_worst_px": "4.000",
        "error_bound_median_px": "6.000",
        "error_bound_worst_px": "12.000",
        "error_known_frac": "0.750",
        "seconds": "1.500",
        "reason": "",
    }


@pytest.mark.parametrize(
    "result",
    [
        Result(PAIR, summary(None)),
        Result(PAIR, {"ok": False, "reason": "few matches"}),  # of an old file
        Result(PAIR, None, "a.png: no such image file"),
    ],
)
def test_what_is_not_known_is_empty(tmp_path, result):
    with writing_table(tmp_path) as add:
        add(result)
    (row,) = rows(tmp_path)
    unknown = [name for name in row if "error" in name]
    assert len(unknown) == 5
    assert all(row[name] == "" for name in unknown)
    assert (row["ok"] == "True") == result.ok
    if result.error:
        assert row["reason"] == "error: a.png: no such image file"


def test_a_table_is_whole_or_that_of_an_earlier_run(tmp_path):
    results = [Result(PAIR._replace(name=f"{i}"), summary(None)) for i in range(5)]
    with writing_table(tmp_path) as add:
        for result in results[:2]:
            add(result)
        assert not (tmp_path / "pairs.csv").exists()
    before = rows(tmp_path)
    assert [row["name"] for row in before] == ["0", "1"]

    def lose():
        with writing_table(tmp_path) as add:
            add(results[4])
            raise OSError("the scheduler is lost")

    with pytest.raises(OSError, match="lost"):
        lose()
    with writing_table(tmp_path):
        pass  # no result
    assert rows(tmp_path) == before
    with writing_table(tmp_path) as add:
        for result in results:
            add(result)
    assert [row["name"] for row in rows(tmp_path)] == list("01234")
    assert not list(tmp_path.glob(".pairs*"))
