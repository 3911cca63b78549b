"""The 98 points of a procedural head: identity, expression, pose.

A head is measured in half widths of the face, x to the right of the picture, y down, z
towards the viewer; the eyes are at y = -0.3, the chin near y = 1.3.
"""

import dataclasses
import math

import numpy as np

from rkd_jax.synthetic.faces.points import COUNT

EYE_Y, FOREHEAD_Y = -0.30, -1.35


@dataclasses.dataclass(frozen=True)
class Identity:
    """What stays the same in all pictures of a person; factors about 1, or shifts."""

    length: float
    jaw: float
    eye_gap: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    brow_height: float
    brow_arch: float
    brow_weight: float
    nose_length: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    lip: float

    @staticmethod
    def draw(rng: np.random.Generator) -> "Identity":
        """Draw a person."""

        def about(spread: float) -> float:
            return math.exp(rng.normal(0, spread))

        return Identity(
            length=about(0.05),
            jaw=rng.uniform(1.9, 2.8),
            eye_gap=about(0.06),
            eye_width=about(0.07),
            eye_height=about(0.15),
            eye_tilt=rng.normal(0, 0.02),
            brow_height=rng.normal(0, 0.03),
            brow_arch=rng.uniform(0.02, 0.11),
            brow_weight=about(0.3),
            nose_length=about(0.08),
            nose_width=about(0.12),
            mouth_y=rng.normal(0, 0.03),
            mouth_width=about(0.08),
            lip=about(0.22),
        )


@dataclasses.dataclass(frozen=True)
class Expression:
    """What the muscles do; all 0 (eyes 1) is a neutral face."""

    jaw_drop: float
    smile: float
    pout: float
    brow_raise: float
    frown: float
    eyes: float
    wink: float
    gaze_x: float
    gaze_y: float

    @staticmethod
    def draw(rng: np.random.Generator, strong: bool) -> "Expression":
        """Draw an expression; a strong one changes mouth and eyes a lot."""
        if strong:
            drop = rng.choice([0.0, rng.uniform(0.2, 0.55)], p=[0.3, 0.7])
            smile, eyes = rng.uniform(-0.7, 1.0), rng.uniform(0.0, 1.5)
        else:
            drop = rng.choice([0.0, rng.uniform(0.0, 0.12)])
            smile, eyes = rng.uniform(-0.2, 0.5), rng.uniform(0.7, 1.15)
        return Expression(
            jaw_drop=float(drop),
            smile=smile,
            pout=rng.uniform(0, 0.8) * (rng.random() < 0.15),
            brow_raise=rng.normal(0, 0.07 if strong else 0.03),
            frown=rng.uniform(0, 1) * (rng.random() < (0.4 if strong else 0.1)),
            eyes=eyes,
            wink=rng.choice([-1.0, 1.0]) * (strong and rng.random() < 0.1),
            gaze_x=rng.normal(0, 0.35),
            gaze_y=rng.normal(0, 0.2),
        )


def _bulge(xy: np.ndarray) -> np.ndarray:
    """Depth z of the skin at (x, y), without nose."""
    return 0.42 * (1 - xy[..., 0] ** 2) - 0.10 * (xy[..., 1] - 0.1) ** 2


