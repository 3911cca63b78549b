"""`transform.json`: there and back, its page, and files of earlier versions."""

import json
import pathlib
import re

import cv2
import numpy as np
import pytest
import snippets
from made_registrations import FIXED_SIZE, MOVING_SIZE, drawn, registration, write
from PIL import Image

import rkd_jax
from rkd_jax.registration.expected_error.error_map import ErrorMap
from rkd_jax.registration.files.transform_file import SavedTransform, load_transform
from rkd_jax.registration.transforms import Homography

DOCS = pathlib.Path(rkd_jax.__file__).parents[1] / "docs" / "transform_file.md"
SIZE = (20, 30)
MATRIX = [[0.97, 0.1, 10.0], [-0.08, 1.01, 22.0], [8e-05, -4e-05, 1.0]]
RESIDUAL = [[0.5, -0.3, 0.2, 1.5, -0.7, 0.4], [-0.2, 0.1, 0.3, -0.6, 0.8, -1.1]]
POINTS = np.array([[60.0, 70.0], [200.5, 90.0], [100.0, 180.0]])
# Written before the format had a version, with the points as they were mapped then.
OLD_RADIAL = {
    "family": "radial",
    "direction": "moving_to_fixed",
    "matrix": [[0.98, 0.05, 0.1], [-0.04, 1.02, -0.2], [0.03, -0.01, 1.0]],
    "curvature": 0.08,
    "moving_frame": {"x": 130.5, "y": 120.25, "radius": 128.0},
    "fixed_frame": {"x": 150.0, "y": 140.5, "radius": 140.0},
}
OLD = {
    "homography": (
        {"family": "homography", "direction": "moving_to_fixed", "matrix": MATRIX},
        [
            [75.0499001996008, 87.7245508982036],
            [210.8618782347596, 95.66986685630754],
            [124.90007993605117, 195.64348521183055],
        ],
    ),
    "radial": (
        OLD_RADIAL,
        [
            [84.78601078552896, 60.01359621999805],
            [234.03188457718935, 78.64081180241101],
            [133.86378822970542, 182.15490657011634],
        ],
    ),
    "quadratic": (
        {
            "family": "quadratic",
            "direction": "moving_to_fixed",
            "matrix": MATRIX,
            "residual": RESIDUAL,
            "center": [140.0, 130.0],
            "scale": 120.0,
        },
        [
            [75.99741375532369, 87.204986600319],
            [211.80156361569226, 95.00868923519297],
            [125.73886653134196, 195.20127819140905],
        ],
    ),
    "radial_quadratic": (
        {
            "family": "radial_quadratic",
            "direction": "moving_to_fixed",
            "base": OLD_RADIAL,
            "residual": RESIDUAL,
            "center": [140.0, 130.0],
            "scale": 120.0,
        },
        [
            [85.57317644758864, 59.30611339219753],
            [235.4402812423778, 77.55256116426686],
            [134.56109227287106, 181.853043770798],
        ],
    ),
    "thin_plate": (
        {
            "family": "thin_plate",
            "direction": "moving_to_fixed",
            "base": OLD_RADIAL,
            "knots": [[0.0, 0.1], [-0.6, 0.5], [0.7, -0.4]],
            "weights": [
                [0.4, -0.9, 0.5, 0.2, -0.3, 0.1],
                [-0.2, 0.6, -0.4, 0.1, 0.2, 0.3],
            ],
            "center": [140.0, 130.0],
            "scale": 120.0,
        },
        [
            [85.02931999836116, 59.847312490089266],
            [232.64931248728283, 79.6368129703386],
            [134.30900996290936, 182.23277320156492],
        ],
    ),
}


