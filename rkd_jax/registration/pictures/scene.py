"""What the pictures of one pair share; each part is made when a picture needs it."""

from __future__ import annotations

import copy
import functools
import math

import cv2
import numpy as np

from rkd_jax.geometry.resize import resize_points
from rkd_jax.images.field import display_field
from rkd_jax.images.pictures import display_scale, to_uint8
from rkd_jax.images.reading import Depth
from rkd_jax.registration.pictures.light import match_light
from rkd_jax.registration.result import Registration
from rkd_jax.registration.transforms.inverse_map import InverseMap, Layer

MOST_PIXELS = 2048 * 2048
"""Larger photographs are shown reduced to this, which takes half the time and half the
disk for a FIRE photograph; `registered` alone keeps their size."""
_INSIDE = 250  # of 255: a pixel of the drawn field that no black beside it darkens


class Scene:
    """A registered pair as its pictures show it, in the frame of the fixed image.

    A *view* is a copy for the eye: uint8, as bright as can be seen, of at most
    `MOST_PIXELS` pixels.

    Args:
        registration: of the pair.
        fixed: the image as read, `[H, W(, 3)]` uint8, or float in 0..1.
        moving: the image as read.
        depth: of the moving file; None for the depth of `moving` itself.
        own_values: draw the registered image with the values of the moving file, not
            brightened.
    """

    def __init__(
        self,
        registration: Registration,
        fixed: np.ndarray,
        moving: np.ndarray,
        *,
        depth: Depth | None = None,
        own_values: bool = False,
    ) -> None:
        self.registration, self.fixed, self.moving = registration, fixed, moving
        self.depth = Depth.of(moving) if depth is None else depth
        self.own_values = own_values
        height, width = fixed.shape[:2]
        share = min(1.0, math.sqrt(MOST_PIXELS / (height * width)))
        self.size = tuple(max(1, round(side * share)) for side in (height, width))

    def reduced(self, side_px: int) -> Scene:
        """Return this pair with a view whose longer side has at most so many pixels."""
        share = side_px / max(self.size)
        if share >= 1.0:
            return self
        _ = self._drawn  # once for both
        smaller = copy.copy(self)
        for name, value in vars(Scene).items():
            if isinstance(value, functools.cached_property) and name != "_drawn":
                vars(smaller).pop(name, None)
        smaller.size = tuple(max(1, round(side * share)) for side in self.size)
        return smaller

    @property
    def scale(self) -> np.ndarray:
        """Pixels of the view to one pixel of the fixed file, (x, y)."""
        return np.array(self.size[::-1]) / self.fixed.shape[1::-1]

    def to_view(self, points_fixed: np.ndarray) -> np.ndarray:
        """Map points `[N, 2]` of the fixed file to the view."""
        return resize_points(points_fixed, self.scale)

    @functools.cached_property
    def _drawn(self) -> tuple[np.ndarray, np.ndarray]:
        """The moving image and its field in the fixed frame."""
        registration = self.registration
        if not registration.ok or registration.transform is None:
            raise ValueError("a pair that is not registered has no registered image")
        inverse = InverseMap(
            registration.transform.apply_inverse,
            self.fixed.shape[:2],
            self.moving.shape[:2],
        )
        drawn, field = inverse.draw(
            [Layer(self.moving), Layer(display_field(self.moving))]
        )
        return drawn, field

    @property
    def registered(self) -> np.ndarray:
        """The moving image in the fixed frame, full size, values as in `moving`."""
        return self._drawn[0]

    @functools.cached_property
    def moving_scale(self) -> float:
        """By what the moving image is multiplied so that one can see it."""
        return display_scale(self.moving)

    def _view(self, image: np.ndarray, scale: float) -> np.ndarray:
        return self._reduced(to_uint8(image, scale))

    def _reduced(self, image: np.ndarray) -> np.ndarray:
        if image.shape[:2] == self.size:
            return image
        # Below a half, linear interpolation would skip pixels; above, it is faster.
        halves = 2 * self.size[0] >= image.shape[0]
        way = cv2.INTER_LINEAR if halves else cv2.INTER_AREA
        return cv2.resize(image, self.size[::-1], interpolation=way)

    @functools.cached_property
    def fixed_view(self) -> np.ndarray:
        """The fixed image, `[h, w(, 3)]` uint8."""
        return self._view(self.fixed, display_scale(self.fixed))

    @functools.cached_property
    def registered_view(self) -> np.ndarray:
        """The registered image, `[h, w(, 3)]` uint8."""
        return self._view(self.registered, self.moving_scale)

    @functools.cached_property
    def matched_view(self) -> np.ndarray:
        """The registered image with the light of the fixed one, `[h, w(, 3)]` uint8.

        What surrounds the field stays as it is: black.
        """
        lit = match_light(self.registered_view, self.fixed_view, self.overlap)
        inside = self.field_registered.astype(np.uint8)
        return cv2.copyTo(lit, inside, self.registered_view.copy())

    @functools.cached_property
    def field_fixed(self) -> np.ndarray:
        """Where the fixed image shows the fundus, `[h, w]` bool."""
        return display_field(self.fixed_view) >= _INSIDE

    @functools.cached_property
    def field_registered(self) -> np.ndarray:
        """Where the registered image shows the fundus, `[h, w]` bool."""
        return self._reduced(self._drawn[1]) >= _INSIDE

    @functools.cached_property
    def overlap(self) -> np.ndarray:
        """Where both do, `[h, w]` bool."""
        return self.field_fixed & self.field_registered

    @functools.cached_property
    def hull(self) -> np.ndarray:
        """The hull of the inliers in the view, `[K, 2]`; empty for fewer than 3."""
        registration = self.registration
        kept = registration.matches.points_fixed[registration.inliers]
        kept = kept[np.isfinite(kept).all(axis=1)].astype(np.float32)
        if len(kept) < 3:
            return np.zeros((0, 2))
        return self.to_view(cv2.convexHull(kept)[:, 0])
