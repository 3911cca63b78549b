"""The sections of the benchmark, in the order in which they run."""

import functools
import itertools
import os
import pathlib
import statistics
import tempfile

from benchmarks import cases, measure
from benchmarks.run import Run
from rkd_jax.runtime.memory import at_start, before_start

CONVOLUTIONS = ((1, 64, 64), (1, 128, 64), (2, 192, 64), (4, 256, 128), (8, 128, 128))
TARGET = 1e-5
SCRIPT = str(pathlib.Path(__file__).parents[1] / "benchmark.py")


def _layouts(run: Run) -> tuple[str, ...]:
    return tuple(run.args.layouts) if run.torch else ()


def products(run: Run) -> None:
    """The rate of a matrix product, the roof of all that follows."""
    for precision in run.args.precisions:
        arms, gflop = run.products(precision)
        named = {"ours": arms["product"]}
        if run.torch:
            named["torch first"] = arms["product torch"]
        row = run.timed(named)
        row.pop("torch_layout", None)
        sides = [side for side in ("ours", "torch") if f"{side}_s" in row]
        rates = {f"{side}_gflops": gflop / row[f"{side}_s"] for side in sides}
        row |= {**rates, "product_gflops": max(rates.values(), default=0.0)}
        run.add("products", "matrix product", precision=precision, **row)


def convolution(run: Run) -> None:
    """Weight gradients of convolutions: ours, XLA's own and PyTorch's."""
    from benchmarks import ours

    largest = max(run.args.sizes)
    for scale, c, f in CONVOLUTIONS:
        size = largest // scale
        arms = {
            "ours": functools.partial(ours.weight_gradient, size, c, f, plain=False),
            "XLA's": functools.partial(ours.weight_gradient, size, c, f, plain=True),
        }
        if run.torch:
            from benchmarks import theirs

            for layout in _layouts(run):
                arms[f"torch {layout}"] = functools.partial(
                    theirs.weight_gradient, size, c, f, run.args.device, layout
                )
        row = run.timed(arms, gflop=2e-9 * 9 * c * f * size**2)
        if plain := row["seconds"].get("XLA's"):
            row["xla_gflops"] = row["gflop"] / statistics.median(plain)
        case = {"size": size, "batch": 1, "precision": "float32"}
        run.add("convolution", "weight gradient", **case, channels=f"{c} to {f}", **row)


def network(run: Run) -> None:
    """Passes of the U-Net and training steps on one image, large ones first."""
    if 1 in run.args.batches:
        _network(run, [(size, 1) for size in sorted(run.args.sizes)[::-1]])


def batches(run: Run) -> None:
    """The same on batches, the cheap ones first."""
    found = [(s, b) for s in run.args.sizes for b in run.args.batches if b != 1]
    _network(run, sorted(found, key=lambda case: case[0] ** 2 * case[1]))


def _network(run: Run, sizes: list[tuple[int, int]]) -> None:
    small = run.args.quick
    for size, batch in sizes:
        for kind in run.args.kinds:
            for precision in run.args.precisions:
                case = {"size": size, "batch": batch, "precision": precision}
                needed = run.guess(kind, size, batch), run.guess_mib(kind, size, batch)
                if not run.fits("network", kind, *needed, **case):
                    continue
                arms = cases.builders(
                    kind,
                    size,
                    batch,
                    precision,
                    small=small,
                    device=run.args.device,
                    layouts=_layouts(run),
                )
                gflop = cases.gflop(kind, size, batch, small=small)
                row = run.timed(arms, gflop=gflop, precision=precision)
                run.add("network", kind, **case, **row)


def register(run: Run) -> None:
    """A whole call on two large JPEGs, stage by stage.

    Of photographs named by `--pairs`, one pair a round, in turn. Weights named by
    `--weights` are taken at their own working size, and without PyTorch beside them.
    """
    from benchmarks import registering
    from rkd_jax.registration.files.pair_lists import list_pairs

    args, quick = run.args, run.args.quick
    side, working = (256, 64) if quick else (2912, max(args.sizes))
    with tempfile.TemporaryDirectory() as folder:
        if args.pairs:
            pairs = [
                (str(p.fixed), str(p.moving)) for p in list_pairs(args.pairs, None)
            ]
        else:
            pairs = [registering.write_pair(pathlib.Path(folder), side)]
        parts: dict[str, list[dict]] = {}
        size = working if quick or not args.weights else None
        build = {"ours": functools.partial(registering.Ours, size, args.weights)}
        for layout in () if args.weights else _layouts(run):
            build[f"torch {layout}"] = functools.partial(
                registering.Theirs, working, args.device, layout
            )

        def arm(name: str) -> measure.Arm:
            call, parts[name], turn = build[name](), [], itertools.cycle(pairs)
            return lambda _: parts[name].append(call(*next(turn)))

        arms = {name: functools.partial(arm, name) for name in build}
        row = run.timed(arms, repeats=1)
    for name in ("ours", f"torch {row.get('torch_layout')}"):
        for stage in registering.STAGES if name in row["seconds"] else ():
            values = [found[stage] for found in parts[name][1:]]
            row[f"{name.split()[0]}_{stage}_s"] = statistics.median(values)
    if "ours" in row["seconds"]:
        row["registered"] = all(found["ok"] for found in parts["ours"])
    what = f"{len(pairs)} pairs of files" if args.pairs else f"two {side} px JPEGs"
    if args.weights:
        what, working = f"{what}, {args.weights}", None
    run.add("register", what, size=working, batch=2, **row)


