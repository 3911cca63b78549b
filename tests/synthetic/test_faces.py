"""Procedural faces: what is known about them is true of their pictures."""

import cv2
import numpy as np
import pytest

from rkd_jax.synthetic import faces as face_synthesis
from rkd_jax.synthetic.faces import canvas, photo, shape
from rkd_jax.synthetic.faces.points import ATTRIBUTES

SEEDS = range(40)


@pytest.fixture(scope="module")
def drawn():
    return [face_synthesis.face(seed, size=96) for seed in SEEDS]


def test_a_seed_is_a_face():
    one, same, other = (face_synthesis.face(seed, size=64) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.image, same.image)
    np.testing.assert_array_equal(one.points, same.points)
    assert (one.image != other.image).any()


def test_points_stay_in_the_picture_at_any_size(drawn):
    for face in drawn:
        assert face.image.shape == (96, 96, 3)
        assert (face.points > 0).all()
        assert (face.points < 95).all()
        x0, y0, x1, y1 = face.box
        inside = (face.points > [x0 - 8, y0 - 8]) & (face.points < [x1 + 8, y1 + 8])
        assert inside.all()
    small, large = (face_synthesis.face(3, size=s) for s in (64, 128))
    np.testing.assert_allclose(
        (small.points + 0.5) / 64, (large.points + 0.5) / 128, atol=1e-5
    )


def test_pupils_are_darker_than_the_eyes_around_them(drawn):
    """An oracle in the picture: with open, uncovered eyes the pupil is dark."""
    right, seen = 0, 0
    for face in drawn:
        flags = dict(zip(ATTRIBUTES, face.attributes))
        opened = np.linalg.norm(face.points[62] - face.points[66])
        if flags["occlusion"] or flags["blur"] or opened < 4:
            continue
        grey = cv2.cvtColor(face.image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        for pupil, corners in ((96, (60, 64)), (97, (68, 72))):
            white = [0.72 * face.points[c] + 0.28 * face.points[pupil] for c in corners]
            at = [face.points[pupil], *white]
            levels = [cv2.getRectSubPix(grey, (1, 1), tuple(map(float, p))) for p in at]
            seen += 1
            right += float(levels[0][0, 0]) < max(float(v[0, 0]) for v in levels[1:])
    assert seen >= 8
    assert right >= 0.9 * seen


def test_all_attributes_and_none_occur():
    flags = np.array([face_synthesis.face(s, size=48).attributes for s in range(60)])
    assert flags.any(axis=0).all()
    assert not flags.all(axis=0).any()


def measure(face):
    """Return a number for each attribute that should grow with it."""
    points, grey = face.points, cv2.cvtColor(face.image, cv2.COLOR_RGB2GRAY)
    unit = np.linalg.norm(points[60] - points[72])
    middle = (points[60] + points[72]) / 2
    rows, columns = np.indices(grey.shape) / len(grey) - 0.5
    plane = np.stack([rows.ravel(), columns.ravel(), np.ones(grey.size)], axis=1)
    slope = np.linalg.lstsq(plane, grey.ravel().astype(float), rcond=None)[0][:2]
    fine = cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 0.7), cv2.CV_64F)
    hull = cv2.fillPoly(np.zeros_like(grey), [np.rint(points[76:88]).astype(int)], 1)
    red, green, _ = face.image[hull > 0].astype(float).mean(axis=0)
    return {
        "pose": abs(points[54, 0] - middle[0]) / unit,
        "expression": np.linalg.norm(points[90] - points[94]) / unit,
        "illumination": np.linalg.norm(slope),
        "make-up": red / green,
        "blur": -np.log(fine.std()),
    }


