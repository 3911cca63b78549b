"""WFLW's lists: reading, refusing, folds by image; and the order of the points."""

import numpy as np
import pytest
from made_faces import line, write_wflw

from rkd_jax.data import wflw
from rkd_jax.metrics import landmarks as metrics
from rkd_jax.synthetic.faces import shape
from rkd_jax.synthetic.faces.points import COUNT, EYE_CORNERS, FLIP


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("wflw")
    return root, write_wflw(root)


def neutral_head():
    one = dict.fromkeys(
        ("length", "eye_gap", "eye_width", "eye_height", "brow_weight"), 1.0
    )
    one |= dict.fromkeys(("nose_length", "nose_width", "mouth_width", "lip"), 1.0)
    who = shape.Identity(
        **one, jaw=2.3, eye_tilt=0.01, brow_height=0.0, brow_arch=0.05, mouth_y=0.0
    )
    rest = dict.fromkeys(
        (
            "jaw_drop",
            "smile",
            "pout",
            "brow_raise",
            "frown",
            "wink",
            "gaze_x",
            "gaze_y",
        ),
        0.0,
    )
    return shape.head_points(who, shape.Expression(**rest, eyes=1.0))


MIRRORED = [
    # The pairs that public code for WFLW exchanges (HRNet, `matched_parts`).
    *[(i, 32 - i) for i in range(16)],
    *[(33, 46), (34, 45), (35, 44), (36, 43), (37, 42)],
    *[(38, 50), (39, 49), (40, 48), (41, 47)],
    *[(55, 59), (56, 58)],
    *[(60, 72), (61, 71), (62, 70), (63, 69), (64, 68), (65, 75), (66, 74), (67, 73)],
    *[(76, 82), (77, 81), (78, 80), (87, 83), (86, 84)],
    *[(88, 92), (89, 91), (95, 93), (96, 97)],
]


def test_mirror_images_are_those_of_public_code():
    assert {(i, j) for i, j in enumerate(FLIP) if i < j} == {
        (min(pair), max(pair)) for pair in MIRRORED
    }


def test_metrics_and_data_number_the_points_alike():
    # Metrics import nothing of the data.
    assert metrics.NORMALIZERS["corners"] == EYE_CORNERS


def test_mirroring_twice_is_nothing():
    assert sorted(FLIP) == list(range(COUNT))
    assert [FLIP[i] for i in FLIP] == list(range(COUNT))


def test_mirror_images_lie_where_geometry_puts_them():
    head = neutral_head()
    mirrored = head * [-1, 1, 1]
    np.testing.assert_allclose(mirrored[list(FLIP)], head, atol=1e-9)
    # Only on the middle line may a point be its own mirror image.
    own = [i for i in range(COUNT) if FLIP[i] == i]
    np.testing.assert_allclose(head[own, 0], 0, atol=1e-9)


def test_what_was_written_is_read(made):
    root, drawn = made
    faces = wflw.read_list(root, "test")
    assert len(faces) == len(drawn) == 8
    for face, (name, points, box, flags) in zip(faces, drawn):
        assert face.picture == name
        assert face.image == root / "WFLW_images" / name
        np.testing.assert_allclose(face.points, points, atol=1e-5)
        np.testing.assert_array_equal(face.box, box)
        np.testing.assert_array_equal(face.attributes, flags)
    assert len({face.name for face in faces}) == 8
    assert faces[3].name == faces[2].picture + "#1"


def test_plain_lists_take_box_and_flags_from_where_they_are(made, tmp_path):
    root, drawn = made
    folder = root / "WFLW_annotations" / "list_98pt_test"
    folder.mkdir()
    # Some of the faces, in another order, with fewer decimals.
    picked = [7, 0, 3, 2]
    lines = [line(drawn[i][1].round(3), drawn[i][0]) for i in picked]
    (folder / "list_98pt_test_blur.txt").write_text("\n".join(lines) + "\n")
    # What lies about is no list.
    where = wflw.list_path(root, "test")
    (where.parent / f"{where.name}.orig").write_text("1 2 3\n")
    (where.parent / "list_98pt_rect_attr_more.txt").mkdir()
    found = wflw.read_list(root, "test_blur")
    for face, i in zip(found, picked, strict=True):
        assert face.picture == drawn[i][0]
        np.testing.assert_allclose(face.points, drawn[i][1], atol=1e-3)
        np.testing.assert_array_equal(face.box, drawn[i][2])
        np.testing.assert_array_equal(face.attributes, drawn[i][3])


