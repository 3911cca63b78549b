"""A work directory belongs to one run: its config and its images."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors

from rkd_jax import config as schema
from rkd_jax import models
from rkd_jax.data import records
from rkd_jax.tasks import networks
from rkd_jax.tasks.retina import RetinaConfig
from rkd_jax.training import run_folder


def test_a_run_refuses_another_config_but_not_how_it_is_watched(tmp_path):
    config = schema.Config(task=RetinaConfig())
    run_folder.check(tmp_path, config)
    run_folder.claim(tmp_path, config)
    config.loop.log_every, config.data.num_threads = 1, 0
    run_folder.check(tmp_path, config)
    config.optim.lr = 0.5
    with pytest.raises(ValueError, match=r"optim\.lr: .* -> 0\.5"):
        run_folder.check(tmp_path, config)


def test_a_run_of_an_earlier_version_can_start_anew_from_its_weights(tmp_path):
    config = schema.Config(task=RetinaConfig())
    run_folder.claim(tmp_path, config)
    path = tmp_path / run_folder.CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), "gone": {"lr": 1}}))
    with pytest.raises(ValueError, match=r"gone\.lr: 1 -> .*\n.*earlier version") as e:
        run_folder.check(tmp_path, config)
    assert "--config.init_weights=" in str(e.value)


FREE = {
    "loop.log_every": 3,
    "loop.eval_every": 7,
    "loop.eval_pairs": 5,
    "task.eval_kind": "synthetic",
    "loop.checkpoint_every": 11,
    "loop.keep": 4,
    "data.num_threads": 0,
    "data.cache_mb": 1,
    "data.data_dir": "moved/elsewhere",
    "data.auxiliary_dir": "moved/too",
}


def put(config, field, value):
    *groups, name = field.split(".")
    for group in groups:
        config = getattr(config, group)
    setattr(config, name, value)


@pytest.fixture
def begun(tmp_path):
    """Return a function that makes a work directory with steps done, of a config."""

    def make(config, steps):
        run_folder.claim(tmp_path, config)
        if steps:
            (tmp_path / "checkpoints" / str(steps)).mkdir(parents=True)
            (tmp_path / "manifests").mkdir()
            (tmp_path / "manifests" / f"{steps}.json").write_text("{}")
        return tmp_path

    return make


def test_what_changes_nothing_that_was_learned_may_change(begun):
    config = schema.Config(task=RetinaConfig())
    workdir = begun(config, 100)
    for field, value in FREE.items():
        put(config, field, value)
    run_folder.check(workdir, config)
    run_folder.claim(workdir, config)
    written = schema.flatten_dict(json.loads((workdir / run_folder.CONFIG).read_text()))
    assert {field: written[field] for field in FREE} == FREE


def test_every_other_field_is_refused_by_name(begun):
    """What is not listed here as free, or as a length, must not change."""
    config = schema.Config(task=RetinaConfig())
    workdir = begun(config, 100)
    lengths = {"loop.steps", "task.teacher.steps", "task.pretrain.steps"}
    fields = schema.flatten_dict(schema.as_dict(config)).keys() - FREE.keys() - lengths
    for field in fields:
        changed = schema.Config(task=RetinaConfig())
        put(changed, field, "another")
        with pytest.raises(ValueError, match=rf"\n  {field}: .* -> 'another'$"):
            run_folder.check(workdir, changed)


@pytest.mark.parametrize(
    ("schedule", "done", "steps", "reason"),
    [
        ("constant", 100, 300, None),
        ("constant", 100, 100, None),
        ("constant", 200, 199, r"loop\.steps: 200 -> 199 \(200 steps are done\)"),
        ("constant", 0, 10, None),
        ("cosine", 0, 300, None),
        ("cosine", 100, 300, "cosine learning rate of the 100 steps .* for 200"),
        ("cosine", 100, 200, None),
        ("cosine", 100, 50, r"200 -> 50 \(100 steps are done\)"),
    ],
)
def test_a_run_may_get_longer_unless_its_rate_depends_on_it(
    begun, schedule, done, steps, reason
):
    config = schema.Config(task=RetinaConfig())
    config.loop.steps, config.optim.schedule = 200, schedule
    workdir = begun(config, done)
    config.loop.steps = steps
    if reason is None:
        run_folder.check(workdir, config)
    else:
        with pytest.raises(ValueError, match=reason):
            run_folder.check(workdir, config)


@pytest.mark.parametrize("field", ["task.teacher.steps", "task.pretrain.steps"])
def test_earlier_stages_may_get_longer_until_later_ones_begin(begun, field):
    config = schema.Config(task=RetinaConfig())
    workdir = begun(config, 0)
    put(config, field, 12_345)
    run_folder.check(workdir, config)
    with pytest.raises(ValueError, match=rf"{field}: \d+ -> 12345 \(later stages"):
        run_folder.check(workdir, config, begun=True)


def test_finished_runs_count_without_their_checkpoints(begun):
    config = schema.Config(task=RetinaConfig())
    workdir = begun(config, 0)
    assert run_folder.steps_done(workdir) == 0
    (workdir / run_folder.WEIGHTS).touch()
    assert run_folder.steps_done(workdir) == config.loop.steps
    assert run_folder.steps_done(workdir / "elsewhere") == 0


def test_a_new_field_at_its_default_is_no_difference(begun):
    config = schema.Config(task=RetinaConfig())
    workdir = begun(config, 100)
    path = workdir / run_folder.CONFIG
    saved = json.loads(path.read_text())
    del saved["data"]["max_labels"], saved["task"]["light"], saved["model"]["kernels"]
    path.write_text(json.dumps(saved))
    run_folder.check(workdir, config)
    config.data.max_labels, config.model.kernels = 2, (3,)
    with pytest.raises(ValueError, match="another config") as raised:
        run_folder.check(workdir, config)
    lines = ["  data.max_labels: 512 -> 2", "  model.kernels: [1, 3, 5] -> [3]"]
    assert str(raised.value).splitlines()[1:] == lines


def test_old_names_of_packaged_weights_are_their_names_of_today(begun):
    config = schema.Config(task=RetinaConfig())
    config.task.teacher.weights = "default"
    workdir = begun(config, 100)
    config.task.teacher.weights = "unet_robust"
    run_folder.check(workdir, config)
    config.task.teacher.weights = "unet"
    with pytest.raises(ValueError, match=r"weights: 'unet_robust' -> 'unet'"):
        run_folder.check(workdir, config)


def test_a_field_that_this_version_does_not_know_is_named(begun):
    config = schema.Config(task=RetinaConfig())
    workdir = begun(config, 100)
    path = workdir / run_folder.CONFIG
    saved = json.loads(path.read_text())
    saved["task"]["color"] = 3
    path.write_text(json.dumps(saved))
    with pytest.raises(ValueError, match=r"task\.color: 3 -> \(this version has no"):
        run_folder.check(workdir, config)


@pytest.mark.parametrize(
    "name",
    [
        *("weights.safetensors", "best.safetensors", "results.json", "data.json"),
        *("metrics.jsonl", "checkpoints/1/a", "manifests/1.json"),
        "pictures/eye_0000100.png",
    ],
)
def test_files_of_others_are_refused_by_name(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("not ours")
    (tmp_path / "photo.png").touch()
    first = tmp_path / (name if name.startswith("pictures") else name.split("/")[0])
    with pytest.raises(ValueError, match=f"{first}: a run would write there"):
        run_folder.check(tmp_path, schema.Config(task=RetinaConfig()))
    assert path.read_text() == "not ours"


@pytest.mark.parametrize("text", ["{}", '{"name": "site"}', '{"model": 3, "loop": 4}'])
def test_a_config_of_others_is_refused(tmp_path, text):
    path = tmp_path / run_folder.CONFIG
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{path}: not the config of a run"):
        run_folder.check(tmp_path, schema.Config(task=RetinaConfig()))
    assert path.read_text() == text


def test_weights_hold_their_recipe_but_no_folder(tmp_path):
    config = schema.Config(task=RetinaConfig())
    config.model.widths, config.model.descriptor_dim = (4, 4, 4, 4), 8
    config.model.compute_dtype = "bfloat16"
    for group, field in (
        (config.data, "data_dir"),
        (config.data, "auxiliary_dir"),
        (config.task.teacher, "weights"),
        (config, "init_weights"),
    ):
        setattr(group, field, f"/home/somebody/{field}")
    path = tmp_path / run_folder.WEIGHTS
    module = models.build("superretina", **networks.options(config.model))
    variables = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 1)))
    metrics = {"score": 0.5, "error": float("nan")}
    run_folder.save_weights(path, config, variables, metrics)
    metadata = safetensors.safe_open(path, "numpy").metadata()
    assert "somebody" not in " ".join(metadata.values())
    recipe = json.loads(metadata["recipe"])
    assert recipe["config"]["data"]["data_dir"] == "data_dir"
    assert recipe["metrics"] == {"score": 0.5, "error": None}
    assert "compute_dtype" not in json.loads(metadata["options"])


@pytest.mark.parametrize("text", ["{", "[1]"])
@pytest.mark.parametrize("name", [run_folder.CONFIG, run_folder.DATA])
def test_damaged_files_are_named(tmp_path, name, text):
    def check():
        run_folder.check(tmp_path, schema.Config(task=RetinaConfig()))
        run_folder.claim_data(tmp_path, records.Records([], size=32, max_labels=4))

    run_folder.claim(tmp_path, schema.Config(task=RetinaConfig()))
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f"{name}.*JSON.*--workdir"):
        check()


def test_a_run_refuses_other_images_than_it_began_with(tmp_path):
    eye = np.zeros((40, 40), np.uint8)
    eye[10:30, 10:30] = 200

    def source(*names):
        items = [records.Item(n, lambda: (eye, None), False) for n in names]
        return records.Records(items, size=32, max_labels=4)

    run_folder.claim_data(tmp_path, source("old/a.png", "old/b.png"))
    run_folder.claim_data(tmp_path, source("moved/a.png", "moved/b.png"))
    for other in (("a.png",), ("b.png", "a.png")):
        with pytest.raises(ValueError, match="began with 2 images"):
            run_folder.claim_data(tmp_path, source(*other))
