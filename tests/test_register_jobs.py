"""Many pairs by several workers: the same results as by one process."""

import contextlib
import csv
import io
import json
import multiprocessing
import pathlib
import re
import shutil
import threading
import time

import pytest
from distributed import LocalCluster
from made_pictures import texture
from PIL import Image

from rkd_jax.register import main
from rkd_jax.registration import encoder

HOW = ["--method", "sift", "--transform", "homography", "--working_size", "200"]
PLACES = {"a": (0, 0), "b": (8, 11), "c": (15, 4), "d": (3, 17)}


@pytest.fixture(scope="module")
def scheduler():
    """The address of two workers in this process."""
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        dashboard_address="127.0.0.1:0",
    ) as started:
        yield started.scheduler_address


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Four photographs of one eye, a list of their pairs, and what one process makes.

    Two more pairs cannot be read. Returns folder, stdout, stderr, and which photographs
    were prepared.
    """
    folder = tmp_path_factory.mktemp("eyes")
    eye = texture(0, 200, 220, 3)
    for name, (y, x) in PLACES.items():
        Image.fromarray(eye[y : y + 180, x : x + 200]).save(folder / f"{name}.png")
    (folder / "bad.png").write_bytes(b"no image")
    names = sorted(PLACES)
    rows = [f"{a}.png,{b}.png\n" for a in names for b in names if a < b]
    (folder / "three.csv").write_text("fixed,moving\n" + "".join(rows[:3]))
    rows += ["a.png,bad.png\n", "d.png,none.png\n"]
    (folder / "list.csv").write_text("fixed,moving\n" + "".join(rows))
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        prepared_photographs() as prepared,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        assert main(["list.csv", *HOW, "--json", "--out", "one"]) == 2
    return folder, out.getvalue(), err.getvalue(), prepared


@pytest.fixture
def eyes(alone, tmp_path, monkeypatch):
    """The folder of `alone`, as the current one."""
    monkeypatch.chdir(alone[0])
    yield alone[0]
    for name in ("two", "out", "camera"):
        shutil.rmtree(alone[0] / name, ignore_errors=True)


@contextlib.contextmanager
def prepared_photographs():
    """Yield a list of the photographs that are prepared from now on."""
    prepared, prepare = [], encoder.prepare_photo

    def note(source, *more, name):
        prepared.append(pathlib.Path(name).name)
        return prepare(source, *more, name=name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder, "prepare_photo", note)
        yield prepared


def results(out):
    """Return the contents of all results, without times and settings of the run."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            content = re.sub(rb'"seconds": .*', b"", path.read_bytes())
            found[str(path.relative_to(out))] = content
    with open(out / "pairs.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert all(float(row.pop("seconds") or 0) >= 0 for row in rows)
    found["pairs.csv"] = rows
    return found


def hidden(out):
    names = {path.name for path in out.rglob(".*")}
    return names - {".rkd_jax_files.jsonl"}


def readable(prepared):
    return sorted(name for name in prepared if name not in ("bad.png", "none.png"))


def lines_of(out):
    """Return the lines of `--json` without seconds."""
    lines = [json.loads(line) for line in out.splitlines()]
    assert all(line.pop("seconds") > 0 for line in lines)
    return lines


def errors_of(err):
    return [line for line in err.splitlines() if line.startswith("error")]


def test_pairs_of_four_photographs_on_a_cluster(alone, eyes, scheduler, capsys):
    _, out, err, prepared = alone
    assert readable(prepared) == [f"{name}.png" for name in PLACES]
    command = ["list.csv", *HOW, "--json", "--scheduler", scheduler, "--out", "two"]
    with prepared_photographs() as prepared:
        assert main(command) == 2
    # Each worker encodes what it gets of the four, not two photographs for each pair.
    assert len(readable(prepared)) <= 10
    found = capsys.readouterr()
    assert results(eyes / "two") == results(eyes / "one")
    assert not hidden(eyes / "two")
    assert lines_of(found.out) == lines_of(out)
    assert len(lines_of(out)) == 6
    assert errors_of(found.err) == errors_of(err)
    assert len(errors_of(err)) == 2
    # What is finished is skipped, by workers, too.
    with prepared_photographs() as prepared:
        assert main(command) == 2
    assert set(readable(prepared)) <= {"a.png", "d.png"}
    assert results(eyes / "two") == results(eyes / "one")


def test_one_camera_is_found_by_workers(eyes, scheduler):
    how = ["--one_camera", "--method", "sift", "--no-pictures", "--working_size", "200"]
    how += ["--transform", "radial", "--out"]
    assert main(["three.csv", *how, "camera"]) == 0
    assert main(["three.csv", *how, "two", "--scheduler", scheduler]) == 0
    assert "camera.json" in results(eyes / "camera")
    assert results(eyes / "two") == results(eyes / "camera")


def test_a_worker_that_is_killed_loses_nothing(eyes, capsys):
    before = set(multiprocessing.active_children())
    killed = []

    def kill():
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not killed:
            if list((eyes / "two").glob("*/transform.json")):
                started = set(multiprocessing.active_children()) - before
                killed.append(min(started, key=lambda process: process.pid))
                killed[0].kill()
            time.sleep(0.005)

    thread = threading.Thread(target=kill)
    thread.start()
    assert main(["list.csv", *HOW, "--jobs", "2", "--out", "two"]) == 2
    thread.join()
    assert killed
    assert results(eyes / "two") == results(eyes / "one")
    assert not set(multiprocessing.active_children()) - before
    assert not hidden(eyes / "two")
    assert "6 of 8 pairs registered" in capsys.readouterr().err


def test_a_worker_with_another_version_or_without_the_folder_is_refused(
    eyes, scheduler, capsys, monkeypatch
):
    flags = ["--scheduler", scheduler, "--out", "out"]
    with monkeypatch.context() as patch:
        patch.setattr(
            "rkd_jax.runtime.runners._marked",
            lambda *_: contextlib.nullcontext(),
        )
        assert main(["list.csv", *HOW, *flags]) == 2
    assert "a worker does not see this folder" in capsys.readouterr().err
    made = []

    def version():
        made.append(1)
        return "0.0" if len(made) > 1 else "1.0"

    monkeypatch.setattr("rkd_jax.registration.matcher.model_digest", version)
    assert main(["list.csv", *HOW, *flags]) == 2
    assert "would work with confidence_sha256 = '0.0', this command with '1.0'" in (
        capsys.readouterr().err
    )
    assert not (eyes / "out" / "pairs.csv").exists()


@pytest.mark.parametrize("flag", [["--jobs", "2"], ["--scheduler", "tcp://host:1"]])
def test_workers_are_refused_for_one_pair(eyes, capsys, flag):
    assert main(["a.png", "b.png", *HOW, *flag, "--out", "out"]) == 2
    assert f"{' '.join(flag)}: there is one pair only" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--jobs", "0"], "expected a number of processes, 1 or more, found '0'"),
        (["--jobs", "all"], "expected a number of processes, 1 or more, found 'all'"),
        (["--jobs", "2", "--scheduler", "h:1"], "not allowed with argument --jobs"),
    ],
)
def test_wrong_numbers_of_workers_are_usage_errors(capsys, flags, message):
    with pytest.raises(SystemExit) as caught:
        main(["list.csv", "--out", "out", *flags])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
