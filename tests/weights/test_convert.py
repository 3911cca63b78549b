"""The converter on files laid out like the authors'."""

import hashlib
import re
import warnings

import jax
import numpy as np
import pytest

from rkd_jax import models, weights
from rkd_jax.models.swin import relative_position_index
from rkd_jax.weights import convert, foreign, torch_names

torch = pytest.importorskip("torch", reason="PyTorch is an extra for conversion")

INDEX = "swinViT.layers1.0.blocks.0.attn.relative_position_index"


def _convs(layers):
    """Return random weights and biases: name -> (out, in, size)."""
    state = {}
    for name, (f, c, size) in layers.items():
        state[f"{name}.weight"] = torch.randn(f, c, size, size)
        state[f"{name}.bias"] = torch.randn(f)
    return state


def _superretina():
    """A state dict with the authors' 38 names and shapes."""
    layers = {"conv1a": (64, 1, 3), "conv1b": (64, 64, 3), "conv2a": (64, 64, 3)}
    layers |= {"conv2b": (64, 64, 3), "conv3a": (128, 64, 3), "conv3b": (128, 128, 3)}
    layers |= {"conv4a": (128, 128, 3), "conv4b": (128, 128, 3)}
    layers |= {
        "convDa": (256, 128, 3),
        "convDb": (256, 256, 4),
        "convDc": (256, 256, 1),
    }
    layers |= {"trans_conv": (256, 256, 2), "conv_last": (1, 64, 1)}
    layers |= {"dconv_up3.0": (128, 256, 3), "dconv_up3.2": (128, 128, 3)}
    layers |= {"dconv_up2.0": (64, 192, 3), "dconv_up2.2": (64, 64, 3)}
    layers |= {"dconv_up1.0": (64, 128, 3), "dconv_up1.2": (64, 64, 3)}
    return _convs(layers)


def _write(path, state):
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))]).state_dict()
    torch.save({"net": state, "optimizer": optimizer, "epoch": 7}, path)
    return path


def test_superretina_container(tmp_path, capsys):
    state = _superretina()
    assert len(state) == 38
    source = _write(tmp_path / "SuperRetina.pth", state)
    target = tmp_path / "out.safetensors"
    assert convert.main(["superretina", str(source), str(target)]) == 0
    assert capsys.readouterr().out.strip() == str(target)
    loaded = weights.load(target, model="superretina")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert loaded.recipe == {"converted_from": "SuperRetina.pth", "sha256": digest}
    assert loaded.preprocess["descriptor_grid"] == "upstream"
    kernel = loaded.variables["params"]["stage3"]["conv_a"]["kernel"]
    assert kernel[0, 2, 5, 7] == state["conv3a.weight"][7, 5, 0, 2]
    expand = loaded.variables["params"]["descriptor"]["expand"]["kernel"]
    assert expand[3, 0, 1, 9] == state["trans_conv.weight"][3, 9, 0, 1]


def test_bare_and_data_parallel_state_dicts(tmp_path):
    state = _superretina()
    torch.save(state, tmp_path / "bare.pth")
    torch.save({f"module.{k}": v for k, v in state.items()}, tmp_path / "parallel.pth")
    bare, parallel = (
        convert.read_state(tmp_path / name) for name in ("bare.pth", "parallel.pth")
    )
    assert bare.keys() == parallel.keys() == state.keys()
    np.testing.assert_array_equal(bare["conv1a.bias"], state["conv1a.bias"].numpy())


def test_lightning_container(tmp_path):
    state = _superretina()
    contents = {"state_dict": state, "epoch": 7, "callbacks": {}}
    torch.save(contents, tmp_path / "last.ckpt")
    read = convert.read_state(tmp_path / "last.ckpt")
    assert read.keys() == state.keys()


def test_values_that_are_not_finite_are_refused(tmp_path, capsys):
    state = _superretina()
    state["conv1a.bias"][3] = float("nan")
    state["conv4b.weight"][0, 0, 0, 0] = float("-inf")
    source, target = _write(tmp_path / "a.pth", state), tmp_path / "out.safetensors"
    assert convert.main(["superretina", str(source), str(target)]) == 2
    message = capsys.readouterr().err
    assert "a.pth: NaN or infinite values in conv1a.bias, conv4b.weight;" in message
    assert not target.exists()


