"""Many pairs by several workers: the same results as by one process."""

import contextlib
import csv
import json
import multiprocessing
import pathlib
import re
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


@pytest.fixture
def eyes(tmp_path, monkeypatch):
    """Four photographs of one eye and a list of their six pairs, in the cwd."""
    eye = texture(0, 200, 220, 3)
    for name, (y, x) in PLACES.items():
        Image.fromarray(eye[y : y + 180, x : x + 200]).save(tmp_path / f"{name}.png")
    names = sorted(PLACES)
    rows = [f"{a}.png,{b}.png\n" for a in names for b in names if a < b]
    (tmp_path / "list.csv").write_text("fixed,moving\n" + "".join(rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


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


def test_pairs_of_four_photographs_on_a_cluster(eyes, scheduler, capsys, monkeypatch):
    prepared, prepare = [], encoder.prepare_photo

    def count(source, *more, name):
        prepared.append(pathlib.Path(name).name)
        return prepare(source, *more, name=name)

    monkeypatch.setattr(encoder, "prepare_photo", count)
    (eyes / "bad.png").write_bytes(b"no image")
    with open(eyes / "list.csv", "a") as file:
        file.write("a.png,bad.png\nd.png,none.png\n")
    assert main(["list.csv", *HOW, "--json", "--out", "one"]) == 2
    assert sorted(n for n in prepared if n[0] in PLACES and n != "bad.png") == [
        f"{n}.png" for n in PLACES
    ]
    one, prepared[:] = capsys.readouterr(), []
    flags = ["--json", "--scheduler", scheduler]
    assert main(["list.csv", *HOW, *flags, "--out", "two"]) == 2
    two = capsys.readouterr()
    # Each worker encodes what it gets of the four, not two photographs for each pair.
    assert len([name for name in prepared if name != "bad.png"]) <= 10
    assert results(eyes / "two") == results(eyes / "one")
    assert not hidden(eyes / "two")
    lines = [
        [json.loads(re.sub('"seconds": [0-9.]*', '"seconds": 0', line)) for line in out]
        for out in (one.out.splitlines(), two.out.splitlines())
    ]
    assert lines[0] == lines[1]
    assert len(lines[0]) == 6
    errors = [
        [line for line in err.splitlines() if line.startswith("error")]
        for err in (one.err, two.err)
    ]
    assert errors[0] == errors[1]
    assert len(errors[0]) == 2
    # What is finished is skipped, by workers, too.
    prepared.clear()
    assert main(["list.csv", *HOW, *flags, "--out", "two"]) == 2
    assert set(prepared) <= {"bad.png", "none.png", "a.png", "d.png"}
    assert results(eyes / "two") == results(eyes / "one")


def test_one_camera_is_found_by_workers(eyes, scheduler):
    how = ["--one_camera", "--method", "sift", "--no-pictures", "--working_size", "200"]
    how += ["--transform", "radial"]
    assert main(["list.csv", *how, "--out", "one"]) == 0
    assert main(["list.csv", *how, "--scheduler", scheduler, "--out", "two"]) == 0
    assert "camera.json" in results(eyes / "one")
    assert results(eyes / "two") == results(eyes / "one")


def test_a_worker_that_is_killed_loses_nothing(eyes, capsys):
    assert main(["list.csv", *HOW, "--no-pictures", "--out", "one"]) == 0
    before = set(multiprocessing.active_children())
    killed = []

    def kill():
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if list((eyes / "two").glob("*/transform.json")):
                child = min(
                    set(multiprocessing.active_children()) - before, key=lambda p: p.pid
                )
                child.kill()
                killed.append(child.pid)
                return
            time.sleep(0.005)

    thread = threading.Thread(target=kill)
    thread.start()
    how = [*HOW, "--no-pictures", "--jobs", "2", "--out", "two"]
    assert main(["list.csv", *how]) == 0
    thread.join()
    assert killed
    assert results(eyes / "two") == results(eyes / "one")
    assert not set(multiprocessing.active_children()) - before
    assert not hidden(eyes / "two")
    assert "6 of 6 pairs registered" in capsys.readouterr().err


def test_a_worker_with_another_version_or_without_the_folder_is_refused(
    eyes, scheduler, capsys, monkeypatch
):
    flags = ["--scheduler", scheduler, "--out", "out"]
    with monkeypatch.context() as patch:
        patch.setattr(
            "rkd_jax.registration.all_pairs._marked",
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
    assert "would register with confidence_sha256 = '0.0', this command with '1.0'" in (
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
