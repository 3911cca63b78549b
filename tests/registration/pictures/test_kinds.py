"""Each kind of picture shows what it promises, of pairs of any form."""

import io

import cv2
import numpy as np
import pytest
from made_pictures import texture
from made_results import made_error, made_registration
from PIL import Image

from rkd_jax.images.pictures import encode_gif
from rkd_jax.registration import pictures
from rkd_jax.registration.pictures import flicker, scene
from rkd_jax.registration.pictures.error import title_of
from rkd_jax.registration.pictures.light import match_light
from rkd_jax.registration.pictures.red_cyan import red_cyan
from rkd_jax.registration.pictures.scene import Scene
from rkd_jax.registration.pictures.side_by_side import grid_step
from rkd_jax.registration.transforms import Homography


def _scene(fixed, moving=None, **changes):
    moving = fixed if moving is None else moving
    sizes = fixed.shape[:2], moving.shape[:2]
    return Scene(made_registration(*sizes, **changes), fixed, moving)


def test_equal_images_are_grey_in_red_and_cyan():
    eye = np.stack([texture(seed, 120, 150) for seed in range(3)], axis=-1)
    picture = pictures.load("red_cyan")(_scene(eye)).astype(int)
    assert np.ptp(picture, axis=2).max() <= 6
    assert picture.std() > 30
    # The same with another light.
    dark = (eye * 0.6 + 20).astype(np.uint8)
    assert np.ptp(pictures.load("red_cyan")(_scene(eye, dark)), axis=2).mean() < 5


def test_what_only_one_image_has_is_red_or_cyan():
    fixed, registered = np.full((2, 100, 100), 120, np.uint8)
    fixed[40:42, 10:90] = 200  # brighter in the fixed one: red
    registered[60:62, 10:90] = 200
    left, right = np.ones((2, 100, 100), bool)
    left[:, 80:], right[:, :20] = False, False
    picture = red_cyan(fixed, registered, left, right).astype(int)
    assert (picture[41, 30:70, 0] > picture[41, 30:70, 1] + 60).all()
    assert (picture[61, 30:70, 1] > picture[61, 30:70, 0] + 60).all()
    assert (picture[41, 81:89, 0] == 0).all()  # beyond the field of the fixed one
    assert (picture[61, 11:19, 1:] == 0).all()
    np.testing.assert_array_equal(picture[..., 1], picture[..., 2])


def test_flicker_shows_both_images_in_turn():
    fixed = texture(0, 100, 140)
    moving = (texture(1, 100, 140) * 0.8).astype(np.uint8)
    made = _scene(fixed, moving)
    frames = flicker.draw(made)
    for frame, image in zip(frames, (fixed, made.matched_view), strict=True):
        np.testing.assert_array_equal(frame[:100], np.repeat(image[..., None], 3, 2))
    assert np.abs(frames[1].astype(int) - frames[0])[:100].mean() > 20
    assert (frames[0][100:] != frames[1][100:]).any()  # each has its name
    with Image.open(io.BytesIO(encode_gif(frames, frame_ms=600))) as shown:
        assert (shown.n_frames, shown.info["loop"]) == (2, 0)
        for index, frame in enumerate(frames):
            shown.seek(index)
            assert shown.info["duration"] == 600
            read = np.asarray(shown.convert("RGB")).astype(int)
            assert np.abs(read - frame).mean() < 2


def test_flicker_cuts_a_small_overlap_out_and_is_bounded():
    size = (1200, 1500)
    eye = np.full(size, 120, np.uint8)
    shift = Homography([[1, 0, 900], [0, 1, 100], [0, 0, 1]])
    whole = flicker.draw(_scene(eye))[0]
    assert whole.shape[:2] == (720 + 26, 900)
    part = flicker.draw(_scene(eye, transform=shift))[0]
    # 600 px wide, 1100 px high, and an edge of 2 %.
    assert part.shape[0] == 900 + 26
    assert part.shape[1] == pytest.approx(900 * 630 / 1124, abs=12)


def test_side_by_side_has_one_grid_for_both():
    eye = np.full((300, 420), 100, np.uint8)
    picture = pictures.load("side_by_side")(_scene(eye)).astype(int)
    left, right = np.split(picture, 2, axis=1)
    inner = slice(40, 320), slice(50, 460)
    np.testing.assert_array_equal(left[inner], right[inner])
    lines = np.flatnonzero((left[40:320] > 110).all(axis=(0, 2)))
    shares = (np.arange(1, 9) * grid_step(420) + 44).tolist()
    assert grid_step(420) == 50
    assert lines.tolist() == [place for place in shares if place < 44 + 420]


def test_error_map_is_colored_where_known_hatched_where_not():
    size = (300, 300)
    eye = np.full((*size, 3), 120, np.uint8)
    error = made_error(size, lambda x, y: np.where(y < 150, 1 + x / 100, np.nan), 31)
    picture = pictures.load("error")(_scene(eye, error_map=error, points=[]))
    shown = picture[32:, :300].astype(int)
    known, unknown = shown[10:130, 10:290], shown[170:290, 10:290]
    assert (np.ptp(known, axis=2) > 15).mean() > 0.9
    # Viridis: blue where the error is small, yellow where it is large.
    assert known[:, 0, 2].mean() > known[:, 0, 0].mean() + 30
    assert known[:, -1, 0].mean() > known[:, -1, 2].mean() + 30
    assert (np.ptp(unknown, axis=2) == 0).all()
    assert 0.04 < (unknown != 120).any(axis=2).mean() < 0.2


