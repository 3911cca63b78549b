"""The register command keeps the files of others, and goes on past any pair."""

import csv
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
from made_pictures import texture

from rkd_jax.files import own_files
from rkd_jax.register import main
from rkd_jax.registration import photo
from rkd_jax.registration.files import claims
from rkd_jax.registration.matcher import load_matcher


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two photographs of one eye, and one of another."""
    folder = tmp_path_factory.mktemp("images")
    eye = texture(0, 200, 220, 3)
    cv2.imwrite(str(folder / "fixed.png"), eye[:180, :200])
    cv2.imwrite(str(folder / "moving.png"), eye[8:188, 11:211])
    cv2.imwrite(str(folder / "other.png"), texture(1, 180, 200, 3))
    return folder


@pytest.fixture
def work(images, tmp_path, monkeypatch):
    """A folder with the photographs, where the user is."""
    folder = tmp_path / "work"
    shutil.copytree(images, folder)
    monkeypatch.chdir(folder)
    return folder


def _run(*arguments):
    return main([*map(str, arguments), "--method", "sift", "--transform", "homography"])


def _contents(folder):
    return {
        str(p.relative_to(folder)): re.sub(rb'"seconds": .*', b"", p.read_bytes())
        for p in folder.rglob("*")
        if p.is_file()
    }


def _rows(out):
    with open(out / "pairs.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def no_network(monkeypatch):
    """Nothing is loaded: what is refused is refused before any work."""

    def refuse(*_, **__):
        raise AssertionError("the matcher was loaded")

    monkeypatch.setattr("rkd_jax.registration.recipe.load_matcher", refuse)


NAMES = ["transform.json", "registered.png", "overlay.png", "matches.png"]


@pytest.mark.parametrize("name", [*NAMES, "points.csv", "matches.csv", "qupath.json"])
@pytest.mark.parametrize("link", [False, True])
def test_one_pair_replaces_no_file_of_others(work, capsys, no_network, name, link):
    (work / "marks.csv").write_text("x,y\n50,60\n")
    if link:
        (work / name).symlink_to(work / "marks.csv")
    else:
        shutil.copy("moving.png", name)
    before = _contents(work)
    more = ["--points", "marks.csv", "--export", "qupath"]
    code = _run("fixed.png", "moving.png", *more, "--out", ".")
    assert code == 2
    assert f"error: {name}: rkd_jax would replace this file" in capsys.readouterr().err
    assert _contents(work) == before


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["registered.png", "moving.png"], "registered.png"),
        (["fixed.png", "matches.png"], "matches.png"),
        (["fixed.png", "registered.png", "--no-pictures"], "registered.png"),
        (["fixed.png", "moving.png", "--points", "points.csv"], "points.csv"),
        (["pairs.csv"], "pairs.csv"),
    ],
)
def test_no_input_is_replaced_or_deleted_even_if_it_is_of_a_run(
    work, capsys, no_network, arguments, name
):
    contents = {
        "points.csv": b"x,y\n50,60\n",
        "pairs.csv": b"fixed,moving\nfixed.png,moving.png\n",
    }
    for image in ("registered.png", "matches.png"):
        contents[image] = (work / "moving.png").read_bytes()
    for each, content in contents.items():
        own_files.write_bytes(work / each, content)
    before = _contents(work)
    assert _run(*arguments, "--out", ".") == 2
    error = capsys.readouterr().err
    assert f"{name}: rkd_jax would replace this file, which it is to read" in error
    assert _contents(work) == before


def test_an_input_of_many_pairs_is_not_deleted(work, capsys, no_network):
    """Without pictures, those of an earlier run are deleted: not if they are read."""
    picture = work / "out" / "p" / "registered.png"
    own_files.write_bytes(picture, (work / "moving.png").read_bytes())
    (work / "list.csv").write_text(f"fixed,moving,name\nfixed.png,{picture},p\n")
    before = _contents(work)
    assert _run("list.csv", "--no-pictures", "--out", "out") == 2
    assert "registered.png: rkd_jax would replace this file, which it is to" in (
        capsys.readouterr().err
    )
    assert _contents(work) == before


def test_a_run_killed_while_it_replaces_results_leaves_none_that_look_finished(
    work, monkeypatch
):
    """Pictures of one run beside the transform of another would be skipped later."""
    (work / "list.csv").write_text("fixed,moving,name\nfixed.png,moving.png,p\n")
    assert _run("list.csv", "--out", "out") == 0
    before = _contents(work / "out")
    write = own_files.write_bytes

    def kill(path, data):
        write(path, data)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(own_files, "write_bytes", kill)
        shutil.copy("moving.png", "kept.png")
        shutil.copy("other.png", "moving.png")
        assert _run("list.csv", "--out", "out") == 130
    changed = _contents(work / "out")
    assert changed["p/matches.png"] != before["p/matches.png"]
    shutil.copy("kept.png", "moving.png")
    assert _run("list.csv", "--out", "out") == 0
    after = _contents(work / "out")
    names = [f"p/{name}" for name in NAMES]
    assert [after[name] for name in names] == [before[name] for name in names]


def test_files_that_the_run_does_not_write_stay(work):
    (work / "points.csv").write_text("mine")
    (work / "notes.txt").write_text("mine")
    assert _run("fixed.png", "moving.png", "--out", ".") == 0
    assert _run("fixed.png", "other.png", "--out", ".") == 3
    assert (work / "points.csv").read_text() == "mine"
    assert not (work / "registered.png").exists()
    assert (work / "notes.txt").read_text() == "mine"


def test_a_picture_changed_by_hand_is_kept(work, capsys):
    assert _run("fixed.png", "moving.png", "--out", "out") == 0
    picture = work / "out" / "registered.png"
    picture.write_bytes(picture.read_bytes() + b"arrows")
    before = _contents(work / "out")
    assert _run("fixed.png", "other.png", "--out", "out") == 2
    assert "registered.png: rkd_jax would replace this file, which was changed" in (
        capsys.readouterr().err
    )
    assert _contents(work / "out") == before


@pytest.mark.parametrize(
    "path",
    [
        "out/pairs.csv",
        "out/camera.json",
        "out/a",
        "out/a/transform.json",
        "out/a/displacement.mha",
        "p/overlay.png",
    ],
)
def test_many_pairs_replace_no_file_of_others(work, capsys, no_network, path):
    (work / "list.csv").write_text("fixed,moving,name\nfixed.png,moving.png,a\n")
    (work / path).parent.mkdir(parents=True)
    (work / path).write_text("mine")
    if path.startswith("p/"):  # the pair's folder leads to another one
        (work / "out").mkdir()
        (work / "out" / "a").symlink_to(work / "p")
        path = "out/a/overlay.png"
    before = _contents(work)
    more = ["--one_camera", "--export", "bigwarp,itk"]
    assert _run("list.csv", *more, "--out", "out") == 2
    assert f"error: {path}: " in capsys.readouterr().err
    assert _contents(work) == before


def test_names_equal_up_to_case_are_refused_where_they_are_one(
    work, capsys, no_network, monkeypatch
):
    rows = "fixed.png,moving.png,a\nfixed.png,other.png,A\n"
    (work / "list.csv").write_text(f"fixed,moving,name\n{rows}")
    monkeypatch.setattr(
        "rkd_jax.registration.files.claims.ignores_case", lambda _: True
    )
    assert _run("list.csv", "--out", "out") == 2
    assert "pairs 'a' and 'A' would have one folder" in capsys.readouterr().err
    assert not (work / "out").exists()


def test_the_file_system_is_asked_about_case(tmp_path):
    (tmp_path / "a").touch()
    ignores = (tmp_path / "A").exists()
    assert claims.ignores_case(tmp_path / "not" / "there") == ignores
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("place", ["file", "link"])
def test_a_folder_that_cannot_be_made_is_refused(work, capsys, no_network, place):
    (work / "file").touch()
    (work / "link").symlink_to(work / "nowhere")
    assert _run("fixed.png", "moving.png", "--out", f"{place}/out") == 2
    assert f"{place}/out: cannot write there" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        OverflowError("too large"),
        cv2.error("dst.cols < SHRT_MAX"),
        MemoryError(),
        TypeError("bad operand"),
        KeyError("key"),
        RecursionError("depth"),
    ],
)
def test_whatever_goes_wrong_with_a_pair_the_others_are_done(
    work, capsys, monkeypatch, error
):
    read = photo.read_with_depth

    def fail(source, **more):
        if str(source).endswith("other.png"):
            raise error
        return read(source, **more)

    monkeypatch.setattr(photo, "read_with_depth", fail)
    rows = "fixed.png,other.png,bad\nfixed.png,moving.png,good\n"
    (work / "list.csv").write_text(f"fixed,moving,name\n{rows}")
    assert _run("list.csv", "--no-pictures", "--out", "out") == 2
    captured = capsys.readouterr()
    (line,) = (line for line in captured.err.splitlines() if "error" in line)
    assert line.startswith("error: bad: ")
    assert "other.png" in line
    assert "Traceback" not in captured.err
    assert captured.out.startswith("good: registered")
    rows = _rows(work / "out")
    assert [(row["name"], row["ok"]) for row in rows] == [
        ("bad", "False"),
        ("good", "True"),
    ]
    assert "other.png" in rows[0]["reason"]


def test_what_is_no_file_is_an_error_of_its_pair(work):
    """A pipe would be waited for, a name may be too long, a folder is no image."""
    os.mkfifo("pipe.png")
    os.mkdir("folder.png")
    names = ["pipe.png", "folder.png", "n" * 300 + ".png", "gone.png"]
    lines = [f"fixed.png,{name},{i}\n" for i, name in enumerate(names)]
    lines.append("fixed.png,moving.png,good\n")
    (work / "list.csv").write_text("fixed,moving,name\n" + "".join(lines))
    options = ["--no-pictures", "--one_camera", "--out", "out"]
    assert _run("list.csv", *options) == 2
    rows = _rows(work / "out")
    assert [row["ok"] for row in rows] == ["False"] * 4 + ["True"]
    for name, row in zip(names, rows):
        assert name[:50] in row["reason"]


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
@pytest.mark.parametrize("options", [[], ["--one_camera"]])
def test_a_stopped_batch_has_its_table_and_goes_on(
    work, capsys, monkeypatch, number, status, options
):
    from rkd_jax.registration.matcher import Matcher

    rows = "".join(f"fixed.png,moving.png,{name}\n" for name in "abc")
    (work / "list.csv").write_text(f"fixed,moving,name\n{rows}")
    arguments = ["list.csv", "--no-pictures", *options, "--out", "out"]
    calls, register = [], Matcher.register

    def stop_at_the_last_but_one(self, *given, **more):
        calls.append(1)
        if len(calls) == 2 + 3 * len(options):
            os.kill(os.getpid(), number)
        return register(self, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Matcher, "register", stop_at_the_last_but_one)
        assert _run(*arguments) == status
    assert capsys.readouterr().err.splitlines()[-1] == (
        "stopped before 2 pairs; start again to go on; 1 of 3 pairs registered, see "
        "out/pairs.csv"
    )
    assert [row["name"] for row in _rows(work / "out")] == ["a"]
    before = (work / "out" / "a" / "transform.json").stat().st_mtime_ns
    assert _run(*arguments) == 0
    assert [row["name"] for row in _rows(work / "out")] == ["a", "b", "c"]
    assert (work / "out" / "a" / "transform.json").stat().st_mtime_ns == before


ODD = [
    os.fsdecode(b"caf\xe9"),
    "caf\u00e9 \u65e5\u672c",
    "two\nlines",
    'tab\tquote"comma,semicolon;',
    "=1+1",
    "-rf",
    "\x1b[31mred",
    "blank ",
    "n" * 240,
]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_no_name_keeps_a_result_from_being_written(work, encoding):
    """In a process of its own, whose terminal may show ASCII alone."""
    (work / "moved").mkdir()
    for name in ODD:
        shutil.copy("moving.png", work / "moved" / f"{name}.png")
    command = [sys.executable, "-m", "rkd_jax.register", "fixed.png", "moved"]
    command += ["--out", "out", "--no-pictures", "--method", "sift"]
    command += ["--transform", "homography"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    if encoding == "ascii":  # names of files are no text for Python
        environment |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    root = str(pathlib.Path(own_files.__file__).parents[2])
    environment["PYTHONPATH"] = root
    times = []
    for more in ([], ["--json"]):
        run = subprocess.run([*command, *more], env=environment, capture_output=True)
        assert run.returncode == 0, run.stderr
        lines = run.stdout.decode(encoding).splitlines()
        assert len(lines) == len(ODD)
        times.append([p.stat().st_mtime_ns for p in sorted(work.glob("out/*/t*"))])
    # The second run found all of them finished.
    assert times[0] == times[1]
    assert len(times[0]) == len(ODD)
    assert {json.loads(line)["moving"] for line in lines} == {
        f"moved/{name}.png" for name in ODD
    }
    expected = {name.encode("utf-8", "backslashreplace").decode() for name in ODD}
    assert {row["name"] for row in _rows(work / "out")} == expected


def test_the_factor_of_a_12_bit_file_is_written(work):
    for name in ("fixed", "moving"):
        image = cv2.imread(f"{name}.png", cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(f"{name}.tif", image.astype(np.uint16) * 16)
    assert _run("fixed.tif", "moving.tif", "--out", "deep") == 0
    assert _run("fixed.tif", "moving.png", "--out", "shallow") == 0
    deep = json.loads((work / "deep" / "transform.json").read_text())
    highest = cv2.imread("moving.tif", cv2.IMREAD_UNCHANGED).max()
    assert deep["registered_scale"] == pytest.approx(65535 / highest)
    shallow = json.loads((work / "shallow" / "transform.json").read_text())
    assert "registered_scale" not in shallow
    pictures = [
        cv2.imread(str(work / folder / "registered.png"), cv2.IMREAD_UNCHANGED)
        for folder in ("deep", "shallow")
    ]
    assert [picture.dtype for picture in pictures] == [np.uint16, np.uint8]


def test_the_matcher_is_loaded_for_what_is_not_refused(work, monkeypatch):
    """The counterpart of `no_network`: it stands where a matcher is loaded."""
    calls = []

    def note(*given, **more):
        calls.append(given)
        return load_matcher(*given, **more)

    monkeypatch.setattr("rkd_jax.registration.recipe.load_matcher", note)
    assert _run("fixed.png", "moving.png", "--out", "out") == 0
    assert len(calls) == 1