def test_all_wrong_entries_are_in_one_line(tmp_path, capsys):
    state = _superretina()
    del state["conv1a.bias"], state["conv_last.weight"]
    state["conv9.weight"] = torch.zeros(1)
    state["conv1b.weight"] = torch.zeros(64, 64, 5, 5)
    source = _write(tmp_path / "a.pth", state)
    target = tmp_path / "out.safetensors"
    assert convert.main(["superretina", str(source), str(target)]) == 2
    message = capsys.readouterr().err.strip()
    assert "\n" not in message
    assert "unknown: conv9.weight" in message
    assert "missing: conv1a.bias, conv_last.weight" in message
    assert "conv1b.weight (is (64, 64, 5, 5), expected (64, 64, 3, 3))" in message
    assert not target.exists()


@pytest.mark.parametrize("kernels", [(1, 3, 5), (1, 3, 5, 7)])
def test_large_kernel(kernels):
    state = _superretina()
    for stage, c, f in ((2, 64, 64), (3, 64, 128), (4, 128, 128)):
        for name in [k for k in state if k.startswith(f"conv{stage}")]:
            del state[name]
        layers = {f"conv{stage}": (f, c, 3)}
        layers |= {f"conv{stage}{x}": (f, f, k) for x, k in zip("abcd", kernels)}
        state |= _convs(layers)
    state["relu.weight"] = torch.tensor([0.3])
    assert len(state) == {3: 51, 4: 57}[len(kernels)]
    arrays = {k: v.numpy() for k, v in state.items()}
    variables, options = convert.convert("large_kernel", arrays)
    assert options == {"kernels": kernels}
    assert variables["params"]["slope"].shape == ()
    assert variables["params"]["slope"] == np.float32(0.3)


@pytest.fixture(scope="module")
def swin():
    """A student's state dict: 159 MONAI entries and the head, from our shapes."""
    table = torch_names.monai_names() | torch_names.head_names()
    ours = weights.expected_shapes("swin_unetr", {})
    state = {
        name: torch.randn(convert._their_shape(ours[target.name], target))
        for name, target in table.items()
    }
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            name = INDEX.replace("layers1", f"layers{stage}")
            name = name.replace("blocks.0", f"blocks.{block}")
            state[name] = torch.from_numpy(relative_position_index(7))
    assert len(state) == 167
    assert state["swinViT.layers3.0.downsample.reduction.weight"].shape == (192, 384)
    assert state["decoder5.transp_conv.conv.weight"].shape == (384, 192, 2, 2)
    return state


def test_student_file_without_its_teacher(swin, tmp_path, capsys):
    state = swin | {f"teacher.{k}": v for k, v in _superretina().items()}
    source, target = _write(tmp_path / "a.pth", state), tmp_path / "out.safetensors"
    assert convert.main(["swin_student", str(source), str(target)]) == 0
    assert "skipped the teacher inside the file: 38 entries" in capsys.readouterr().err
    loaded = weights.load(target, model="swin_unetr")
    qkv = loaded.variables["params"]["encoder"]["stage2_block1"]["attention"]["qkv"]
    theirs = swin["swinViT.layers2.0.blocks.1.attn.qkv.weight"].numpy()
    np.testing.assert_array_equal(qkv["kernel"], theirs.T)


def test_monai_file_has_no_descriptor_head(swin, tmp_path, capsys):
    state = {k: v for k, v in swin.items() if not k.startswith(("convD", "trans_"))}
    assert len(state) == 159
    source, target = tmp_path / "a.pth", tmp_path / "out.safetensors"
    torch.save(state, source)
    assert convert.main(["monai_swin_unetr", str(source), str(target)]) == 0
    assert "params/descriptor/conv_a/kernel" in capsys.readouterr().err
    loaded = weights.load(target)
    assert loaded.options["descriptor_dim"] == 0
    assert "descriptor" not in loaded.variables["params"]
    assert convert.main(["swin_student", str(source), str(target)]) == 2
    assert "missing: convDa.bias" in capsys.readouterr().err


def test_another_position_index_is_refused(swin):
    state = {k: v.numpy() for k, v in swin.items()}
    state[INDEX] = state[INDEX][::-1]
    with pytest.raises(ValueError, match=r"another relative position index.*layers1"):
        convert.convert("swin_student", state)


@pytest.fixture(scope="module")
def densenet():
    """A small DenseNet in PyTorch, no layer of which is without effect."""
    from benchmarks.torch_densenet import DenseNet

    sizes = {"growth": 4, "blocks": (2, 1), "stem": 6, "bn_size": 2, "classes": 5}
    network = DenseNet(**sizes)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                spread = 0.5 if name.endswith("running_var") else 1.5
                drawn = torch.rand(tensor.shape, generator=generator) - 0.5
                tensor.copy_(tensor + spread * drawn)
    return network.eval()


