"""A float picture to paint on: smooth outlines, soft edges, glazes."""

import cv2
import numpy as np

_BITS = 4  # fractional bits of OpenCV's coordinates


def smooth(points: np.ndarray, *, closed: bool, steps: int = 6) -> np.ndarray:
    """Return a Catmull-Rom curve through points `[N, 2]`: `[N * steps(, + 1), 2]`."""
    points = np.asarray(points, np.float64)
    if closed:
        around = np.concatenate([points[-1:], points, points[:2]])
    else:
        first = 2 * points[:1] - points[1:2]
        last = 2 * points[-1:] - points[-2:-1]
        around = np.concatenate([first, points, last])
    a, b, c, d = (around[i : len(around) - 3 + i, None] for i in range(4))
    t = (np.arange(steps) / steps)[None, :, None]
    curve = 0.5 * (
        2 * b
        + (c - a) * t
        + (2 * a - 5 * b + 4 * c - d) * t**2
        + (3 * b - a - 3 * c + d) * t**3
    )
    curve = curve.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, points[-1:]])


class Canvas:
    """A picture `[S, S, 3]` float32 RGB in 0..1; lengths are its pixels."""

    def __init__(self, size: int):
        self.size = size
        self.image = np.zeros((size, size, 3), np.float32)

    def area(self, outline: np.ndarray, *, blur: float = 0.0) -> np.ndarray:
        """Return the share of each pixel in a polygon `[N, 2]`: `[S, S]` in 0..1."""
        mask = np.zeros((self.size, self.size), np.uint8)
        corners = np.rint(np.asarray(outline) * 2**_BITS).astype(np.int32)
        cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, _BITS)
        return self._soft(mask, blur)

    def stroke(
        self, line: np.ndarray, width: float, *, blur: float = 0.0, closed: bool = False
    ) -> np.ndarray:
        """Return the share of each pixel under a line `[N, 2]` of some width."""
        mask = np.zeros((self.size, self.size), np.uint8)
        corners = np.rint(np.asarray(line) * 2**_BITS).astype(np.int32)
        thick = max(1, round(width))
        cv2.polylines(mask, [corners], closed, 255, thick, cv2.LINE_AA, _BITS)
        return self._soft(mask, blur) * np.float32(min(1.0, width / thick))

    def ellipse(
        self, middle: np.ndarray, radii: tuple[float, float], *, turn: float = 0.0
    ) -> np.ndarray:
        """Return the outline `[48, 2]` of an ellipse turned by `turn` rad."""
        angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        x, y = radii[0] * np.cos(angle), radii[1] * np.sin(angle)
        cos, sin = np.cos(turn), np.sin(turn)
        return np.asarray(middle) + np.stack([cos * x - sin * y, sin * x + cos * y], 1)

    def paint(self, color: np.ndarray, share: np.ndarray) -> None:
        """Lay a colour `[3]` or picture `[S, S, 3]` over the picture where `share`."""
        share = share[..., None]
        self.image += share * (np.asarray(color, np.float32) - self.image)

    def glaze(self, factor: float | np.ndarray, share: np.ndarray) -> None:
        """Multiply by a factor (number or `[3]`) where `share` is 1, less elsewhere."""
        factor = np.asarray(factor, np.float32)
        self.image *= 1 + share[..., None] * (factor - 1)

    def _soft(self, mask: np.ndarray, blur: float) -> np.ndarray:
        share = mask.astype(np.float32) / 255
        if blur > 0.3:
            share = cv2.GaussianBlur(share, (0, 0), blur)
        return share


def clouds(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Return smooth random values `[size, size]` with about unit spread."""
    knots = rng.normal(size=(cells, cells)).astype(np.float32)
    return cv2.resize(knots, (size, size), interpolation=cv2.INTER_CUBIC)
