"""The photographs that an argument names: a file, a folder, a table."""

import pytest

from rkd_jax.images.photograph_lists import Photograph, list_inputs


def test_tables_of_photographs(tmp_path):
    for name in ("a/eye.png", "b/eye.png", "c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    table = tmp_path / "list.csv"
    table.write_text("name;image\nleft;a/eye.png\nright;b\\eye.png\n;c.jpg\n")
    assert list_inputs(table) == [
        Photograph("left", tmp_path / "a/eye.png"),
        Photograph("right", tmp_path / "b/eye.png"),
        Photograph("c", tmp_path / "c.jpg"),
    ]
    table.write_text("a/eye.png\nc.jpg\n")
    assert [one.name for one in list_inputs(table)] == ["eye", "c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty; expected the columns image, name"),
        ("photo,size\na.png,3\n", "columns 'photo, size'; expected image"),
        ("image\n", "no photographs below the line of names"),
        ("name,image\nleft,\n", "line 2: the path of the image is missing"),
        ("image\na/eye.png\nb/eye.png\n", "two photographs are named 'eye'"),
        ("image,name\na.png,x/y\n", "'x/y' cannot be the name of results"),
        ("image,name\na.png,Photographs.csv\n", "a file of the results has this name"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    table = tmp_path / "list.csv"
    table.write_text(text)
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        list_inputs(table, taken=["photographs.csv"])


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such photograph, folder or CSV"):
        list_inputs(tmp_path / "none")
    with pytest.raises(ValueError, match="no image in this folder"):
        list_inputs(tmp_path)
