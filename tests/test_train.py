"""The train door: usage errors, weights, kill -9, several processes."""

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

from rkd_jax import weights
from rkd_jax.training.run_folder import WEIGHTS

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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--config.optim.lrr=1"], ["config.optim.lrr", "did you mean optim.lr"]),
        (["--config.optim.lr=-1"], ["config.optim.lr", "positive"]),
        (
            ["--config.task.light=dark"],
            ["config.task.light", "paper, visit, modality, none"],
        ),
        (["--config.task.name=landmarks"], ["config.model.out_channels", "98"]),
        (["--config.data.kind=superretina"], ["config.data.data_dir"]),
        (
            [
                "--config.data.kind=superretina",
                "--config.data.data_dir=/no/such/folder",
            ],
            ["/no/such/folder"],
        ),
        (["stray"], ["stray"]),
    ],
)
def test_bad_usage_is_named_without_traceback(tmp_path, options, words):
    done = call("configs/unet.py", tmp_path / "run", *options)
    assert done.returncode == 2
    assert not (tmp_path / "run").exists()
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("configs/unet.py:big", ["big", "crops, gpu, robust, demo, upstream"]),
        ("configs/nothing.py", ["configs/nothing.py", "configs/unet.py"]),
    ],
)
def test_unknown_variants_and_files_are_named(tmp_path, config, words):
    done = call(config, tmp_path / "run")
    assert done.returncode == 2
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("from neighbor import get_config", "unknown arguments: stray"),
        ("import no_such_module", "--config: ModuleNotFoundError: No module named"),
        ("def get_config(:", "--config: SyntaxError"),
        ("print(unknown)", "--config: NameError"),
        ("1 / 0", "--config: ZeroDivisionError"),
    ],
)
def test_config_files_import_their_neighbors_and_may_raise_anything(
    tmp_path, text, words
):
    ours = "from rkd_jax.config import Config\ndef get_config(): return Config()"
    (tmp_path / "neighbor.py").write_text(ours)
    (tmp_path / "mine.py").write_text(text)
    done = call(tmp_path / "mine.py", tmp_path / "run", "stray")
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


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
