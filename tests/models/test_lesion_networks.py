"""FRRN, ResNet and both in one module: counts, sizes, reach, devices, weights files."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax import weights
from rkd_jax.models import OPTIONS, KeypointOptions, build, two_stage
from rkd_jax.models.output import ModelOutput
from rkd_jax.models.upsampling import double

FRRN = {"width": 2, "lanes": 2}
RESNET = {"widths": (4, 4, 4, 8), "depths": (1, 1, 1, 1)}
BOTH = {"proposal": {"name": "frrn", **FRRN}, "patches": {"name": "resnet", **RESNET}}
SMALL = {"frrn": FRRN, "resnet": RESNET, "two_stage": BOTH}
FAST_COMPILE = {"xla_backend_optimization_level": 0}


def compiled(function, *operands):
    """Run a function, compiled in a hurry."""
    return jax.jit(function).lower(*operands).compile(FAST_COMPILE)(*operands)


def drawn(module):
    """Return weights of a network, drawn without compiling anything."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(
        module.init, jax.random.key(0), jnp.zeros(module.example_shape(32))
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
def model(name):
    """Return a small network and its weights."""
    module = build(name, **SMALL[name])
    return module, drawn(module)


def images(*shape):
    return jax.random.uniform(jax.random.key(1), (*shape, 3))


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("frrn", {"out_channels": 2}, 17_745_970),
        ("frrn", {}, 17_745_970 - 49),
        ("resnet", {}, 23_512_130),
        ("two_stage", {}, 2 * 17_745_921 + 23_512_130),
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


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (16, 32), (17, 50)])
def test_maps_have_the_size_of_the_images(size, outputs):
    module = build("frrn", **FRRN, out_channels=outputs)
    shapes = jax.eval_shape(module.init, jax.random.key(0), images(1, 16, 16))
    output = jax.eval_shape(module.apply, shapes, images(2, *size))
    expected = (2, *size) if outputs == 1 else (2, *size, outputs)
    assert output.heatmap.shape == output.logits.shape == expected


def test_padding_is_zeros_at_the_right_and_bottom():
    module, variables = model("frrn")
    whole = images(1, 20, 27)
    padded = jnp.pad(whole, ((0, 0), (0, 12), (0, 5), (0, 0)))
    ours, wide = (compiled(module.apply, variables, x) for x in (whole, padded))
    np.testing.assert_allclose(ours.logits, wide.logits[:, :20, :27], atol=1e-5)
    np.testing.assert_allclose(ours.heatmap, jax.nn.sigmoid(ours.logits), atol=1e-6)


def test_classes_do_not_depend_on_the_other_images():
    module, variables = model("resnet")
    x = images(3, 32, 32)
    together = compiled(module.apply, variables, x)
    alone = compiled(module.apply, variables, x[:1])
    np.testing.assert_allclose(together.logits[:1], alone.logits, atol=1e-5)
    np.testing.assert_allclose(
        together.features, together.last_map.mean((1, 2)), atol=1e-6
    )
    dense = variables["params"]["logits"]
    np.testing.assert_allclose(
        together.logits,
        together.features @ dense["kernel"] + dense["bias"][None],
        atol=1e-4,
    )


def test_stem_pooling_halves_the_maps_once_more():
    for pool, side in ((False, 4), (True, 2)):
        module = build("resnet", **RESNET, stem_pool=pool)
        shapes = jax.eval_shape(module.init, jax.random.key(0), images(1, 64, 64))
        output = jax.eval_shape(module.apply, shapes, images(1, 64, 64))
        assert output.last_map.shape == (1, side, side, 32)
        assert output.features.shape == (1, 32)
        assert output.logits.shape == (1, 2)


def test_parameters_do_not_depend_on_the_size_of_the_patches():
    """A map of one pixel stays one at stride 2, and still has its projection."""
    module = build("resnet", widths=(4, 4), depths=(1, 1), bottleneck=False)
    small, large = (
        jax.eval_shape(module.init, jax.random.key(0), images(1, side, side))
        for side in (2, 32)
    )
    assert small == large


@pytest.mark.parametrize("name", ["frrn", "resnet"])
@pytest.mark.parametrize("shape", [(32, 32, 3), (1, 32, 32, 1), (1, 0, 32, 3)])
def test_wrong_images_are_refused(name, shape):
    module, variables = model(name)
    with pytest.raises(ValueError, match=r"expected \[B, H, W, 3\]"):
        module.apply(variables, jnp.zeros(shape))


@pytest.mark.parametrize("name", ["frrn", "resnet"])
def test_bfloat16_gives_float32_outputs_near_float32(name):
    module, variables = model(name)
    coarse = build(name, **SMALL[name], compute_dtype="bfloat16")
    exact, ours = (
        compiled(m.apply, variables, images(1, 32, 32)).logits for m in (module, coarse)
    )
    assert ours.dtype == jnp.float32
    scale = float(jnp.abs(exact).max())
    assert 0 < float(jnp.abs(ours - exact).max()) < 0.1 * scale


def _adding(path, leaf):
    """Return weights with which what is seen adds up, and nothing cancels."""
    values = {"kernel": 0.25, "bias": 0, "mean": 0, "scale": 1, "var": 1}
    return jnp.full(leaf.shape, values[path[-1].key], leaf.dtype)


def test_reach_is_how_far_an_output_sees():
    module = build("frrn", width=1, lanes=1, in_channels=1)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 16, 16, 1)))
    variables = jax.tree_util.tree_map_with_path(_adding, shapes)

    def seen(at):
        image = jnp.zeros((1, 16, 528, 1)).at[:, :, at].set(1.0)
        return module.apply(variables, image).logits[0].max(axis=0)

    # Every place of a cell of 16 pixels, far from both ends.
    places = range(256, 272)
    maps = jax.jit(seen).lower(0).compile(FAST_COMPILE)
    far = []
    for at in places:
        values = np.asarray(maps(at))
        assert np.isfinite(values).all()
        where = np.flatnonzero(values)
        far += [at - where[0], where[-1] - at]
    assert max(far) == module.reach() == 240
    assert build("two_stage").reach() == 240


