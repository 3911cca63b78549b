"""A small benchmark in FIRE's layout, and how `evaluate fire` is run on it."""

import cv2
import numpy as np
from made_pictures import texture

from rkd_jax.evaluate import main
from rkd_jax.registration.transforms import Homography

SHIFT = Homography([[0.98, 0.06, 8.0], [-0.05, 1.0, 14.0], [4e-5, 0.0, 1.0]])


def write_fire(root):
    """Write S01 and P02, which share an eye and register, and A03: two flat images."""
    (root / "Images").mkdir(parents=True)
    (root / "Ground Truth").mkdir()
    eye = texture(0, 240, 240)
    seen = SHIFT.warp(eye, (250, 250))
    dull = [np.tile(np.arange(240, dtype=np.uint8) // 60, (240, 1)) for _ in range(2)]
    images = {"S01": (seen, eye), "P02": (eye, eye), "A03": dull}
    x, y = np.meshgrid([60.0, 120, 180], [70.0, 130, 170])
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    maps = {"S01": SHIFT.apply(points), "P02": points + [3.3, 4.4], "A03": points}
    for name, pair in images.items():
        for i, image in enumerate(pair, start=1):
            path = root / "Images" / f"{name}_{i}.jpg"
            cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 97])
        path = root / "Ground Truth" / f"control_points_{name}_1_2.txt"
        np.savetxt(path, np.c_[maps[name], points], fmt="%.3f")


def run_fire(root, out, *more):
    arguments = [
        "fire",
        "--data_dir",
        str(root),
        "--out",
        str(out),
        "--working_size",
        "256",
    ]
    return main([*arguments, "--method", "sift", *more])
