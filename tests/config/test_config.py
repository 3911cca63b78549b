"""The schema refuses what cannot be trained, field by field."""

import dataclasses
import math
import runpy

import flax.linen as nn
import pytest

from rkd_jax import config as schema
from rkd_jax import tasks
from rkd_jax.tasks import networks
from rkd_jax.tasks.pretraining import PretrainingConfig
from rkd_jax.tasks.retina import RetinaConfig
from rkd_jax.tasks.retina.expansion import ExpansionOptions
from rkd_jax.tasks.retina.value_maps import expansion_options


def put(config, field, value):
    *groups, name = field.split(".")
    for group in groups:
        config = getattr(config, group)
    setattr(config, name, value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", -1),
        ("data.batch_size", 0),
        ("data.num_threads", -1),
        ("data.resize_mode", "crop"),
        ("data.kind", "wflw"),
        ("data.size", 63),
        ("model.descriptor_dim", 0),
        ("model.norm", "batch"),
        ("model.out_channels", 98),
        ("model.widths", (4, 4)),
        ("optim.lr", math.inf),
        ("optim.lr", 0.0),
        ("optim.lr", "fast"),
        ("optim.ema_decay", 1.0),
        ("task.pretrain.lr", -1.0),
        ("task.pretrain.mask_ratio", 1.0),
        ("task.border", -1),
        ("task.deformation", "rubber"),
        ("task.descriptor_geometry", "any"),
        ("task.detector_weight", math.nan),
        ("task.expansion", "theirs"),
        ("task.gor_weight", -1.0),
        ("task.light", "dark"),
        ("task.max_keypoints", 10**9),
        ("task.name", "landmarks"),
        ("task.nms_radius", -1),
        ("task.teacher.model.norm", "batch"),
        ("task.threshold", 2.0),
    ],
)
def test_values_out_of_range_are_named(field, value):
    config = schema.Config(task=RetinaConfig(distill=True))
    assert config.validate() is config
    put(config, field, value)
    with pytest.raises(ValueError, match=rf"^config\.{field} (is|must be)"):
        config.validate()


def test_a_network_that_there_is_not_is_named():
    config = schema.Config(task=RetinaConfig())
    config.model.name = "superretna"
    with pytest.raises(ValueError, match=r"config\.model: unknown .*'superretina'"):
        config.validate()


@dataclasses.dataclass
class OwnModelConfig(schema.ModelConfig):
    """Of a network of somebody else."""

    blocks: int = 3


class OwnNetwork(nn.Module):
    """A network of somebody else."""

    out_channels: int = 1
    blocks: int = 1

    def example_shape(self, size):
        return (1, size, size, 3)


def test_a_network_of_ones_own_takes_the_fields_that_it_has():
    own = OwnModelConfig(name=f"{__name__}:OwnNetwork", out_channels=2)
    assert networks.options(own) == {"out_channels": 2, "blocks": 3}
    ours = networks.options(OwnModelConfig(name="large_kernel"))
    assert "blocks" not in ours
    assert ours["kernels"] == (1, 3, 5)


def test_limits_are_taken_where_they_are_given():
    """A field at its limit is right, one beyond it is not (below and above exclude)."""
    limits = {
        "data.size": (64, 63),
        "optim.weight_decay": (0.0, -1e-9),
        "optim.ema_decay": (0.0, 1.0),
        "task.pke_start_epoch": (-1, -2),
        "task.margin": (4.0, 4.1),
        "task.infonce_temperature": (1e-9, 0.0),
    }
    for field, (right, wrong) in limits.items():
        config = schema.Config(task=RetinaConfig())
        put(config, field, right)
        config.validate()
        put(config, field, wrong)
        with pytest.raises(ValueError, match=field):
            config.validate()


def test_fields_that_a_class_lacks_cannot_be_set():
    config = schema.Config(task=RetinaConfig())
    with pytest.raises(AttributeError, match="no field sigma_px; did you mean"):
        config.task.sigma_px = 3.0
    with pytest.raises(AttributeError, match="PhotographsConfig has no field fold"):
        config.data.fold = 1
    with pytest.raises(AttributeError, match="did you mean lr"):
        config.optim.lrr = 1.0


def test_data_are_of_the_class_that_the_task_reads():
    config = schema.Config(task=RetinaConfig(), data=schema.DataConfig())
    with pytest.raises(ValueError, match="reads a PhotographsConfig"):
        config.validate()


@dataclasses.dataclass
class ToyConfig(schema.TaskConfig):
    """A task of somebody else, with a marked path and with an unmarked one."""

    name: str = "toy"
    masks: str = schema.path()
    list_files: tuple[str, ...] = ()
    note: str = "and/or"


