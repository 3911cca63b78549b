"""The radial distortion B(p) = p (1 + k |p|^2) and its inverse in closed form.

One form for two causes: the lens of a camera, whose first radial coefficient k is, and
the curved retina, which bends a flat photograph in the same way. Points are relative
to the centre of the distortion, in units in which k is meant. Both functions take
NumPy and JAX arrays and keep their precision.
"""

from typing import Any


def bend(points: Any, k: Any) -> Any:
    """Map points p to p (1 + k |p|^2).

    Args:
        points: float `[..., 2]`, NumPy or JAX.
        k: strength, a number or a scalar; the map never folds where k is at least 0.

    Returns:
        `[..., 2]` of the type of `points`.

    Example:
        >>> import numpy as np
        >>> bend(np.array([[1.0, 0.0]]), 0.1).tolist()
        [[1.1, 0.0]]
    """
    xp = points.__array_namespace__()
    return points * (1.0 + k * xp.sum(points * points, axis=-1, keepdims=True))


def unbend(points: Any, k: Any) -> Any:
    """Invert `bend`.

    The radius is the one real root of r + k r^3 = R, by the hyperbolic sine:
    r = 2 / s sinh(arcsinh(1.5 s R) / 3) with s = sqrt(3 k). Its digits do not cancel as
    k goes to 0, as those of Cardano's formula do.

    Args:
        points: float `[..., 2]`, NumPy or JAX.
        k: strength as in `bend`, at least 0. Below 0 the map folds and has no inverse:
            the result is not a number.

    Returns:
        `[..., 2]` of the type of `points`.

    Example:
        >>> import numpy as np
        >>> unbend(np.array([[1.1, 0.0]]), 0.1).round(9).tolist()
        [[1.0, 0.0]]
    """
    xp = points.__array_namespace__()
    squared = xp.sum(points * points, axis=-1, keepdims=True)
    far = xp.sqrt(xp.where(squared > 0, squared, 1.0))
    scale = xp.sqrt(3.0 * xp.where(k == 0, 1.0, k))
    near = 2.0 / scale * xp.sinh(xp.arcsinh(1.5 * scale * far) / 3.0)
    return points * xp.where((squared > 0) & (k != 0), near / far, 1.0)