def test_a_bad_box_is_blamed_on_the_list_that_has_it(tmp_path):
    ((name, points, box, flags),) = write_wflw(tmp_path, pictures=1)
    path = wflw.list_path(tmp_path, "test")
    path.write_text("\n" + line(points, name, box[[2, 1, 0, 3]], flags) + "\n")
    plain = tmp_path / "plain.txt"
    plain.write_text(line(points, name) + "\n")
    with pytest.raises(ValueError, match=r"box .* is empty") as caught:
        wflw.read_list(tmp_path, str(plain))
    assert str(caught.value).startswith(f"{path}, line 2")


def test_faces_without_a_box_anywhere_get_a_usual_one(made, tmp_path):
    root, drawn = made
    name, points, _, _ = drawn[0]
    points = points + 0.5
    path = tmp_path / "list.txt"
    path.write_text(line(points, name) + "\n\n")
    (face,) = wflw.read_list(root, str(path))
    assert face.attributes is None
    low, high = points.min(axis=0), points.max(axis=0)
    np.testing.assert_allclose(face.box[2:] - face.box[:2], 1.25 * (high - low))
    np.testing.assert_allclose(face.box[:2] + face.box[2:], low + high)


def broken_lines(drawn):
    name, points, box, flags = drawn[0]
    whole = line(points, name, box, flags)
    coincide = points.copy()
    coincide[72] = coincide[60]
    yield whole.split(" ", 1)[1], "205 numbers.*expected 196 coordinates"
    yield whole.replace(whole.split()[7], "nan", 1), "7 numbers before the first"
    yield whole.removesuffix(name).strip(), "expected 196 coordinates"
    yield line(coincide, name, box, flags), rf"{name}: its outer eye corners .* coincid"
    far = points.copy()
    far[5, 1] = 1e9
    yield line(far, name, box, flags), rf"{name}: point 5 at .* lies more than 10 times"
    yield line(far, name), rf"{name}: point 5 at .* lies more than 10 times"
    near = points.copy()
    near[72] = near[60] + [0.0, 5e-4 * np.ptp(box[::2])]
    yield line(near, name, box, flags), rf"{name}: its outer eye corners .* at least"
    yield line(points, name, box + 500, flags), "does not hold the middle"
    yield line(points, name, box, [2, 0, 0, 0, 0, 0]), "flags .* 0 or 1"
    yield line(points, name, box[[2, 1, 0, 3]], flags), "box .* is empty"
    yield line(points, "0--Event/gone.png", box, flags), r"gone\.png: image missing"


@pytest.mark.parametrize("number", range(11))
def test_bad_lines_are_named(made, tmp_path, number):
    root, drawn = made
    text, message = list(broken_lines(drawn))[number]
    good = line(drawn[1][1], drawn[1][0])
    path = tmp_path / "list.txt"
    path.write_text(f"{good}\n{text}\n")
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        wflw.read_list(root, str(path))
    assert f"{path}, line 2" in str(caught.value)


def test_missing_folders_and_lists_are_named(made, tmp_path):
    root, _ = made
    with pytest.raises(FileNotFoundError, match=r"train\.txt: no such list"):
        wflw.read_list(root, "train")
    with pytest.raises(FileNotFoundError, match="WFLW_images/ and WFLW_annotations/"):
        wflw.read_list(tmp_path, "test")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(ValueError, match="no face in this list"):
        wflw.read_list(root, str(tmp_path / "empty.txt"))


def test_folds_part_the_images_not_the_faces(made):
    faces = wflw.read_list(made[0], "test")
    seen = []
    for fold in range(3):
        training, held = wflw.split_fold(faces, fold, 3)
        assert not {f.picture for f in training} & {f.picture for f in held}
        assert len({f.picture for f in held}) == 2
        assert len(training) + len(held) == len(faces)
        seen += [f.name for f in held]
    assert sorted(seen) == sorted(f.name for f in faces)
    numbers = wflw.fold_numbers(faces, 3)
    turned = wflw.fold_numbers(faces[::-1], 3)
    np.testing.assert_array_equal(numbers, turned[::-1])
    for bad in (1, 7):
        with pytest.raises(ValueError, match="folds is"):
            wflw.fold_numbers(faces, bad)
    with pytest.raises(ValueError, match="fold is 3; expected 0 to 2"):
        wflw.split_fold(faces, 3, 3)
