"""The command `rkd_jax.train`: usage errors, weights, kill -9, several processes."""

import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file
from toy import lines

from rkd_jax import train, weights
from rkd_jax.training.run_folder import WEIGHTS

# ml_collections loads config files in a way that Python has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
ROOT = pathlib.Path(__file__).parents[1]
TINY = (
    "--config.data.size=96",
    "--config.data.crop=64",
    "--config.data.batch_size=2",
    "--config.data.synthetic_labeled=3",
    "--config.data.synthetic_unlabeled=2",
    "--config.model.widths=(4,4,8,8)",
    "--config.model.descriptor_dim=8",
    "--config.task.max_keypoints=16",
    "--config.task.texture_points=8",
    "--config.loop.eval_pairs=0",
)


def command(config, workdir, *options):
    return [
        sys.executable,
        "-m",
        "rkd_jax.train",
        f"--config={config}",
        f"--workdir={workdir}",
        *options,
    ]


def environment(**more):
    """Return the environment of a command that compiles in half of the time.

    What these tests prove (a run goes on, processes agree) holds of any program, as
    long as all runs of a test compile it alike.
    """
    more = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", **more}
    names = ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")
    kept = {k: v for k, v in os.environ.items() if k not in names}
    return {**kept, "JAX_PLATFORMS": "cpu", **more}


def call(*arguments, **more):
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=1200,
    )


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Return a function that runs a command that must fail; it gives its one line."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", list(sys.path))
    # Logging of this process stays as it is.
    monkeypatch.setattr(train, "prepare_jax", lambda cache_dir: None)

    def run(config, *options):
        workdir = tmp_path / "run"
        try:
            status = train.main(
                [f"--config={config}", f"--workdir={workdir}", *options]
            )
        except SystemExit as stop:
            status = stop.code
        assert status == 2
        assert not workdir.exists()
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1, error
        return error

    return run


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--config.optim.lrr=1"], ["config.optim.lrr", "did you mean optim.lr"]),
        (["--config.optim.lr=-1"], ["config.optim.lr", "positive"]),
        (
            ["--config.task.light=dark"],
            ["config.task.light", "paper, visit, modality, none"],
        ),
        (["--config.task.name=landmarks"], ["config.task.name", "'retina'"]),
        (["--config.task.sigma_px=2"], ["config.task.sigma_px: no such field"]),
        (["--config.data.kind=superretina"], ["config.data.data_dir"]),
        (
            [
                "--config.data.kind=superretina",
                "--config.data.data_dir=/no/such/folder",
            ],
            ["/no/such/folder"],
        ),
        (["stray"], ["stray"]),
        (["--config.optim.drop_at=('a',)"], ["drop_at is ('a',)"]),
        (["--config.optim.trainable=["], ["trainable '['"]),
        (["--coordinator=x"], ["--coordinator=x", "HOST:PORT"]),
    ],
)
def test_bad_usage_is_named_on_one_line(refused, options, words):
    error = refused("configs/unet.py", *options)
    assert all(word in error for word in words), error


def test_ctrl_c_before_the_first_step_is_one_line(refused, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "join_processes", interrupt)
    assert train.main(["--config=configs/unet.py"]) == 130
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("stopped;")


def test_a_missing_config_is_named(capsys):
    with pytest.raises(SystemExit):
        train.main(["--workdir=run"])
    (line,) = capsys.readouterr().err.splitlines()
    assert "--config is missing" in line
    assert "rkd:demo" in line


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("configs/unet.py:big", ["big", "crops, gpu, robust, demo, upstream"]),
        ("configs/nothing.py", ["configs/nothing.py", "configs/unet.py"]),
    ],
)
def test_unknown_variants_and_files_are_named(refused, config, words):
    error = refused(config)
    assert all(word in error for word in words), error


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("from neighbor import get_config", "unknown arguments: stray"),
        ("import no_such_module", "--config: ModuleNotFoundError: No module named"),
        ("def get_config(:", "--config: SyntaxError"),
        ("print(unknown)", "--config: NameError"),
        ("1 / 0", "--config: ZeroDivisionError"),
        ("def get_config(): return 3", "gives a int; expected a rkd_jax.config.Config"),
    ],
)
def test_config_files_import_their_neighbors_and_may_raise_anything(
    tmp_path, refused, monkeypatch, text, words
):
    monkeypatch.delitem(sys.modules, "neighbor", raising=False)
    ours = (
        "from rkd_jax.config import Config\n"
        "from rkd_jax.tasks.retina import RetinaConfig\n"
        "def get_config(): return Config(task=RetinaConfig())"
    )
    (tmp_path / "neighbor.py").write_text(ours)
    (tmp_path / "mine.py").write_text(text)
    stray = ["stray"] if "neighbor" in text else []
    assert words in refused(tmp_path / "mine.py", *stray)


