"""Cases are timed in turns, the first round is left out, ratios are within a round."""

import pytest
import time_pictures

from rkd_jax.registration.pictures import PICTURES


def test_cases_are_timed_in_turns_and_compared_within_a_round(monkeypatch, capsys):
    asked = []

    def seconds(command):
        names = command[command.index("--pictures") + 1]
        asked.append((command[3], names))
        turn = (len(asked) - 1) // (2 * len(time_pictures.cases()))
        slower = [100.0, 1.0, 2.0, 1.0][turn]  # the machine's other work
        return slower * (3.0 if names == "all" else 2.0), slower

    monkeypatch.setattr(time_pictures, "seconds", seconds)
    assert time_pictures.main(["a", "b", "c", "d", "--rounds", "3"]) == 0
    cases = list(time_pictures.cases().values())
    assert set(PICTURES) < set(cases)
    one_round = [(fixed, case) for case in cases for fixed in "ac"]
    assert asked == one_round * 4
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    found = {row[0]: [float(value) for value in row[1:]] for row in rows}
    assert found["none"] == [2.0, 1.0, 1.0, 1.0]
    assert found["all"] == [3.0, 1.5, 1.0, 1.0]


def test_an_odd_number_of_files_is_refused(capsys):
    with pytest.raises(SystemExit):
        time_pictures.main(["a.jpg", "b.jpg", "c.jpg"])
    assert "expected pairs of files, found 3 files" in capsys.readouterr().err


def test_a_command_that_fails_is_named():
    with pytest.raises(RuntimeError, match="no-such-module"):
        time_pictures.seconds([time_pictures.sys.executable, "-m", "no-such-module"])
