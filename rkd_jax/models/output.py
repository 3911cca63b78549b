"""What every network takes and returns: images, heads, and the `ModelOutput`."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

HEADS = ("detector", "descriptor")


@flax.struct.dataclass
class ModelOutput:
    """What a model returns; a head that was not asked for is None.

    Attributes:
        heatmap: `[B, H, W]` float32 in 0..1 (`[B, H, W, K]` for K > 1 outputs).
        logits: The same before the sigmoid.
        descriptors: `[B, h, w, D]` float32 of the padded input, not of unit norm:
            normalize after sampling.
        intermediates: Named feature maps in the compute dtype.
    """

    heatmap: jax.Array | None
    logits: jax.Array | None
    descriptors: jax.Array | None
    intermediates: dict[str, jax.Array]


@flax.struct.dataclass
class ClassOutput:
    """What a classifier returns.

    Attributes:
        logits: `[B, K]` float32, one a class.
        features: `[B, D]` float32, what the logits are a linear map of: the mean of the
            last map, or the embedding made of it.
        last_map: `[B, h, w, C]` in the compute dtype; C is D without an embedding.
    """

    logits: jax.Array
    features: jax.Array
    last_map: jax.Array


def check_heads(heads: tuple[str, ...]) -> None:
    """Raise ValueError unless every name is a head."""
    unknown = sorted(set(heads) - set(HEADS))
    if unknown:
        raise ValueError(f"unknown heads {unknown}; known: {list(HEADS)}")


def detector_count(asked: int | None, images: int) -> int:
    """Return for how many leading images of a batch the detector is computed.

    Raises:
        ValueError: Not in 1..images.
    """
    count = images if asked is None else asked
    if not 1 <= count <= images:
        raise ValueError(
            f"detector_images is {asked}; expected 1..{images}, the batch size "
            '(for none, leave "detector" out of heads)'
        )
    return count


def check_images(images: jax.Array, channels: int) -> None:
    """Raise ValueError unless the array is `[B, H, W, channels]` with no empty side."""
    if images.ndim != 4 or images.shape[-1] != channels or 0 in images.shape:
        raise ValueError(
            f"images have shape {images.shape}; expected [B, H, W, {channels}] with "
            "no empty axis: add the batch and channel axes or set in_channels"
        )


def pad_images(
    images: jax.Array, *, channels: int, divisor: int, minimum: int
) -> jax.Array:
    """Zero-pad `[B, H, W, C]` at the right and bottom to the sizes a model takes.

    Raises:
        ValueError: The array is not `[B, H, W, channels]` or has an empty side.
    """
    check_images(images, channels)
    sides = [max(minimum, -(-n // divisor) * divisor) for n in images.shape[1:3]]
    extra = [(0, side - n) for side, n in zip(sides, images.shape[1:3])]
    return jnp.pad(images, ((0, 0), *extra, (0, 0)))


def finish_detector(
    logits: jax.Array, height: int, width: int
) -> tuple[jax.Array, jax.Array]:
    """Crop logits `[B, H', W', K]`; return heatmap and logits in float32."""
    logits = logits[:, :height, :width].astype(jnp.float32)
    if logits.shape[-1] == 1:
        logits = logits[..., 0]
    return nn.sigmoid(logits), logits
