"""What networks of a user's own must answer."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from rkd_jax import models
from rkd_jax.models.output import ClassOutput, ModelOutput


class Own(nn.Module):
    """A network for keypoints as a user may write it."""

    answer: str = "right"

    def example_shape(self, size):
        return (1, size, size, 1)

    @nn.compact
    def __call__(self, images, *, train, heads, detector_images=None, example_ids=None):
        logits = nn.Conv(1, (3, 3))(images)[..., 0]
        if self.answer == "array":
            return logits
        if self.answer == "small":
            logits = logits[:, ::2]
        descriptors = nn.Conv(3, (8, 8), strides=(8, 8))(images)
        return ModelOutput(jax.nn.sigmoid(logits), logits, descriptors, {})


class Keyless(Own):
    """One that lacks what training passes."""

    @nn.compact
    def __call__(self, images):
        return images


class OwnClasses(nn.Module):
    """A network for classes as a user may write it."""

    out_channels: int = 3
    answer: str = "right"

    def example_shape(self, size):
        return (1, size, size, 3)

    @nn.compact
    def __call__(self, images, *, train=False, example_ids=None):
        last_map = nn.Conv(4, (3, 3))(images)
        features = jnp.mean(last_map, axis=(1, 2))
        outputs = self.out_channels + (self.answer == "wide")
        logits = nn.Dense(outputs)(features)
        if self.answer == "array":
            return logits
        if self.answer == "map":
            features = last_map
        return ClassOutput(logits, features, last_map)


class KeylessClasses(OwnClasses):
    """One that lacks what training passes."""

    @nn.compact
    def __call__(self, images):
        return images


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        ("Own", {"answer": "array"}, "a .*ModelOutput.*found ShapeDtypeStruct"),
        ("Own", {"answer": "small"}, r"heatmap of \(1, 64, 64\).*\(1, 32, 64\)"),
        ("Keyless", {}, "TypeError where it was called as .*heads="),
    ],
)
def test_answers_that_are_no_keypoints_are_named(cls, options, message):
    name = f"{__name__}:{cls}"
    module = models.build(name, **options)  # a task without keypoints may have it
    with pytest.raises(ValueError, match=f"{cls}.*{message}"):
        models.check_answer(name, module)


@pytest.mark.parametrize(
    "name", sorted({*models.OPTIONS} - {"superretina", "large_kernel", "swin_unetr"})
)
def test_networks_for_maps_and_classes_find_no_keypoints(name):
    message = f"m.name: '{name}' finds no keypoints; expected large_kernel, superretina"
    with pytest.raises(ValueError, match=message):
        models.check_answer(name, models.build(name), "m")


def test_right_answers_are_taken():
    for name in (f"{__name__}:Own", "superretina"):
        models.check_answer(name, models.build(name))


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        ("OwnClasses", {"answer": "array"}, "a .*ClassOutput.*found ShapeDtypeStruct"),
        ("OwnClasses", {"answer": "wide"}, r"logits \[B, out_ch.*found .*\(1, 4\)"),
        ("OwnClasses", {"answer": "map"}, r"features \[B, d\].*\(1, 64, 64, 4\)"),
        ("KeylessClasses", {}, "TypeError where it was called as .*train="),
    ],
)
def test_answers_that_are_no_classes_are_named(cls, options, message):
    name = f"{__name__}:{cls}"
    module = models.build(name, **options)
    with pytest.raises(ValueError, match=f"{cls}.*{message}"):
        models.check_class_answer(name, module)


@pytest.mark.parametrize("name", ["superretina", "frrn", "two_stage"])
def test_networks_for_keypoints_and_maps_give_no_classes(name):
    message = f"m.name: '{name}' gives no classes; expected densenet, resnet"
    with pytest.raises(ValueError, match=message):
        models.check_class_answer(name, models.build(name), "m")


def test_right_answers_of_classes_are_taken():
    for name in (f"{__name__}:OwnClasses", "small_cnn"):
        models.check_class_answer(name, models.build(name))