@pytest.mark.parametrize("written", ["today", "published", "inside"])
def test_densenet_answers_as_in_pytorch(densenet, tmp_path, capsys, written):
    state = densenet.state_dict()
    assert "features.norm0.num_batches_tracked" in state
    if written == "published":  # in 2017, with other names and without counts
        state = {
            re.sub(r"(denselayer\d+\.\w+)([12])\.", r"\1.\2.", name): tensor
            for name, tensor in state.items()
            if not name.endswith("tracked")
        }
        assert "features.denseblock1.denselayer2.norm.1.running_var" in state
    if written == "inside":
        state = {f"backbone.{name}": tensor for name, tensor in state.items()}
    source, target = _names(tmp_path / "a.pth", state), tmp_path / "out.safetensors"
    assert convert.main(["densenet121", str(source), str(target)]) == 0
    assert ("prefix 'backbone.'" in capsys.readouterr().err) == (written == "inside")
    loaded = weights.load(target, model="densenet")
    sizes = {"growth": 4, "blocks": [2, 1], "stem": 6, "bn_size": 2, "in_channels": 3}
    assert loaded.options == {**sizes, "out_channels": 5}
    assert loaded.preprocess["mean"] == [0.485, 0.456, 0.406]
    images = torch.rand((2, 3, 24, 32), generator=torch.Generator().manual_seed(1))
    found = jax.jit(models.build("densenet", **loaded.options).apply)(
        loaded.variables, images.permute(0, 2, 3, 1).numpy()
    )
    with torch.no_grad():
        expected = densenet(images).numpy()
    np.testing.assert_allclose(found.logits, expected, rtol=1e-4, atol=1e-4)


def _learned(name):
    return name.endswith((".weight", ".bias"))


def test_names_and_shapes_of_densenet121():
    from benchmarks.torch_densenet import DenseNet

    with torch.device("meta"):
        theirs = DenseNet().state_dict()
    assert len(theirs) == 121 * 5 + 120 + 2  # norms, convolutions, linear layer
    assert sum(v.numel() for k, v in theirs.items() if _learned(k)) == 7_978_856
    shapes = {k: tuple(v.shape) for k, v in theirs.items() if "tracked" not in k}
    table, options = convert.names_and_options("densenet121", shapes)
    assert options["blocks"] == (6, 12, 24, 16)
    ours = weights.expected_shapes("densenet", options)
    assert {t.name for t in table.values()} == ours.keys()
    found = {k: convert._their_shape(ours[t.name], t) for k, t in table.items()}
    assert found == shapes


def test_tensors_that_a_densenet_lacks_are_listed(densenet):
    state = {k: v.numpy() for k, v in densenet.state_dict().items()}
    lacking = ["classifier.bias", "features.conv0.weight"]
    lacking += [
        f"features.denseblock1.denselayer1.{k}.weight" for k in ("conv2", "norm1")
    ]
    for name in lacking:
        del state[name]
    state["classifier.scale"] = np.ones(5)
    expected = f"unknown: classifier.scale; missing: {', '.join(lacking)}"
    with pytest.raises(ValueError, match=re.escape(expected)):
        convert.convert("densenet121", state)


def _names(file, content):
    torch.save(content, file)
    return file


SMALL = {"conv1a.weight": torch.arange(6.0).reshape(2, 3), "conv1a.bias": torch.ones(2)}


@pytest.mark.parametrize(
    ("content", "noted"),
    [
        ({"model_state_dict": SMALL, "epoch": 3}, "lies under 'model_state_dict'"),
        ({"model": SMALL, "args": {"lr": 0.1}, "loss": [1.0]}, "lies under 'model'"),
        ({"ema": {"module": SMALL, "decay": 0.9}}, "lies under 'ema.module'"),
        ({"state_dict": SMALL, "optimizer_states": [{"state": {0: SMALL}}]}, ""),
        ({"net": SMALL, "optimizer": {"state": SMALL}}, ""),
        ({k: torch.nn.Parameter(v) for k, v in SMALL.items()}, ""),
        ({f"module.module.{k}": v for k, v in SMALL.items()}, "wrapper of the network"),
        ({f"module._orig_mod.{k}": v for k, v in SMALL.items()}, "wrapper"),
        ({f"_orig_mod.{k}": v for k, v in SMALL.items()}, "wrapper"),
    ],
)
def test_one_container_and_wrappers_are_taken_away(tmp_path, capsys, content, noted):
    read = convert.read_state(_names(tmp_path / "a.pth", content))
    assert read.keys() == SMALL.keys()
    for name, array in read.items():
        np.testing.assert_array_equal(array, SMALL[name].numpy())
    told = capsys.readouterr().err
    assert noted in told
    assert bool(told) == bool(noted)


