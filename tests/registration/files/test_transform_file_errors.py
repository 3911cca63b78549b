"""Bad transform files: each error names the file, the key and what was expected."""

import json
import re

import pytest
from made_registrations import drawn, registration, write

from rkd_jax.registration.files.transform_file import load_transform
from rkd_jax.registration.transforms import Transform

MATRIX = [[0.97, 0.1, 10.0], [-0.08, 1.01, 22.0], [8e-05, -4e-05, 1.0]]
RADIAL = registration(drawn("radial", 1))
BAD = {
    "not JSON": ("%PDF-1.7", r"not JSON \(.*expected a transform\.json"),
    "deep": ("[" * 100_000, "not JSON"),
    "bytes": (b"\xff\xfe\x00{", "not JSON"),
    "a list": ("[1, 2]", "JSON of another kind"),
    "other JSON": ('{"camera": 1}', "JSON of another kind .*'transform'"),
    "other format": (
        {"format": "itk"},
        r"format: expected 'rkd_jax\.transform', found",
    ),
    "newer": ({"version": 3}, "version: expected at most 2, found 3, .*update rkd_jax"),
    "no version": ({"version": "two"}, "version: expected a whole number, found 'two'"),
    "no reason": ({"reason": None}, "reason: expected a text, found None"),
    "ok as text": ({"ok": "yes"}, "ok: expected true or false, found 'yes'"),
    "null": ({"transform": None}, "transform: expected an object, as ok is true"),
    "text": ({"transform": "radial"}, "transform: expected a transform, an object"),
    "size": ({"fixed_size": [280]}, r"fixed_size: expected \[height, width\]"),
    "size 0": ({"moving_size": [0, 9]}, r"moving_size: expected .*found \[0, 9\]"),
    "size huge": ({"fixed_size": [9**9, 9]}, "fixed_size: expected sides of at most"),
    "confidence": ({"confidence": "high"}, "confidence: expected a number"),
    "hull": ({"supported_area": [[1, 2, 3]]}, "supported_area: expected Nx2 numbers"),
    "errors": ({"expected_error": {"map": {}}}, r"expected_error\.map: 'x' is missing"),
    "errors too": ({"expected_error": [1]}, r"expected_error\.map: "),
    "NaN": ('{"transform": {"matrix": [NaN]}}', "expected finite numbers, found NaN"),
}
WRONG = {
    "family": ({"family": "rigid"}, "family: expected one of .*found 'rigid'"),
    "no family": ({"family": ["radial"]}, "family: expected one of"),
    "direction": (
        {"direction": "fixed_to_moving"},
        "direction: expected 'moving_to_fi",
    ),
    "units": ({"units": "mm"}, "units: expected 'px', found 'mm'"),
    "more": ({"tilt": 1}, "tilt: not a parameter; expected curvature, fixed_frame"),
    "shape": ({"matrix": [[1, 0], [0, 1]]}, "matrix: expected 3x3 numbers, found 2x2"),
    "ragged": ({"matrix": [[1], [0, 1]]}, "matrix: expected 3x3 numbers, found"),
    "huge": ({"matrix": [[10**400]]}, "matrix: expected 3x3 numbers, found"),
    "words": ({"matrix": "unit"}, "matrix: expected 3x3 numbers, found 'unit'"),
    "singular": ({"matrix": [[1, 0, 0]] * 3}, "transform: Singular matrix"),
    "k": ({"curvature": 2.5}, "curvature: expected 0 to 0.5, found 2.5"),
    "k as text": ({"curvature": "a"}, "curvature: expected a number, found 'a'"),
    "frame": ({"fixed_frame": 3}, "fixed_frame: expected x, y and radius, found 3"),
    "no radius": ({"fixed_frame": {"x": 1, "y": 2}}, r"fixed_frame\.radius: missing"),
    "a text": (
        {"fixed_frame": {"x": "1", "y": 2, "radius": 3}},
        "radial: expected numbers",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_named_with_the_key(tmp_path, case):
    given, message = BAD[case]
    path = tmp_path / "transform.json"
    if isinstance(given, dict):
        content = json.loads(write(tmp_path, RADIAL).read_text())
        given = json.dumps({**content, **given})
    path.write_bytes(given if isinstance(given, bytes) else given.encode())
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))}: {message}"):
        load_transform(path)


@pytest.mark.parametrize("case", WRONG)
def test_bad_parameters_are_named(tmp_path, case):
    given, message = WRONG[case]
    path = write(tmp_path, RADIAL)
    content = json.loads(path.read_text())
    content["transform"].update(given)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as caught:
        load_transform(path)
    assert str(caught.value).startswith(f"{path}: transform: ")


@pytest.mark.parametrize("family", ["radial", "thin_plate"])
def test_a_new_file_without_units_is_refused(tmp_path, family):
    """Its numbers would be taken for those of version 1, which are no pixels."""
    path = write(tmp_path, registration(drawn(family, 1)))
    content = json.loads(path.read_text())
    part = content["transform"]
    del part.get("base", part)["units"]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"transform\.units: missing; expected 'px'"):
        load_transform(path)


@pytest.mark.parametrize("key", ["ok", "reason", "fixed_size", "moving_size"])
def test_missing_keys_are_named(tmp_path, key):
    path = write(tmp_path, RADIAL)
    content = json.loads(path.read_text())
    del content[key]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"{key}: missing; expected .*register the"):
        load_transform(path)
    for parameter in ("matrix", "curvature", "moving_frame"):
        content = json.loads(write(tmp_path, RADIAL).read_text())
        del content["transform"][parameter]
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match=f"transform: {parameter}: missing"):
            load_transform(path)


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        (
            "thin_plate",
            {"weights": [[1, 2]]},
            r"weights: expected 2x\d+ numbers, found",
        ),
        ("thin_plate", {"knots": [[1, 2, 3]]}, "knots: expected Nx2 numbers"),
        ("thin_plate", {"scale": 0}, "scale: expected a number above 0, found 0"),
        ("quadratic", {"scale": -2.0}, "scale: expected a number above 0, found -2"),
        ("quadratic", {"center": [1e400, 0]}, "center: expected finite numbers"),
        (
            "radial_quadratic",
            {"base": {"family": "homography", "matrix": MATRIX}},
            "base: expected a radial transform",
        ),
        ("thin_plate", {"base": 7}, "base: expected a transform, found 7"),
    ],
)
def test_bad_parameters_of_corrections_are_named(family, change, message):
    content = {**drawn(family, 4).to_dict(), **change}
    with pytest.raises(ValueError, match=message):
        Transform.from_dict(content)


def test_no_file_and_a_folder_without_one(tmp_path):
    for path in (tmp_path, tmp_path / "other.json"):
        with pytest.raises(FileNotFoundError, match="no such transform file; expected"):
            load_transform(path)
