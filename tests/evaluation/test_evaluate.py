"""The evaluate command: benchmarks by name, also from outside the package."""

import sys
import types

import pytest

from rkd_jax import evaluation
from rkd_jax.evaluate import main


@pytest.fixture
def mine(monkeypatch):
    """A benchmark outside the package, added by one line."""
    module = types.ModuleType("my_benchmark", "Mine: counts.\n\nMore about it.")
    calls = []

    def run(args):
        calls.append((args.count, args.out, args.overwrite))
        if args.count < 0:
            raise ValueError(f"--count {args.count}: expected at least 0")
        return args.count

    module.add_arguments = lambda parser: parser.add_argument("--count", type=int)
    module.run = run
    monkeypatch.setitem(sys.modules, "my_benchmark", module)
    monkeypatch.setitem(evaluation.BENCHMARKS, "mine", "my_benchmark")
    return calls


def test_a_benchmark_outside_the_package_runs_by_its_name(mine, tmp_path, capsys):
    arguments = ["mine", "--out", str(tmp_path)]
    assert main([*arguments, "--count", "3", "--overwrite"]) == 3
    assert mine == [(3, str(tmp_path), True)]
    assert main([*arguments, "--count", "-1"]) == 2
    assert capsys.readouterr().err == "error: --count -1: expected at least 0\n"


def test_help_lists_every_benchmark_by_its_first_line(mine, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    listed = " ".join(capsys.readouterr().out.split())
    assert "mine Mine: counts." in listed
    assert all(f" {name} " in listed for name in evaluation.BENCHMARKS)


def test_a_benchmark_that_cannot_be_imported_stops_no_other(
    mine, tmp_path, monkeypatch
):
    monkeypatch.setitem(evaluation.BENCHMARKS, "broken", "no_such_module")
    assert main(["mine", "--out", str(tmp_path), "--count", "0"]) == 0


def test_an_unknown_benchmark_is_refused_with_those_there_are(mine, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["fyre"])
    assert "invalid choice: 'fyre' (choose from" in capsys.readouterr().err
