"""The benchmark: its parts agree with ours, and a quick run writes its files."""

import json
import os
import pathlib
import subprocess
import sys
from xml.etree import ElementTree

import benchmark
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks import measure, ours, report

from rkd_jax import losses
from rkd_jax.keypoints import suppress

ROOT = pathlib.Path(__file__).parents[2]


def test_quick_run_without_pytorch_writes_table_and_plot(tmp_path):
    sections = "convolution,network"
    arguments = ["--quick", "--no_torch", "--sections", sections, "--kinds", "forward"]
    # In a process of its own: it chooses its devices before JAX starts.
    done = subprocess.run(
        [sys.executable, benchmark.__file__, *arguments, "--out", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads((tmp_path / "benchmark.json").read_text())
    kinds = [row["what"] for row in found["rows"]]
    assert kinds == ["matrix product", *["weight gradient"] * 5, "forward"]
    assert all(row["ours_s"] > 0 and row["runs"] == 2 for row in found["rows"])
    assert "cores" in found["machine"]["device"]
    drawn = ElementTree.parse(tmp_path / "benchmark.svg")
    assert len(drawn.findall(".//{*}circle")) == 1
    assert "network forward 64 1 float32: ours_s" in done.stdout


def test_plot_has_a_point_for_each_time_and_a_line_for_each_side():
    case = {"section": "network", "what": "forward", "precision": "float32"}
    rows = [
        {**case, "size": size, "batch": batch, "ours_s": 1.0, "torch_s": 2.0}
        for size in (256, 512)
        for batch in (1, 4)
    ]
    rows.append({**case, "size": 768, "batch": 1, "left_out": "no time"})
    drawn = ElementTree.fromstring(report.plot("a <machine>", rows))
    assert len(drawn.findall(".//{*}circle")) == 8
    assert len(drawn.findall(".//{*}polyline")) == 4
    assert drawn.find("{*}text").text == "a <machine>"


def test_what_does_not_fit_is_named(tmp_path):
    arguments = ["--minutes", "0", "--no_torch", "--out", str(tmp_path)]
    run = benchmark.Benchmark(
        benchmark._parser().parse_args(arguments), {"device": "none"}
    )
    run.network()
    assert [row["batch"] for row in run.rows] == [1] * 3 * 4
    run.batches()
    assert [row["batch"] for row in run.rows[12:]] == [4] * 3 * 4
    assert all("left of --minutes" in row["left_out"] for row in run.rows)
    written = json.loads((tmp_path / "benchmark.json").read_text())
    assert written["rows"] == run.rows


def test_a_clearly_slower_rival_is_timed_no_further(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(measure.time, "perf_counter", lambda: clock[0])

    def arm(seconds):
        def run():
            clock[0] += seconds

        return run

    arms = {"ours": arm(9.0), "a": arm(1.0), "b": arm(1.1), "c": arm(2.0)}
    times = measure.interleave(arms, rounds=4, rivals=("a", "b", "c"))
    assert {name: len(values) for name, values in times.items()} == {
        "ours": 4,
        "a": 4,
        "b": 4,
        "c": 2,
    }
    row = report.summarise({"ours": times["ours"], "torch last": times["b"]}, 18.0)
    assert row["times_as_fast"] == pytest.approx(1.1 / 9)
    assert row["ours_gflops"] == pytest.approx(2)


def test_gflop_of_the_unet_is_what_xla_counts():
    model = ours.unet()
    images = jnp.zeros((1, 256, 256, 1))
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    for heads in (("detector", "descriptor"), ("descriptor",)):

        def apply(variables, images, heads=heads):
            output = model.apply(variables, images, heads=heads)
            return [y for y in (output.logits, output.descriptors) if y is not None]

        counted = jax.jit(apply).lower(variables, images).cost_analysis()["flops"]
        assert ours.unet_gflop(256, heads=heads) == pytest.approx(
            1e-9 * counted, rel=0.03
        )


def test_pytorch_step_agrees_with_ours_in_its_parts():
    torch = pytest.importorskip("torch", reason="PyTorch is an extra")
    from benchmarks import theirs, torch_step

    rng = np.random.default_rng(0)
    heat = rng.random((1, 96, 96)).astype(np.float32)
    target = (rng.random((1, 96, 96)) > 0.99).astype(np.float32)
    tensor, labels = (torch.from_numpy(x)[None] for x in (heat, target))
    np.testing.assert_allclose(
        torch_step.suppress(tensor)[0, 0], suppress(heat[0], 20, method="two_round")
    )
    smooth = torch.nn.functional.conv2d(labels, torch_step.blur_kernel(), padding=6)
    np.testing.assert_allclose(
        smooth.clamp(max=1)[0, 0], losses.smooth_labels(target)[0], atol=1e-5
    )
    np.testing.assert_allclose(
        torch_step.dice(tensor, labels), losses.dice_loss(heat, target), rtol=1e-5
    )
    arm = theirs.train_step(96, 1, distill=False, device="cpu", layout="last")
    arm()


def test_a_child_that_fails_is_told(tmp_path):
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit('no such case')")
    assert measure.in_child(str(script), {}, timeout_s=60) == {"error": "no such case"}
