"""The benchmark: its parts agree with ours, and a quick run writes its files."""

import json
import os
import pathlib
import subprocess
import sys
import time
from xml.etree import ElementTree

import benchmark
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks import gflop, measure, ours, report, sections
from benchmarks.run import Run

from rkd_jax import losses
from rkd_jax.keypoints import suppress

ROOT = pathlib.Path(__file__).parents[2]


def _run(out, *arguments):
    """Run the tool in a process of its own: it chooses devices before JAX starts."""
    done = subprocess.run(
        [sys.executable, benchmark.__file__, "--quick", *arguments, "--out", str(out)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done, json.loads((out / "benchmark.json").read_text())


@pytest.mark.slow
def test_quick_run_without_pytorch_has_a_row_of_every_section(tmp_path):
    done, found = _run(tmp_path, "--no_torch", "--kinds", "unet_step,forward")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {(row["section"], row["what"]): row for row in found["rows"]}
    assert list(rows) == [
        ("products", "matrix product"),
        ("process", "forward"),
        ("process", "unet_step"),
        ("convolution", "weight gradient"),
        ("network", "unet_step"),
        ("network", "forward"),
        ("register", "two 256 px JPEGs"),
        ("scaling", "keypoints"),
        ("scaling", "devices"),
        ("gradients", "unet"),
        ("throughput", "unet_recipe"),
    ]
    timed = [row for row in found["rows"] if "seconds" in row]
    assert all(row["ours_s"] > 0 and row["runs"] == 2 for row in timed)
    step = rows["network", "unet_step"]
    share = step["ours_gflops"] / step["product_gflops"]
    assert step["share_of_product_rate"] == share
    compiled = rows["process", "unet_step"]
    assert compiled["compile_cold_s"] > compiled["compile_warm_s"] > 0
    gradients = rows["gradients", "unet"]
    assert gradients["relative_difference"] < gradients["target"]
    real = rows["throughput", "unet_recipe"]
    assert real["images_per_s"] > 0
    assert real["fixed_images_per_s"] > 0
    assert 0 <= real["waited_share"] <= 1
    assert "cores" in found["machine"]["device"]
    assert found["machine"]["finished"]
    assert "network forward 64 1 float32: ours_s" in done.stdout
    ElementTree.parse(tmp_path / "benchmark.svg")


@pytest.mark.slow
def test_quick_run_beside_pytorch_in_one_layout(tmp_path):
    pytest.importorskip("torch", reason="PyTorch is an extra")
    sections = "products,convolution,network,register"
    done, found = _run(
        *(tmp_path, "--sections", sections, "--kinds", "forward_backward"),
        *("--layouts", "last"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(row["times_as_fast"] > 0 for row in found["rows"])
    assert {row["torch_layout"] for row in found["rows"][1:]} == {"last"}


def test_unknown_words_and_precisions_are_refused(capsys):
    for arguments, told in (
        (["--sections", "netwrok"], "unknown netwrok; known: products"),
        (["--layouts", "middle"], "unknown middle; known: first, last"),
        (["--precisions", "tf32"], "tf32: expected some of float32 with --device cpu"),
    ):
        with pytest.raises(SystemExit):
            benchmark.main(arguments)
        assert told in capsys.readouterr().err


def test_plot_has_a_point_for_each_time_and_a_line_for_each_side():
    case = {"section": "network", "what": "forward"}
    rows = [
        {**case, "precision": precision, "size": size, "batch": batch} | times
        for precision in ("float32", "bfloat16")
        for size, times in (
            (512, {"ours_s": 4.0}),
            (256, {"ours_s": 1.0, "torch_s": 2}),
        )
        for batch in (1, 4)
    ]
    rows.append({**case, "precision": "float32", "size": 768, "batch": 1})
    figure = report.plot("a <machine>", rows)
    assert figure.get_suptitle() == "a <machine>"
    (axes,) = figure.axes
    ours = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert len(ours) == 8
    assert ours["ours, batch 4, float32"] == [[256, 0.25], [512, 1.0]]
    assert ours["PyTorch, batch 1, bfloat16"] == [[256, 2.0]]
    looks = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
    assert len(looks) == 8
    assert len({color for color, _ in looks}) == 4


def test_the_legend_hides_no_line():
    case = {"section": "network", "what": "unet_step", "size": 768}
    rows = [
        {**case, "precision": precision, "batch": batch, "ours_s": 1.0, "torch_s": 2.0}
        for precision in ("float32", "tf32", "bfloat16")
        for batch in (1, 4)
    ]
    figure = report.plot("gpu: " + "a card with a long name, " * 4, rows)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    legend = axes.get_legend()
    assert len(legend.texts) == 12
    assert legend.get_window_extent().y1 < axes.get_window_extent().y0


def test_what_does_not_fit_is_named(tmp_path):
    arguments = ["--minutes", "0", "--no_torch", "--out", str(tmp_path)]
    arguments += ["--kinds", "forward,forward_backward"]
    parser = benchmark._parser()
    args = parser.parse_args(arguments)
    benchmark._complete(parser, args)
    run = Run(args, {"device": "none"})
    sections.network(run)
    assert [row["batch"] for row in run.rows] == [1] * 3 * 2
    sections.batches(run)
    assert [row["batch"] for row in run.rows[6:]] == [4] * 3 * 2
    assert all("left of --minutes" in row["left_out"] for row in run.rows)
    written = json.loads((tmp_path / "benchmark.json").read_text())
    assert written["rows"] == run.rows


def test_guesses_grow_with_the_work_but_not_with_compiling(tmp_path):
    parser = benchmark._parser()
    args = parser.parse_args(["--no_torch", "--out", str(tmp_path)])
    benchmark._complete(parser, args)
    run = Run(args, {"device": "none"})
    untold = run.guess("forward", 64, 1)
    work = gflop.of_case("forward", 64, 1)
    timed = {"gflop": work, "ours_gflops": work / 2, "ran_s": 12.0, "took_s": 15.0}
    run.add("network", "forward", size=64, batch=1, **timed)
    assert untold > 0
    assert run.guess("forward", 64, 1) == pytest.approx(1.2 * 15)
    assert run.guess("forward", 64, 4) == pytest.approx(1.2 * (3 + 4 * 12))
    assert run.guess("forward_backward", 64, 1) == pytest.approx(1.2 * (3 + 3 * 12))
    setup = run.guess_ours("forward", 64, 1, runs=0)
    assert run.guess_ours("forward", 64, 1, runs=6) == pytest.approx(setup + 6 * 2)


def test_what_does_not_fit_into_memory_is_named(tmp_path, monkeypatch):
    parser = benchmark._parser()
    args = parser.parse_args(["--out", str(tmp_path), "--sizes", "100"])
    benchmark._complete(parser, args)
    args.kinds = ["forward"]
    run = Run(args, {"device": "none"})
    run.torch = True
    assert run.guess_mib("forward", 512, 4) == 0
    # 100 MiB and 300 for a start, 1 and 2 for a thousand pixels.
    alone = {
        size: {
            "size": size,
            "ours_cold_peak_mib": 100 + size**2 / 1000,
            "torch_peak_mib": 50.0,
            "torch_kept_peak_mib": 300 + 2 * size**2 / 1000,
        }
        for size in (100, 200)
    }
    run.add("process", "forward", **alone[100])
    assert run.guess_mib("forward", 100, 3) == pytest.approx(3 * (110 + 320))
    run.add("process", "forward", **alone[200])
    run.add("process", "forward", size=300, ours_cold_peak_mib=1.0)
    assert run.guess_mib("forward", 100, 3) == pytest.approx(400 + 3 * 30)
    assert run.guess_mib("unet_step", 100, 3) == 0
    monkeypatch.setattr(measure, "room_mib", lambda: 450.0)
    assert run.fits("network", "forward", 0.0, run.guess_mib("forward", 100, 1))
    sections.batches(run)
    assert run.rows[-1]["left_out"] == "about 520 MiB for both sides, there are 450"
    args.device = "gpu"
    assert run.guess_mib("forward", 100, 3) == 0


def test_room_is_what_is_free_and_what_the_process_holds(tmp_path):
    assert measure.room_mib(tmp_path) == float("inf")
    (tmp_path / "self").mkdir()
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    3072 kB\n")
    (tmp_path / "self" / "status").write_text("Name:\tpython\nRssAnon:\t1024 kB\n")
    assert measure.room_mib(tmp_path) == 4


def test_a_clearly_slower_rival_is_timed_no_further(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(measure.time, "perf_counter", lambda: clock[0])

    def arm(seconds):
        def run(count):
            clock[0] += seconds * count

        return lambda: run

    arms = {"ours": arm(9.0), "a": arm(1.0), "b": arm(1.1), "c": arm(2.0)}
    times, errors = measure.interleave(
        arms, rounds=4, repeats=3, rivals=("a", "b", "c")
    )
    assert not errors
    assert {name: len(values) for name, values in times.items()} == {
        "ours": 4,
        "a": 4,
        "b": 4,
        "c": 2,
    }
    row = report.summarise(
        {"ours": times["ours"], "torch last": times["b"]}, gflop=18.0
    )
    assert row["times_as_fast"] == pytest.approx(1.1 / 9)
    assert row["ours_gflops"] == pytest.approx(2)


def test_an_arm_that_fails_is_named_and_the_others_go_on():
    class Memory:
        """Fails in the second timed round."""

        left, freed = 3, 0

        def __call__(self, count):
            self.left -= count
            if self.left < 0:
                raise RuntimeError("RESOURCE_EXHAUSTED: 9 GiB\nmore lines")

        def release(self):
            self.freed += 1

    memory = Memory()

    def never():
        raise ImportError("no module")

    arms = {"ours": lambda: lambda count: None, "torch first": lambda: memory}
    times, errors = measure.interleave(
        {**arms, "torch last": never}, rounds=4, release=memory.release
    )
    assert {name: len(values) for name, values in times.items()} == {"ours": 4}
    assert errors == {
        "torch first": "RuntimeError: RESOURCE_EXHAUSTED: 9 GiB more lines",
        "torch last": "ImportError: no module",
    }
    assert memory.freed == 2
    row = report.summarise({"torch last": [2.0], "product": [1.0]}, gflop=8, product=8)
    assert row["torch_share_of_product_rate"] == pytest.approx(0.5)
    assert "ours_s" not in row
    assert "times_as_fast" not in row


def test_compile_time_counts_nested_events_once():
    clock = measure.CompileClock()

    @jax.jit
    def inner(x):
        return jnp.sin(x)

    start = time.perf_counter()
    jax.jit(lambda x: inner(inner(x) + 1))(jnp.ones(7)).block_until_ready()
    took = time.perf_counter() - start
    assert 0 < clock.seconds() <= took
    before = clock.seconds()
    inner(jnp.ones(7))
    jax.jit(lambda x: x - 2)(jnp.ones(7))
    assert clock.seconds() > before


def test_gradients_are_compared_with_those_of_xla():
    found = ours.gradient_difference(64)
    # Not 0: the two ways sum in another order.
    assert 0 < found["relative_difference"] < sections.TARGET
    assert found["worst_relative_difference"] < 10 * sections.TARGET


@pytest.mark.parametrize("name", ["superretina", "swin_unetr"])
@pytest.mark.parametrize("heads", [("detector", "descriptor"), ("descriptor",)])
def test_gflop_of_a_network_is_what_xla_counts(name, heads):
    model = ours.build(name)
    images = jnp.zeros((1, 256, 256, 1))
    variables = jax.eval_shape(model.init, jax.random.key(0), images)

    def apply(variables, images):
        output = model.apply(variables, images, heads=heads)
        return [y for y in (output.logits, output.descriptors) if y is not None]

    # XLA counts activations and norms too, and leaves products with padding out.
    close = 0.03 if name == "superretina" else 0.08
    counted = 1e-9 * jax.jit(apply).lower(variables, images).cost_analysis()["flops"]
    found = gflop.forward(name, 256, heads=heads)
    assert found == pytest.approx(counted, rel=close)


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
    arm(2)


def test_a_child_that_fails_is_told(tmp_path):
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit('no such case')")
    assert measure.in_child(str(script), {}, timeout_s=60, environment={}) == {
        "error": "no such case"
    }


def test_stages_of_register_are_wall_time(tmp_path):
    from benchmarks import registering

    pair = registering.write_pair(tmp_path, 256)
    side = registering.Ours(64)
    side(*pair)
    found = side(*pair)
    stages = [found[stage] for stage in registering.STAGES]
    assert min(stages) >= 0
    assert sum(stages) == pytest.approx(found["total"])
