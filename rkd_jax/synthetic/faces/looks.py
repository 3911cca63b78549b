"""What a person looks like: colours and growth."""

import dataclasses

import numpy as np

SKINS = np.array(
    [
        [0.96, 0.82, 0.74],
        [0.92, 0.74, 0.62],
        [0.83, 0.63, 0.50],
        [0.68, 0.48, 0.36],
        [0.50, 0.34, 0.25],
        [0.36, 0.24, 0.18],
    ],
    np.float32,
)
_HAIRS = np.array(
    [
        [0.06, 0.05, 0.05],
        [0.16, 0.10, 0.07],
        [0.33, 0.21, 0.13],
        [0.62, 0.45, 0.25],
        [0.50, 0.20, 0.10],
        [0.62, 0.61, 0.60],
    ],
    np.float32,
)
_IRISES = np.array(
    [[0.20, 0.11, 0.06], [0.33, 0.22, 0.10], [0.30, 0.42, 0.55], [0.30, 0.40, 0.26]],
    np.float32,
)


@dataclasses.dataclass(frozen=True)
class Looks:
    """Colours and growth of a person.

    Attributes:
        skin, hair, iris, lips: RGB in 0..1.
        hair_length: 0 bald, 1 short, 2 to the shoulders.
        fringe: how far the hair hangs into the forehead, half widths.
        beard: density of the beard, 0..1.
        glasses: whether there are any.
        age: depth of the folds, 0..1.
    """

    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    lips: np.ndarray
    hair_length: int
    fringe: float
    beard: float
    glasses: bool
    age: float

    @staticmethod
    def draw(rng: np.random.Generator) -> "Looks":
        """Draw the looks of a person."""
        place = rng.uniform(0, len(SKINS) - 1)
        low = int(place)
        high = min(low + 1, len(SKINS) - 1)
        skin = SKINS[low] + (place - low) * (SKINS[high] - SKINS[low])
        skin = skin * np.exp(rng.normal(0, 0.04, 3)).astype(np.float32)
        hair = _HAIRS[rng.integers(len(_HAIRS))] * np.float32(rng.uniform(0.7, 1.3))
        lips = skin * np.array([0.92, 0.62, 0.60], np.float32)
        return Looks(
            skin=np.clip(skin, 0, 1),
            hair=np.clip(hair, 0, 1),
            iris=_IRISES[rng.integers(len(_IRISES))],
            lips=lips,
            hair_length=int(rng.choice([0, 1, 2], p=[0.12, 0.5, 0.38])),
            fringe=rng.uniform(-0.05, 0.45),
            beard=rng.uniform(0.2, 0.9) * (rng.random() < 0.25),
            glasses=bool(rng.random() < 0.18),
            age=rng.uniform(0, 1),
        )
