"""Which pictures are asked for, by name, and what their files are called."""

import pytest

from rkd_jax.registration import pictures
from rkd_jax.registration.pictures import PictureOptions, parse_names


def test_names_all_and_none():
    assert parse_names("all") == tuple(pictures.PICTURES)
    assert parse_names("none") == ()
    assert parse_names(" flicker,overlay ,overlay") == ("overlay", "flicker")


@pytest.mark.parametrize("text", ["overlya", "", "overlay,", "all,overlay", "none,x"])
def test_an_unknown_name_is_refused_with_the_known_ones(text):
    with pytest.raises(ValueError, match="unknown picture ") as caught:
        parse_names(text)
    for name in (*pictures.PICTURES, "all", "none"):
        assert name in str(caught.value)


def test_every_file_that_can_be_written_can_be_removed():
    every = set(pictures.all_files())
    for kind in pictures.FORMATS:
        named = PictureOptions(tuple(pictures.PICTURES), kind).files()
        assert list(named) == list(pictures.PICTURES)
        assert set(named.values()) <= every
        every -= set(named.values()) - {"flicker.gif"}
    assert every == {"flicker.gif"}


def test_of_a_refused_pair_matches_are_drawn_alone():
    options = PictureOptions(("overlay", "matches"), "jpg")
    assert options.files(ok=False) == {"matches": "matches.jpg"}
    assert PictureOptions(("overlay",)).files(ok=False) == {}
