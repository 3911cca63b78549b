"""What a weights file says about how images are classified with it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from rkd_jax.classification.embedding import Embedding
from rkd_jax.classification.prepare import MEAN, STD


@dataclasses.dataclass(frozen=True)
class ClassifierSettings:
    """How images are classified.

    Attributes:
        classes: their names, in the order of the logits.
        ordered: whether they are grades, from low to high.
        size: side of the square that the network takes, px.
        crop_field: whether images are cut to the camera's field of view first.
        mean: of the three channels, in 0..1.
        std: their standard deviation.
        temperature: what the logits are divided by.
        embedding: where the training images lie; None: no distance is known.
    """

    classes: tuple[str, ...]
    ordered: bool = False
    size: int = 224
    crop_field: bool = False
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    temperature: float = 1.0
    embedding: Embedding | None = None

    def __post_init__(self) -> None:
        """Check the values; raise a ValueError with the name of a bad one."""
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes are {self.classes}; expected two different ones")
        if not all(isinstance(name, str) and name for name in self.classes):
            raise ValueError(f"classes are {self.classes}; expected names")
        if type(self.size) is not int or self.size < 1:
            raise ValueError(
                f"size is {self.size!r}; expected a whole number of pixels above 0"
            )
        for name in ("mean", "std"):
            values = getattr(self, name)
            least = 0.0 if name == "std" else -math.inf
            if len(values) != 3 or not all(least < v < math.inf for v in values):
                raise ValueError(f"{name} is {values}; expected three numbers")
        if not 0 < self.temperature < math.inf:
            raise ValueError(
                f"temperature is {self.temperature!r}; expected a number above 0"
            )
        if self.embedding and len(self.embedding.center) != len(self.classes):
            raise ValueError(
                f"embedding.center has {len(self.embedding.center)} rows for "
                f"{len(self.classes)} classes"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return what `settings_of` reads: `preprocess` of a weights file.

        >>> found = ClassifierSettings(("no", "yes"), temperature=1.5).to_dict()
        >>> settings_of(found, "a.safetensors").temperature
        1.5
        """
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        embedding = fields.pop("embedding")
        found = {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}
        return found | ({"embedding": embedding.to_dict()} if embedding else {})


def settings_of(preprocess: Mapping[str, Any], where: str) -> ClassifierSettings:
    """Return the settings in the metadata of a weights file.

    Args:
        preprocess: `Weights.preprocess`; what is missing has its default, but for the
            classes.
        where: names the file in an error.

    Raises:
        ValueError: no classes, an unknown field, or a bad value.

    >>> settings_of({"classes": ["no", "yes"]}, "a.safetensors").size
    224
    """
    given = dict(preprocess)
    if "classes" not in given:
        raise ValueError(
            f"{where}: these weights name no classes; expected those of a task with "
            "classes, as the experiment `crckd` trains"
        )
    fields = {field.name for field in dataclasses.fields(ClassifierSettings)}
    if unknown := sorted(set(given) - fields):
        raise ValueError(
            f"{where}: unknown fields {', '.join(unknown)} of the preparation; a newer "
            "version of rkd_jax wrote this file: install it"
        )
    try:
        for name in ("classes", "mean", "std"):
            if name in given:
                given[name] = tuple(given[name])
        if given.get("embedding") is not None:
            given["embedding"] = Embedding.from_dict(given["embedding"])
        return ClassifierSettings(**given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from None