def gradients(run: Run) -> None:
    """How far our weight gradients are from XLA's; less than `TARGET` is wanted."""
    from benchmarks import ours

    size = max(run.args.sizes)
    case = {"size": size, "batch": 1, "precision": "float32", "target": TARGET}
    # Two programs, and XLA's weight gradients are several times slower.
    needed = 2 * run.guess_ours("forward_backward", size, 1, runs=3)
    if run.fits("gradients", "unet", needed, **case):
        small = run.args.quick
        measured = functools.partial(ours.gradient_difference, size, small=small)
        run.attempt("gradients", "unet", measured, **case)


def throughput(run: Run) -> None:
    """Steps of the U-Net recipe with the real pipeline, and on one fixed batch.

    In the last of the precisions, the fastest: there the pipeline has least time.
    """
    from benchmarks import throughput as pipeline

    gpu = run.args.device == "gpu"
    setting = {"size": 512, "crop": 256, "batch": 8, "steps": 30 if gpu else 10}
    if run.args.quick:
        setting = {"size": 96, "crop": 64, "batch": 4, "steps": 4}
    size, batch, steps = setting["crop"], setting["batch"], setting["steps"]
    precision = run.args.precisions[-1]
    case = {"size": size, "batch": batch, "precision": precision}
    needed = run.guess_ours("unet_step", size, batch, runs=2 * steps + 2)
    if run.fits("throughput", "unet_recipe", needed, **case):
        measured = functools.partial(
            pipeline.measure, **setting, precision=precision, small=run.args.quick
        )
        run.attempt("throughput", "unet_recipe", measured, **case)


def process(run: Run) -> None:
    """Compile time and peak memory, each in a process of its own; large ones first.

    Ours as `rkd_jax.train` runs; PyTorch with the memory settings its users have, and
    its faster layout once more with those that serve it best ("torch_kept_...": huge
    pages, freed memory kept). The memory of its faster layout counts.
    """
    for size in sorted(run.args.sizes, reverse=True):
        for kind in reversed(run.args.kinds):
            _process(run, kind, size)


def _process(run: Run, kind: str, size: int) -> None:
    runs, layouts = run.args.rounds + 1, _layouts(run)
    needed = (3 + len(layouts)) * run.guess_ours(kind, size, 1, runs=runs)
    if not run.fits("process", kind, needed, size=size):
        return
    row = {}
    job = _job(run, kind, size, 1)
    with tempfile.TemporaryDirectory() as cache:
        for name in ("cold", "warm"):
            found = _child({**job, "side": "ours", "cache": cache})
            if "error" in found:
                row["ours_error"] = found["error"]
                break
            row[f"compile_{name}_s"] = found["compile_s"]
            row[f"ours_{name}_peak_mib"] = found["peak_mib"]
            row["ours_alone_s"] = found["median_s"]
    for layout in layouts:
        row |= _torch_child(job, layout, layout=layout)
    timed = [name for name in layouts if f"torch_{name}_alone_s" in row]
    if timed:
        layout = min(timed, key=lambda name: row[f"torch_{name}_alone_s"])
        row["torch_alone_s"] = row[f"torch_{layout}_alone_s"]
        row["torch_peak_mib"] = row[f"torch_{layout}_peak_mib"]
        row |= _torch_child(job, "kept", layout=layout, keep=True)
    run.add("process", kind, size=size, batch=1, **row)


def _torch_child(job: dict, name: str, **more) -> dict:
    """Return PyTorch's values of a row, measured in a process of its own."""
    found = _child({**job, "side": "torch", **more})
    if "error" in found:
        return {f"torch_{name}_error": found["error"]}
    return {
        f"torch_{name}_peak_mib": found["peak_mib"],
        f"torch_{name}_alone_s": found["median_s"],
    }


def _job(run: Run, kind: str, size: int, batch: int) -> dict:
    return {
        "kind": kind,
        "size": size,
        "batch": batch,
        "device": run.args.device,
        "rounds": run.args.rounds,
        "small": run.args.quick,
    }


def _child(job: dict) -> dict:
    # As the commands start; PyTorch as its users start it, unless memory is kept.
    given = before_start(os.environ)
    plain = job["side"] == "torch" and not job.get("keep")
    environment = given if plain else at_start(given)
    if job["device"] == "cpu":
        environment["JAX_PLATFORMS"] = "cpu"
    return measure.in_child(SCRIPT, job, timeout_s=900, environment=environment)


def scaling(run: Run) -> None:
    """Matching over keypoints, and the step over devices."""
    from benchmarks import ours

    counts = (64, 128) if run.args.quick else (256, 512, 1024, 2048, 4096)
    for count in counts:
        row = run.timed({"ours": functools.partial(ours.matching, count)})
        run.add("scaling", "keypoints", count=count, **row)
    if run.args.device == "gpu":
        import jax

        devices = [n for n in (1, 2, 4, 8) if n <= jax.device_count()]
    else:
        devices = [2] if run.args.quick else [1, 2, 4]
    size, batch = min(run.args.sizes), devices[-1]
    for count in devices:
        needed = run.guess_ours("unet_step", size, batch, runs=run.args.rounds + 1)
        if not run.fits("scaling", "devices", needed, count=count):
            continue
        job = _job(run, "unet_step", size, batch) | {"side": "ours", "devices": count}
        found = _child(job)
        row = {"ours_error": found["error"]} if "error" in found else {}
        if not row:
            row = {"ours_s": found["median_s"], "ours_peak_mib": found["peak_mib"]}
        if run.args.device == "cpu":
            row["note"] = "CPU devices share the machine's cores"
        run.add("scaling", "devices", size=size, batch=batch, count=count, **row)


SECTIONS = {
    "products": products,
    # While this process is small: what it has freed stays with it.
    "process": process,
    "convolution": convolution,
    "network": network,
    "register": register,
    "scaling": scaling,
    "gradients": gradients,
    "throughput": throughput,
    "batches": batches,
}
