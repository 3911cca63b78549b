"""Saving at times: how often, and what is saved when a run ends in any way."""

import pytest

from rkd_jax.runtime import many


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [0.0]
    monkeypatch.setattr(many.time, "monotonic", lambda: now[0])
    return now


def test_saves_are_as_far_apart_as_asked_and_the_last_result_is_saved(clock):
    results, saved = [], []
    with many.saving(lambda: saved.append(len(results)), every_s=10) as changed:
        for number in range(35):
            clock[0] += 1.0
            results.append(number)
            changed()
    assert saved == [10, 20, 30, 35]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_run_that_is_stopped_saves_what_it_has(clock, error):
    results, saved = [], []

    def work():
        with many.saving(lambda: saved.append(list(results))) as changed:
            for number in range(5):
                if number == 3:
                    raise error
                results.append(number)
                changed()

    with pytest.raises(error):
        work()
    assert saved == [[0, 1, 2]]


def test_a_run_that_changes_nothing_saves_nothing(clock):
    with many.saving(lambda: pytest.fail("saved")):
        clock[0] += 100.0


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_shows_how_many_are_done(monkeypatch, capsys, terminal):
    monkeypatch.setattr(many, "_NO_BAR_S", 0.0)
    monkeypatch.setattr(many.sys.stderr, "isatty", lambda: terminal)
    assert list(many.progress(iter("abc"), "pair", 3)) == ["a", "b", "c"]
    shown = capsys.readouterr().err
    assert "3/3" in shown
    # In a log file each state is a line of its own.
    assert ("\r" in shown) == terminal
    if not terminal:
        assert all("pairs" in line for line in shown.splitlines())


def test_what_ends_at_once_shows_no_bar(capsys):
    def fail():
        raise ValueError
        yield

    with pytest.raises(ValueError):  # noqa: PT011
        list(many.progress(fail(), "pair", 3))
    assert capsys.readouterr().err == ""
