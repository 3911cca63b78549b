"""What a registration does with points and images, new or read from a file."""

from __future__ import annotations

import os

import cv2
import numpy as np
import numpy.typing as npt

from rkd_jax.registration.expected_error.error_map import ErrorMap
from rkd_jax.registration.transforms import Transform
from rkd_jax.registration.transforms.base import as_points
from rkd_jax.registration.transforms.inverse_map import InverseMap


class Mapped:
    """Maps points and draws images of a registered pair; checks that it is one.

    The base of `Registration` and of `SavedTransform`, which have the attributes.

    Attributes:
        ok: whether the pair may be taken as registered.
        reason: why not; empty if `ok`.
        confidence: 0 to 1.
        transform: moving to fixed, in file pixels; None if nothing could be fitted.
        fixed_size: (height, width) of the fixed file.
        moving_size: (height, width) of the moving file.
        error_map: by how many pixels the transform may be off, if known.
    """

    ok: bool
    reason: str
    confidence: float
    transform: Transform | None
    fixed_size: tuple[int, int]
    moving_size: tuple[int, int]
    error_map: ErrorMap | None

    @property
    def hull(self) -> np.ndarray | None:
        """Hull of the inliers, `[V, 2]` float32 in pixels of the moving file.

        None with fewer than three inliers, and where a file does not hold it.
        """
        raise NotImplementedError

    def _named(self) -> str:
        """Name the pair for an error."""
        return "the pair"

    def _trusted(self) -> Transform:
        if not self.ok or self.transform is None:
            raise ValueError(
                f"{self._named()} is not registered: {self.reason}; see its "
                "matches, or use `.transform` (if there is one) at your own risk"
            )
        return self.transform

    def warp_points(self, points: npt.ArrayLike) -> np.ndarray:
        """Map points `[..., 2]` (x, y) of the moving file to the fixed file.

        Raises:
            ValueError: if the pair is not registered.
        """
        return self._trusted().apply(points)

    def warp_points_inverse(self, points: npt.ArrayLike) -> np.ndarray:
        """Map points `[..., 2]` (x, y) of the fixed file to the moving file.

        Returns:
            `[..., 2]` float64; NaN where the inverse is not defined.

        Raises:
            ValueError: if the pair is not registered.
        """
        return self._trusted().apply_inverse(points)

    def expected_error(self, points: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return by how many pixels of the fixed file mapped points may be off.

        Args:
            points: `[..., 2]` (x, y) in pixels of the moving file.

        Returns:
            The expected (median) error, and a bound that holds in nine cases of ten,
            `[...]` each; NaN where nothing supports the transform.

        Raises:
            ValueError: if the pair is not registered.
        """
        mapped = self._trusted().apply(points)
        if self.error_map is None:
            unknown = np.full(mapped.shape[:-1], np.nan)
            return unknown, unknown.copy()
        return self.error_map.at(mapped)

    def supports(self, points: npt.ArrayLike) -> np.ndarray:
        """Return which points `[N, 2]` of the moving file lie among the inliers.

        Beyond the hull of the inliers a transform is a guess that no match confirms.

        Returns:
            `[N]` bool.
        """
        points, hull = as_points(points), self.hull
        inside = np.zeros(len(points), bool)
        if hull is not None:
            for row in np.flatnonzero(np.isfinite(points).all(axis=1)):
                x, y = points[row].tolist()
                inside[row] = cv2.pointPolygonTest(hull, (x, y), False) >= 0
        return inside

    def inverse_map(self, *, inverse: bool = False) -> InverseMap:
        """Return where each pixel of the fixed frame lies in the moving image.

        Args:
            inverse: the other way: each pixel of the moving frame in the fixed image.

        Raises:
            ValueError: if the pair is not registered.
        """
        transform = self._trusted()
        if inverse:
            return InverseMap(transform.apply, self.moving_size, self.fixed_size)
        return InverseMap(transform.apply_inverse, self.fixed_size, self.moving_size)

    def warp_image(
        self,
        image: str | os.PathLike[str] | bytes | np.ndarray,
        *,
        inverse: bool = False,
        interpolation: str = "linear",
        fill: float = 0.0,
    ) -> np.ndarray:
        """Draw the moving image in the fixed frame.

        Args:
            image: the moving image, or another of its size, such as a mask (with
                `interpolation="nearest"`): path, encoded bytes, or array of any numeric
                dtype. Of a file, the numbers that it holds are taken; of a palette, the
                indices.
            inverse: draw the fixed image in the moving frame.
            interpolation: "nearest", "linear" or "cubic".
            fill: value of the pixels that the image does not reach.

        Returns:
            `[H, W(, C)]` of the other image's size, with the dtype of `image`.

        Raises:
            ValueError: if the pair is not registered, the size is another, or the file
                has a palette and `interpolation` is not "nearest".
        """
        transform = self._trusted()
        if isinstance(image, np.ndarray):
            array = image
        else:
            array = _read(image, interpolation)
        role, size, out_size = "moving", self.moving_size, self.fixed_size
        if inverse:
            role, size, out_size = "fixed", self.fixed_size, self.moving_size
        if array.shape[:2] != tuple(size):
            raise ValueError(
                f"image: expected height and width {tuple(size)} of the {role} image, "
                f"found {array.shape[:2]}"
            )
        return transform.warp(
            array, out_size, inverse=inverse, interpolation=interpolation, fill=fill
        )


def convex_hull(points: np.ndarray) -> np.ndarray | None:
    """Return the hull of points `[N, 2]`, `[V, 2]` float32; None of fewer than three.

    >>> sorted(convex_hull(np.array([[0, 0], [2, 0], [1, 1], [1, 3]])).tolist())
    [[0.0, 0.0], [1.0, 3.0], [2.0, 0.0]]
    """
    if len(points) < 3:
        return None
    return cv2.convexHull(points.astype(np.float32)).reshape(-1, 2)


def _read(source: str | os.PathLike[str] | bytes, interpolation: str) -> np.ndarray:
    from rkd_jax.images.reading import describe
    from rkd_jax.images.stored import read_stored

    stored = read_stored(source)
    if stored.of_classes and interpolation != "nearest":
        raise ValueError(
            f"{describe(source)}: {stored.kind}; expected interpolation='nearest', "
            f"found {interpolation!r}"
        )
    return stored.pixels