def _resampled(curve: np.ndarray, count: int) -> np.ndarray:
    """Take `count` points at equal arc length along a polyline."""
    steps = np.linalg.norm(np.diff(curve, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    at = np.linspace(0, along[-1], count)
    return np.stack([np.interp(at, along, c) for c in curve.T], axis=1)


def _contour(who: Identity, face: Expression) -> np.ndarray:
    angle = np.linspace(math.pi, 0, 181)
    power = 2 / who.jaw
    cos, sin = np.cos(angle), np.sin(angle)
    x = np.sign(cos) * np.abs(cos) ** power
    y = -0.42 + (1.70 * who.length + 0.55 * face.jaw_drop) * sin**power
    # The jaw narrows towards the chin.
    x *= 1 - 0.24 * np.clip((y - 0.2) / 1.1, 0, None) ** 1.3
    return _resampled(np.stack([x, y], axis=1), 33)


def _eye(who: Identity, face: Expression, side: int) -> np.ndarray:
    """Return the 8 points of an eye and its pupil `[9, 2]`; side is -1 or 1."""
    middle = np.array([0.41 * who.eye_gap * side, EYE_Y])
    half = 0.175 * who.eye_width
    shut = 0.0 if face.wink == side else 1.0
    opened = max(face.eyes * shut - 0.25 * max(face.smile, 0), 0.04)
    upper = 0.115 * who.eye_height * opened
    lower = 0.070 * who.eye_height * opened
    share = np.array([-1.0, -0.55, 0.0, 0.55, 1.0])
    arc = np.sqrt(1 - share**2)
    top = np.stack([share * half, -upper * arc], axis=1)
    low = np.stack([share[3:0:-1] * half, lower * arc[3:0:-1]], axis=1)
    tilt = -(who.eye_tilt + 0.02) * side
    lid = np.concatenate([top, low])
    lid[:, 1] += tilt * lid[:, 0] / half
    reach = np.array([0.45 * half, 0.5 * min(upper, lower)])
    look = np.clip([face.gaze_x, face.gaze_y], -1, 1) * reach
    pupil = np.array([0.0, 0.5 * (lower - upper)]) + look
    return middle + np.concatenate([lid, pupil[None]])


def _brow(who: Identity, face: Expression, side: int) -> np.ndarray:
    """Return a brow as upper edge (5, from the left) and lower edge (4), `[9, 2]`."""
    share = np.linspace(0, 1, 5)  # from the nose outwards
    x = (0.16 + 0.56 * share) * who.eye_gap
    arch = who.brow_arch * np.sin(math.pi * np.minimum(share * 1.15, 1))
    y = -0.50 - who.brow_height - face.brow_raise - arch + 0.05 * share
    y = y + 0.09 * face.frown * (1 - share) ** 2
    x = x - 0.05 * face.frown * (1 - share)
    weight = 0.085 * who.brow_weight * np.array([1.0, 0.95, 0.85, 0.65, 0.0])
    upper = np.stack([x, y - weight / 2], axis=1)
    lower = np.stack([x, y + weight / 2], axis=1)[:4]
    if side < 0:  # outer end first, then back along the lower edge
        upper, lower = upper[::-1], lower
    else:
        upper, lower = upper, lower[::-1]
    return np.concatenate([upper, lower]) * [side, 1]


def _nose(who: Identity) -> np.ndarray:
    """Return ridge (4) and base (5) as `[9, 3]`, z above the skin."""
    length = 0.66 * who.nose_length
    share = np.linspace(0, 1, 4)
    ridge = np.stack([0 * share, EYE_Y + length * share, 0.05 + 0.36 * share], axis=1)
    wide = 0.215 * who.nose_width
    base_x = np.array([-1, -0.5, 0, 0.5, 1]) * wide
    base_y = EYE_Y + length + np.array([0.06, 0.11, 0.15, 0.11, 0.06])
    base_z = np.array([0.06, 0.16, 0.24, 0.16, 0.06])
    return np.concatenate([ridge, np.stack([base_x, base_y, base_z], axis=1)])


def _mouth(who: Identity, face: Expression) -> np.ndarray:
    """Return outer (12) and inner (8) lips `[20, 2]`."""
    half = 0.36 * who.mouth_width * (1 + 0.22 * face.smile - 0.35 * face.pout)
    half *= 1 - 0.25 * face.jaw_drop
    y = 0.66 * who.length + who.mouth_y
    drop = 0.75 * face.jaw_drop
    lip = 0.105 * who.lip * (1 + 0.5 * face.pout) * (1 - 0.25 * max(face.smile, 0))
    share = np.array([-1, -0.62, -0.25, 0, 0.25, 0.62, 1.0])
    # The cupid's bow dips in the middle.
    bow = np.array([0, 0.62, 1.0, 0.84, 1.0, 0.62, 0])
    low = np.array([-0.62, -0.28, 0, 0.28, 0.62])[::-1]
    corner = -0.13 * face.smile

    def bend(x: np.ndarray) -> np.ndarray:
        return y + corner * np.abs(x) ** 2 + 0.25 * drop * np.abs(x) ** 1.5

    top = np.stack([share * half, bend(share) - lip * bow], axis=1)
    low_y = bend(low) + (1.25 * lip + drop) * np.sqrt(1 - low**2)
    bottom = np.stack([low * half, low_y], axis=1)
    inner = np.array([-0.85, -0.42, 0, 0.42, 0.85])
    arc = 1 - inner**2
    inner_top = np.stack([inner * half, bend(inner) - 0.03 * lip * arc], axis=1)
    back = inner[3:0:-1]
    inner_y = bend(back) + (0.10 * lip + drop) * (1 - back**2)
    inner_low = np.stack([back * half, inner_y], axis=1)
    return np.concatenate([top, bottom, inner_top, inner_low])


def head_points(who: Identity, face: Expression) -> np.ndarray:
    """Return the 98 points of a head that looks at the viewer, `[98, 3]`."""
    xy = np.zeros((COUNT, 2))
    above = np.zeros(COUNT)
    xy[0:33] = _contour(who, face)
    xy[33:42], xy[42:51] = _brow(who, face, -1), _brow(who, face, 1)
    nose = _nose(who)
    xy[51:60], above[51:60] = nose[:, :2], nose[:, 2]
    left, right = _eye(who, face, -1), _eye(who, face, 1)
    xy[60:68], xy[68:76] = left[:8], right[:8]
    xy[96], xy[97] = left[8], right[8]
    xy[76:96] = _mouth(who, face)
    above[76:88], above[88:96] = 0.05, 0.02
    return np.column_stack([xy, _bulge(xy) + above])


def forehead(count: int = 24) -> np.ndarray:
    """Return the edge of the face from the right ear over the top to the left one."""
    angle = np.linspace(0, math.pi, count + 2)[1:-1]
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.85
    y = -0.42 + (FOREHEAD_Y + 0.42) * np.sin(angle)
    xy = np.stack([x, y], axis=1)
    return np.column_stack([xy, _bulge(xy) * 0.6])


@dataclasses.dataclass(frozen=True)
class Pose:
    """Where the head looks and where it is in the picture.

    Attributes:
        yaw, pitch, roll: rad; yaw > 0 looks to the right of the picture, pitch > 0
            down, roll > 0 turns clockwise.
        scale: pixels a half width of the face.
        middle: (x, y) px of the middle of the head.
    """

    yaw: float
    pitch: float
    roll: float
    scale: float
    middle: tuple[float, float]

    def matrix(self) -> np.ndarray:
        """Return the rotation `[3, 3]`."""
        (cy, sy), (cp, sp), (cr, sr) = (
            (math.cos(a), math.sin(a)) for a in (self.yaw, self.pitch, self.roll)
        )
        turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        nod = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
        tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return tilt @ nod @ turn

    def project(self, points: np.ndarray) -> np.ndarray:
        """Map points `[..., 3]` of the head to pixels `[..., 2]`, weak perspective."""
        turned = (points - [0, 0.25, 0]) @ self.matrix().T
        near = 8.0 / (8.0 - turned[..., 2:])
        return turned[..., :2] * near * self.scale + np.asarray(self.middle)
