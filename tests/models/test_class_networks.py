"""The networks for classes: what they answer, sizes, embedding, devices, dropout."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate2d

from rkd_jax.models import OPTIONS, ClassifierOptions, build, layers

SMALL = {
    "densenet": {"growth": 4, "blocks": (1, 2), "stem": 6, "bn_size": 2},
    "resnet": {"widths": (4, 6), "depths": (1, 1), "bottleneck": False},
    "small_cnn": {"channels": (4, 5, 6)},
    "swin_classifier": {"feature_size": 6, "depths": (1, 1, 1, 1)}
    | {"num_heads": (1, 2, 2, 2)},
}
NAMES = sorted(SMALL)
FAST_COMPILE = {"xla_backend_optimization_level": 0}


def compiled(function, *operands):
    """Run a function, compiled in a hurry."""
    return jax.jit(function).lower(*operands).compile(FAST_COMPILE)(*operands)


def drawn(module, side=32):
    """Return weights of a network, drawn without compiling anything."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(
        module.init, jax.random.key(0), jnp.zeros(module.example_shape(side))
    )

    def draw(path, leaf):
        if path[-1].key == "kernel":
            scale = math.sqrt(2 / math.prod(leaf.shape[:-1]))
            return jnp.asarray(rng.normal(0, scale, leaf.shape), jnp.float32)
        middle = float(path[-1].key in ("scale", "var"))
        draws = middle + rng.uniform(-0.3, 0.3, leaf.shape)
        return jnp.asarray(draws, jnp.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


@functools.cache
def model(name, **options):
    """Return a small network and its weights."""
    module = build(name, **SMALL[name], **options)
    return module, drawn(module)


@functools.cache
def program(name, embedding=5, dtype="float32"):
    """Return a compiled network for three images like `X`."""
    _, variables = model(name, embedding_dim=embedding)
    module = build(name, **SMALL[name], embedding_dim=embedding, compute_dtype=dtype)
    call = functools.partial(module.apply, example_ids=jnp.array([4, 9, 2]))
    return jax.jit(call).lower(variables, X).compile(FAST_COMPILE)


def images(*shape):
    return jax.random.uniform(jax.random.key(1), (*shape, 3))


X = images(3, 32, 32)


def test_these_are_all_networks_for_classes():
    found = {k for k, kind in OPTIONS.items() if issubclass(kind, ClassifierOptions)}
    assert found == SMALL.keys()


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        # torchvision's densenet121, resnet18 and resnet50, as published.
        ("densenet", {"out_channels": 1000}, 7_978_856),
        (
            "resnet",
            {"bottleneck": False, "depths": (2, 2, 2, 2), "out_channels": 1000},
            11_689_512,
        ),
        ("resnet", {"out_channels": 1000}, 25_557_032),
        (
            "resnet",
            {"embedding_dim": 128, "out_channels": 1000},
            25_557_032 - 2049 * 1000 + 2049 * 128 + 129 * 1000,
        ),
        ("small_cnn", {}, 27 * 16 + 9 * (16 * 32 + 32 * 64 + 64 * 128) + 2 * 240 + 258),
    ],
)
def test_parameter_counts(name, options, count):
    module = build(name, **options)
    shapes = jax.eval_shape(
        module.init, jax.random.key(0), jnp.zeros(module.example_shape(64))
    )
    leaves = jax.tree.leaves(shapes["params"])
    assert sum(math.prod(leaf.shape) for leaf in leaves) == count
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(shapes))


@pytest.mark.parametrize(
    ("name", "embedding"), [*zip(NAMES, [5] * 4), ("small_cnn", 0)]
)
def test_logits_are_a_linear_map_of_the_features(name, embedding):
    _, variables = model(name, embedding_dim=embedding)
    output = program(name, embedding)(variables, X)
    features = np.mean(np.float64(output.last_map), axis=(1, 2))
    if embedding:
        layer = variables["params"]["embedding"]
        features = features @ np.float64(layer["kernel"]) + np.float64(layer["bias"])
        assert features.shape == (3, embedding)
    assert ("embedding" in variables["params"]) == bool(embedding)
    np.testing.assert_allclose(output.features, features, atol=1e-5)
    layer = variables["params"]["logits"]
    logits = features @ np.float64(layer["kernel"]) + np.float64(layer["bias"])
    np.testing.assert_allclose(output.logits, logits, atol=1e-4)
    assert output.logits.shape == (3, 2)
    assert np.ptp(output.logits, axis=0).max() > 1e-3, "no input has an effect"


