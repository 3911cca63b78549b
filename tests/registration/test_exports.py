"""What other programs make of exported transforms: SimpleITK, OpenCV, and by hand."""

import csv
import io
import json
import pathlib

import cv2
import numpy as np
import pytest
import SimpleITK as sitk
from made_pictures import texture

from rkd_jax.registration import exports
from rkd_jax.registration.exports import bigwarp, qupath
from rkd_jax.registration.files.transform_file import SavedTransform
from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.transforms import Frame, Homography, Quadratic, Radial

FIXED_SIZE, MOVING_SIZE = (150, 171), (140, 160)
TILT = [[0.97, 0.1, 10.0], [-0.08, 1.01, 5.0], [2e-4, -1e-4, 1.0]]
FRAMES = Frame(80, 70, 80), Frame(85, 75, 82)
CURVED = Radial([[1.02, 0.05, 0.1], [-0.04, 1.0, -0.1], [0.03, 0, 1]], 0.2, *FRAMES)
# Its inverse is not defined in a part of the fixed frame.
FOLDED = Quadratic(TILT, [[0, 0, 0, 60.0, 0, 0], [0] * 6], [60, 0], 100.0)
TRANSFORMS = [Homography(TILT), CURVED, FOLDED]


def written(folder, name, transform):
    pair = SavedTransform.of(transform, FIXED_SIZE, MOVING_SIZE)
    ((file, write),) = exports.writers(pair, [name], lambda: None).items()
    write(pathlib.Path(folder, file))
    return pathlib.Path(folder, file), pair


def seen(transform):
    """Return which pixels of the fixed frame show the inner moving image."""
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in FIXED_SIZE[::-1])), axis=-1)
    source = transform.apply_inverse(grid)
    last = np.array(MOVING_SIZE[::-1]) - 1
    return np.all((source >= 0) & (source <= last), axis=-1), np.isnan(source).any(-1)


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: t.family)
def test_simpleitk_draws_the_registered_image(tmp_path, transform, channels):
    path, pair = written(tmp_path, "itk", transform)
    moving = texture(0, *MOVING_SIZE, *channels)
    expected = pair.warp_image(moving).astype(float)
    field = sitk.ReadImage(str(path), sitk.sitkVectorFloat64)
    assert (field.GetSpacing(), field.GetOrigin()) == ((1.0, 1.0), (0.0, 0.0))
    assert field.GetSize() == FIXED_SIZE[::-1]
    image = sitk.GetImageFromArray(moving.astype(np.float32), isVector=bool(channels))
    reference = sitk.Image(*FIXED_SIZE[::-1], sitk.sitkUInt8)
    back = sitk.DisplacementFieldTransform(field)
    drawn = sitk.Resample(image, reference, back, sitk.sitkLinear, 0.0)
    drawn = sitk.GetArrayFromImage(drawn)
    inside, undefined = seen(transform)
    assert inside.mean() > 0.25
    assert np.abs(drawn - expected)[inside].mean() < 0.3
    assert np.abs(drawn - expected)[inside].max() < 6
    assert undefined.any() == (transform is FOLDED)
    assert not drawn[undefined].any()
    assert np.isfinite(sitk.GetArrayFromImage(sitk.ReadImage(str(path)))).all()


def test_slicer_gets_the_same_field_in_three_dimensions(tmp_path):
    flat = sitk.ReadImage(str(written(tmp_path, "itk", CURVED)[0]))
    deep = sitk.ReadImage(str(written(tmp_path, "slicer", CURVED)[0]))
    assert deep.GetSize() == (*FIXED_SIZE[::-1], 1)
    assert deep.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    (vectors,) = sitk.GetArrayFromImage(deep)
    np.testing.assert_array_equal(vectors[..., :2], sitk.GetArrayFromImage(flat))
    assert not vectors[..., 2].any()
    back = sitk.DisplacementFieldTransform(sitk.Cast(deep, sitk.sitkVectorFloat64))
    x, y, z = back.TransformPoint((60.0, 70.0, 0.0))
    wanted = CURVED.apply_inverse([[60.0, 70.0]])
    np.testing.assert_allclose([[x, y]], wanted, atol=0.06)
    assert z == 0


def test_a_point_of_the_fixed_image_goes_where_the_inverse_leads(tmp_path):
    path, pair = written(tmp_path, "itk", CURVED)
    field = sitk.ReadImage(str(path), sitk.sitkVectorFloat64)
    back = sitk.DisplacementFieldTransform(field)
    points = np.array([[60.0, 70.0], [100.5, 40.25], [90.0, 120.0]])
    found = [back.TransformPoint(point) for point in points.tolist()]
    np.testing.assert_allclose(found, pair.warp_points_inverse(points), atol=0.06)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: t.family)