def test_no_traceback_reaches_the_user_of_the_command(tmp_path):
    done = call("configs/unet.py", tmp_path / "run", "--config.optim.lr=-1")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "config.optim.lr must be finite, positive" in done.stderr


def test_overrides_are_those_of_the_arguments(tmp_path, monkeypatch):
    """Not those of the process that calls it; and lists and switches are read."""
    monkeypatch.chdir(ROOT)
    asked = []
    monkeypatch.setattr(train, "prepare_jax", lambda cache_dir: None)
    monkeypatch.setattr(train, "train", lambda *given: asked.append(given))
    options = ["--config.model.widths=(4,4,8,8)", "--noconfig.data.crop_field"]
    options += ["--config.task.teacher.steps", "7", "--config.optim.trainable=^head/"]
    monkeypatch.setattr(sys, "argv", ["program", "--config.seed=9"])
    assert train.main(["--config", "unet:crops", *options]) == 0
    ((config, workdir),) = asked
    assert config.model.widths == (4, 4, 8, 8)
    assert (config.seed, config.data.crop_field, config.data.crop) == (0, False, 256)
    assert config.task.teacher.steps == 7
    assert config.optim.trainable == "^head/"
    assert workdir == pathlib.Path("runs/unet")


@pytest.mark.slow
def test_killed_runs_end_as_uninterrupted_ones_bit_for_bit(tmp_path):
    """SIGKILL at random moments, and once while a checkpoint is being written."""
    kills = int(os.environ.get("RKD_JAX_KILLS", "2"))
    options = (
        *TINY,
        f"--compilation_cache_dir={tmp_path / 'cache'}",
        "--config.loop.steps=40",
        "--config.loop.log_every=1",
        "--config.loop.checkpoint_every=2",
        "--config.task.pke_start_epoch=1",
    )
    straight = call("configs/unet.py:crops", tmp_path / "straight", *options)
    assert straight.returncode == 0, straight.stderr
    broken = tmp_path / "broken"
    moments = random.Random(0)
    for number in range(kills):
        process = subprocess.Popen(
            command("configs/unet.py:crops", broken, *options),
            cwd=ROOT,
            env=environment(),
            stderr=subprocess.DEVNULL,
        )
        _wait_for_progress(process, broken, while_saving=number == 0)
        if number:
            time.sleep(moments.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (broken / WEIGHTS).exists()
    done = call("configs/unet.py:crops", broken, *options)
    assert done.returncode == 0, done.stderr
    assert "going on from step" in done.stderr
    assert lines(broken) == lines(tmp_path / "straight")
    whole = load_file(tmp_path / "straight" / WEIGHTS)
    resumed = load_file(broken / WEIGHTS)
    assert whole.keys() == resumed.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(array, resumed[name])


def _wait_for_progress(process, workdir, *, while_saving):
    """Wait for a new finished checkpoint, or for one that is being written."""
    folder = workdir / "checkpoints"

    def found():
        names = {p.name for p in folder.glob("*")} if folder.exists() else set()
        return {n for n in names if while_saving == (not n.isdigit())}

    before = found()
    deadline = time.monotonic() + 1200
    while not (found() - before):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.slow
def test_a_weights_file_loads_and_another_config_is_refused(tmp_path):
    workdir = tmp_path / "run"
    options = (*TINY, "--config.loop.steps=1")
    done = call("configs/unet.py:crops", workdir, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"Weights: {workdir / WEIGHTS}\n"
    loaded = weights.load(workdir / WEIGHTS, model="superretina")
    assert tuple(loaded.options["widths"]) == (4, 4, 8, 8)
    assert loaded.preprocess["descriptor_grid"] == "aligned"
    again = call("configs/unet.py:crops", workdir, *options, "--config.optim.lr=0.5")
    assert again.returncode == 2
    assert "optim.lr: 0.002 -> 0.5" in again.stderr


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    options = (*TINY, "--config.loop.steps=3", "--config.loop.log_every=1")
    one = call("configs/unet.py:crops", tmp_path / "one", *options)
    assert one.returncode == 0, one.stderr
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = [
        subprocess.Popen(
            command(
                "configs/unet.py:crops",
                tmp_path / "two",
                *options,
                f"--coordinator=127.0.0.1:{port}",
                "--num_processes=2",
                f"--process_id={number}",
            ),
            cwd=ROOT,
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=1200)
        assert process.returncode == 0, errors
    for a, b in zip(lines(tmp_path / "one"), lines(tmp_path / "two"), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)
    ours = load_file(tmp_path / "one" / WEIGHTS)
    theirs = load_file(tmp_path / "two" / WEIGHTS)
    # Adam moves a parameter whose gradient is zero up to rounding by the whole
    # learning rate either way; the mean over a tensor does not see those.
    for name, array in ours.items():
        assert np.mean(np.abs(array - theirs[name])) < 1e-5, name