@pytest.mark.parametrize("name", NAMES)
def test_an_example_does_not_depend_on_the_others(name):
    _, variables = model(name, embedding_dim=5)
    ours = program(name)(variables, X)
    others = program(name)(variables, jnp.stack([X[2], X[1], 1 - X[0]]))
    for found, expected in zip(
        jax.tree.leaves(others), jax.tree.leaves(ours), strict=True
    ):
        np.testing.assert_allclose(found[1], expected[1], atol=1e-5)
        assert np.abs(found[2] - expected[2]).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "size", "cells"),
    [
        ("densenet", (29, 64), (1, 2)),
        ("densenet", (224, 95), (7, 3)),
        ("resnet", (33, 64), (9, 16)),
        ("small_cnn", (1, 1), (1, 1)),
        ("small_cnn", (28, 50), (4, 7)),
        ("swin_classifier", (144, 63), (5, 2)),
    ],
)
def test_sizes_of_images(name, size, cells):
    quick = {"densenet": {"blocks": (1, 1, 1, 1)}, "small_cnn": {}}
    options = quick.get(name, SMALL[name])
    module = build(name, out_channels=4, embedding_dim=6, **options)
    shapes = jax.eval_shape(module.init, jax.random.key(0), images(1, 64, 64))
    output = jax.eval_shape(module.apply, shapes, images(2, *size))
    assert output.last_map.shape[:3] == (2, *cells)
    assert output.features.shape == (2, 6)
    assert output.logits.shape == (2, 4)


@pytest.mark.parametrize(
    ("name", "options", "width", "stride"),
    [
        ("densenet", {"blocks": (1, 1, 1)}, 128, 16),
        ("resnet", {}, 48, 4),
        ("resnet", {"stem_pool": True}, 80, 8),
        ("small_cnn", {}, 32, 4),
        ("swin_classifier", {}, 128, 32),
    ],
)
def test_a_cell_sees_the_pixels_around_its_center(name, options, width, stride):
    """Vertical lines one after another: a cell answers to those that it sees."""
    module = build(name, **SMALL[name] | options)

    def plain(path, leaf):
        # A sum of positive parts, each cell of Swin by itself.
        apart = any(getattr(key, "key", "") == "proj" for key in path)
        if path[-1].key == "kernel":
            return 0 * leaf if apart else jnp.abs(leaf)
        return jnp.full_like(leaf, path[-1].key in ("scale", "var"))

    variables = jax.tree_util.tree_map_with_path(plain, drawn(module))
    lines = jnp.broadcast_to(jnp.eye(width)[:, None, :, None], (width, 16, width, 3))
    answers = compiled(module.apply, variables, lines).last_map
    sees = np.abs(answers).max((1, 3)) > 1e-6 * np.abs(answers).max()  # [line, cell]
    found_stride, first = module.last_map_grid()
    assert found_stride == stride
    middle = sees.shape[1] // 2
    for cell in (middle, middle - 1):
        seen = np.flatnonzero(sees[:, cell])
        assert 0 < seen[0] < seen[-1] < width - 1
        assert (seen[0] + seen[-1]) / 2 == first + stride * cell


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("densenet", (32, 14)),
        ("resnet", (16, 0)),
        ("small_cnn", (8, 3.5)),
        ("swin_classifier", (32, 15.5)),
    ],
)
def test_grids_of_the_networks_as_published(name, grid):
    assert build(name).last_map_grid() == grid


def test_images_too_small_for_the_blocks_are_refused():
    module, variables = model("densenet")
    expected = "images have 32 x 4 pixels; expected sides of at least 5 for 2 dense"
    with pytest.raises(ValueError, match=expected):
        module.apply(variables, images(1, 32, 4))
    output = jax.eval_shape(module.apply, variables, images(1, 5, 5))
    assert output.last_map.shape[1:3] == (1, 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(32, 32, 3), (1, 32, 32, 1), (1, 0, 32, 3)])
def test_wrong_images_are_refused(name, shape):
    module, variables = model(name)
    with pytest.raises(ValueError, match=r"expected \[B, H, W, 3\]"):
        module.apply(variables, jnp.zeros(shape))


@pytest.mark.parametrize("name", ["densenet", "small_cnn"])
def test_bfloat16_gives_float32_outputs_near_float32(name):
    _, variables = model(name, embedding_dim=5)
    exact, ours = (
        program(name, dtype=kind)(variables, X) for kind in ("float32", "bfloat16")
    )
    assert ours.logits.dtype == ours.features.dtype == jnp.float32
    assert ours.last_map.dtype == jnp.bfloat16
    scale = float(jnp.abs(exact.features).max())
    assert 0 < float(jnp.abs(ours.features - exact.features).max()) < 0.1 * scale


