"""The stages of an experiment, and what they share."""

from rkd_jax import config as schema
from rkd_jax import tasks, weights
from rkd_jax.training import experiment, given, loop, workdir


def test_stages_of_an_experiment_and_their_configs(tmp_path):
    config = schema.Config()
    config.model.name = "swin_unetr"
    config.task.distill = True
    config.compare_scratch = True
    config.pretrain.steps = 7
    config.teacher.steps, config.teacher.lr = 5, 0.25
    plan = experiment.stages(config, tmp_path)
    assert [s.title for s in plan] == ["encoder", "teacher", "scratch", "student"]
    encoder, teacher, scratch, student = (s.config for s in plan)
    assert (encoder.task.name, encoder.loop.steps) == ("pretraining", 7)
    assert teacher.model == config.teacher.model
    assert (teacher.loop.steps, teacher.optim.lr) == (5, 0.25)
    assert scratch.model == config.model
    assert not scratch.task.distill
    assert student is config
    config.teacher.weights, config.teacher.model.norm = "default", "instance"
    assert given.check(config) == given.Given(teacher=str(weights.find("default")))
    assert "teacher" not in [s.title for s in experiment.stages(config, tmp_path)]


def test_stages_of_one_task_are_scored_on_the_same_data(tmp_path, monkeypatch):
    config = schema.Config()
    config.compare_scratch = True
    made, seen = [], []

    def held_out(config):
        made.append(config.task.name)
        return []

    def learn(*_, title, eval_data, **__):
        seen.append((title, eval_data))
        return loop.Outcome({}, {})

    monkeypatch.setattr(tasks, "held_out", held_out)
    monkeypatch.setattr(loop, "train", learn)
    monkeypatch.setattr(workdir, "save_weights", lambda *_: None)
    experiment.run(config, tmp_path)
    assert made == ["retina"]
    assert [title for title, _ in seen] == ["scratch", "network"]
    assert seen[0][1] is seen[1][1] is not None