def on_devices(counts, step, variables, *arrays):
    """Return what a step gives on devices that share the examples."""
    results = []
    for count in counts:
        axes, devices = (None, *[0] * len(arrays)), jax.devices()[:count]
        mapped = jax.pmap(step, "data", in_axes=axes, devices=devices)
        parts = [a.reshape(count, -1, *a.shape[1:]) for a in arrays]
        results.append(mapped(variables, *parts))
    return results


def check_close(found, expected, share):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, atol=share * max(1e-3, np.abs(b).max()))


def test_one_two_and_four_devices_take_the_same_step():
    small = build("resnet", widths=(4, 4), depths=(1, 1))
    module, variables = small.clone(axis_name="data"), drawn(small)

    def step(variables, x, weight):
        def loss(params):
            output, moved = module.apply(
                {**variables, "params": params}, x, train=True, mutable="batch_stats"
            )
            return jnp.mean(weight * jnp.sin(output.logits)[:, 0]), moved

        found, gradients = jax.value_and_grad(loss, has_aux=True)(variables["params"])
        return jax.lax.pmean((found, gradients), "data")

    results = on_devices((1, 2, 4), step, variables, images(4, 32, 32), jnp.arange(4.0))
    one, *others = (jax.tree.map(lambda x: x[0], result) for result in results)
    assert one[0][0] != 0
    for other in others:
        check_close(other, one, 2e-3)


def test_statistics_of_an_frrn_are_those_of_all_devices():
    module = build("frrn", **FRRN).clone(axis_name="data")
    _, variables = model("frrn")

    def step(variables, x):
        return module.apply(variables, x, train=True, mutable="batch_stats")

    results = on_devices((1, 4), step, variables, images(4, 16, 16))
    maps, averages = zip(
        *[
            (output.logits.reshape(4, 16, 16), jax.tree.map(lambda x: x[-1], moved))
            for output, moved in results
        ],
        strict=True,
    )
    check_close(maps[1], maps[0], 2e-3)
    check_close(averages[1], averages[0], 2e-3)


def test_doubling_reads_between_the_centers_of_pixels():
    x = np.random.default_rng(0).normal(size=(1, 5, 4, 2)).astype(np.float32)
    rows, columns = ((np.arange(2 * n) + 0.5) / 2 - 0.5 for n in (5, 4))
    expected = np.empty((1, 10, 8, 2), np.float32)
    for c in range(2):
        wide = np.stack([np.interp(columns, np.arange(4), r) for r in x[0, ..., c]])
        tall = [np.interp(rows, np.arange(5), wide[:, j]) for j in range(8)]
        expected[0, ..., c] = np.stack(tall, axis=1)
    np.testing.assert_allclose(double(jnp.asarray(x)), expected, atol=1e-6)


class Tiny(nn.Module):
    """A proposal network of a user, quick to compile."""

    def example_shape(self, size):
        return (1, size, size, 3)

    @nn.compact
    def __call__(self, images):
        logits = nn.Conv(1, (3, 3))(images)[..., 0]
        return ModelOutput(jax.nn.sigmoid(logits), logits, None, {})


QUICK = {**BOTH, "proposal": {"name": f"{__name__}:Tiny"}}


def test_the_parts_of_both_are_the_networks_alone():
    module = build("two_stage", **QUICK)
    variables, x = drawn(module), images(2, 32, 32)
    full, half, classes = compiled(module.apply, variables, x)
    assert float(jnp.abs(full - half).max()) > 1e-2, "each has weights of its own"
    for part, found in (("full", full), ("half", half)):
        own = {"params": variables["params"][part]}
        np.testing.assert_allclose(found, Tiny().apply(own, x).heatmap, atol=1e-6)
        asked = module.apply(variables, x, part, method="propose")
        np.testing.assert_allclose(asked, found, atol=1e-6)
    own = {k: v["classifier"] for k, v in variables.items()}
    alone = compiled(build("resnet", **RESNET).apply, own, x)
    np.testing.assert_allclose(classes.logits, alone.logits, atol=1e-5)
    share = np.exp(alone.logits) / np.exp(alone.logits).sum(1, keepdims=True)
    found = two_stage.lesion_probability(classes)
    np.testing.assert_allclose(found, share[:, 1], atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "options", "error"), [("float32", QUICK, 0), ("float16", BOTH, 1e-3)]
)
def test_weights_file_of_both_holds_the_averages(tmp_path, dtype, options, error):
    module = build("two_stage", **options)
    variables = drawn(module)
    path = tmp_path / "both.safetensors"
    weights.save(path, variables, model="two_stage", options=options, dtype=dtype)
    loaded = weights.load(path, model="two_stage")
    assert build("two_stage", **loaded.options) == module
    assert loaded.variables.keys() == {"params", "batch_stats"}
    wanted = dict(jax.tree_util.tree_leaves_with_path(variables))
    found = dict(jax.tree_util.tree_leaves_with_path(loaded.variables))
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=error, atol=error * 1e-2)


def test_which_networks_find_keypoints():
    found = {k for k, kind in OPTIONS.items() if issubclass(kind, KeypointOptions)}
    assert found == {"superretina", "large_kernel", "swin_unetr"}
    for name in ("frrn", "resnet", "two_stage"):
        with pytest.raises(ValueError, match=f"'{name}' has no option 'norm'"):
            build(name, norm="none")
