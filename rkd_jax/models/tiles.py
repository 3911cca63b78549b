"""A network on images larger than memory: tile by tile, with the same result."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rkd_jax.models.output import ModelOutput, finish_detector, pad_images
from rkd_jax.models.superretina import SuperRetina


def halo(module: nn.Module) -> int:
    """Return how far around a tile the network must look, pixels.

    Raises:
        ValueError: The network cannot be run in tiles.
    """
    if not isinstance(module, SuperRetina):
        raise ValueError(
            f"{type(module).__name__} cannot run in tiles: its instance norm takes "
            "statistics over the whole image and its windows lie on one grid; use a "
            "smaller working size or a U-Net"
        )
    if module.norm != "none":
        raise ValueError(
            f"a network with norm={module.norm!r} cannot run in tiles: each layer "
            "takes statistics over the whole image, so that tiles would give another "
            "result; use a smaller working size or weights with norm='none'"
        )
    # Two 3x3 convolutions at full size, and stages of 2, 4 and 8 px cells. The decoder
    # adds 28 px, the descriptor head less; a cell of 16 px may begin anywhere.
    reach = 2 + 14 * module.stage_radius() + 28 + 15
    return -(-reach // 16) * 16


def apply_in_tiles(
    module: nn.Module, variables: Any, images: jax.Array, *, tile: int
) -> ModelOutput:
    """Run a U-Net tile by tile; equal to `module.apply` up to rounding.

    One tile at a time is in memory, with as many pixels around it as the network sees;
    its core goes into the result. At the edges of the image, tiles end there too.

    Args:
        module: `SuperRetina` or `LargeKernel` with `norm="none"`.
        variables: Of the module.
        images: `[B, H, W, C]`.
        tile: Side of a tile's core, pixels, a multiple of 16. Images that are no
            larger than a tile with its surroundings are run whole.

    Returns:
        Heatmap, logits and descriptors; no intermediates.

    Raises:
        ValueError: The network cannot be run in tiles (see `halo`), or the tile is no
            multiple of 16.

    >>> module = SuperRetina(widths=(4, 4, 8, 8), descriptor_dim=8)
    >>> images = jnp.zeros((1, 48, 256, 1))
    >>> variables = module.init(jax.random.key(0), images)
    >>> output = apply_in_tiles(module, variables, images, tile=32)
    >>> output.heatmap.shape, output.descriptors.shape
    ((1, 48, 256), (1, 4, 30, 8))
    """
    if tile < 16 or tile % 16:
        raise ValueError(f"tile is {tile}; expected a positive multiple of 16")
    around = halo(module)
    height, width = images.shape[1:3]
    padded = pad_images(
        images,
        channels=module.in_channels,
        divisor=module.divisor,
        minimum=module.minimum,
    )
    batch, rows, columns = padded.shape[:3]
    windows = [min(n, tile + 2 * around) for n in (rows, columns)]
    if windows == [rows, columns]:
        output = module.apply(variables, images)
        return output.replace(intermediates={})
    cores = [n if w == n else tile for n, w in zip((rows, columns), windows)]
    counts = [-(-n // core) for n, core in zip((rows, columns), cores)]

    def span(number: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
        """Return where core and window of a tile begin."""
        size = (rows, columns)[axis]
        core = jnp.minimum(number * cores[axis], size - cores[axis])
        return core, jnp.clip(core - around, 0, size - windows[axis])

    def put(whole: jax.Array, part: jax.Array, image: jax.Array, at, cell: int):
        """Copy the core of a window's map, in cells of some pixels, to its place."""
        (top, above), (left, before) = at
        inner = (0, (top - above) // cell, (left - before) // cell, 0)
        sides = tuple(core // cell for core in cores)
        core = jax.lax.dynamic_slice(part, inner, (1, *sides, part.shape[-1]))
        place = (image, top // cell, left // cell, 0)
        return jax.lax.dynamic_update_slice(whole, core, place)

    def step(index: jax.Array, whole: tuple) -> tuple:
        image, rest = jnp.divmod(index, counts[0] * counts[1])
        row, column = jnp.divmod(rest, counts[1])
        at = span(row, 0), span(column, 1)
        start = (image, at[0][1], at[1][1], 0)
        window = jax.lax.dynamic_slice(padded, start, (1, *windows, padded.shape[-1]))
        place = (at[0][1], rows), (at[1][1], columns)
        output = module.apply(variables, window, place=place)
        logits = output.logits
        logits = put(
            whole[0], logits if logits.ndim == 4 else logits[..., None], image, at, 1
        )
        if output.descriptors is None:
            return logits, whole[1]
        # The map lacks the last two cells of 8 px on each axis.
        cells = jnp.pad(output.descriptors, ((0, 0), (0, 2), (0, 2), (0, 0)))
        return logits, put(whole[1], cells, image, at, 8)

    dim = module.descriptor_dim
    blank = (
        jnp.zeros((batch, rows, columns, module.out_channels)),
        jnp.zeros((batch, rows // 8, columns // 8, dim)),
    )
    total = batch * counts[0] * counts[1]
    logits, descriptors = jax.lax.fori_loop(0, total, step, blank)
    heatmap, logits = finish_detector(logits, height, width)
    descriptors = descriptors[:, : rows // 8 - 2, : columns // 8 - 2] if dim else None
    return ModelOutput(heatmap, logits, descriptors, {})
