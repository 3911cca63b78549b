"""Networks by name: those of the package, and a user's own by import path."""

import dataclasses
import difflib
import importlib
import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rkd_jax.models.options import OPTIONS, TwoStageOptions

if TYPE_CHECKING:
    import flax.linen as nn

MODELS = {
    "superretina": "rkd_jax.models.superretina:SuperRetina",
    "large_kernel": "rkd_jax.models.large_kernel:LargeKernel",
    "swin_unetr": "rkd_jax.models.swin_unetr:SwinUnetr",
    "frrn": "rkd_jax.models.frrn:Frrn",
    "resnet": "rkd_jax.models.resnet:ResNet",
    "densenet": "rkd_jax.models.densenet:DenseNet",
    "small_cnn": "rkd_jax.models.small_cnn:SmallCnn",
    "swin_classifier": "rkd_jax.models.swin_classifier:SwinClassifier",
    "two_stage": "rkd_jax.models.two_stage:TwoStage",
}


def build(name: str, **options: Any) -> "nn.Module":
    """Build a network by name.

    Args:
        name: A key of `OPTIONS`, or "package.module:Class" of a network of one's own:
            a Flax module with the method `example_shape(size)`. For keypoints it must
            be called, and answer, as those of the package (`check_answer`; for
            classes, `check_class_answer`).
        **options: Fields of the module; lists become tuples.

    Returns:
        A module that maps images `[B, H, W, in_channels]` to a `ModelOutput`; the
        networks for classes, to a `ClassOutput`; "two_stage" has a method for each of
        its networks.

    Raises:
        ValueError: Unknown network or option (the message has the known ones), or a
            value that the network refuses.

    >>> build("superretina", descriptor_dim=64).descriptor_dim
    64
    """
    check(name, options)
    return _class(name)(**_tuples(options))


def option_names(name: str, field: str = "") -> set[str]:
    """Return the names of the options that a network takes.

    Args:
        name: See `build`.
        field: See `check`.

    Raises:
        ValueError: Unknown network.

    >>> sorted(option_names("large_kernel") - option_names("superretina"))
    ['kernels']
    """
    where = f"{field}: " if field else ""
    if name in OPTIONS:
        known = OPTIONS[name]
    elif ":" in name:
        known = _class(name, f"{field}.name: " if field else "")
    else:
        raise ValueError(
            f"{where}unknown network {name!r}; {_suggest(name, OPTIONS)}; a network of "
            "your own is named package.module:Class"
        )
    return {f.name for f in dataclasses.fields(known)} - {"parent", "name"}


def check(name: str, options: Mapping[str, Any], field: str = "") -> None:
    """Raise a ValueError unless there is such a network and it takes these options.

    Args:
        name: See `build`.
        options: See `build`.
        field: What to call the options in the error, as "config.model".

    >>> check("superretina", {"width": (8, 8, 8, 8)}, "config.model")
    Traceback (most recent call last):
    ValueError: config.model: 'superretina' has no option 'width'; did you mean \
'widths'? known: compute_dtype, descriptor_dim, in_channels, norm, out_channels, widths
    """
    where = f"{field}: " if field else ""
    names = option_names(name, field)
    for option in options:
        if option not in names:
            raise ValueError(
                f"{where}{name!r} has no option {option!r}; {_suggest(option, names)}"
            )
    if name in OPTIONS:
        checked = OPTIONS[name](**_tuples(options))
        checked.check(field)
        if isinstance(checked, TwoStageOptions):
            _check_parts(checked, field)
        return
    try:
        _class(name)(**_tuples(options))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}{name}: {error}") from error


def _check_parts(options: TwoStageOptions, field: str) -> None:
    """Check the networks of a network, and that they fit together."""
    outputs = {"proposal": 1, "patches": 2}
    for part, own in options.parts().items():
        where = f"{field}.{part}" if field else part
        name = own.pop("name")
        check(name, own, where)
        if name not in OPTIONS:
            continue
        network = OPTIONS[name](**_tuples(own))
        needed = {"in_channels": options.in_channels, "out_channels": outputs[part]}
        for key, value in needed.items():
            if getattr(network, key) != value:
                raise ValueError(
                    f"{where}.{key} is {getattr(network, key)}; expected {value}"
                )


def _suggest(word: str, known: Sequence[str] | Mapping | set) -> str:
    near = difflib.get_close_matches(word, known, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}known: {', '.join(sorted(known))}"


def _tuples(options: Mapping[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):  # the options of a part
            return _tuples(value)
        return tuple(value) if isinstance(value, list) else value

    return {name: plain(value) for name, value in options.items()}


def _class(name: str, where: str = "") -> Any:
    """Import the class of a network."""
    import flax.linen as nn

    module_name, _, class_name = MODELS.get(name, name).partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{where}no network {name!r} ({error}); expected package.module:Class that "
            "Python can import from here"
        ) from error
    if not (inspect.isclass(found) and issubclass(found, nn.Module)):
        raise ValueError(
            f"{where}{name} is {found!r}; expected a class of flax.linen.Module"
        )
    if not callable(getattr(found, "example_shape", None)):
        raise ValueError(
            f"{where}{name} has no method example_shape; expected one that returns the "
            "shape of a batch of one image of a given side, as (1, size, size, 1)"
        )
    return found
