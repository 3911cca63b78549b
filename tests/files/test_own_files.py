"""Files of others are kept, whatever they are and whenever they appear."""

import hashlib
import json
import os
import pathlib
import shutil
import threading

import pytest

from rkd_jax.files import own_files


def _foreign(path, kind):
    """Put a file that is not ours at a path; return where its content is."""
    if kind == "link":
        target = path.with_name("precious")
        target.write_text("precious")
        path.symlink_to(target)
        return target
    if kind == "hard link":
        target = path.with_name("precious")
        target.write_text("precious")
        os.link(target, path)
        return path
    if kind == "changed":
        own_files.write_text(path, "of a run")
    path.write_text("precious")
    return path


@pytest.mark.parametrize("kind", ["file", "changed", "link", "hard link"])
def test_a_foreign_file_is_named_and_kept(tmp_path, kind):
    path = tmp_path / "registered.png"
    content = _foreign(path, kind)
    linked = path.is_symlink()
    message = "changed since" if kind == "changed" else "did not write"
    for act in (
        lambda: own_files.claim([tmp_path / "other", path]),
        lambda: own_files.write_text(path, "new"),
    ):
        with pytest.raises(FileExistsError, match=rf"registered\.png: .*{message}"):
            act()
    assert not own_files.remove(path)
    assert content.read_text() == "precious"
    assert path.is_symlink() == linked
    assert not list(tmp_path.glob(".registered*"))


def test_a_broken_link_and_a_folder_are_in_the_way(tmp_path):
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileExistsError, match="gone: "):
        own_files.claim([tmp_path / "gone"])
    with pytest.raises(IsADirectoryError, match="folder: a folder"):
        own_files.claim([tmp_path / "folder"])
    assert (tmp_path / "gone").is_symlink()


def test_a_foreign_file_of_the_same_size_is_seen_by_its_content(tmp_path):
    path = tmp_path / "a.csv"
    own_files.write_text(path, "12345")
    path.write_text("54321")
    with pytest.raises(FileExistsError, match="changed since"):
        own_files.claim([path])
    # As if it had the time of the listed file: the claim may pass, the writer not.
    record = json.loads((tmp_path / own_files.LIST).read_text().splitlines()[-1])
    os.utime(path, ns=(record["mtime_ns"], record["mtime_ns"]))
    with pytest.raises(FileExistsError, match="changed since"):
        own_files.write_text(path, "new")
    assert not own_files.remove(path)
    assert path.read_text() == "54321"


def test_files_of_an_earlier_run_are_replaced_also_in_a_copied_folder(tmp_path):
    own_files.write_text(tmp_path / "out" / "a.csv", "one")
    shutil.copytree(tmp_path / "out", tmp_path / "copy", copy_function=shutil.copy)
    for folder in ("out", "copy"):
        path = tmp_path / folder / "a.csv"
        own_files.claim([path])
        own_files.write_text(path, "two")
        assert path.read_text() == "two"
        assert own_files.own_names(tmp_path / folder) == {"a.csv"}
        assert own_files.remove(path)
        assert not path.exists()
        assert own_files.own_names(tmp_path / folder) == set()


@pytest.mark.parametrize("form", ["same", "link", "hard link", "folder link"])
def test_an_input_is_refused_even_if_an_earlier_run_wrote_it(tmp_path, form):
    path = tmp_path / "out" / "registered.png"
    own_files.write_text(path, "x")
    given = path
    if form == "link":
        given = tmp_path / "given.png"
        given.symlink_to(path)
    elif form == "hard link":
        given = tmp_path / "given.png"
        os.link(path, given)
    elif form == "folder link":
        (tmp_path / "again").symlink_to(path.parent)
        given = tmp_path / "again" / "registered.png"
    own_files.claim([path])
    for where in ({"paths": [path]}, {"paths": [], "removable": [path]}):
        with pytest.raises(FileExistsError, match="it is to read"):
            own_files.claim(**where, inputs=[given])


def test_an_input_that_the_run_would_make_first_is_refused(tmp_path):
    path = tmp_path / "out" / "registered.png"
    relative = os.path.relpath(path)
    with pytest.raises(FileExistsError, match="it is to read"):
        own_files.claim([path], inputs=[relative])


@pytest.mark.parametrize("moment", ["before the list", "in the list", "after the list"])
def test_a_run_killed_at_any_moment_can_go_on(tmp_path, monkeypatch, moment):
    path = tmp_path / "a.csv"
    own_files.write_text(path, "old")
    listed = (tmp_path / own_files.LIST).read_bytes()

    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch:
        name = "rkd_jax.files.own_files._add"
        patch.setattr("os.replace" if moment == "after the list" else name, die)
        with pytest.raises(Killed):
            own_files.write_text(path, "new")
    if moment == "in the list":
        with open(tmp_path / own_files.LIST, "ab") as file:
            file.write(b'\n{"file": "a.csv", "sha2')
    elif moment == "after the list":
        assert (tmp_path / own_files.LIST).read_bytes() != listed
    assert path.read_text() == "old"
    own_files.claim([path])
    own_files.write_text(path, "newer")
    own_files.write_text(path, "newest")
    assert path.read_text() == "newest"


def test_runs_in_parallel_do_not_take_each_other_for_strangers(tmp_path):
    errors = []

    def write(number):
        try:
            for step in range(40):
                own_files.write_text(tmp_path / "a.txt", f"{number} {step}")
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert own_files.own_names(tmp_path) == {"a.txt"}


def test_a_digest_is_of_a_file_alone(tmp_path):
    content = bytes(range(256)) * 3000
    (tmp_path / "a").write_bytes(content)
    assert own_files.digest(tmp_path / "a") == hashlib.sha256(content).hexdigest()
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(OSError, match="no regular file"):
            own_files.digest(path)


def test_a_foreign_list_is_refused(tmp_path):
    (tmp_path / own_files.LIST).write_text("my own notes\n")
    with pytest.raises(FileExistsError, match="not a list of files"):
        own_files.claim([tmp_path / "a"])
    with pytest.raises(FileExistsError, match="not a list of files"):
        own_files.write_text(tmp_path / "a", "x")
    assert (tmp_path / own_files.LIST).read_text() == "my own notes\n"


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_a_list_that_cannot_be_written_is_refused_before_any_work(tmp_path, kind):
    place = tmp_path / own_files.LIST
    if kind == "link":
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.mkdir()
    with pytest.raises(OSError, match=rf"{own_files.LIST}: a {kind}; choose another"):
        own_files.claim([tmp_path / "a"])
    assert [path.name for path in tmp_path.iterdir()] == [own_files.LIST]


def test_names_that_are_not_utf8_are_listed(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.csv")
    for text in ("one", "two"):
        own_files.write_text(path, text)
    assert own_files.own_names(tmp_path) == {path.name}


def test_a_file_known_by_its_form_is_taken_over(tmp_path):
    def load(path):
        if not pathlib.Path(path).read_text().startswith("ours"):
            raise ValueError(f"{path}: not ours")

    path = tmp_path / "predictions"
    own_files.claim_readable(path, load)
    path.write_text("theirs")
    with pytest.raises(ValueError, match="not ours"):
        own_files.claim_readable(path, load)
    path.write_text("ours, of a version without a list")
    own_files.claim_readable(path, load)
    own_files.write_text(path, "ours, new")
    assert path.read_text() == "ours, new"