def test_several_state_dicts_are_named_and_one_can_be_chosen(tmp_path, capsys):
    other = {name: tensor + 1 for name, tensor in SMALL.items()}
    path = _names(tmp_path / "a.pth", {"model": SMALL, "ema": {"shadow": other}})
    with pytest.raises(ValueError, match=r"2 state dicts: 'model' \(2 tensors\), 'ema"):
        convert.read_state(path)
    read = convert.read_state(path, "ema.shadow")
    np.testing.assert_array_equal(read["conv1a.bias"], [2, 2])
    with pytest.raises(ValueError, match="no state dict under 'best'; it holds 2"):
        convert.read_state(path, "best")
    target = str(tmp_path / "out")
    assert convert.main(["superretina", str(path), target]) == 2
    assert "choose one with --key" in capsys.readouterr().err


@pytest.mark.parametrize(
    "dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.bool]
)
def test_any_plain_number_is_read(tmp_path, dtype):
    state = {name: tensor.to(dtype) for name, tensor in SMALL.items()}
    read = convert.read_state(_names(tmp_path / "a.pth", state))
    for name, tensor in SMALL.items():
        wanted = tensor.numpy().astype(bool) if dtype == torch.bool else tensor.numpy()
        np.testing.assert_array_equal(read[name], wanted)


@pytest.mark.parametrize(
    ("tensor", "kind"),
    [
        (lambda: torch.eye(3).to_sparse(), "sparse"),
        (lambda: torch.eye(3).to(torch.complex64), "complex"),
        (lambda: torch.empty(3, device="meta"), "without values"),
    ],
)
def test_tensors_that_are_not_plain_are_named(tmp_path, tensor, kind):
    path = _names(tmp_path / "a.pth", {**SMALL, "conv1b.bias": tensor()})
    with pytest.raises(ValueError, match=f"a.pth: conv1b.bias is {kind}"):
        convert.read_state(path)


