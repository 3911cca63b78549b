"""Memory banks: which rows an image is compared with.

Both banks have a row for each training image, and are part of the task's state.
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array


@flax.struct.dataclass
class Banks:
    """What the task keeps between steps.

    Attributes:
        student: float32 `[n, d]`, unit rows of the student's embeddings.
        teacher: float32 `[n, d]`, of the teacher's.
        z_student: float32 scalar, the constant of the student's contrast; 0 before the
            first step.
        z_teacher: of the teacher's.
    """

    student: Array
    teacher: Array
    z_student: Array
    z_teacher: Array

    @classmethod
    def fresh(cls, key: Array, rows: int, width: int) -> "Banks":
        """Draw banks: uniform in +-sqrt(3 / d), as published.

        Args:
            key: of the draw.
            rows: n, training images.
            width: d, of an embedding.
        """
        reach = (3.0 / width) ** 0.5
        student, teacher = (
            jax.random.uniform(k, (rows, width), minval=-reach, maxval=reach)
            for k in jax.random.split(key)
        )
        return cls(student, teacher, jnp.zeros(()), jnp.zeros(()))


class Members:
    """The images of each class, for draws under `jit`.

    Args:
        labels: int `[n]`, the classes of the training images.
        classes: C.
    """

    def __init__(self, labels: np.ndarray, classes: int) -> None:
        self.labels = np.asarray(labels, np.int32)
        self.counts = np.bincount(self.labels, minlength=classes).astype(np.int32)
        # Images class by class, and where each class begins.
        self.order = np.argsort(self.labels, kind="stable").astype(np.int32)
        self.starts = (np.cumsum(self.counts) - self.counts).astype(np.int32)
        # The place of each image among those of its class.
        self.places = np.empty_like(self.order)
        self.places[self.order] = np.arange(len(self.order))
        self.places -= self.starts[self.labels]

    def draw(
        self,
        key: Array,
        index: Array,
        *,
        positives: int,
        negatives: int,
        any_class: bool = False,
    ) -> tuple[Array, Array]:
        """Draw the rows that an image is compared with.

        Args:
            key: of the draw.
            index: int scalar, number of the image.
            positives: P, images of its class without replacement; the first is the
                image itself. A class with fewer has all of its own.
            negatives: K, images of other classes, with replacement.
            any_class: negatives are any images but the image itself.

        Returns:
            int32 `[P + K]`, numbers of images, and bool `[P + K]`, which of them count.
        """
        k_same, k_other = jax.random.split(key)
        order, starts = jnp.asarray(self.order), jnp.asarray(self.starts)
        label = jnp.asarray(self.labels)[index]
        start, count = starts[label], jnp.asarray(self.counts)[label]
        own = jnp.asarray(self.places)[index]
        same = _without_replacement(k_same, own, count, positives, max(self.counts))
        total = len(self.order)
        if any_class:
            first, skipped = start + own, 1
        else:
            first, skipped = start, count
        others = total - skipped
        # Places in the list less those that are skipped.
        place = jax.random.randint(k_other, (negatives,), 0, jnp.maximum(others, 1))
        place = jnp.where(place >= first, place + skipped, place)
        rows = jnp.concatenate([start + same, jnp.minimum(place, total - 1)])
        counts = jnp.concatenate(
            [
                jnp.arange(positives) < count,
                jnp.broadcast_to(others > 0, (negatives,)),
            ]
        )
        return order[jnp.where(counts, rows, start + own)], counts

    def draw_of_each(self, key: Array, rows: int) -> tuple[Array, Array]:
        """Draw images of each class, with replacement.

        Args:
            key: of the draw.
            rows: R, images of a class.

        Returns:
            int32 `[C R]`, numbers of images class by class, and bool `[C R]`, which of
            them count: none of a class without images.
        """
        counts = jnp.asarray(self.counts)[:, None]
        shape = (len(self.counts), rows)
        place = jax.random.randint(key, shape, 0, jnp.maximum(counts, 1))
        place = jnp.minimum(self.starts[:, None] + place, len(self.order) - 1)
        found = jnp.asarray(self.order)[place]
        return found.reshape(-1), jnp.broadcast_to(counts > 0, shape).reshape(-1)


def _without_replacement(
    key: Array, own: Array, count: Array, wanted: int, most: int
) -> Array:
    """Draw different places below `count`, `own` first, int32 `[wanted]`.

    Args:
        key: of the draw.
        own: int scalar, the place that comes first.
        count: int scalar, places there are; what is beyond them is to be left out.
        wanted: how many.
        most: the largest `count`, static.
    """
    # The largest of one random number a place: the first wins, absent ones lose.
    places = jnp.arange(most)
    score = jax.random.uniform(key, (most,))
    score = jnp.where(places == own, 2.0, jnp.where(places < count, score, -1.0))
    found = jax.lax.top_k(score, min(wanted, most))[1]
    return jnp.pad(found, (0, max(wanted - most, 0)))