@pytest.mark.parametrize("name", [a for a in ATTRIBUTES if a != "occlusion"])
def test_attributes_are_seen_in_the_picture(monkeypatch, name):
    """The same people with and without, by a measure taken from picture or points."""
    found = []
    for asked in (False, True):
        chances = [float(asked and a == name) for a in ATTRIBUTES]
        monkeypatch.setattr(face_synthesis, "_CHANCES", chances)
        faces = [face_synthesis.face(seed, size=96) for seed in range(24)]
        assert all((f.attributes == chances).all() for f in faces)
        found.append([measure(face)[name] for face in faces])
    more = np.subtract(found[1], found[0])
    # Several standard errors above zero.
    assert more.mean() > 2.5 * more.std() / np.sqrt(len(more))


def test_a_covered_face_has_something_before_it(monkeypatch):
    """At more points than noise and light change, the picture is another."""
    hidden = []
    for seed in range(12):
        faces = []
        for asked in (0.0, 1.0):
            chances = [asked * (a == "occlusion") for a in ATTRIBUTES]
            monkeypatch.setattr(face_synthesis, "_CHANCES", chances)
            faces.append(face_synthesis.face(seed, size=96))
        np.testing.assert_array_equal(faces[0].points, faces[1].points)
        columns, rows = np.rint(faces[0].points).astype(int).T
        # Their light differs: what a smooth factor explains is not a cover.
        plain, covered = (f.image.astype(float).mean(axis=2) + 8 for f in faces)
        ratio = np.log(covered[rows, columns] / plain[rows, columns])
        hidden.append((np.abs(ratio - np.median(ratio)) > 0.4).mean())
    assert np.mean(np.array(hidden) > 0.03) > 0.7


def test_what_covers_a_face_hides_points_of_it():
    points = face_synthesis.face(1, size=128).points.astype(float)
    hidden = []
    for seed in range(20):
        paper = canvas.Canvas(128)
        paper.image[:] = -1.0
        photo.occlude(paper, points, 40.0, np.random.default_rng(seed))
        rows, columns = np.rint(points[:, ::-1]).astype(int).T
        hidden.append((paper.image[rows, columns] > -0.5).any(axis=1).mean())
    # An object may stand beside the face; none hides all of it.
    assert np.mean(np.array(hidden) > 0) > 0.8
    assert np.mean(hidden) > 0.1
    assert max(hidden) < 1


def test_turning_moves_the_nose_to_the_side_it_looks():
    head = np.array([[0.0, 0.25, 0.7], [-0.57, -0.3, 0.3], [0.57, -0.3, 0.3]])
    for yaw in (-0.5, 0.5):
        pose = shape.Pose(yaw, 0.0, 0.0, 50.0, (100.0, 100.0))
        nose, left, right = pose.project(head)[:, 0]
        assert np.sign(nose - (left + right) / 2) == np.sign(yaw)
    straight = shape.Pose(0.0, 0.0, 0.3, 50.0, (100.0, 100.0)).matrix()
    np.testing.assert_allclose(straight @ straight.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(straight) == pytest.approx(1.0)


def test_curves_go_through_their_points_and_areas_are_right():
    points = np.array([[10.0, 10.0], [50.0, 14.0], [44.0, 50.0], [12.0, 40.0]])
    curve = canvas.smooth(points, closed=True, steps=5)
    np.testing.assert_allclose(curve[::5], points, atol=1e-12)
    opened = canvas.smooth(points, closed=False, steps=5)
    np.testing.assert_allclose(opened[::5], points, atol=1e-12)
    paper = canvas.Canvas(96)
    disc = paper.area(paper.ellipse(np.array([48.0, 48.0]), (20.0, 10.0), turn=0.4))
    # OpenCV counts the pixels of the edge in.
    assert np.pi * 20 * 10 < disc.sum() < np.pi * 21 * 11
    rows, columns = np.indices(disc.shape)
    middle = [np.average(c, weights=disc) for c in (columns, rows)]
    np.testing.assert_allclose(middle, 48.0, atol=0.05)


@pytest.mark.parametrize(
    ("options", "name"), [({"seed": -1}, "seed"), ({"seed": 0, "size": 20}, "size")]
)
def test_bad_options_are_named(options, name):
    with pytest.raises(ValueError, match=f"{name} is"):
        face_synthesis.face(**options)
