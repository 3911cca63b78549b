"""Patches of photographs, as the proposal networks and the classifier train on."""

from __future__ import annotations

import numpy as np

from rkd_jax.config import Config
from rkd_jax.data.source import CachedSource, Example, Source
from rkd_jax.lesions.prepare import NEUTRAL
from rkd_jax.lesions.regions import cut
from rkd_jax.tasks.lesions import eyes as photographs
from rkd_jax.tasks.lesions.config import LesionsConfig, LesionsData
from rkd_jax.tasks.lesions.places import (
    LESION,
    Places,
    lattice,
    lesion_pixels,
    no_lesion,
)

SLACK = 8
"""A lesion lies at least so far from the border of a proposal network's crop."""


class Patches:
    """A source of square patches around places; read-only.

    Examples are "image" uint8 `[side, side, 3]`, neutral outside the photograph;
    "target" uint8 `[side, side]`; "counts" bool `[side, side]`, the pixels that teach
    something; "label" int32, that of the place. The place is pixel
    `[side // 2, side // 2]`.

    Args:
        eyes: of `eyes.training_eyes`.
        places: where.
        side: of the patches.
        whole: bool, one a photograph: whether its pixels without lesion count.
        masks: whether examples have "target" and "counts".
    """

    def __init__(
        self,
        eyes: CachedSource,
        places: Places,
        *,
        side: int,
        whole: np.ndarray | None = None,
        masks: bool = False,
    ) -> None:
        self.eyes, self.places, self.side = eyes, places, side
        self._whole, self._masks = whole, masks
        self.groups = places.label
        names = eyes.names
        self.names = [
            f"{names[eye]} at {x}, {y}"
            for eye, (x, y) in zip(places.eye.tolist(), places.xy.tolist(), strict=True)
        ]

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> Example:
        """Return an example; see the class."""
        number = int(self.places.eye[index])
        eye, side = self.eyes[number], self.side
        left, top = (int(v) - side // 2 for v in self.places.xy[index])
        image = np.full((side, side, 3), NEUTRAL, np.uint8)
        cut(eye["image"], left, top, image)
        found = {"image": image, "label": np.int32(self.groups[index])}
        if self._masks:
            target = np.zeros((side, side), np.uint8)
            counts = np.zeros((side, side), bool)
            cut(eye["target"], left, top, target)
            cut(eye["field"], left, top, counts)
            if self._whole is not None and not self._whole[number]:
                counts &= target > 0
            found |= {"target": target, "counts": counts}
        return found


def training_patches(config: Config) -> Patches:
    """Return the patches that a run trains on.

    Raises:
        FileNotFoundError, ValueError: the data are missing or bad, or have no lesion.
    """
    task, data = LesionsConfig.of(config), LesionsData.of(config)
    scale = "full" if task.part == "all" else task.part
    eyes = photographs.training_eyes(data, seed=config.seed, scale=scale)
    read = photographs.read_all(eyes, data.num_threads)
    _check(read, task, data)
    make = _classifier_patches if task.part == "all" else _proposal_patches
    found = make(eyes, read, task, config.seed)
    for label, what in ((1, data.lesion), (0, "no lesion")):
        if not (found.groups == label).any():
            raise ValueError(
                f"{data.data_dir or 'drawn eyes'}: no patch shows {what} at the "
                f"{scale} scale of fields of {data.size} pixels; choose a larger "
                "config.data.size, or a smaller config.task.proposals.crop"
            )
    return found


def held_out(config: Config) -> Source | None:
    """Return held-out photographs (proposal networks) or patches (classifier).

    Raises:
        FileNotFoundError, ValueError: the data are missing or bad, or have no lesion,
            so that no score could be computed.
    """
    task, data = LesionsConfig.of(config), LesionsData.of(config)
    scale = "full" if task.part == "all" else task.part
    eyes = photographs.held_out_eyes(
        data, seed=config.seed, scale=scale, most=config.loop.eval_pairs
    )
    if eyes is None:
        return None
    read = photographs.read_all(eyes, data.num_threads)
    if not any((eye["target"] >= LESION).any() for eye in read):
        raise ValueError(
            f"{data.data_dir or 'drawn eyes'}: no {data.lesion} in any of {len(read)} "
            "held-out photographs; raise config.loop.eval_pairs, or choose another "
            "config.data.hold_out_every (0 holds out none)"
        )
    if task.part != "all":
        return eyes
    return _classifier_patches(eyes, read, task, config.seed, everywhere=True)


def crop_slack(crop: int) -> int:
    """Return by how much a crop may be moved off its place, to each side."""
    return max(crop // 2 - SLACK, 0)


def _check(read: list[Example], task: LesionsConfig, data: LesionsData) -> None:
    healthy = [not eye["target"].any() for eye in read]
    if all(healthy):
        raise ValueError(
            f"{data.data_dir or 'drawn eyes'}: no {data.lesion} in any of "
            f"{len(read)} photographs to train on; check the masks, or "
            "config.data.lesion"
        )
    if task.negatives == "healthy" and not any(healthy):
        raise ValueError(
            "config.task.negatives is 'healthy', but each of the "
            f"{len(read)} photographs has {data.lesion}; give photographs without with "
            "--config.data.healthy_dir=DIR, or choose 'all'"
        )


def teaches(read: list[Example], negatives: str) -> np.ndarray:
    """Return of which photographs the pixels without lesion count, bool `[N]`."""
    return np.array([negatives == "all" or not eye["target"].any() for eye in read])


def _proposal_patches(
    eyes: CachedSource, read: list[Example], task: LesionsConfig, seed: int
) -> Patches:
    """Return a crop around each lesion, and crops of the fields on a lattice.

    They are larger than what is trained on, so that the task can move them.
    """
    crop, rng = task.proposals.crop, np.random.default_rng(seed)
    whole, found = teaches(read, task.negatives), []
    for number, eye in enumerate(read):
        found.append((number, lesion_pixels(eye["target"], most=1, rng=rng), 1))
        if whole[number]:
            # Each pixel of the field lies in some crop.
            xy = lattice(eye["field"], eye["target"], step=crop // 2)
            found.append((number, xy, 0))
    side = crop + 2 * crop_slack(crop)
    return Patches(eyes, Places.of(found), side=side, whole=whole, masks=True)


def _classifier_patches(
    eyes: CachedSource,
    read: list[Example],
    task: LesionsConfig,
    seed: int,
    *,
    everywhere: bool = False,
) -> Patches:
    """Return patches around pixels of lesions and around pixels that are none.

    They are a pixel larger than `patch_px`, so that the place stays in the middle when
    they are mirrored.
    """
    rng = np.random.default_rng(seed)
    whole = teaches(read, "all" if everywhere else task.negatives)
    count = -(-task.negative_patches // int(whole.sum()))
    if everywhere:
        count = max(count // 10, 1)
    found = []
    for number, eye in enumerate(read):
        xy = lesion_pixels(eye["target"], most=task.patches_per_lesion, rng=rng)
        found.append((number, xy, 1))
        if whole[number]:
            parts = eye["image"], eye["target"], eye["field"]
            found.append((number, no_lesion(*parts, count=count, rng=rng), 0))
    return Patches(eyes, Places.of(found), side=task.patch_px + 1)