@pytest.mark.parametrize("folder", ["/home/ann/study", r"C:\ann\study", "~/study"])
def test_no_folder_reaches_a_published_file(folder):
    task = ToyConfig(masks="near/masks", list_files=(f"{folder}/a.csv", "b.csv"))
    config = schema.Config(task=task, init_weights=f"{folder}/w.safetensors")
    config.data.data_dir, config.data.train_split = folder, f"{folder}/train.txt"
    public = schema.as_dict(config, public=True)
    assert public["init_weights"] == "w.safetensors"
    assert public["data"]["data_dir"] == "study"
    assert public["data"]["train_split"] == "train.txt"
    assert public["task"]["masks"] == "masks"
    assert public["task"]["list_files"] == ["a.csv", "b.csv"]
    assert public["task"]["note"] == "and/or"
    whole = schema.as_dict(config)
    assert whole["data"]["data_dir"] == folder
    assert schema.difference(whole, public) != []


@pytest.mark.parametrize("variant", ["", "crops", "gpu", "robust", "gpu,robust"])
@pytest.mark.parametrize("name", ["unet", "large_kernel", "swin_unetr", "rkd", "small"])
def test_recipes_of_the_retina_are_valid_and_differ(name, variant):
    get_config = runpy.run_path(f"configs/{name}.py")["get_config"]
    asked = set(filter(None, variant.split(",")))
    config = get_config(variant).validate()
    changed = schema.difference(schema.as_dict(get_config()), schema.as_dict(config))
    assert bool(changed) == bool(asked)
    assert (config.data.crop > 0) == bool({"crops", "gpu"} & asked)
    assert (config.task.light == "modality") == ("robust" in asked)


@pytest.mark.parametrize("name", ["unet", "large_kernel", "swin_unetr", "rkd"])
def test_upstream_numbers_are_not_mixed_with_ours(name):
    get_config = runpy.run_path(f"configs/{name}.py")["get_config"]
    for variant in ("upstream,crops", "upstream,robust", "upstream,gpu"):
        with pytest.raises(ValueError, match="upstream"):
            get_config(variant)


def test_one_start_of_the_encoder():
    config = schema.Config(task=RetinaConfig(), init_weights="start.safetensors")
    config.model.name = "swin_unetr"
    config.task.pretrain.steps = 10
    with pytest.raises(ValueError, match=r"init_weights.*task\.pretrain\.steps"):
        config.validate()


def test_pretraining_is_for_the_swin_encoder():
    alone = schema.Config(task=PretrainingConfig())
    first = schema.Config(task=RetinaConfig())
    first.task.pretrain.steps = 10
    for config in (alone, first):
        with pytest.raises(ValueError, match=r"config\.model\.name must be"):
            config.validate()
        config.model.name = "swin_unetr"
        config.validate()


def test_a_student_has_descriptors_like_its_teachers():
    config = schema.Config(task=RetinaConfig(distill=True))
    config.model.descriptor_dim = 64
    with pytest.raises(ValueError, match=r"must be equal; they are 64 and 256"):
        config.validate()
    config.task.distill = False
    config.validate()


def test_stages_and_their_configs():
    config = schema.Config(task=RetinaConfig(distill=True, compare_scratch=True))
    config.model.name = "swin_unetr"
    config.task.pretrain.steps, config.task.pretrain.lr = 7, 0.5
    config.task.pretrain.mask_size = 8
    config.task.teacher.steps, config.task.teacher.lr = 5, 0.25
    plan = tasks.load("retina").stages(config.validate())
    assert [s.title for s in plan] == ["encoder", "teacher", "scratch", "student"]
    assert [s.folder for s in plan] == ["pretraining", "teacher", "scratch", ""]
    assert [s.gives for s in plan] == ["start", "teacher", "", ""]
    assert [s.takes for s in plan] == [(), (), ("start",), ("start", "teacher")]
    for stage in plan[:-1]:
        alone = stage.config.validate()
        assert len(tasks.load(alone.task.name).stages(alone)) == 1
    encoder, teacher, scratch, student = (s.config for s in plan)
    assert (encoder.task.name, encoder.model) == ("pretraining", config.model)
    assert (encoder.loop.steps, encoder.optim.lr) == (7, 0.5)
    assert encoder.task.mask_size == 8
    assert teacher.model == config.task.teacher.model
    assert (teacher.loop.steps, teacher.optim.lr) == (5, 0.25)
    assert scratch.model == config.model
    assert not scratch.task.distill
    assert student is config
    config.task.teacher.weights = "given.safetensors"
    found = tasks.load("retina").stages(config)
    assert "teacher" not in [stage.title for stage in found]


@pytest.mark.parametrize(
    ("config", "release"), [("rkd", "rkd"), ("unet", "superretina")]
)
def test_upstream_configs_use_upstream_constants(config, release):
    get_config = runpy.run_path(f"configs/{config}.py")["get_config"]
    options = get_config("upstream").validate().task
    ours, theirs = expansion_options(options), ExpansionOptions.upstream(release)
    assert ours == dataclasses.replace(theirs, rounding="round")
    # SuperRetina: 10 px and 0.1; RKD: 20 px and 0.5 (docs/paper/specification.md, 4).
    expected = (20, 0.5) if release == "rkd" else (10, 0.1)
    assert (options.nms_radius, options.threshold) == expected
