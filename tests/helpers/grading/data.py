"""Pictures of noise with a bright square, the larger the higher the grade."""

import numpy as np


class Squares:
    def __init__(self, count, *, size, grades, seed):
        self.size, self.grades, self.seed = size, grades, seed
        self.groups = np.arange(count) % grades  # [N] int
        self.names = [f"picture {i}" for i in range(count)]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        rng = np.random.default_rng((self.seed, index))
        image = rng.uniform(0.0, 0.4, (self.size, self.size, 3)).astype(np.float32)
        side = self.size * self.groups[index] // self.grades
        row, column = rng.integers(0, self.size - side + 1, 2)
        image[row : row + side, column : column + side] = 1.0
        return {"image": image, "grade": np.int32(self.groups[index])}
