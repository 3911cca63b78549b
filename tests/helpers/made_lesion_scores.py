"""`evaluate lesions` by a detector of three channels: photographs, results."""

import csv
import json
from typing import ClassVar

import numpy as np
from PIL import Image
from scipy import ndimage

from rkd_jax.evaluate import main
from rkd_jax.evaluation import lesion_scores
from rkd_jax.lesions import detector as detectors
from rkd_jax.lesions.settings import DetectorSettings

SIDE = 48


class Channels:
    """Takes the maps from the channels of a photograph: full, half, classifier."""

    calls: ClassVar[list[str]] = []

    def __init__(self, weights=None, **changes):
        self.cls = "cls" in str(weights)
        changes = {"haemorrhages": {"lesion": "haemorrhages"}}.get(weights, changes)
        self.settings = DetectorSettings(**{"threshold": 0.4, **changes})
        self.weights = str(weights)

    def facts(self):
        return {"weights_sha256": self.weights, "fusion": self.settings.fusion}

    def share_proposals(self, other):
        if ("other" in self.weights) != ("other" in other.weights):
            raise ValueError("the proposal networks differ")

    def maps(self, path, refined=True):
        self.calls.append(path.stem)
        image = np.asarray(Image.open(path), np.float32) / 255
        if not image.any():
            raise detectors.NoFundusError("nothing is lit")
        full, half, classifier = np.moveaxis(image, 2, 0)
        if self.cls:
            classifier = np.sqrt(classifier)
        return {
            "full": full,
            "half": half,
            "full_refined": np.where(full > 0.1, classifier, 0),
            "half_refined": np.where(half > 0.1, classifier, 0),
        }


def use_channels(patch):
    patch.setattr(detectors, "load_lesion_detector", Channels)
    patch.setattr(Channels, "calls", [])
    patch.setattr(lesion_scores.bootstrap, "RESAMPLES", 100)  # of 2000: seconds


def write_photograph(path, mask, seed):
    rng = np.random.default_rng(seed)
    blurred = ndimage.gaussian_filter(mask.astype(float), 1.0)[..., None]
    # Some lesions are faint, and some spots are none.
    strength = ndimage.gaussian_filter(rng.normal(1.0, 6.0, mask.shape), 5)[..., None]
    spots = ndimage.gaussian_filter((rng.random(mask.shape) < 0.004) * 6.0, 1.0)
    image = np.array([0.9, 1.0, 1.2]) * blurred * np.clip(strength, 0.2, 1)
    image += spots[..., None] + 0.3 * rng.random((*mask.shape, 3)) ** 2
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.uint8(255 * np.clip(image, 0, 1))).save(path)


def made_mask(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((SIDE, SIDE), bool)
    for x, y in rng.integers(3, SIDE - 6, (4, 2)):
        mask[y : y + 3, x : x + 2] = True
    return mask


def photographs(root, names=(55, 56, 57, 58)):
    """Return the four maps of each photograph, and its mask."""
    folder = root / "1. Original Images" / "b. Testing Set"
    found = []
    for number in names:
        maps = Channels("x").maps(folder / f"IDRiD_{number}.png")
        empty = np.zeros((SIDE, SIDE), bool)
        found.append((maps, made_mask(number) if number < 58 else empty))
    return found


def geometric(*maps):
    return np.prod([np.maximum(m, 1e-7).astype(float) for m in maps], 0) ** (
        1 / len(maps)
    )


def run(root, out, *more):
    return main(
        ["lesions", "--data_dir", str(root), "--out", str(out), *map(str, more)]
    )


def scored(out):
    return json.loads((out / "metrics.json").read_text())


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))
