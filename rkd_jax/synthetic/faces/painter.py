"""Paint a head: hair, skin, eyes, nose, mouth, glasses."""

import math

import numpy as np

from rkd_jax.synthetic.faces.canvas import Canvas, clouds, smooth
from rkd_jax.synthetic.faces.looks import Looks
from rkd_jax.synthetic.faces.shape import Pose, forehead


class Painter:
    """Paints one head on a canvas.

    Args:
        canvas: to paint on.
        head: `[98, 3]` points of the head.
        pose: how they come to the picture, in pixels of the canvas.
        looks: of the person.
        rng: of strands, noise and chance.
    """

    def __init__(
        self,
        canvas: Canvas,
        head: np.ndarray,
        pose: Pose,
        looks: Looks,
        rng: np.random.Generator,
    ):
        self.canvas, self.head, self.pose = canvas, head, pose
        self.looks, self.rng = looks, rng
        self.xy = pose.project(head)
        self.unit = pose.scale

    def at(self, x: float, y: float, z: float = 0.0) -> np.ndarray:
        """Return the pixel of a place of the head."""
        return self.pose.project(np.array([x, y, z]))

    def background(self) -> None:
        """Fill the picture with colours, clouds and a few shapes."""
        canvas, rng = self.canvas, self.rng
        size = canvas.size
        canvas.image[:] = rng.uniform(0.1, 0.9, 3)
        other = rng.uniform(0.0, 1.0, 3)
        canvas.paint(other, np.clip(0.5 + 0.5 * clouds(rng, size, 4), 0, 1))
        for _ in range(rng.integers(2, 9)):
            middle = rng.uniform(0, size, 2)
            radii = tuple(size * rng.uniform(0.04, 0.35, 2))
            outline = canvas.ellipse(middle, radii, turn=rng.uniform(0, math.pi))
            if rng.random() < 0.5:
                outline = outline[:: len(outline) // int(rng.integers(3, 6))]
            blur = size * rng.uniform(0, 0.02)
            canvas.paint(rng.uniform(0, 1, 3), 0.8 * canvas.area(outline, blur=blur))

    def body(self) -> None:
        """Draw shoulders, neck and the hair behind the head."""
        canvas, looks, unit = self.canvas, self.looks, self.unit
        chin = self.xy[16]
        neck = self.at(0, 1.0, -0.5)
        cloth = self.rng.uniform(0.05, 0.95, 3)
        if looks.hair_length == 2:
            low = self.rng.uniform(0.9, 2.0)
            knots = [(-1.0, -1.25), (-1.28, -0.3), (-1.3, low), (1.3, low)]
            knots += [(1.28, -0.3), (1.0, -1.25), (0, -1.8)]
            outline = smooth(
                np.array([self.at(x, y, -0.45) for x, y in knots]), closed=True
            )
            self._hair(canvas.area(outline, blur=0.03 * unit))
        sides = [(-0.55, 0), (0.55, 0), (0.66, 1.3), (-0.66, 1.3)]
        column = np.array([neck + np.array(s) * unit for s in sides])
        canvas.paint(looks.skin * 0.78, canvas.area(column, blur=0.03 * unit))
        base = max(chin[1], neck[1]) + 0.40 * unit
        bust = [(-3.0, 0.75), (-1.9, 0.2), (-0.7, -0.05), (0.7, -0.05), (1.9, 0.2)]
        bust += [(3.0, 0.75), (3.0, 6.0), (-3.0, 6.0)]
        outline = np.array([neck[0], base]) + unit * np.array(bust)
        canvas.paint(cloth, canvas.area(smooth(outline, closed=True), blur=0.02 * unit))
        for side in (-1, 1):
            ear = canvas.ellipse(
                self.at(1.03 * side, -0.12, -0.15), (0.13 * unit, 0.27 * unit)
            )
            share = canvas.area(ear, blur=0.02 * unit)
            canvas.paint(looks.skin * 0.88, share)
            inner = canvas.ellipse(
                self.at(1.05 * side, -0.12, -0.15), (0.06 * unit, 0.16 * unit)
            )
            canvas.glaze(0.75, canvas.area(inner, blur=0.03 * unit))
        if looks.hair_length:
            dome = [(-1.08, -0.35), (-1.14, -0.9), (-0.75, -1.55), (0, -1.78)]
            dome += [(0.75, -1.55), (1.14, -0.9), (1.08, -0.35)]
            outline = np.array([self.at(x, y, -0.3) for x, y in dome])
            self._hair(canvas.area(smooth(outline, closed=True), blur=0.02 * unit))

    def skin(self, light: np.ndarray) -> None:
        """Draw the skin and shade it as if it were an egg in a light `[3]`."""
        canvas, xy, unit = self.canvas, self.xy, self.unit
        top = self.pose.project(forehead())
        edge = np.concatenate([smooth(xy[0:33], closed=False), top])
        share = canvas.area(edge, blur=0.008 * unit)
        canvas.glaze(0.75, canvas.area(edge + [0, 0.07 * unit], blur=0.06 * unit))
        canvas.paint(self.looks.skin, share)
        rows, columns = np.indices((canvas.size, canvas.size), np.float32)
        middle = self.at(0, 0.0)
        across = (self.at(1, 0) - self.at(-1, 0)) / 2
        across = across / np.linalg.norm(across)
        dx, dy = columns - middle[0], rows - middle[1]
        u = (dx * across[0] + dy * across[1]) / (1.15 * unit)
        v = (-dx * across[1] + dy * across[0]) / (1.6 * unit)
        w = np.sqrt(np.clip(1 - u * u - v * v, 0.02, 1))
        lit = np.clip(u * light[0] + v * light[1] + w * light[2], 0, None)
        shade = np.clip(0.50 + 0.62 * lit, 0.25, 1.25)
        canvas.image *= 1 + (share * (shade - 1))[..., None]
        self.mask = share
        grain = clouds(self.rng, canvas.size, 40) * 0.012
        canvas.image *= 1 + (share * grain)[..., None]
        for side in (-1, 1):
            self._dab((0.42 * side, -0.34, 0.3), (0.30, 0.20), 0.86, 0.10)
            self._dab((0.52 * side, 0.28, 0.3), (0.26, 0.2), (1.04, 0.93, 0.93), 0.12)
        self._folds()

    def _dab(
        self,
        place: tuple[float, float, float],
        radii: tuple[float, float],
        factor: float | tuple[float, float, float],
        blur: float,
    ) -> None:
        """Glaze a soft ellipse on the skin; lengths in half widths."""
        unit = self.unit
        outline = self.canvas.ellipse(
            self.at(*place), (radii[0] * unit, radii[1] * unit), turn=self.pose.roll
        )
        share = self.canvas.area(outline, blur=blur * unit) * self.mask
        self.canvas.glaze(np.array(factor), share)

    def _folds(self) -> None:
        """Draw folds beside the mouth and on the forehead, and the chin's shadow."""
        canvas, xy, unit = self.canvas, self.xy, self.unit
        depth = 0.10 + 0.22 * self.looks.age
        for wing, corner in ((55, 76), (59, 82)):
            out = 0.10 * unit * np.sign(xy[corner] - xy[79])[0]
            line = [xy[wing] + [out * 0.5, -0.02 * unit]]
            line += [
                (xy[wing] + xy[corner]) / 2 + [out * 1.2, 0],
                xy[corner] + [out, 0],
            ]
            curve = smooth(np.array(line), closed=False)
            share = canvas.stroke(curve, 0.05 * unit, blur=0.03 * unit)
            canvas.glaze(1 - depth, share * self.mask)
        under = (xy[85] * 0.7 + xy[16] * 0.3) + np.array(
            [[-0.16 * unit, 0], [0.16 * unit, 0]]
        )
        canvas.glaze(0.84, canvas.stroke(under, 0.07 * unit, blur=0.05 * unit))
        if self.looks.age > 0.5:
            for row in (-0.85, -0.98):
                line = np.array([self.at(x, row, 0.3) for x in (-0.4, 0, 0.4)])
                share = canvas.stroke(line, 0.02 * unit, blur=0.015 * unit)
                canvas.glaze(0.88, share * self.mask)

    def nose(self, light: np.ndarray) -> None:
        """Draw the ridge's light and shadow, the wings and the nostrils."""
        canvas, xy, unit = self.canvas, self.xy, self.unit
        side = -1.0 if light[0] > 0 else 1.0
        far = xy[55] if side < 0 else xy[59]
        shadow = np.array([xy[51], xy[53], xy[54], xy[57], far, (xy[52] + far) / 2])
        strength = 1 - 0.30 * min(1.0, 0.35 + abs(light[0]))
        share = canvas.area(shadow, blur=0.06 * unit) * self.mask
        canvas.glaze(strength, share)
        ridge = smooth(xy[51:55], closed=False)
        canvas.glaze(1.14, canvas.stroke(ridge, 0.07 * unit, blur=0.04 * unit))
        tip = canvas.ellipse(xy[54], (0.09 * unit, 0.08 * unit))
        canvas.glaze(1.10, canvas.area(tip, blur=0.04 * unit))
        base = smooth(xy[55:60], closed=False)
        canvas.glaze(0.62, canvas.stroke(base, 0.035 * unit, blur=0.012 * unit))
        for wing, inner in ((55, 56), (59, 58)):
            bow = np.array([xy[wing], xy[wing] + (xy[wing] - xy[57]) * 0.10, xy[wing]])
            bow[0] += [0, -0.16 * unit]
            bow[1] += [0, -0.09 * unit]
            line = smooth(bow, closed=False)
            canvas.glaze(0.70, canvas.stroke(line, 0.03 * unit, blur=0.015 * unit))
            hole = (0.45 * xy[wing] + 0.55 * xy[inner]) + [0, -0.015 * unit]
            outline = canvas.ellipse(hole, (0.055 * unit, 0.032 * unit))
            canvas.glaze(0.30, canvas.area(outline, blur=0.012 * unit))

    def eyes(self, makeup: float) -> None:
        """Draw both eyes."""
        for start, pupil in ((60, 96), (68, 97)):
            self._eye(self.xy[start : start + 8], self.xy[pupil], makeup)

    def _eye(self, lid: np.ndarray, pupil: np.ndarray, makeup: float) -> None:
        canvas, unit, looks = self.canvas, self.unit, self.looks
        if makeup:
            above = lid[[0, 1, 2, 3, 4]] - [0, 0.06 * unit]
            shape = np.concatenate([above, lid[[3, 2, 1]]])
            tint = np.array([0.55, 0.45, 0.65]) ** makeup
            canvas.glaze(tint, canvas.area(shape, blur=0.05 * unit))
        opening = canvas.area(smooth(lid, closed=True), blur=0.004 * unit)
        canvas.paint(np.array([0.93, 0.91, 0.89]) * 0.95, opening)
        radius = 0.088 * unit
        iris = canvas.area(canvas.ellipse(pupil, (radius, radius))) * opening
        canvas.paint(looks.iris, iris)
        dark = canvas.area(canvas.ellipse(pupil, (0.45 * radius,) * 2)) * opening
        canvas.paint(np.array([0.02, 0.02, 0.02]), dark)
        glint = pupil + np.array([-0.3, -0.35]) * radius
        spot = canvas.area(canvas.ellipse(glint, (0.2 * radius,) * 2)) * opening
        canvas.paint(np.array([1.0, 1.0, 1.0]), 0.9 * spot)
        upper = smooth(lid[:5], closed=False)
        shadow = canvas.stroke(upper + [0, 0.03 * unit], 0.05 * unit, blur=0.02 * unit)
        canvas.glaze(0.6, shadow * opening)
        lash = canvas.stroke(upper, (0.032 + 0.03 * makeup) * unit)
        canvas.paint(np.array([0.09, 0.06, 0.05]), 0.9 * lash)
        lower = smooth(lid[[4, 5, 6, 7, 0]], closed=False)
        canvas.glaze(0.62, canvas.stroke(lower, 0.02 * unit, blur=0.006 * unit))
        crease = canvas.stroke(upper - [0, 0.06 * unit], 0.022 * unit, blur=0.01 * unit)
        canvas.glaze(0.78, crease)

    def brows(self) -> None:
        """Draw both brows."""
        canvas, unit, looks = self.canvas, self.unit, self.looks
        color = looks.hair * 0.75 if looks.hair.mean() < 0.5 else looks.skin * 0.5
        for start in (33, 42):
            outline = smooth(self.xy[start : start + 9], closed=True, steps=4)
            share = canvas.area(outline, blur=0.018 * unit)
            strands = 0.85 + 0.15 * clouds(self.rng, canvas.size, 60)
            canvas.paint(color, np.clip(share * strands, 0, 1) * 0.88)

    def mouth(self, makeup: float) -> None:
        """Draw the lips and what is between them."""
        canvas, unit, xy = self.canvas, self.unit, self.xy
        color = self.looks.lips
        if makeup:
            red = self.rng.uniform([0.5, 0.02, 0.08], [0.85, 0.2, 0.3])
            color = (1 - makeup) * color + makeup * red
        outer = canvas.area(smooth(xy[76:88], closed=True), blur=0.012 * unit)
        canvas.paint(color, 0.9 * outer)
        upper = np.concatenate([xy[76:83], xy[88:93][::-1]])
        canvas.glaze(0.84, canvas.area(upper, blur=0.01 * unit))
        low = smooth((xy[83:88] + xy[[93, 93, 94, 95, 95]]) / 2, closed=False)
        canvas.glaze(1.14, canvas.stroke(low, 0.04 * unit, blur=0.02 * unit))
        inner = canvas.area(smooth(xy[88:96], closed=True), blur=0.004 * unit)
        canvas.paint(np.array([0.22, 0.05, 0.05]), inner)
        gap = np.linalg.norm(xy[90] - xy[94])
        if gap > 0.08 * unit:
            teeth = np.concatenate([xy[88:93], xy[88:93][::-1]])
            teeth[5:, 1] += min(0.11 * unit, 0.6 * gap)
            share = canvas.area(teeth, blur=0.006 * unit) * inner
            canvas.paint(np.array([0.92, 0.90, 0.85]), share)
        line = smooth(xy[88:93], closed=False)
        canvas.glaze(0.45, canvas.stroke(line, 0.02 * unit, blur=0.006 * unit))

    def beard(self) -> None:
        """Draw a beard around mouth and jaw, below the lips' layer."""
        canvas, unit, xy, looks = self.canvas, self.unit, self.xy, self.looks
        if not looks.beard:
            return
        edge = xy[4:29]
        inside = np.array(
            [xy[59] + [0.15 * unit, 0], xy[57], xy[55] - [0.15 * unit, 0]]
        )
        outline = np.concatenate([edge, inside])
        strands = np.clip(0.8 + 0.3 * clouds(self.rng, canvas.size, 90), 0, 1)
        share = canvas.area(outline, blur=0.07 * unit) * self.mask
        canvas.paint(looks.hair, looks.beard * share * strands)

    def _hair(self, share: np.ndarray) -> None:
        strands = clouds(self.rng, self.canvas.size, 50) * 0.22
        strands += clouds(self.rng, self.canvas.size, 9) * 0.12
        tone = self.looks.hair * np.clip(1 + strands, 0.4, 2.0)[..., None]
        self.canvas.paint(np.clip(tone, 0, 1), share)

    def fringe(self) -> None:
        """Draw the hair before the forehead and the temples."""
        looks, rng, canvas = self.looks, self.rng, self.canvas
        if not looks.hair_length:
            return
        part = rng.uniform(-0.6, 0.6)
        line = []
        for x in np.linspace(-1.02, 1.02, 9):
            depth = looks.fringe * math.exp(-(((x - part) / 0.9) ** 2))
            temple = 0.75 * max(abs(x) - 0.72, 0) / 0.3
            y = -1.12 + depth + temple + rng.normal(0, 0.03)
            line.append(self.at(x, y, 0.42 * (1 - x * x) * 0.8))
        dome = [(1.12, -0.5), (1.14, -0.95), (0.75, -1.58), (0, -1.8)]
        dome += [(-0.75, -1.58), (-1.14, -0.95), (-1.12, -0.5)]
        top = np.array([self.at(x, y, -0.2) for x, y in dome])
        outline = np.concatenate([smooth(np.array(line), closed=False), top])
        self._hair(canvas.area(outline, blur=0.02 * self.unit))

    def glasses(self, *, dark: bool) -> None:
        """Draw a pair of glasses, or of sunglasses."""
        canvas, unit, xy = self.canvas, self.unit, self.xy
        frame = self.rng.uniform(0, 0.3, 3)
        inner = []
        for start, side in ((60, -1), (68, 1)):
            lid = xy[start : start + 8]
            wide = 0.5 * np.linalg.norm(lid[4] - lid[0]) + 0.12 * unit
            shape = canvas.ellipse(
                lid.mean(axis=0) + [0, 0.05 * unit],
                (wide, 0.23 * unit),
                turn=self.pose.roll,
            )
            if dark:
                canvas.paint(np.array([0.06, 0.06, 0.08]), 0.93 * canvas.area(shape))
            canvas.paint(frame, canvas.stroke(shape, 0.035 * unit, closed=True))
            inner.append(lid.mean(axis=0) - [side * wide, 0])
        canvas.paint(frame, canvas.stroke(np.array(inner), 0.035 * unit))
