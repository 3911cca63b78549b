"""The three models: sizes, counts, heads, dropout, dtypes, options."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from rkd_jax.models import build
from rkd_jax.models.descriptor import DescriptorHead
from rkd_jax.models.draws import Dropout, random_bits
from rkd_jax.models.swin import (
    SwinBlock,
    SwinTransformer,
    region_ids,
    window_layout,
)
from rkd_jax.models.upsampling import upsample

CNN = {"widths": (8, 8, 16, 16), "descriptor_dim": 16}
SWIN = {"depths": (2, 1, 1, 1), "feature_size": 12, "descriptor_dim": 16}
SMALL = {"superretina": CNN, "large_kernel": CNN, "swin_unetr": SWIN}
NAMES = sorted(SMALL)


@functools.cache
def _model(name):
    module = build(name, **SMALL[name])
    images = jnp.zeros((1, 64, 64, 1))
    return module, jax.jit(module.init)(jax.random.key(0), images)


def _images(*shape):
    return jax.random.uniform(jax.random.key(1), (*shape, 1))


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("superretina", {}, 3_001_217),
        ("large_kernel", {}, 3_960_322),
        ("large_kernel", {"kernels": (1, 3, 5, 7)}, 5_766_978),
        ("swin_unetr", {}, 7_900_667),
        ("swin_unetr", {"descriptor_dim": 0}, 6_302_203),
    ],
)
def test_parameter_counts(name, options, count):
    module = build(name, **options)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 64, 64, 1)))
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes)) == count
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(shapes))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(50, 70), (1, 1), (64, 96)])
def test_any_size_works(name, size):
    module, variables = _model(name)
    output = jax.eval_shape(module.apply, variables, _images(2, *size))
    padded = [
        max(module.minimum, -(-n // module.divisor) * module.divisor) for n in size
    ]
    assert output.heatmap.shape == output.logits.shape == (2, *size)
    assert output.descriptors.shape == (2, *(n // 8 - 2 for n in padded), 16)


@pytest.mark.parametrize("name", NAMES)
def test_padding_is_zeros_at_the_right_and_bottom(name):
    module, variables = _model(name)
    images = _images(1, 50, 70)
    padded = jnp.pad(
        images, ((0, 0), (0, 14), (0, 26 if name == NAMES[2] else 10), (0, 0))
    )
    apply = jax.jit(module.apply)
    ours, whole = apply(variables, images), apply(variables, padded)
    np.testing.assert_allclose(ours.heatmap, whole.heatmap[:, :50, :70], atol=1e-6)
    np.testing.assert_allclose(ours.descriptors, whole.descriptors, atol=1e-6)
    np.testing.assert_allclose(ours.heatmap, jax.nn.sigmoid(ours.logits), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_heads_not_asked_for_are_not_computed(name):
    module, variables = _model(name)

    def without(missing):
        kept = {k: v for k, v in variables["params"].items() if k not in missing}
        return {"params": kept}

    fine = [k for k in variables["params"] if k in _DETECTOR_ONLY]
    for heads, missing in (
        (("descriptor",), fine),
        (("detector",), ["descriptor"]),
        ((), ["descriptor", *fine]),
    ):
        # The parameters of a head that is not computed need not even exist.
        apply = functools.partial(module.apply, heads=heads)
        output = jax.eval_shape(apply, without(missing), _images(1, 64, 64))
        assert (output.heatmap is None) == ("detector" not in heads)
        assert (output.descriptors is None) == ("descriptor" not in heads)
        assert output.intermediates
    with pytest.raises(ValueError, match=r"unknown heads \['encoder'\]"):
        module.apply(variables, _images(1, 64, 64), heads=("encoder",))


@pytest.mark.parametrize("name", NAMES)
def test_detector_of_the_leading_images_only(name):
    module, variables = _model(name)
    images = _images(3, 64, 64)
    whole, ours = (
        jax.jit(functools.partial(module.apply, detector_images=count))
        .lower(variables, images)
        .compile({"xla_backend_optimization_level": 0})(variables, images)
        for count in (None, 2)
    )
    assert ours.heatmap.shape == (2, 64, 64)
    np.testing.assert_allclose(ours.logits, whole.logits[:2], atol=1e-5)
    np.testing.assert_allclose(ours.descriptors, whole.descriptors, atol=1e-5)
    for count in (0, 4):
        with pytest.raises(ValueError, match=rf"detector_images is {count}.*1\.\.3"):
            module.apply(variables, images, detector_images=count)


_DETECTOR_ONLY = (
    "detector",
    *("encoder1", "encoder2", "encoder3", "decoder1", "decoder2", "decoder3", "out"),
)


def test_named_intermediates():
    shapes = {}
    for name in NAMES:
        module, variables = _model(name)
        output = jax.eval_shape(module.apply, variables, _images(1, 64, 64))
        shapes[name] = {k: v.shape[1:] for k, v in output.intermediates.items()}
    assert shapes["superretina"]["trunk"] == (8, 8, 16)
    assert shapes["large_kernel"] == shapes["superretina"]
    swin = shapes["swin_unetr"]
    assert [swin[f"h{i}"] for i in range(5)] == [
        (32 >> i, 32 >> i, 12 << i) for i in range(5)
    ]
    assert swin["dec2"] == (8, 8, 48)


def test_dropout_depends_on_the_example_not_on_the_batch():
    module = SwinTransformer(12, (1, 1, 1, 1), drop_rate=0.5)
    images = jnp.repeat(_images(1, 32, 32), 4, axis=0)
    variables = jax.jit(module.init)(jax.random.key(0), images[:1])
    rngs = {"dropout": jax.random.key(3)}

    @jax.jit
    def apply(images, ids):
        return module.apply(variables, images, train=True, example_ids=ids, rngs=rngs)[
            4
        ]

    whole = apply(images, jnp.arange(4))
    first, second = (apply(images[:2], jnp.array(ids)) for ids in ([0, 1], [2, 3]))
    np.testing.assert_allclose(whole, jnp.concatenate([first, second]), atol=1e-5)
    spread = np.abs(whole[:, None] - whole[None]).max(axis=(2, 3, 4))
    assert spread[~np.eye(4, dtype=bool)].min() > 0.1
    quiet = jax.jit(module.apply)(variables, images)[4]
    np.testing.assert_allclose(quiet[0], quiet[3], atol=1e-5)


def test_random_bits_are_uniform_and_unrelated():
    count = 1 << 16
    draws = []
    for words in ((1, 2), (1, 3), (2, 2), (1, 2, 0), (1, 2, 1)):
        bits = random_bits([jnp.uint32(w) for w in words], count)
        lanes = np.asarray(bits).view(np.uint8).reshape(count, 4)
        for lane in lanes.T:
            # Chi-square of 256 equal cells: mean 255, standard deviation 22.6.
            expected = count / 256
            square = (np.bincount(lane, minlength=256) - expected) ** 2 / expected
            assert 140 < square.sum() < 370
            draws.append(lane.astype(np.float64))
    draws += [np.roll(draws[0], 1), np.roll(draws[0], 256)]
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlation).max() < 5 / math.sqrt(count)


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_dropout_keeps_the_mean(rate):
    module = Dropout(rate)
    y = module.apply(
        {},
        jnp.ones((2, 100, 101)),
        jnp.arange(2),
        train=True,
        rngs={"dropout": jax.random.key(0)},
    )
    assert set(np.unique(y)) == {0.0, np.float32(1 / (1 - rate))}
    assert abs(float((y == 0).mean()) - rate) < 4 * math.sqrt(rate / y.size)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_gives_float32_outputs_near_float32(name):
    module, variables = _model(name)
    coarse = build(name, **SMALL[name], compute_dtype="bfloat16")
    images = _images(1, 64, 64)
    exact = jax.jit(module.apply)(variables, images)
    ours = jax.jit(coarse.apply)(variables, images)
    assert ours.heatmap.dtype == ours.descriptors.dtype == jnp.float32
    assert all(v.dtype == jnp.bfloat16 for v in ours.intermediates.values())
    scale = float(jnp.abs(exact.logits).max())
    assert 0 < float(jnp.abs(ours.logits - exact.logits).max()) < 0.2 * scale


def test_upsampling_reads_at_aligned_corners():
    x = np.random.default_rng(0).normal(size=(1, 5, 4, 2)).astype(np.float32)
    rows = np.arange(10) * 4 / 9
    columns = np.arange(8) * 3 / 7
    expected = np.empty((1, 10, 8, 2), np.float32)
    for c in range(2):
        wide = np.stack([np.interp(columns, np.arange(4), r) for r in x[0, ..., c]])
        tall = [np.interp(rows, np.arange(5), wide[:, j]) for j in range(8)]
        expected[0, ..., c] = np.stack(tall, axis=1)
    np.testing.assert_allclose(upsample(jnp.asarray(x)), expected, atol=1e-6)


def test_descriptor_head_has_zero_gradient_at_a_zero_vector():
    module = DescriptorHead(8)
    images = jnp.ones((1, 4, 4, 3))
    variables = jax.jit(module.init)(jax.random.key(0), images)
    zeros = jax.tree.map(jnp.zeros_like, variables)

    def loss(variables):
        return jnp.sum(module.apply(variables, images))

    value, gradient = jax.jit(jax.value_and_grad(loss))(zeros)
    assert value == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_initial_bounds_are_those_of_the_fan_in():
    module = build("superretina")
    images = jnp.zeros((1, 32, 32, 1))
    params = jax.jit(module.init)(jax.random.key(0), images)["params"]
    for path, fan_in in (
        (("stage4", "conv_a"), 9 * 128),
        (("descriptor", "conv_b"), 16 * 256),
        (("descriptor", "expand"), 4 * 256),
    ):
        layer = params[path[0]][path[1]]
        for leaf in (layer["kernel"], layer["bias"]):
            assert 0.9 < float(jnp.abs(leaf).max()) * math.sqrt(fan_in) <= 1


def test_windows_and_regions():
    assert window_layout((4, 16), 7, shifted=True) == ((4, 7), (0, 3), (0, 5))
    assert window_layout((7, 8), 7, shifted=False) == ((7, 7), (0, 0), (0, 6))
    ids = region_ids((4, 4), (2, 2), (1, 1))
    assert len(set(ids[0])) == 1
    assert [len(set(row)) for row in ids] == [1, 2, 2, 4]


@pytest.mark.parametrize("shifted", [False, True])
def test_gradients_of_a_block_by_differences_and_without_attention_weights(shifted):
    heads, tokens = 4, 16
    block = SwinBlock(heads, 4, shifted)
    x = jax.random.normal(jax.random.PRNGKey(0), (2, 8, 8, 8))
    ids = jnp.arange(2)
    params = block.init(jax.random.PRNGKey(1), x, ids, train=False)

    def run(params, x):
        return block.apply(params, x, ids, train=False)

    check_grads(run, (params, x), order=1, modes=["rev"], atol=1e-2, rtol=1e-2)
    kept = jax.eval_shape(lambda *operands: jax.vjp(run, *operands)[1], params, x)
    windows = 2 * 4
    largest = max(math.prod(leaf.shape) for leaf in jax.tree.leaves(kept))
    assert largest < windows * heads * tokens**2


@pytest.mark.parametrize("shape", [(64, 64, 1), (1, 64, 64, 3), (1, 0, 64, 1)])
def test_wrong_images_are_refused(shape):
    module, variables = _model("superretina")
    with pytest.raises(ValueError, match=r"expected \[B, H, W, 1\]"):
        module.apply(variables, jnp.zeros(shape))
