"""What a network for keypoints, or for classes, must answer: checked on shapes."""

from typing import TYPE_CHECKING, Any

from rkd_jax.models.options import OPTIONS, ClassifierOptions, KeypointOptions

if TYPE_CHECKING:
    import flax.linen as nn


def keypoint_names() -> str:
    """Return the names of the networks for keypoints, as an error lists them.

    >>> keypoint_names()
    'large_kernel, superretina or swin_unetr'
    """
    return _listed(KeypointOptions)


def _listed(kind: type) -> str:
    names = [name for name, options in OPTIONS.items() if issubclass(options, kind)]
    *rest, last = sorted(names)
    return f"{', '.join(rest)} or {last}"


def check_answer(name: str, module: "nn.Module", field: str = "") -> None:
    """Call a user's network on shapes, as tasks with keypoints do; check its answer.

    Args:
        name: See `build`; of those of the package, the ones for keypoints are right.
        module: What `build` returned.
        field: What has the name, as "config.model".

    Raises:
        ValueError: It cannot be called so, or answers something else.
    """
    if name in OPTIONS:
        problem = f"finds no keypoints; expected {keypoint_names()}"
        _check_kind(name, KeypointOptions, field, problem)
        return
    from rkd_jax.models.output import HEADS, ModelOutput

    call = {"heads": HEADS, "detector_images": 1}
    images, answer = _call_on_shapes(name, module, call)
    found = f"found {type(answer).__name__}"
    if isinstance(answer, ModelOutput):
        heatmap, descriptors = answer.heatmap, answer.descriptors
        ours = heatmap is not None and heatmap.shape[:3] == images[:3]
        if ours and (descriptors is None or len(descriptors.shape) == 4):
            return
        both = heatmap, descriptors
        shapes = tuple(getattr(leaf, "shape", None) for leaf in both)
        found = f"found heatmap and descriptors of {shapes}"
    raise ValueError(
        f"{name}: expected a rkd_jax.models.output.ModelOutput with a heatmap of "
        f"{images[:3]} and descriptors [B, h, w, D] or None, {found}"
    )


def class_names() -> str:
    """Return the names of the networks for classes, as an error lists them.

    >>> class_names()
    'densenet, resnet, small_cnn or swin_classifier'
    """
    return _listed(ClassifierOptions)


def check_class_answer(name: str, module: "nn.Module", field: str = "") -> None:
    """Call a user's network on shapes, as tasks with classes do; check its answer.

    Args:
        name: See `build`; of those of the package, the ones for classes are right.
        module: What `build` returned.
        field: What has the name, as "config.model".

    Raises:
        ValueError: It cannot be called so, or answers something else.
    """
    if name in OPTIONS:
        problem = f"gives no classes; expected {class_names()}, or package.module:Class"
        _check_kind(name, ClassifierOptions, field, problem)
        return
    from rkd_jax.models.output import ClassOutput

    images, answer = _call_on_shapes(name, module, {})
    found = f"found {type(answer).__name__}"
    if isinstance(answer, ClassOutput):
        shapes = [leaf.shape for leaf in (answer.logits, answer.features)]
        wanted = (images[0], getattr(module, "out_channels", shapes[0][-1]))
        if shapes[0] == wanted and len(shapes[1]) == 2 and shapes[1][0] == images[0]:
            return
        found = f"found logits and features of {shapes[0]} and {shapes[1]}"
    raise ValueError(
        f"{name}: expected a rkd_jax.models.output.ClassOutput with logits "
        f"[B, out_channels] and features [B, d] for images of {images}, {found}"
    )


def _check_kind(name: str, kind: type, field: str, problem: str) -> None:
    """Refuse a network of the package that is of another kind."""
    if not issubclass(OPTIONS[name], kind):
        where = f"{field}.name: " if field else ""
        raise ValueError(f"{where}{name!r} {problem}")


def _call_on_shapes(
    name: str, module: "nn.Module", more: dict[str, Any]
) -> tuple[tuple[int, ...], Any]:
    """Return the shape of a batch, and the shapes that a network answers to it."""
    import jax
    import jax.numpy as jnp

    images = jnp.zeros(module.example_shape(64), jnp.float32)
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    call = {"train": True, **more, "example_ids": jnp.arange(len(images))}
    try:
        answer, _ = jax.eval_shape(
            lambda: module.init_with_output(keys, images, **call)
        )
    except Exception as error:
        raise ValueError(
            f"{name}: {type(error).__name__} where it was called as "
            f"module(images [{', '.join(map(str, images.shape))}], "
            f"{', '.join(f'{k}=' for k in call)}): {error}"
        ) from error
    return images.shape, answer