def old_content(transform, **changed):
    """Return what the version before wrote beside a transform."""
    content = {
        "fixed": "a.png",
        "moving": "b.png",
        "ok": True,
        "reason": "",
        "confidence": 0.93,
        "transform": transform,
        "matches": 0,
        "inliers": 0,
        "evidence": {"support": 40.0, "asymmetry_px": None},
        "fixed_size": [280, 300],
        "moving_size": [260, 261],
        "settings": {"version": "0.2.0"},
    }
    return {**content, **changed}


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("family", sorted(OLD))
def test_points_there_and_back_through_the_file(tmp_path, family, seed):
    transform = drawn(family, seed)
    saved = load_transform(write(tmp_path, registration(transform)))
    points = np.random.default_rng(1).uniform(0, 260, (200, 2))
    there = saved.warp_points(points)
    assert type(saved.transform) is type(transform)
    np.testing.assert_allclose(there, transform.apply(points), atol=1e-8)
    back = saved.warp_points_inverse(there)
    seen = np.isfinite(back).all(axis=1)
    assert seen.mean() > 0.95
    np.testing.assert_allclose(back[seen], points[seen], atol=0.05)


@pytest.fixture(scope="module")
def by_the_page():
    """The function of the example in the documentation."""
    (program,) = snippets.extract("page", DOCS.read_text(encoding="utf-8")).values()
    functions = program.partition("\nwith open(")[0]
    assert functions != program
    names = {}
    exec(functions, names)
    return names["to_fixed"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("family", sorted(OLD))
def test_the_page_is_enough_to_read_the_file(tmp_path, by_the_page, family, seed):
    transform = drawn(family, seed)
    content = json.loads(write(tmp_path, registration(transform)).read_text())
    points = np.random.default_rng(1).uniform(0, 260, (50, 2))
    found = by_the_page(content["transform"], points)
    np.testing.assert_allclose(found, transform.apply(points), atol=1e-6)


def test_the_page_names_every_key(tmp_path):
    page = DOCS.read_text(encoding="utf-8")
    grid = np.ones((2, 2))
    errors = ErrorMap([0, 9], [0, 9], grid, grid, grid)
    pair = registration(drawn("thin_plate", 1), error_map=errors)
    content = json.loads(write(tmp_path, pair, sha256=["a", "b"]).read_text())
    keys = {*content, *content["transform"], *content["expected_error"]}
    keys |= {*content["transform"]["base"], *content["expected_error"]["map"]}
    missing = {key for key in keys if f"`{key}`" not in page}
    assert not missing


@pytest.mark.parametrize("family", sorted(OLD))
def test_files_of_the_version_before_are_read_exactly(tmp_path, family):
    description, mapped = OLD[family]
    path = tmp_path / "transform.json"
    path.write_text(json.dumps(old_content(description), indent=2))
    for saved in (load_transform(path), rkd_jax.load_transform(str(tmp_path))):
        np.testing.assert_allclose(saved.warp_points(POINTS), mapped, rtol=1e-13)
        assert (saved.ok, saved.reason, saved.confidence) == (True, "", 0.93)
        assert (saved.fixed_size, saved.moving_size) == (FIXED_SIZE, MOVING_SIZE)
        # What the file does not hold is not known.
        assert saved.hull is None
        assert not saved.supports(POINTS).any()
        assert np.isnan(saved.expected_error(POINTS)).all()
        assert saved.content["settings"] == {"version": "0.2.0"}


def test_a_saved_pair_says_what_the_registration_says(tmp_path):
    x, y = np.arange(0, 300, 23.0), np.arange(0, 280, 31.0)
    expected = np.random.default_rng(0).uniform(1, 3, (len(y), len(x)))
    expected[0] = np.nan
    errors = ErrorMap(x, y, expected, 2 * expected, np.isfinite(expected))
    found = registration(drawn("radial", 3), error_map=errors)
    saved = load_transform(write(tmp_path, found))
    points = np.random.default_rng(1).uniform(0, 260, (300, 2))
    np.testing.assert_array_equal(saved.hull, found.hull)
    inside = saved.supports(points)
    np.testing.assert_array_equal(inside, found.supports(points))
    assert 0.1 < inside.mean() < 0.9
    assert saved.supports(found.matches.points_moving[found.inliers]).all()
    for ours, theirs in zip(saved.expected_error(points), found.expected_error(points)):
        np.testing.assert_allclose(ours, theirs, atol=0.01)
    assert saved.content["expected_error"]["known_frac"] == 1
    assert saved.confidence == pytest.approx(found.confidence, abs=1e-4)
    image = np.random.default_rng(2).integers(0, 255, MOVING_SIZE, np.uint8)
    np.testing.assert_array_equal(saved.warp_image(image), found.warp_image(image))


def test_a_pair_that_is_not_registered_is_read_and_refuses_use(tmp_path):
    for transform in (None, drawn("radial", 3)):
        saved = load_transform(write(tmp_path, registration(transform, ok=False)))
        assert (saved.ok, saved.reason) == (False, "the evidence is weak")
        assert (saved.transform is None) == (transform is None)
        for use, given in (
            (saved.warp_points, POINTS),
            (saved.warp_points_inverse, POINTS),
            (saved.expected_error, POINTS),
            (saved.warp_image, np.zeros(MOVING_SIZE)),
        ):
            message = r"transform\.json: the pair is not registered: the evidence is"
            with pytest.raises(ValueError, match=message):
                use(given)
        assert saved.content["expected_error"] is None


def test_numbers_of_a_row_are_on_one_line(tmp_path):
    found = registration(drawn("thin_plate", 5))
    text = write(tmp_path, found).read_text()
    assert json.loads(text)["transform"] == json.loads(
        json.dumps(found.transform.to_dict())
    )
    assert re.search(r'^  "fixed_size": \[280, 300\],$', text, re.MULTILINE)
    assert re.search(r'"matrix": \[\n +\[[^\n]+\],\n +\[[^\n]+\],\n +\[', text)
    assert len(text.splitlines()) < 120


def test_a_transform_alone_makes_a_saved_pair():
    shift = Homography([[1, 0, 5], [0, 1, 0], [0, 0, 1]])
    saved = SavedTransform.of(shift, (20, 30), (20, 30))
    image = np.arange(600, dtype=np.int64).reshape(20, 30)
    there = saved.warp_image(image, interpolation="nearest", fill=-1)
    np.testing.assert_array_equal(there[:, 5:], image[:, :-5])
    assert (there[:, :5] == -1).all()
    back = saved.warp_image(there, inverse=True, interpolation="nearest", fill=-1)
    np.testing.assert_array_equal(back[:, :-5], image[:, :-5])
    assert (back[:, -5:] == -1).all()
    with pytest.raises(ValueError, match=r"\(20, 30\) of the fixed image, found \(3, "):
        saved.warp_image(np.zeros((3, 3)), inverse=True)


def test_images_of_a_path_are_drawn_as_the_file_holds_them(tmp_path):
    saved = SavedTransform.of(
        Homography([[1, 0, 5], [0, 1, 0], [0, 0, 1]]), *2 * [SIZE]
    )
    deep = np.arange(600, dtype=np.uint16).reshape(SIZE) * 100
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    for source in (tmp_path / "deep.png", (tmp_path / "deep.png").read_bytes()):
        drawn = saved.warp_image(source)
        assert drawn.dtype == np.uint16
        np.testing.assert_array_equal(drawn[:, 5:], deep[:, :-5])
    mask = Image.fromarray(deep % 3 == 0)
    mask.save(tmp_path / "mask.png")
    with pytest.raises(
        ValueError, match=r"mask\.png: an image of one bit; expected in"
    ):
        saved.warp_image(tmp_path / "mask.png")
    drawn = saved.warp_image(tmp_path / "mask.png", interpolation="nearest")
    np.testing.assert_array_equal(drawn[:, 5:], (deep % 3 == 0)[:, :-5])
