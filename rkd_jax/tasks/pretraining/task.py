"""Self-supervised pre-training of the Swin encoder: masked regions and rotation.

Squares of the image are hidden and drawn again from the encoder's deepest map, and the
image is turned by a multiple of 90 degrees, which a second head has to predict. The
weights file holds a whole Swin UNETR whose encoder is trained.

Source: the poster's "pretrained" row (docs/paper/specification.md §6); its code is
absent, so the two heads, both losses with weight one, are ours.
"""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from rkd_jax.config import Config
from rkd_jax.data.source import CachedSource, Source
from rkd_jax.data.sources import synthetic_pair
from rkd_jax.tasks.base import Aux, Task
from rkd_jax.tasks.pretraining.config import PretrainingConfig
from rkd_jax.tasks.reductions import global_mean

Array = jax.Array
PyTree = Any
# A place of the deepest hidden state covers a square of this side, pixels.
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
class PretrainingTask(Task):
    """Pre-train an encoder; see `rkd_jax.tasks.base.Task`.

    Attributes:
        model: a Swin UNETR.
        options: what is hidden.
        crop: side of the training crops, 0 for whole images; a multiple of 32.
        axis_name: mapped axis over which `loss` averages; None for one device.
    """

    model: nn.Module
    options: PretrainingConfig
    crop: int
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

    def load(self, variables: PyTree, weights: PyTree) -> PyTree:
        """Return fresh variables whose network is that of a weights file."""
        return {"params": {**variables["params"], "network": weights["params"]}}

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
        draw = functools.partial(hidden_view, crop=self.crop, options=self.options)
        images, hidden, turns = jax.vmap(draw)(keys, batch["image"], batch["size"])
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
        self, variables: PyTree, data: Source
    ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Return the two losses on held-out images; `score` is minus their sum."""

        @jax.jit
        def one(image: Array, size: Array, key: Array) -> dict[str, Array]:
            view = hidden_view(key, image, size, crop=self.crop, options=self.options)
            images, hidden, turns = (x[None] for x in view)
            terms, right = self._terms(
                variables, images, hidden, turns, key, None, train=False
            )
            return jax.tree.map(lambda x: x[0], {**terms, "rotation_accuracy": right})

        results = []
        for number in range(len(data)):
            item, key = data[number], jax.random.PRNGKey(number)
            results.append(one(item["image"], item["size"], key))
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


def hidden_view(
    key: Array, image: Array, size: Array, *, crop: int, options: PretrainingConfig
) -> tuple[Array, Array, Array]:
    """Draw a turned crop and what of it is hidden.

    Args:
        key: of this example and step.
        image: `[S, S, 1]`.
        size: int32 `[2]`, (height, width) of what is not padding.
        crop: side C of the result, 0 takes S.
        options: what is hidden.

    Returns:
        The crop `[C, C, 1]`, bool `[C, C]` of hidden pixels, and the number of quarter
        turns that the crop was turned by.
    """
    k_crop, k_turn, k_mask = jax.random.split(key, 3)
    side = crop or image.shape[0]
    slack = jnp.maximum(size[::-1] - side, 0)
    x, y = jax.random.randint(k_crop, (2,), jnp.zeros((2,), jnp.int32), slack + 1)
    zero = jnp.zeros((), jnp.int32)
    part = jax.lax.dynamic_slice(image, (y, x, zero), (side, side, 1))
    turns = jax.random.randint(k_turn, (), 0, 4)
    part = jax.lax.switch(
        turns, [lambda c, k=k: jnp.rot90(c, k) for k in range(4)], part
    )
    square = options.mask_size
    cells = -(-side // square)
    hidden = jax.random.uniform(k_mask, (cells, cells)) < options.mask_ratio
    hidden = jnp.repeat(jnp.repeat(hidden, square, axis=0), square, axis=1)
    return part, hidden[:side, :side], turns


def held_out_images(config: Config) -> CachedSource:
    """Return synthetic photographs that no training sees, `image` and `size`."""
    from rkd_jax.images.prepare import prepare

    side = config.data.size

    def make(number: int) -> dict[str, np.ndarray]:
        prepared = prepare(synthetic_pair(number, size=side)["fixed"], size=side)
        size = np.array(prepared.size, np.int32)
        return {"image": prepared.image[..., None], "size": size}

    names = [f"synthetic photograph {i}" for i in range(config.loop.eval_pairs)]
    return CachedSource(make, names, cache_mb=config.data.cache_mb)
