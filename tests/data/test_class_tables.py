"""Tables of images and classes, as users write them, and every mistake in them."""

import numpy as np
import pytest
from made_classes import picture, table, touch

from rkd_jax.data.class_data import check_apart
from rkd_jax.data.class_tables import Columns, from_table
from rkd_jax.files import own_files


def found(data):
    """Name of each image to its file, class, group and fold."""
    return {
        item.name: (
            item.image.name,
            data.classes[item.label],
            item.group,
            item.fold,
        )
        for item in data.items
    }


def test_ids_with_and_without_ending_in_subfolders(tmp_path):
    touch(tmp_path, "a.jpg", "left/b.v2.PNG", "left/c.tif", "right/c.tif", "x/d.jpg.gz")
    rows = ["a,nevus", "b.v2,melanoma", "left/c,nevus", "right\\c.tif,nevus", "d,nevus"]
    data = from_table(table(tmp_path / "labels.csv", "image,class", *rows))
    assert found(data) == {
        "a": ("a.jpg", "nevus", "a", ""),
        "b.v2": ("b.v2.PNG", "melanoma", "b.v2", ""),
        "left/c": ("c.tif", "nevus", "left/c", ""),
        "right\\c.tif": ("c.tif", "nevus", "right\\c.tif", ""),
        "d": ("d.jpg.gz", "nevus", "d", ""),
    }
    assert [item.image.parent.name for item in data.items[2:4]] == ["left", "right"]
    assert data.items[0].where == f"{tmp_path / 'labels.csv'}, line 2"
    assert not data.ordered


def test_names_of_columns_group_and_fold(tmp_path):
    touch(tmp_path, "images/1.jpg", "images/2.jpg", "images/3.jpg")
    path = table(
        tmp_path / "labels.csv",
        "Patient;DX;Image ID;split",
        *("p1;mel;1;a", "p2;nv;2;b", "p1;nv;3;a"),
    )
    columns = Columns("image id", "dx", "patient", "Split")
    data = from_table(path, images_dir=tmp_path / "images", columns=columns)
    assert found(data) == {
        "1": ("1.jpg", "mel", "p1", "a"),
        "2": ("2.jpg", "nv", "p2", "b"),
        "3": ("3.jpg", "nv", "p1", "a"),
    }
    assert data.folds == ("a", "b")
    assert data.fold("a").names == ("1", "3")
    with pytest.raises(ValueError, match=r"labels\.csv: no fold 'c'; there are: a, b"):
        data.fold("c")


def test_columns_group_and_fold_are_used_where_they_are(tmp_path):
    touch(tmp_path, "1.jpg", "2.jpg")
    path = table(tmp_path / "l.csv", "image,class,group,fold", "1,x,g,0", "2,y,h,1")
    data = from_table(path)
    assert (data.groups, data.folds) == (("g", "h"), ("0", "1"))