def test_small_cnn_by_scipy():
    module, variables = model("small_cnn")
    x = images(1, 11, 13)
    maps = np.float64(x[0])
    for number in range(3):
        if number:
            height, width, _ = maps.shape
            maps = np.stack(
                [
                    [maps[i : i + 2, j : j + 2].max((0, 1)) for j in range(0, width, 2)]
                    for i in range(0, height, 2)
                ]
            )
        layer = {k: v[f"conv{number}"] for k, v in variables.items()}
        kernel = np.float64(layer["params"]["conv"]["kernel"])
        maps = np.stack(
            [
                sum(
                    correlate2d(maps[..., c], kernel[..., c, f], "same")
                    for c in range(maps.shape[-1])
                )
                for f in range(kernel.shape[-1])
            ],
            axis=-1,
        )
        norm, averages = (
            {k: np.float64(v) for k, v in layer[kind]["bn"]["norm"].items()}
            for kind in ("params", "batch_stats")
        )
        maps = (maps - averages["mean"]) / np.sqrt(averages["var"] + 1e-5)
        maps = np.maximum(maps * norm["scale"] + norm["bias"], 0)
    found = compiled(module.apply, variables, x)
    assert maps.shape == (3, 4, 6)
    np.testing.assert_allclose(found.last_map[0], maps, atol=1e-4)


def test_means_of_cells_leave_out_an_odd_row():
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    expected = [
        [x[:, i : i + 2, j : j + 2].mean((1, 2)) for j in (0, 2)] for i in (0, 2)
    ]
    found = layers.mean_pool(jnp.asarray(x))
    np.testing.assert_allclose(found, np.transpose(expected, (2, 0, 1, 3)), atol=1e-6)


def test_the_encoder_is_that_of_the_keypoint_network():
    """Pre-trained encoders of `swin_unetr` have the same names and shapes."""
    options = {**SMALL["swin_classifier"], "window_size": 4, "qkv_bias": False}
    variables = drawn(build("swin_classifier", **options, mlp_ratio=2.0))
    other = build("swin_unetr", in_channels=3, **options, mlp_ratio=2.0)
    shapes = jax.eval_shape(other.init, jax.random.key(0), images(1, 64, 64))
    ours = jax.tree.map(lambda x: x.shape, variables["params"]["encoder"])
    assert ours == jax.tree.map(lambda x: x.shape, shapes["params"]["encoder"])


def test_dropout_goes_by_the_number_of_the_example():
    module, variables = model("swin_classifier", drop_rate=0.5)
    x = jnp.repeat(images(1, 32, 32), 3, axis=0)

    def train(ids, key):
        return module.apply(
            variables,
            x,
            train=True,
            example_ids=ids,
            rngs={"dropout": key},
            mutable=["batch_stats"],
        )

    key = jax.random.key(0)
    output, moved = compiled(train, jnp.array([3, 8, 3]), key)
    assert moved == {}
    first, second, third = np.asarray(output.features)
    np.testing.assert_allclose(first, third, atol=1e-6)
    assert np.abs(first - second).max() > 1e-2
    other, _ = compiled(train, jnp.array([8, 8, 8]), key)
    np.testing.assert_allclose(other.features[0], second, atol=1e-6)


@pytest.mark.parametrize("name", ["densenet", "small_cnn"])
def test_statistics_are_those_of_all_devices(name):
    """Four parts of a batch, mapped over an axis, are normalized as the whole is."""
    module, variables = model(name, embedding_dim=5)
    x = images(4, 16, 16)

    def train(module, x):
        return module.apply(variables, x, train=True, mutable="batch_stats")

    def both(x):
        mapped = module.clone(axis_name="data")
        parts = jax.vmap(functools.partial(train, mapped), axis_name="data")
        return train(module, x), parts(x[:, None])

    (whole, moved), (parts, averages) = compiled(both, x)
    np.testing.assert_allclose(parts.logits[:, 0], whole.logits, atol=1e-4)
    for before, one, each in zip(
        *map(jax.tree.leaves, (variables["batch_stats"], *moved.values())),
        jax.tree.leaves(averages),
        strict=True,
    ):
        assert np.abs(one - before).max() > 0
        np.testing.assert_allclose(each[3], one, atol=1e-5)


def test_convolutions_of_a_densenet_start_as_he_et_al_say():
    module = build("densenet", growth=16, blocks=(1,), stem=8)
    start = compiled(module.init, jax.random.key(0), images(1, 8, 8))["params"]
    for name, fan_in in (("narrow1_0", 8), ("grow1_0", 9 * 64)):
        kernel = np.asarray(start[name]["conv"]["kernel"])
        limit = math.sqrt(6 / fan_in)
        np.testing.assert_allclose(kernel.std(), math.sqrt(2 / fan_in), rtol=0.1)
        assert 0.98 * limit < np.abs(kernel).max() <= limit
