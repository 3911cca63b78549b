"""Networks by name, their options and ranges, and networks of a user's own."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from rkd_jax import models
from rkd_jax.models.output import ModelOutput


class Own(nn.Module):
    """A network as a user may write it."""

    features: int = 3

    def example_shape(self, size):
        return (1, size, size, 1)

    @nn.compact
    def __call__(self, images, *, train, heads, detector_images=None, example_ids=None):
        logits = nn.Conv(1, (3, 3))(images)[..., 0]
        descriptors = nn.Conv(self.features, (8, 8), strides=(8, 8))(images)
        return ModelOutput(jax.nn.sigmoid(logits), logits, descriptors, {})


class Shapeless(nn.Module):
    """One that does not say what images it takes."""


@pytest.mark.parametrize("name", sorted(models.OPTIONS))
def test_options_are_the_fields_of_the_network_with_the_same_defaults(name):
    module, options = models.build(name), models.OPTIONS[name]()
    # The axis of the devices is the trainer's: no file has it.
    fields = {f.name for f in dataclasses.fields(module)}
    fields -= {"parent", "name", "axis_name"}
    ours = {f: getattr(module, f) for f in fields}
    assert ours == dataclasses.asdict(options)
    assert models.build(name, **dataclasses.asdict(options)) == module
    assert module.example_shape(32) == (1, 32, 32, options.in_channels)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "swin_unet",
            {},
            r"'swin_unet'; did you mean 'swin_unetr'\? known: densenet, ",
        ),
        (
            "superretina",
            {"kernels": (3,)},
            "'superretina' has no option 'kernels'; k",
        ),
        ("superretina", {"width": 3}, r"option 'width'; did you mean 'widths'\?"),
        ("superretina", {"widths": (8, 8)}, r"m\.widths is \(8, 8\); expected four"),
        ("superretina", {"widths": (8, 8, 0, 8)}, r"m\.widths .*whole numbers above 0"),
        (
            "superretina",
            {"compute_dtype": "float16"},
            "dtype is 'float16'; exp",
        ),
        (
            "superretina",
            {"norm": "batch"},
            r"m\.norm is 'batch'; expected none",
        ),
        ("superretina", {"descriptor_dim": -1}, r"m\.descriptor_dim is -1; expected 0"),
        ("large_kernel", {"kernels": (1, 2)}, "different odd sizes"),
        ("large_kernel", {"kernels": ()}, "whole numbers above 0"),
        ("large_kernel", {"widths": (8,)}, "expected four numbers"),
        ("swin_unetr", {"drop_rate": 1.0}, r"m\.drop_rate is 1\.0"),
        (
            "swin_unetr",
            {"feature_size": 25},
            r"size is 25.*3 heads cannot share",
        ),
        ("swin_unetr", {"depths": (2, 2)}, "four numbers"),
        ("frrn", {"width": 0}, r"m\.width is 0; expected whole numbers above 0"),
        ("frrn", {"lanes": 2.5}, r"m\.lanes is 2\.5"),
        ("frrn", {"descriptor_dim": 8}, "'frrn' has no option 'descriptor_dim'"),
        ("resnet", {"widths": (8, 8)}, r"m\.widths is \(8, 8\) .* as many of both"),
        ("resnet", {"depths": (3, 4, 0, 3)}, r"m\.depths .*whole numbers above 0"),
        (
            "resnet",
            {"embedding_dim": -1},
            r"m\.embedding_dim is -1; expected 0 \(no layer",
        ),
        ("densenet", {"embedding_dim": 2.5}, r"m\.embedding_dim is 2\.5"),
        ("densenet", {"blocks": ()}, r"m\.blocks is \(\); expected whole numbers"),
        ("densenet", {"growth": 0}, r"m\.growth is 0; expected whole numbers"),
        ("densenet", {"depths": (6, 12)}, "'densenet' has no option 'depths'"),
        ("small_cnn", {"channels": (8, -1)}, r"m\.channels is \(8, -1\)"),
        ("small_cnn", {"embedding_dim": "8"}, r"m\.embedding_dim is '8'"),
        ("swin_classifier", {"window_size": 1}, r"m\.window_size is 1; expected at"),
        ("swin_classifier", {"embedding_dim": -3}, r"m\.embedding_dim is -3"),
        ("swin_classifier", {"norm": "none"}, "no option 'norm'"),
        ("two_stage", {"proposal": "frrn"}, r"m\.proposal is 'frrn'; .* \"name\""),
        ("two_stage", {"patches": {}}, r"m\.patches is \{\}; expected the options"),
        (
            "two_stage",
            {"proposal": {"name": "frnn"}},
            r"proposal: unknown network 'frnn'; did you mean 'frrn'",
        ),
        (
            "two_stage",
            {"patches": {"name": "resnet", "width": 3}},
            r"patches: 'resnet' has no option 'width'; did you mean 'widths'",
        ),
        (
            "two_stage",
            {"proposal": {"name": "frrn", "out_channels": 2}},
            r"proposal\.out_channels is 2; expected 1",
        ),
        (
            "two_stage",
            {"patches": {"name": "resnet", "in_channels": 1}},
            r"patches\.in_channels is 1; expected 3",
        ),
        ("swin_unetr", {"window_size": 1}, "window_size is 1; expected at least 2"),
    ],
)
def test_wrong_names_and_options_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        models.check(name, options, "m")
    with pytest.raises(ValueError, match=message.removeprefix(r"m\.")):
        models.build(name, **options)


def test_lists_become_tuples():
    assert models.build("large_kernel", kernels=[1, 3]).kernels == (1, 3)
    own = {"name": "resnet", "widths": [4, 8], "depths": [1, 1]}
    assert models.build("two_stage", patches=own).patches["depths"] == (1, 1)


def test_a_network_of_ones_own():
    name = f"{__name__}:Own"
    models.check(name, {"features": 5}, "m")
    module = models.build(name, features=5)
    assert isinstance(module, Own)
    variables = module.init(
        jax.random.key(0), jnp.zeros((1, 16, 16, 1)), train=False, heads=()
    )
    assert variables["params"]["Conv_1"]["bias"].shape == (5,)


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        ("Nothing", {}, "has no attribute 'Nothing'.*expected package.module:Class"),
        ("pytest", {}, "expected a class of flax.linen.Module"),
        ("Shapeless", {}, "no method example_shape"),
        ("Own", {"feature": 3}, "no option 'feature'; did you mean 'features'"),
    ],
)
def test_what_is_wrong_with_a_network_is_named(cls, options, message):
    with pytest.raises(ValueError, match=f"{cls}.*{message}"):
        models.build(f"{__name__}:{cls}", **options)
    with pytest.raises(ValueError, match="no_such_package"):
        models.check("no_such_package.module:Class", {})