def test_classes_are_in_order(tmp_path):
    touch(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    path = table(tmp_path / "l.csv", "image,class", "1,10", "2,9", "3,10.0")
    data = from_table(path)  # pandas writes 10.0 where another row has no class
    assert data.classes == ("9", "10")
    assert data.labels.tolist() == [1, 0, 1]
    data = from_table(path, classes=("10", "9", "8"), ordered=True)
    assert data.labels.tolist() == [0, 1, 0]
    assert data.counts.tolist() == [2, 1, 0]
    assert data.ordered


def test_several_folders_and_files_elsewhere(tmp_path):
    touch(tmp_path, "one/a.jpg", "two/b.jpg", "else/c.jpg")
    path = table(tmp_path / "l.csv", "image,class", "a,x", "b,x", "../else/c.jpg,y")
    data = from_table(path, images_dir=[tmp_path / "one", tmp_path / "two"])
    assert [item.image.resolve().parent.name for item in data.items] == [
        *("one", "two", "else")
    ]


def test_the_image_is_that_of_the_row(tmp_path):
    pixels = {n: picture(tmp_path / f"{n}.png", n) for n in (1, 2)}
    data = from_table(table(tmp_path / "l.csv", "image,class", "2,x", "1,y"))
    for item, n in zip(data.items, (2, 1), strict=True):
        np.testing.assert_array_equal(item.read(), pixels[n])


def test_results_of_the_package_are_no_images(tmp_path):
    touch(tmp_path, "eyes/a.jpg")
    own_files.write_bytes(tmp_path / "eyes/explain/a.png", b"picture")
    data = from_table(
        table(tmp_path / "l.csv", "image,class", "a,x"), images_dir=tmp_path / "eyes"
    )
    assert data.items[0].image.name == "a.jpg"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["image,class"], r"l\.csv: no image below the line of names"),
        ([""], r"l\.csv: no image below the line of names"),
        (["name,class", "a,x"], r"line 1: no column 'image'; there are name, class"),
        (["image,dx", "a,x"], r"line 1: no column 'class'; there are image, dx"),
        (["image,class,class", "a,x,y"], "two columns are named 'class'"),
        (["image,class", "a,x", ",y"], r"line 3: no image; add its name"),
        (["image,class", "# of clinic A", "a,"], r"line 3: no class in 'a, '; add it"),
        (["image,class,group", "a,x,"], r"line 2: no group of a; add it"),
        (["image,class,fold", "a,x,"], r"line 2: no fold of a; add it"),
        (["image,class", "a,x", "e,x"], r"line 3: no image e in .*; add e\.jpg or the"),
        (
            ["image,class", "e.png,x"],
            r"line 2: no image e\.png in .*; add e\.png, corr",
        ),
        (
            ["image,class", "two,x"],
            r"line 2: image two may be .*/two\.jpg or .*two\.png",
        ),
        (
            ["image,class", "a,x", "b,x", "a.jpg,y"],
            r"line 4: image a\.jpg is listed alr",
        ),
        (
            ["image,class", "a,x", "a,x"],
            r"line 3: image a is listed already in .*line 2",
        ),
        (
            ["image,class,fold", "a,x,1", "b,x,1", "a.jpg,x,2"],
            r"line 4: image a\.jpg is in fold '2', and in fold '1' by .*l\.csv, line 2",
        ),
        (
            ["image,class,group,fold", "a,x,a,train", "b,x,a,test"],
            r"line 3: group 'a' is in fold 'test', and in fold 'train' by .*, line 2",
        ),
        (
            ["image,class,group,fold", "a,x,p,train", "b,x,p,test"],
            r"line 3: group 'p' is in fold 'test', and in fold 'train' by .*, line 2",
        ),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path, rows, message):
    touch(tmp_path, "a.jpg", "b.jpg", "two.jpg", "two.png")
    path = table(tmp_path / "l.csv", *rows)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        from_table(path)


def test_named_columns_must_be_there_and_classes_known(tmp_path):
    touch(tmp_path, "a.jpg")
    path = table(tmp_path / "l.csv", "image,class", "a,x")
    for columns in (Columns(group="patient"), Columns(fold="patient")):
        with pytest.raises(ValueError, match="no column 'patient'"):
            from_table(path, columns=columns)
    with pytest.raises(ValueError, match=r"line 2: a has class 'x'; expected one of y"):
        from_table(path, classes=("y", "z"))
    with pytest.raises(FileNotFoundError, match="absent: no such folder of images"):
        from_table(path, images_dir=tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=r"absent\.csv: no such file"):
        from_table(tmp_path / "absent.csv")
    with pytest.raises(FileNotFoundError, match=r"line 2: no image a in .*empty"):
        from_table(path, images_dir=touch(tmp_path / "empty", "notes.txt"))


def test_two_tables_must_be_apart(tmp_path):
    touch(tmp_path, *(f"{n}.jpg" for n in range(4)))
    head = "image,class,group"
    train = from_table(table(tmp_path / "train.csv", head, "0,x,p", "1,y,q"))
    test = from_table(table(tmp_path / "test.csv", head, "2,x,r", "3,y,s"))
    check_apart({"train": train, "test": test})
    same = from_table(table(tmp_path / "same.csv", head, "3,y,s", "1.jpg,y,t"))
    message = (
        r"same\.csv, line 3: image 1\.jpg is in test, and in train by .*train\.csv, "
        "line 3; an image may be in one part only"
    )
    with pytest.raises(ValueError, match=message):
        check_apart({"train": train, "test": same})
    split = from_table(table(tmp_path / "split.csv", head, "2,x,q"))
    message = r"split\.csv, line 2: group 'q' is in test, and in train by .*, line 3"
    with pytest.raises(ValueError, match=message):
        check_apart({"train": train, "test": split})


def test_equal_names_in_two_folders_are_two_images(tmp_path):
    """Without groups, names do not link images of different files."""
    parts = {}
    for name in ("train", "test"):
        touch(tmp_path, f"{name}/1.jpg")
        path = table(tmp_path / name / "l.csv", "image,class", "1,x")
        parts[name] = from_table(path)
    check_apart(parts)
