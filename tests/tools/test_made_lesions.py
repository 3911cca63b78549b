"""Drawn eyes on disk are read like IDRiD, with the masks that were drawn."""

import made_lesions
import numpy as np

from rkd_jax.data import lesion_folders
from rkd_jax.data.sources import synthetic_seed
from rkd_jax.images.reading import read_image
from rkd_jax.synthetic import fundus


def test_what_is_written_is_read_back(tmp_path):
    options = [str(tmp_path), "--count", "2", "--size", "96", "--seed", "5"]
    assert made_lesions.main(options) == 0
    for lesion in lesion_folders.LESIONS:
        found = lesion_folders.idrid_photographs(tmp_path, lesion, "test")
        assert [one.name for one in found] == ["drawn_00", "drawn_01"]
        for number, one in enumerate(found):
            made = fundus.diabetic(synthetic_seed("pairs", 5, number), size=96)
            np.testing.assert_array_equal(read_image(one.image), made.image)
            mask = lesion_folders.read_mask(one, made.image.shape)
            np.testing.assert_array_equal(mask, made.lesions[lesion])
    assert any(mask.any() for mask in made.lesions.values())


def test_a_bad_size_is_an_error_in_one_line(tmp_path, capsys):
    assert made_lesions.main([str(tmp_path), "--size", "3"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
