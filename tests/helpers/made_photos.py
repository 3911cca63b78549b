"""Photographs without a picture, whose keypoints a test chooses."""

import numpy as np

from rkd_jax.keypoints import Keypoints
from rkd_jax.registration.matching.pair import Pair
from rkd_jax.registration.options import MatcherOptions
from rkd_jax.registration.photo import Photo
from rkd_jax.registration.transforms import Frame


def blank_photo(file_size, *, image=None, frame=None, xy=None, descriptors=None):
    """Return a photograph of (height, width) px; its whole file is the field.

    The working image is as wide as the file, unless `image` is given.
    """
    height, width = file_size
    if image is None:
        image = np.zeros((max(file_size), max(file_size)), np.float32)
        size = file_size
    else:
        size = image.shape
    box = (0, 0, width, height)
    keypoints = None
    if xy is not None:
        on = np.ones(len(xy), bool)
        keypoints = Keypoints(
            np.asarray(xy, np.float32), on.astype(np.float32), on, descriptors
        )
        xy = np.asarray(keypoints.xy, np.float64)
    return Photo(
        image,
        size,
        box,
        file_size,
        field=np.ones(image.shape, bool),
        frame=frame or Frame.of_box(box),
        levels=np.zeros(file_size, np.uint8),
        original=np.zeros(file_size, np.uint8),
        keypoints=keypoints,
        xy=xy,
    )


def blank_pair(fixed_size, moving_size, *, frames=(None, None)):
    """Return a pair without keypoints, at a working size of 768 px.

    Args:
        fixed_size: (height, width) of the fixed file.
        moving_size: (height, width) of the moving file.
        frames: where the fields lie in the moving and in the fixed file; None: the
            whole file.
    """
    photos = []
    for file_size, frame in ((fixed_size, frames[1]), (moving_size, frames[0])):
        photo = blank_photo(file_size, image=np.zeros((768, 768)), frame=frame)
        photos.append(photo)
    return Pair(*photos, MatcherOptions())
