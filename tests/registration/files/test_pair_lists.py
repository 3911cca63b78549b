"""Lists and folders of pairs as people have them: read if clear, else named."""

import os
import pathlib

import pytest

from rkd_jax.registration.files import pair_names
from rkd_jax.registration.files.pair_lists import list_pairs
from rkd_jax.registration.files.pair_names import same_up_to_case
from rkd_jax.registration.files.pairs import Pair


def _fill(folder, *names):
    """Make files: pairs are listed by names alone."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _read(root, first, second=None, note=None):
    """List pairs as (name, fixed, moving), the paths relative to a folder."""
    given = (None if path is None else str(root / path) for path in (first, second))
    return [
        (pair.name, *(os.path.relpath(p, root) for p in (pair.fixed, pair.moving)))
        for pair in list_pairs(*given, note)
    ]


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".tsv", ".list", ""])
@pytest.mark.parametrize(
    "text",
    [
        "fixed,moving,name\na.png,b.png,x\n",
        "fixed;moving;name\na.png;b.png;x\n",
        "name\tmoving\tfixed\nx\tb.png\ta.png\n",
        '"Fixed" , "MOVING" , "Name" , "eye"\n "a.png" , "b.png" , "x" , "left"\n',
        "# of clinic A\r\n\r\nfixed,moving,name\r\n# first\r\na.png,b.png,x\r\n",
        "sep=;\nfixed;moving;name\na.png;b.png;x\n",
        "fixed,moving,name\n./a.png,{root}/b.png,x\n",
        "a.png,b.png,x\n",
        "a.png;b.png;x\n",
    ],
)
def test_lists_in_many_forms(tmp_path, text, suffix):
    _fill(tmp_path, "a.png", "b.png")
    table = tmp_path / f"list{suffix}"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        table.write_bytes(text.format(root=tmp_path).encode(encoding))
        assert _read(tmp_path, table.name) == [("x", "a.png", "b.png")]


def test_paths_of_other_systems_lead_to_the_files(tmp_path, monkeypatch):
    composed, apart = "caf\u00e9.png", "nai\u0308f.png"
    _fill(tmp_path, "d/a.png", composed, apart, "home/h.png")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    table = tmp_path / "list.csv"
    table.write_bytes(
        b"fixed,moving,name\nd\\a.png,caf\xe9.png,of Windows\n"
        + "~/h.png,na\u00eff.png,x\ncafe\u0301.png,gone\\no.png,y\n".encode()
    )
    assert _read(tmp_path, "list.csv") == [
        ("of Windows", "d/a.png", composed),
        ("x", "home/h.png", apart),
        ("y", composed, "gone\\no.png"),
    ]


def test_a_list_names_files_whose_names_are_not_utf8(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    _fill(tmp_path, name, "a.png")
    (tmp_path / "list.csv").write_bytes(b"fixed,moving\na.png,caf\xe9.png\n")
    assert _read(tmp_path, "list.csv") == [("a_caf\udce9", "a.png", name)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query,refer\na.png,b.png\n", "columns 'query, refer'; expected fixed"),
        ("a.png,b.png,c.png\n", "columns 'a.png, b.png, c.png'"),
        ("fixed,moving,fixed\na.png,b.png,c.png\n", "two columns are named 'fixed'"),
        ('fixed,moving\n\n"a\n",b.png\na.png\n', "line 5: expected two image paths"),
        ("fixed,moving,name\na.png,b.png,x/y\n", "'x/y' cannot be the name of a fol"),
        ("fixed,moving,name\na.png,b.png,pairs.csv\n", "a file of the results has"),
        ("fixed,moving\na.png,b.png\na.png,b.png\n", "two pairs are named 'a_b'"),
        (f"fixed,moving,name\na.png,b.png,{'n' * 256}\n", "has 256 bytes"),
        ("fixed,moving\n", "no pairs below"),
        ("", "empty; expected the columns fixed"),
        ("\0\1\2\3", "zero byte"),
    ],
)
def test_lists_that_are_not_clear_are_named(tmp_path, text, message):
    _fill(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(ValueError, match=r"list\.csv") as caught:
        _read(tmp_path, "list.csv")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["a_1.webp", "a_2.pgm", "._a_1.webp"], [("a", "a_1.webp", "a_2.pgm")]),
        (["a_FIXED.PNG", "a_Moving.Jpg"], [("a", "a_FIXED.PNG", "a_Moving.Jpg")]),
        (["a_1.png", "a_2.png", "notes.txt", "p/q.txt"], [("a", "a_1.png", "a_2.png")]),
        # A folder for each pair.
        (
            ["p/a_1.png", "p/a_2.png", "q/moving.png", "q/fixed.png", "q/._x.png"],
            [("p", "p/a_1.png", "p/a_2.png"), ("q", "q/fixed.png", "q/moving.png")],
        ),
        (["p/x.png", "p/y.tif", "e/t.txt"], [("p", "p/x.png", "p/y.tif")]),
        (["p/1.png", "p/2.png", ".h/z.png"], [("p", "p/1.png", "p/2.png")]),
        (["p/1.png", "p/2.png", "#recycle/z.png"], [("p", "p/1.png", "p/2.png")]),
    ],
)
def test_folders_that_are_clear(tmp_path, names, pairs):
    _fill(tmp_path, *names)
    assert _read(tmp_path, ".") == pairs


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a_1.png"], "no partner for a"),
        (["a.png", "b.png"], "no pairs; expected <name>_1 and <name>_2"),
        ([], "no image"),
        (["._a_1.png", "._a_2.png"], "no image"),
        (["a_1.png", "a_2.png", "a_3.png"], "a_3.png is a further image of 'a'"),
        (["a_1.png", "a_1.tif", "a_2.png"], "a_1.png, a_1.tif"),
        (["a_1.png", "a_fixed.png", "a_2.png"], "a_1.png, a_fixed.png"),
        (["p/x.png", "p/y.png", "p/z.png"], "found 3: x.png, y.png, z.png"),
        (["p/x.png", "q/x.png", "q/y.png"], "p: expected two images"),
        (["p/a_1.png", "p/a.png"], "p: expected two images"),
        (["p/a_1.png", "p/b_1.png"], "p: expected two images"),
    ],
)
def test_folders_that_are_not_clear_are_named(tmp_path, names, message):
    _fill(tmp_path, *names)
    with pytest.raises(ValueError, match=str(tmp_path)) as caught:
        _read(tmp_path, ".")
    assert message in str(caught.value)


def test_two_folders_and_an_image_with_a_folder(tmp_path):
    _fill(tmp_path, "F/x.png", "F/._x.png", "M/x.tif", "M/y.webp", "M/._x.tif")
    notes = []
    assert _read(tmp_path, "F", "M", notes.append) == [("x", "F/x.png", "M/x.tif")]
    assert notes == [
        f"{tmp_path}/M: in no pair, as {tmp_path}/F lacks them: y.webp",
    ]
    assert _read(tmp_path, "M/x.tif", "M") == [("y", "M/x.tif", "M/y.webp")]
    _fill(tmp_path, "M/x.png")
    for first, second, message in (
        ("F", "M", "x.png and x.tif have one name"),
        ("M", "F", "x.png and x.tif have one name"),
        ("F/x.png", "M", "x.png and x.tif have one name"),
        ("F", "F", "FIXED and MOVING are one folder"),
        ("F/x.png", "F", "no image besides x.png"),
        ("F", "M/x.png", "this must be one as well"),
    ):
        with pytest.raises(ValueError, match=message):
            _read(tmp_path, first, second)
    with pytest.raises(FileNotFoundError, match=r"none\.png: no such image file"):
        _read(tmp_path, "none.png", "M")


def test_images_in_no_pair_are_noted(tmp_path):
    _fill(tmp_path, "a_1.png", "a_2.png", "mosaic.jpg")
    notes = []
    assert len(_read(tmp_path, ".", None, notes.append)) == 1
    assert notes == [f"{tmp_path}: in no pair: mosaic.jpg"]


def test_results_of_an_earlier_run_are_no_photographs(tmp_path):
    from rkd_jax.files import own_files

    _fill(tmp_path, "p/a_1.png", "p/a_2.png")
    own_files.write_text(tmp_path / "p" / "registered.png", "x")
    assert _read(tmp_path, ".") == [("p", "p/a_1.png", "p/a_2.png")]
    (tmp_path / "p" / "registered.png").write_text("somebody's own")
    with pytest.raises(ValueError, match=r"found 3: .*registered\.png"):
        _read(tmp_path, ".")


@pytest.mark.parametrize("place", ["", "out"])
def test_folders_of_pairs_may_hold_results_beside_them(tmp_path, place):
    from rkd_jax.files import own_files

    _fill(tmp_path, "p/a_1.png", "p/a_2.png")
    own_files.write_text(tmp_path / place / "registered.png", "x")
    assert _read(tmp_path, ".") == [("p", "p/a_1.png", "p/a_2.png")]


def test_a_path_of_windows_that_is_not_there_is_a_matter_of_its_pair(tmp_path):
    _fill(tmp_path, "a.png", "b.png")
    text = "fixed,moving\na.png,b.png\nC:\\left\\c.png,\\\\server\\d.png\n"
    (tmp_path / "list.csv").write_text(text)
    assert [name for name, *_ in _read(tmp_path, "list.csv")] == ["a_b", "c_d"]


def test_an_image_alone_lacks_its_partner(tmp_path):
    _fill(tmp_path, "a.webp")
    with pytest.raises(ValueError, match="MOVING is missing"):
        _read(tmp_path, "a.webp")
    assert list_pairs(str(tmp_path / "a.webp"), str(tmp_path / "b.webp")) is None


def test_names_of_our_files_cannot_be_folders():
    assert pair_names.unusable_name("Pairs.CSV")
    assert pair_names.unusable_name("camera.json")


def test_names_equal_up_to_case_are_found():
    def pairs(*names):
        return [Pair(name, pathlib.Path("f"), pathlib.Path("m")) for name in names]

    assert same_up_to_case(pairs("a", "b", "A")) == ("a", "A")
    assert same_up_to_case(pairs("caf\u00e9", "cafe\u0301")) is not None
    assert same_up_to_case(pairs("a", "b")) is None
