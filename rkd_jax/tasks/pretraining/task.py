"""Self-supervised pre-training of the Swin encoder: masked regions and rotation.

Squares of the image are hidden and drawn again from the encoder's deepest map, and the
image is turned by a multiple of 90 degrees, which the encoder has to tell. The weights
file that comes out is a whole Swin UNETR whose encoder is trained.

Source: the poster's "pretrained" row (docs/paper/specification.md §6); its code is
absent, so the two heads, both losses with weight one, are ours.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from rkd_jax.config import Config, TaskConfig
from rkd_jax.tasks.base import Aux
from rkd_jax.tasks.reductions import global_mean

Array = jax.Array
PyTree = Any
# The deepest hidden state stands for squares of this side.
STRIDE = 32


class _Heads(nn.Module):
    """Reconstruction `[B, H, W]` and rotation logits `[B, 4]` of the deepest map."""

    @nn.compact
    def __call__(self, deepest: Array) -> tuple[Array, Array]:
        batch, rows, columns, _ = deepest.shape
        squares = nn.Dense(STRIDE * STRIDE, name="reconstruction")(deepest)
        squares = squares.reshape(batch, rows, columns, STRIDE, STRIDE)
        image = squares.transpose(0, 1, 3, 2, 4)
        image = image.reshape(batch, rows * STRIDE, columns * STRIDE)
        rotation = nn.Dense(4, name="rotation")(jnp.mean(deepest, axis=(1, 2)))
        return image, rotation


@dataclasses.dataclass(frozen=True)
class PretrainingTask:
    """Pre-train an encoder; see `rkd_jax.tasks.base.Task`.

    Attributes:
        model: a Swin UNETR.
        options: `mask_ratio` and `mask_size` are read.
        crop: side of the training crops, 0 for whole images; a multiple of 32.
        labeled: not used.
        steps_per_epoch: not used.
        teacher_model: not used.
        teacher_grid: not used.
        axis_name: mapped axis over which `loss` normalises.
    """

    model: nn.Module
    options: TaskConfig
    crop: int
    labeled: int = 0
    steps_per_epoch: int = 1
    teacher_model: nn.Module | None = None
    teacher_grid: str | None = None
    axis_name: str | None = None

    def init(self, key: Array, batch: dict[str, Array]) -> tuple[PyTree, PyTree]:
        """Return fresh variables of network and heads; there is no task state."""
        side = self.crop or batch["image"].shape[-3]
        k_model, k_heads = jax.random.split(key)
        image = jnp.zeros((1, side, side, 1), jnp.float32)
        network = jax.jit(self.model.init)(k_model, image)
        deepest = jax.eval_shape(
            lambda: self._deepest(network, image, None, None, train=False)
        )
        heads = _Heads().init(k_heads, jnp.zeros(deepest.shape, jnp.float32))
        return {"params": {"network": network["params"], "heads": heads["params"]}}, {}

    def network(self, variables: PyTree) -> PyTree:
        """Return the network's variables, without the heads."""
        return {"params": variables["params"]["network"]}

    def loss(
        self,
        variables: PyTree,
        task_state: PyTree,
        teacher: PyTree,
        batch: dict[str, Array],
        key: Array,
        step: Array,
    ) -> tuple[Array, Aux]:
        """Return mean absolute error of what was hidden plus rotation cross-entropy."""
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch["example"])
        images, hidden, turns = jax.vmap(self._view)(
            keys, batch["image"], batch["size"]
        )
        terms, right = self._terms(
            variables, images, hidden, turns, key, batch["example"], train=True
        )
        ones = jnp.ones_like(turns, jnp.float32)
        means = {k: global_mean(v, ones, self.axis_name) for k, v in terms.items()}
        total = sum(means.values())
        accuracy = global_mean(right, ones, self.axis_name)
        metrics = {"loss": total, **means, "rotation_accuracy": accuracy}
        return total, Aux(metrics, task_state)

    def evaluate(
        self, variables: PyTree, data: list[dict[str, np.ndarray]]
    ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Return the two losses on held-out images; `score` is minus their sum."""

        @jax.jit
        def one(image: Array, size: Array, key: Array) -> dict[str, Array]:
            view = self._view(key, image, size)
            images, hidden, turns = (x[None] for x in view)
            terms, right = self._terms(
                variables, images, hidden, turns, key, None, train=False
            )
            return jax.tree.map(lambda x: x[0], {**terms, "rotation_accuracy": right})

        results = [
            one(item["image"], item["size"], jax.random.PRNGKey(number))
            for number, item in enumerate(data)
        ]
        means = {k: float(np.mean([r[k] for r in results])) for k in results[0]}
        return {
            "score": -(means["reconstruction"] + means["rotation"]),
            **means,
        }, {}

    def _deepest(
        self, network: PyTree, images: Array, key: Any, examples: Any, *, train: bool
    ) -> Array:
        answer = self.model.apply(
            network,
            images,
            train=train,
            heads=(),
            example_ids=examples,
            rngs={"dropout": key} if train else {},
        )
        return answer.intermediates["h4"]

    def _view(
        self, key: Array, image: Array, size: Array
    ) -> tuple[Array, Array, Array]:
        """Return a turned crop `[C, C, 1]`, the hidden part `[C, C]`, and the turns."""
        k_crop, k_turn, k_mask = jax.random.split(key, 3)
        side = self.crop or image.shape[0]
        room = jnp.maximum(size[::-1] - side, 0)
        x, y = jax.random.randint(k_crop, (2,), jnp.zeros((2,), jnp.int32), room + 1)
        zero = jnp.zeros((), jnp.int32)
        crop = jax.lax.dynamic_slice(image, (y, x, zero), (side, side, 1))
        turns = jax.random.randint(k_turn, (), 0, 4)
        crop = jax.lax.switch(
            turns, [lambda c, k=k: jnp.rot90(c, k) for k in range(4)], crop
        )
        square = self.options.mask_size
        cells = -(-side // square)
        hidden = jax.random.uniform(k_mask, (cells, cells)) < self.options.mask_ratio
        hidden = jnp.repeat(jnp.repeat(hidden, square, axis=0), square, axis=1)
        return crop, hidden[:side, :side], turns

    def _terms(
        self,
        variables: PyTree,
        images: Array,
        hidden: Array,
        turns: Array,
        key: Array,
        examples: Array | None,
        *,
        train: bool,
    ) -> tuple[dict[str, Array], Array]:
        seen = jnp.where(hidden[..., None], 0.0, images)
        deepest = self._deepest(
            self.network(variables), seen, key, examples, train=train
        )
        drawn, logits = _Heads().apply(
            {"params": variables["params"]["heads"]}, deepest
        )
        height, width = images.shape[1:3]
        error = jnp.abs(drawn[:, :height, :width] - images[..., 0])
        counts = jnp.maximum(jnp.sum(hidden, axis=(1, 2)), 1).astype(jnp.float32)
        reconstruction = jnp.sum(jnp.where(hidden, error, 0.0), axis=(1, 2)) / counts
        rotation = optax.softmax_cross_entropy_with_integer_labels(logits, turns)
        right = (jnp.argmax(logits, axis=-1) == turns).astype(jnp.float32)
        return {"reconstruction": reconstruction, "rotation": rotation}, right


def held_out_images(config: Config) -> list[dict[str, np.ndarray]]:
    """Return synthetic photographs that no training sees, `image` and `size`."""
    from rkd_jax.data import pipeline
    from rkd_jax.images.prepare import prepare

    pairs = pipeline.synthetic_pairs(
        config.loop.eval_pairs, size=config.data.size, seed=0
    )
    prepared = [prepare(pair["fixed"], size=config.data.size) for pair in pairs]
    return [
        {"image": p.image[..., None], "size": np.array(p.size, np.int32)}
        for p in prepared
    ]