def test_opencv_draws_the_registered_image(tmp_path, transform):
    path, pair = written(tmp_path, "opencv", transform)
    moving = texture(0, *MOVING_SIZE, 3)
    with np.load(path) as maps:
        assert maps["map_x"].dtype == maps["map_y"].dtype == np.float32
        drawn = cv2.remap(moving, maps["map_x"], maps["map_y"], cv2.INTER_LINEAR)
    np.testing.assert_array_equal(drawn, pair.warp_image(moving))
    assert seen(transform)[0].mean() > 0.25


def test_bigwarp_loads_pairs_of_moving_and_fixed_points():
    """Six columns: the 2-D form that its LandmarkTableModel reads."""
    matches = Matches(
        np.array([[10.0, 20.5], [110.0, 20.0]]),
        np.array([[1.25, 2.0], [101.00004, 3.5]]),
        np.ones(2, np.float32),
    )
    assert bigwarp.landmarks(matches) == (
        '"Pt-0","true","1.25","2.0","10.0","20.5"\n'
        '"Pt-1","true","101.0","3.5","110.0","20.0"\n'
    )
    assert bigwarp.landmarks(matches.subset(np.zeros(2, bool))) == ""


def test_bigwarp_gets_some_hundreds_that_lie_far_from_each_other():
    rng = np.random.default_rng(0)
    crowd = rng.normal(450, 5, (3000, 2))
    spread = (
        np.stack(np.meshgrid(np.arange(10), np.arange(10)), -1).reshape(-1, 2) * 100
    )
    fixed = np.concatenate([crowd, spread])
    rows = csv.reader(
        io.StringIO(bigwarp.landmarks(Matches(fixed, fixed + 1, np.ones(len(fixed)))))
    )
    table = np.array([[float(cell) for cell in row[2:]] for row in rows])
    assert len(table) == 300
    np.testing.assert_allclose(table[:, :2], table[:, 2:] + 1, atol=2e-4)
    kept = {tuple(row) for row in table[:, 2:].tolist()}
    assert all(tuple(map(float, point)) in kept for point in spread.tolist())


def test_qupath_reads_an_affine_transform_of_pixel_corners():
    """By hand: twice as large and shifted, for pixel centers at 0.5."""
    double = Homography([[2, 0, 10], [0, 2, -4], [0, 0, 1]])
    content = json.loads(qupath.affine(SavedTransform.of(double, (99, 99), (50, 50))))
    # The center of the first pixel, 0.5, goes to (10, -4) and half a pixel.
    wanted = {"m00": 2, "m10": 0, "m01": 0, "m11": 2, "m02": 9.5, "m12": -4.5}
    for name, value in wanted.items():
        assert content[name] == pytest.approx(value, abs=1e-9)
    assert list(content)[:6] == list(wanted)
    assert content["residual_px"] == {"median": 0.0, "largest": 0.0}


def test_qupath_says_what_an_affine_transform_costs():
    pair = SavedTransform.of(CURVED, FIXED_SIZE, MOVING_SIZE)
    content = json.loads(qupath.affine(pair))
    rows = [[content[f"m{i}{j}"] for j in range(3)] for i in range(2)]
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in FIXED_SIZE[::-1])), axis=-1)
    inside, _ = seen(CURVED)
    fixed = grid[inside].astype(float)
    moving = pair.warp_points_inverse(fixed)
    found = np.c_[moving + 0.5, np.ones(len(moving))] @ np.array(rows).T - 0.5
    off = np.linalg.norm(found - fixed, axis=1)
    assert content["residual_px"]["median"] == pytest.approx(np.median(off), rel=0.05)
    assert content["residual_px"]["largest"] == pytest.approx(off.max(), rel=0.1)
    assert off.max() > 1
    away = Homography([[1, 0, 5000], [0, 1, 0], [0, 0, 1]])
    with pytest.raises(ValueError, match="qupath: no affine transform fits"):
        qupath.affine(SavedTransform.of(away, FIXED_SIZE, MOVING_SIZE))


def test_memory_of_the_large_files_is_that_of_a_strip(tmp_path):
    import tracemalloc

    size = (12000, 1000)
    pair = SavedTransform.of(Homography(np.eye(3)), size, (100, 100))
    for name in ("itk", "opencv"):
        ((file, write),) = exports.writers(pair, [name], lambda: None).items()
        tracemalloc.start()
        try:
            write(tmp_path / file)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert (tmp_path / file).stat().st_size > 8 * np.prod(size)
        assert peak < 0.8 * 8 * np.prod(size)