def test_safetensors_with_the_names_of_pytorch(tmp_path):
    from safetensors.torch import save_file

    state = {name: tensor.to(torch.bfloat16) for name, tensor in SMALL.items()}
    save_file(state, tmp_path / "a.safetensors")
    read = convert.read_state(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(read["conv1a.weight"], SMALL["conv1a.weight"])


@pytest.mark.parametrize("prefix", ["model.", "net.", "backbone.student."])
def test_one_prefix_is_taken_off_and_told(tmp_path, capsys, prefix):
    state = {f"{prefix}{k}": v for k, v in _superretina().items()}
    source, target = tmp_path / "a.ckpt", tmp_path / "out.safetensors"
    torch.save({"state_dict": state, "optimizer_states": []}, source)
    assert convert.main(["superretina", str(source), str(target)]) == 0
    assert f"names without their prefix {prefix!r}" in capsys.readouterr().err
    loaded = weights.load(target)
    bias = loaded.variables["params"]["stage3"]["conv_a"]["bias"]
    np.testing.assert_array_equal(bias, state[f"{prefix}conv3a.bias"])


def test_a_network_under_two_prefixes_is_refused(tmp_path, capsys):
    small = {k: torch.zeros(1) for k in torch_names.superretina_names()}
    both = {f"{p}.{k}": v for p in ("student", "teacher") for k, v in small.items()}
    source = _names(tmp_path / "a.pth", both)
    assert convert.main(["superretina", str(source), str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert "under several prefixes: student., teacher.; save one" in message
    both = {f"{p}{k}": v for p in ("", "ema.") for k, v in small.items()}
    source = _names(tmp_path / "a.pth", both)
    assert convert.main(["superretina", str(source), str(tmp_path / "out")]) == 2
    assert "under several prefixes: none, ema.; save" in capsys.readouterr().err


def test_a_prefix_whose_removal_would_lose_a_tensor_stays():
    state = {"a.w": 1, "m.a.w": 2, "m.b.w": 3}
    assert foreign.strip_prefix(state, ["a.w", "b.w"]) == (state, "")
    assert foreign.strip_prefix(state, ["c"]) == (state, "")


@pytest.mark.parametrize(
    ("prefix", "others"),
    [("module.", {"n_averaged": torch.tensor(5)}), ("net.", {"loss.w": torch.ones(2)})],
)
def test_what_lies_beside_the_network_is_left_out_and_told(
    tmp_path, capsys, prefix, others
):
    """As torch.optim.swa_utils.AveragedModel and modules of Lightning save it."""
    whole = {**others, **{f"{prefix}{k}": v for k, v in _superretina().items()}}
    source, target = _names(tmp_path / "a.pth", whole), tmp_path / "out.safetensors"
    assert convert.main(["superretina", str(source), str(target)]) == 0
    told = capsys.readouterr().err
    assert f"left out, without that prefix: {next(iter(others))}\n" in told
    assert weights.load(target).model == "superretina"


def test_a_tensor_with_and_without_a_wrapper_is_not_chosen(tmp_path):
    state = {**SMALL, "_orig_mod.conv1a.bias": torch.zeros(2)}
    with pytest.raises(ValueError, match=r"twice, with and without .*: conv1a\.bias"):
        convert.read_state(_names(tmp_path / "a.pth", state))


def test_a_mapping_inside_itself_is_an_error(tmp_path):
    content = {"model": SMALL}
    content["self"] = content
    with pytest.raises(ValueError, match="holds a mapping inside itself"):
        convert.read_state(_names(tmp_path / "a.pth", content))


def test_torch_script_is_refused_without_a_warning(tmp_path):
    path = tmp_path / "a.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match=r"a\.pt: not a PyTorch file of plain"):
            convert.read_state(path)
    assert not seen


def test_many_wrong_names_are_cut(tmp_path, capsys):
    state = {f"layer{n:02d}.weight": torch.zeros(1) for n in range(31)}
    source = _names(tmp_path / "a.pth", state)
    assert convert.main(["superretina", str(source), str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert "layer07.weight and 23 more" in message
    assert "and 30 more" in message  # of the 38 that are missing
    assert len(message) < 1000


@pytest.mark.parametrize("what", ["itself", "photo", "other safetensors", "link"])
def test_files_that_are_not_ours_are_never_written_over(
    tmp_path, capsys, monkeypatch, what
):
    source = _names(tmp_path / "a.pth", SMALL)
    target = source if what == "itself" else tmp_path / "out.safetensors"
    if what == "photo":
        target.write_bytes(b"\x89PNG")
    elif what == "other safetensors":
        from safetensors.torch import save_file

        save_file(SMALL, target)
    elif what == "link":
        target.symlink_to(source)
    before = target.read_bytes()

    def work(*_):
        raise AssertionError("worked before it looked at OUT")

    monkeypatch.setattr(convert, "read_state", work)
    assert convert.main(["superretina", str(source), str(target)]) == 2
    message = capsys.readouterr().err
    assert str(target) in message
    assert "choose another OUT" in message
    assert target.read_bytes() == before


class _Code:
    def __reduce__(self):
        return print, ("this must not run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a PyTorch file: it is empty"),
        (b"PK\x03\x04 broken", "not a PyTorch file of plain tensors, or damaged"),
        (b"learning rate 0.1\n", "not a PyTorch file (it begins with b'lear')"),
        ({"net": {"a": _Code()}}, "plain tensors: it holds the Python object"),
        ({"net": {"a": "text"}}, "not tensors: a"),
        ({0: torch.zeros(1), "a": torch.zeros(1), 7: torch.zeros(1)}, "text: 0, 7;"),
        ([1, 2], "holds no state dict"),
        ({}, "holds no state dict"),
    ],
)
def test_bad_files_exit_with_2(tmp_path, capsys, content, message):
    source = tmp_path / "bad.pth"
    if isinstance(content, bytes):
        source.write_bytes(content)
    else:
        torch.save(content, source)
    assert convert.main(["superretina", str(source), str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "bad.pth" in captured.err
    assert captured.err.count("\n") == 1
    assert "must not run" not in captured.out
    assert "weights_only" not in captured.err  # PyTorch's advice is to load unsafely
    assert "torch.load" not in captured.err


def test_a_folder_as_input_or_output(tmp_path, capsys):
    assert convert.main(["superretina", str(tmp_path), str(tmp_path / "out")]) == 2
    assert f"{tmp_path}: a folder; expected a .pth file" in capsys.readouterr().err
    source = _write(tmp_path / "a.pth", _superretina())
    (tmp_path / "out").mkdir()
    assert convert.main(["superretina", str(source), str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert "out: a folder; expected the name of a file" in message
    assert "Errno" not in message


def test_an_impossible_feature_size_names_the_file(tmp_path, capsys):
    source = tmp_path / "odd.pth"
    torch.save({"swinViT.patch_embed.proj.weight": torch.zeros(7, 1, 2, 2)}, source)
    assert convert.main(["monai_swin_unetr", str(source), str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert f"{source}: feature_size is 7" in message
    assert "stage 1 has 7 channels" in message


def test_missing_file_exits_with_2(tmp_path, capsys):
    source = tmp_path / "none.pth"
    assert convert.main(["superretina", str(source), str(tmp_path / "out")]) == 2
    assert "none.pth: no such file" in capsys.readouterr().err
