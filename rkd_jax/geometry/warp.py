"""Read images and maps at fractional positions, through any inverse map.

Every function treats one image; callers `jax.vmap`.
"""

import jax
import jax.numpy as jnp

from rkd_jax.geometry.homography import Size, apply_homography

Array = jax.Array


def pixel_grid(size: tuple[int, int]) -> Array:
    """Return the positions (x, y) of all pixels, `[H, W, 2]` float32.

    Example:
        >>> pixel_grid((2, 3))[1].tolist()
        [[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]
    """
    height, width = size
    x = jnp.broadcast_to(jnp.arange(width, dtype=jnp.float32)[None, :], size)
    y = jnp.broadcast_to(jnp.arange(height, dtype=jnp.float32)[:, None], size)
    return jnp.stack([x, y], axis=-1)


def sample(image: Array, xy: Array, *, fill: float = 0.0) -> Array:
    """Read an image bilinearly; each of the four taps outside it reads `fill`.

    So a position up to one pixel outside still mixes edge pixels with `fill`, as
    `torch.nn.functional.grid_sample(padding_mode="zeros", align_corners=True)`.

    Args:
        image: `[H, W]` or `[H, W, C]`, any real dtype.
        xy: `[..., 2]` positions (x, y) in px; not-a-number reads `fill`.
        fill: value outside the image.

    Returns:
        `[...]` or `[..., C]` float32.

    Raises:
        ValueError: `image` is neither `[H, W]` nor `[H, W, C]`.

    Example:
        >>> import jax.numpy as jnp
        >>> image = jnp.array([[0.0, 1.0], [2.0, 3.0]])
        >>> sample(image, jnp.array([[0.5, 0.5], [1.5, 0.0]])).tolist()
        [1.5, 0.5]
    """
    image = jnp.asarray(image)
    if image.ndim not in (2, 3):
        raise ValueError(
            f"image has shape {image.shape}; expected [H, W] or [H, W, C]: "
            "use jax.vmap over a batch"
        )
    xy = jnp.nan_to_num(jnp.asarray(xy, jnp.float32), nan=-1.0)
    height, width = image.shape[:2]
    channels = image.shape[2:]
    frame = ((1, 1), (1, 1)) + ((0, 0),) * len(channels)
    padded = jnp.pad(image.astype(jnp.float32), frame, constant_values=fill)
    # One pixel of frame on each side makes every tap a valid index.
    x = jnp.clip(xy[..., 0] + 1.0, 0.0, width + 1.0)
    y = jnp.clip(xy[..., 1] + 1.0, 0.0, height + 1.0)
    x0 = jnp.minimum(jnp.floor(x), float(width))
    y0 = jnp.minimum(jnp.floor(y), float(height))
    fx, fy = x - x0, y - y0
    stride = width + 2
    corner = y0.astype(jnp.int32) * stride + x0.astype(jnp.int32)
    flat = padded.reshape(-1, *channels)

    def tap(offset: int) -> Array:
        return flat.at[corner + offset].get(mode="promise_in_bounds")

    if channels:
        fx, fy = fx[..., None], fy[..., None]
    top = tap(0) * (1.0 - fx) + tap(1) * fx
    bottom = tap(stride) * (1.0 - fx) + tap(stride + 1) * fx
    return top * (1.0 - fy) + bottom * fy


def warp(
    image: Array, h_out_to_in: Array, out_size: tuple[int, int], *, fill: float = 0.0
) -> Array:
    """Warp an image: output pixel p shows the input at `h_out_to_in` of p.

    Args:
        image: `[H, W]` or `[H, W, C]`.
        h_out_to_in: `[3, 3]` map from output px to input px.
        out_size: (height, width) of the output, static.
        fill: value outside the input.

    Returns:
        `[H', W']` or `[H', W', C]` float32.

    Example:
        >>> import jax.numpy as jnp
        >>> from rkd_jax.geometry.homography import translation
        >>> warp(jnp.array([[1.0, 2.0, 3.0]]), translation(1.0, 0.0), (1, 3)).tolist()
        [[2.0, 3.0, 0.0]]
    """
    return sample(image, apply_homography(h_out_to_in, pixel_grid(out_size)), fill=fill)


def inside(xy: Array, size: Size) -> Array:
    """Return which points lie strictly between the outermost pixel centers.

    Args:
        xy: `[..., 2]` points (x, y) in px.
        size: (height, width), numbers or traced scalars.

    Returns:
        `[...]` bool, `0 < x < W - 1` and `0 < y < H - 1`.

    Example:
        >>> import jax.numpy as jnp
        >>> inside(jnp.array([[0.5, 0.5], [0.0, 0.5]]), (4, 4)).tolist()
        [True, False]
    """
    height, width = (jnp.asarray(side, jnp.float32) for side in size)
    x, y = xy[..., 0], xy[..., 1]
    return (x > 0.0) & (y > 0.0) & (x < width - 1.0) & (y < height - 1.0)


def warp_mask(in_size: Size, h_out_to_in: Array, out_size: tuple[int, int]) -> Array:
    """Return which output pixels of `warp` read strictly inside the input.

    Args:
        in_size: (height, width) of the valid input, numbers or traced scalars.
        h_out_to_in: `[3, 3]` map from output px to input px.
        out_size: (height, width) of the output, static.

    Returns:
        `[H', W']` bool.

    Example:
        >>> from rkd_jax.geometry.homography import translation
        >>> warp_mask((3, 3), translation(1.0, 0.0), (3, 3))[1].tolist()
        [True, False, False]
    """
    return inside(apply_homography(h_out_to_in, pixel_grid(out_size)), in_size)
