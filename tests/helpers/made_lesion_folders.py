"""Small files of photographs with masks of spots, and configs that read them."""

import cv2
import numpy as np
from made_eyes import SPOTS, draw_eye
from PIL import Image

from rkd_jax.config import Config
from rkd_jax.tasks.lesions import (
    LesionsConfig,
    LesionsData,
    LesionsModel,
    PatchesModel,
    ProposalModel,
)


def spots_of(number):
    """Return x, y and radius of the spots of photograph `number`."""
    return tuple((x + 7 * number, y - 4 * number, radius) for x, y, radius in SPOTS)


def photograph(number=0):
    """Draw a photograph, uint8 `[360, 400, 3]`."""
    return draw_eye(spots=spots_of(number))


def mask_of(number=0):
    """Draw where its spots are, bool `[360, 400]`."""
    mask = np.zeros((360, 400), np.uint8)
    for x, y, radius in spots_of(number):
        cv2.circle(mask, (x, y), radius, 1, -1)
    return mask > 0


def save(path, array):
    """Save an array as the image that a path's ending names; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def write_folders(root, *, sick=2, healthy=0):
    """Write photographs and masks in the plain layout, and photographs without.

    Returns:
        Options of `lesions_data`.
    """
    for number in range(sick):
        save(root / f"photographs/eye{number}.png", photograph(number))
        save(root / f"masks/eye{number}_MA.png", mask_of(number))
    for number in range(healthy):
        save(root / f"healthy/h{number}.png", draw_eye(spots=()))
    return {
        "kind": "folder",
        "data_dir": str(root / "photographs"),
        "masks_dir": str(root / "masks"),
        "suffix": "_MA",
        "healthy_dir": str(root / "healthy") if healthy else "",
        "hold_out_every": 0,
    }


def lesions_data(**options):
    """Return data at a field of 160 pixels, half of that of the files."""
    return LesionsData(**{"size": 160, "sigma_px": 5.0, "num_threads": 0, **options})


def lesions_config(data=None, **task):
    """Return an experiment with networks of a few channels."""
    config = Config(
        task=LesionsConfig(**{"patch_px": 16, "negative_patches": 60, **task}),
        data=lesions_data() if data is None else data,
        model=LesionsModel(
            proposal=ProposalModel(width=1, lanes=1),
            patches=PatchesModel(
                widths=(2, 2, 2, 2), depths=(1, 1, 1, 1), bottleneck=False
            ),
        ),
    )
    LesionsConfig.of(config).proposals.crop = 64
    config.data.batch_size = 6
    return config