@pytest.mark.parametrize(("unknown", "share"), [(0, 100), (1, 99), (961, None)])
def test_the_title_says_100_percent_of_the_whole_overlap_only(unknown, share):
    size = (300, 300)
    error = made_error(size, lambda x, y: 1 + x / 100, 31)
    error.expected_px.ravel()[:unknown] = np.nan
    title = title_of(_scene(np.full(size, 120, np.uint8), error_map=error))
    words = "not known" if share is None else f"known in {share} % of the overlap"
    assert title.endswith(words)


def test_light_of_a_grey_and_of_a_color_photograph():
    """An angiogram stays grey, its bright vessels bright; colors keep their hue."""
    rng = np.random.default_rng(0)
    vessels = cv2.GaussianBlur(rng.random((160, 160)), (0, 0), 3)
    vessels = (vessels - vessels.min()) / np.ptp(vessels)
    color = ((180 - 90 * vessels)[..., None] * [1.0, 0.6, 0.3]).astype(np.uint8)
    angiogram = np.repeat((20 + 60 * vessels).astype(np.uint8)[..., None], 3, axis=2)
    where = np.ones((160, 160), bool)
    lit = match_light(angiogram, color, where).astype(int)
    assert np.ptp(lit, axis=2).max() == 0
    assert np.corrcoef(lit[..., 0].ravel(), vessels.ravel())[0, 1] > 0.8
    luminance = cv2.cvtColor(color, cv2.COLOR_RGB2GRAY)
    assert abs(lit.mean() - luminance.mean()) < 0.25 * luminance.mean()
    dimmed = match_light(color, angiogram, where).astype(float)
    hues = dimmed[..., 1] / dimmed[..., 0]
    np.testing.assert_allclose(hues, 0.6, atol=0.03)


def test_light_is_left_alone_where_nothing_is_common():
    eye = texture(0, 50, 60)
    lit = match_light(eye, 255 - eye, np.zeros((50, 60), bool))
    np.testing.assert_array_equal(lit, eye)


def test_large_photographs_are_shown_reduced_but_registered_in_full(monkeypatch):
    monkeypatch.setattr(scene, "MOST_PIXELS", 5000)
    eye = texture(0, 120, 160)
    made = _scene(eye, points=[[10, 10], [149, 10], [80, 100]])
    assert np.prod(made.size) <= 5100
    for name in ("overlay", "red_cyan"):
        assert pictures.load(name)(made).shape[:2] == made.size
    np.testing.assert_array_equal(pictures.load("registered")(made), eye)
    # Corners by the half-pixel rule.
    scale = made.size[1] / 160
    assert made.hull[:, 0].max() == pytest.approx(149.5 * scale - 0.5)


COLOR = (100, 130, 3)
ODD = {
    "tiny": ((8, 8), (8, 8, 3)),
    "one row": ((1, 40), (1, 40)),
    "strips": ((20, 1500), (1500, 20, 3)),
    "grey and color": (COLOR[:2], COLOR),
    "color and grey": (COLOR, COLOR[:2]),
}


@pytest.mark.parametrize("name", pictures.PICTURES)
@pytest.mark.parametrize("shapes", ODD.values(), ids=ODD)
@pytest.mark.parametrize("deep", [False, True], ids=["uint8", "float"])
def test_pairs_of_any_form_are_drawn(name, shapes, deep):
    images = [texture(i, *shape) for i, shape in enumerate(shapes)]
    if deep:
        images = [(image / np.float32(1000)) for image in images]
    size = shapes[0][:2]
    error = made_error(size) if min(size) > 1 else None
    _check(pictures.load(name)(_scene(*images, error_map=error)))


@pytest.mark.parametrize("name", pictures.PICTURES)
@pytest.mark.parametrize("case", ["black", "apart", "no inliers", "unknown"])
def test_pairs_with_nothing_to_show_are_drawn(name, case):
    size = (90, 110)
    images = np.stack([texture(i, *size) for i in range(2)])
    changes = {}
    if case == "black":
        images[:] = 0
    elif case == "apart":
        changes["transform"] = Homography([[1, 0, 500], [0, 1, 0], [0, 0, 1]])
    elif case == "no inliers":
        changes["points"] = np.zeros((0, 2))
    else:
        changes["error_map"] = made_error(size, lambda x, y: x * np.nan)
    _check(pictures.load(name)(_scene(*images, **changes)))


def _check(drawn):
    for picture in drawn if isinstance(drawn, list) else [drawn]:
        assert picture.dtype in (np.uint8, np.uint16)
        assert min(picture.shape[:2]) >= 1
        assert picture.ndim == 2 or picture.shape[2] == 3
