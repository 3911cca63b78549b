"""Lists of photographs of one eye: every way to name one, and what is refused."""

import itertools
import re

import pytest

from rkd_jax.evaluation.same_eye import is_known, read_same_eye

NAMES = ["a/1_left.png", "a/1_right.png", "b/1_left.png", "b/2_left.jpg", "b/3.v1.tif"]


@pytest.fixture
def photographs(tmp_path):
    paths = [tmp_path / "eyes" / name for name in NAMES]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


def known_pairs(photographs, eyes):
    """Return the pairs (i, j) known to show one eye; they must not depend on order."""
    found = set()
    for (i, a), (j, b) in itertools.combinations(enumerate(photographs), 2):
        assert is_known(eyes, a, b) == is_known(eyes, b, a)
        if is_known(eyes, a, b):
            found.add((i, j))
    return found


@pytest.mark.parametrize(
    "names",
    [
        ("eyes/a/1_right.png", "eyes/b/2_left.jpg"),  # relative to the list
        ("{folder}/eyes/a/1_right.png", "./eyes/../eyes/b/2_left.jpg"),
        ("1_right.png", "2_left.jpg"),
        ("a/1_right", "b/2_left"),
        ("2_left", "1_right"),
    ],
)
@pytest.mark.parametrize("head", ["fixed,moving\n", "# ours\n", ""])
def test_photographs_are_found_by_path_and_by_name(tmp_path, photographs, names, head):
    path = tmp_path / "same.csv"
    row = ",".join(name.format(folder=tmp_path) for name in names)
    path.write_text(f"{head}\n{row}\n")
    assert known_pairs(photographs, read_same_eye(path, photographs)) == {(1, 3)}


@pytest.mark.parametrize("name", ["a/1_right.png", "1_right", "elsewhere/a/1_right"])
def test_links_to_a_store_are_found_by_their_own_names(tmp_path, name):
    folder = tmp_path / "elsewhere" / "a"
    folder.mkdir(parents=True)
    paths = [folder / "1_left.png", folder / "1_right.png"]
    for number, path in enumerate(paths):
        (tmp_path / f"blob{number}").touch()
        path.symlink_to(tmp_path / f"blob{number}")
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "same.csv").write_text(f"1_left,{name}\n")
    assert known_pairs(paths, read_same_eye(lists / "same.csv", paths)) == {(0, 1)}


def test_a_name_that_is_a_link_in_a_circle_is_refused_by_line(tmp_path, photographs):
    (tmp_path / "round").symlink_to("round")
    path = tmp_path / "same.csv"
    path.write_text("1_right,round\n")
    with pytest.raises(ValueError, match="line 1: no photograph 'round'"):
        read_same_eye(path, photographs)


def test_columns_are_found_by_their_names(tmp_path, photographs):
    path = tmp_path / "same.csv"
    path.write_text("note;Moving;fixed;x\nsure;3.v1;1_right;\n;2_left;1_right;7\n")
    # 1_right and 3, 1_right and 2: so 2 and 3, too.
    eyes = read_same_eye(path, photographs)
    assert known_pairs(photographs, eyes) == {(1, 4), (1, 3), (3, 4)}


def test_list_without_pairs_knows_nothing(tmp_path, photographs):
    path = tmp_path / "same.csv"
    path.write_text("fixed,moving,confidence,picture\n")
    assert read_same_eye(path, photographs) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1_right,4_left", "line 1: no photograph '4_left' in the folders"),
        ("\n\nfixed,moving\n\n2_left,c/1_right.png\n", "line 5: no photograph 'c/1_ri"),
        (
            "1_left.png,2_left",
            r"line 1: '1_left.png' may be .*a/1_left.*b/1_left.*path",
        ),
        ("1_left,2_left", "line 1: '1_left' may be "),
        ("1_right\n", "line 1: expected two photographs, found '1_right'"),
        ("1_right,\n", "line 1: expected two photographs"),
        ("1_right,a/1_right.png", "line 1: '1_right' and .* are one photograph"),
        ("fixed,fixed,moving\na,b,c", "two columns are named 'fixed'"),
    ],
)
def test_what_is_not_clear_is_refused_by_line(tmp_path, photographs, text, message):
    path = tmp_path / "same.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(str(path)) + ".*" + message):
        read_same_eye(path, photographs)


def test_missing_list_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.csv: no such file"):
        read_same_eye(tmp_path / "none.csv", [])
