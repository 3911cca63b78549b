"""Time this library and PyTorch on the same machine, in turns.

    python tools/benchmark.py [--device cpu|gpu] [--out DIR] [--quick]

In one run: the machine's matrix-product rate, weight gradients of convolutions, the
U-Net's forward and backward pass, the training step of the U-Net recipe and of RKD, a
whole `register` call, compile time without and with a compilation cache, peak memory,
and how cost grows with size, batch, keypoints and devices. PyTorch's networks and step
are written from docs/specification.md; the better of its two memory layouts counts.
Without PyTorch only our own half is timed. Run it on an otherwise idle machine.

Writes `benchmark.json` and `benchmark.svg` anew with each result, and prints it as a
line. What does not fit into `--minutes` is left out and named; `--batches` above 1 come
last.
"""

import argparse
import json
import os
import pathlib
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from benchmarks import measure, report

from rkd_jax.allocation import keep_freed_memory

SECTIONS = ("convolution", "network", "register", "process", "scaling", "batches")
LAYOUTS = ("first", "last")
KINDS = ("forward", "forward_backward", "unet_step", "rkd_step")
# Passes of the U-Net at the size, for guessing how long a case takes.
COST = {"forward": 1, "forward_backward": 3, "unet_step": 6, "rkd_step": 7}
CONVOLUTIONS = ((1, 64, 64), (1, 128, 64), (2, 192, 64), (4, 256, 128), (8, 128, 128))


def _has_torch() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.__version__)


class Benchmark:
    """One run: its options, its clock and its results."""

    def __init__(self, args: argparse.Namespace, about: dict[str, Any]):
        self.args, self.about, self.rows = args, about, []
        self.torch = _has_torch() and not args.no_torch
        self.end = time.monotonic() + 60 * args.minutes
        self.rate = 100.0

    def add(self, section: str, what: str, **values: Any) -> None:
        """Keep a row, print it and write all rows."""
        row = {"section": section, "what": what, **values}
        self.rows.append(row)
        print(report.line(row), flush=True)
        report.write(pathlib.Path(self.args.out), self.about, self.rows)

    def fits(self, section: str, what: str, seconds: float, **case: Any) -> bool:
        """Tell whether a case fits into the time left; name it if it does not."""
        left = self.end - time.monotonic()
        if seconds > left:
            note = f"about {seconds:.0f} s, {max(left, 0):.0f} s left of --minutes"
            self.add(section, what, **case, left_out=note)
        return seconds <= left

    def precisions(self) -> tuple[str, ...]:
        """Return the rows of a case."""
        if self.args.device == "gpu":
            return ("float32", "tf32", "bfloat16")
        return ("float32",)

    def timed(self, arms: dict[str, measure.Arm]) -> dict[str, list[float]]:
        """Time arms in turns."""
        rivals = tuple(name for name in arms if name.startswith("torch "))
        return measure.interleave(arms, rounds=self.args.rounds, rivals=rivals)

    def products(self, precision: str = "float32") -> tuple[dict, float]:
        """Return arms of the matrix product, ours and PyTorch's, and their GFLOP."""
        from benchmarks import ours

        side = 256 if self.args.quick else 8192 if self.args.device == "gpu" else 2048
        arm, gflop = ours.matmul(side, precision)
        arms = {"ours": arm}
        if self.torch:
            from benchmarks import theirs

            arms["torch first"] = theirs.matmul(side, self.args.device, precision)[0]
        return arms, gflop

    def convolution(self) -> None:
        """Rates of the weight gradient, in turns with matrix products."""
        from benchmarks import ours

        for precision in self.precisions():
            arms, gflop = self.products(precision)
            row = report.summarise(self.timed(arms), gflop)
            self.add("convolution", "matrix product", precision=precision, **row)
        largest = max(self.args.sizes)
        for scale, c, f in CONVOLUTIONS:
            size, case = largest // scale, {"channels": f"{c} to {f}"}
            arm, gflop = ours.weight_gradient(size, c, f, plain=False)
            arms = {"ours": arm}
            arms["XLA's"] = ours.weight_gradient(size, c, f, plain=True)[0]
            products, work = self.products()
            arms["product"] = products["ours"]
            if self.torch:
                from benchmarks import theirs

                for layout in LAYOUTS:
                    arms[f"torch {layout}"] = theirs.weight_gradient(
                        size, c, f, self.args.device, layout
                    )[0]
            seconds = self.timed(arms)
            row = report.summarise(seconds, gflop)
            rates = report.summarise({"ours": seconds["product"]}, work)
            plain = report.summarise({"ours": seconds["XLA's"]}, gflop)
            self.rate = rates["ours_gflops"]
            row["share_of_product_rate"] = row["ours_gflops"] / self.rate
            row["xla_gflops"] = plain["ours_gflops"]
            self.add("convolution", "weight gradient", size=size, **case, **row)

    def network(self) -> None:
        """Passes of the U-Net and training steps on one image, large ones first."""
        if 1 in self.args.batches:
            self._network([(size, 1) for size in sorted(self.args.sizes)[::-1]])

    def batches(self) -> None:
        """The same on batches, the cheap ones first."""
        cases = [(s, b) for s in self.args.sizes for b in self.args.batches if b != 1]
        self._network(sorted(cases, key=lambda case: case[0] ** 2 * case[1]))

    def _guess(self, kind: str, size: int, batch: int) -> float:
        """Return about how many seconds a case takes, by what was timed before."""
        from benchmarks import ours

        known = [r for r in self.rows if r["what"] == kind and "seconds" in r]
        if known:
            last = known[-1]
            grows = size**2 * batch / (last["size"] ** 2 * last["batch"])
            times = last["seconds"].values()
            return 1.3 * grows * sum(sum(t) + max(t) for t in times)
        runs = (3 if self.torch else 1) * (self.args.rounds + 1)
        passes = COST[kind] * ours.unet_gflop(size) * batch
        return passes / (0.3 * self.rate) * runs

    def _network(self, cases: list[tuple[int, int]]) -> None:
        for size, batch in cases:
            for kind in self.args.kinds:
                for precision in self.precisions():
                    case = {"size": size, "batch": batch, "precision": precision}
                    guessed = 0 if self.args.quick else self._guess(kind, size, batch)
                    if not self.fits("network", kind, guessed, **case):
                        continue
                    seconds = self.timed(self._arms(kind, size, batch, precision))
                    gflop = self._gflop(kind, size, batch)
                    row = report.summarise(seconds, gflop)
                    self.add("network", kind, **case, **row)

    def _gflop(self, kind: str, size: int, batch: int) -> float | None:
        from benchmarks import ours

        if self.args.quick or kind == "rkd_step":
            return None
        if kind == "unet_step":
            return ours.unet_step_gflop(size, batch)
        return COST[kind] * batch * ours.unet_gflop(size)

    def _arms(self, kind: str, size: int, batch: int, precision: str) -> dict:
        small = self.args.quick
        arms = {"ours": our_arm(kind, size, batch, precision, small=small)}
        if self.torch:
            for layout in LAYOUTS:
                arms[f"torch {layout}"] = torch_arm(
                    kind, size, batch, precision, self.args.device, layout
                )
        return arms

    def process(self) -> None:
        """Compile time and peak memory, each in a process of its own; large ones first.

        There PyTorch has the memory settings its users have; elsewhere it shares ours.
        """
        sizes = sorted(self.args.sizes, reverse=True)
        for size in sizes:
            for kind in reversed(self.args.kinds):
                if kind != "forward":
                    self._process(kind, size)

    def _process(self, kind: str, size: int) -> None:
        base = {"kind": kind, "size": size, "batch": 1, "device": self.args.device}
        base["small"] = self.args.quick
        if not self.fits("process", kind, 0 if self.args.quick else 100, size=size):
            return
        row = {}
        with tempfile.TemporaryDirectory() as cache:
            for name in ("cold", "warm"):
                found = self._child({**base, "side": "ours", "cache": cache})
                if "error" in found:
                    row["error"] = found["error"]
                    break
                row[f"compile_{name}_s"] = found["first_s"] - found["second_s"]
                row[f"ours_{name}_peak_mib"] = found["peak_mib"]
                row["ours_alone_s"] = found["second_s"]
        if self.torch:
            peaks = {}
            for layout in LAYOUTS:
                found = self._child({**base, "side": "torch", "layout": layout})
                if "error" in found:
                    row[f"torch_{layout}_error"] = found["error"]
                    continue
                peaks[layout] = found["peak_mib"]
                row[f"torch_{layout}_peak_mib"] = found["peak_mib"]
                row[f"torch_{layout}_alone_s"] = found["second_s"]
            if peaks:
                best = self._fastest(kind, size)
                row["torch_peak_mib"] = peaks.get(best, min(peaks.values()))
        self.add("process", kind, size=size, batch=1, **row)

    def _fastest(self, kind: str, size: int) -> str | None:
        """Return PyTorch's faster layout in the timed case, if it was timed."""
        for row in self.rows:
            if (row["what"], row.get("size"), row.get("batch")) == (kind, size, 1):
                return row.get("torch_layout")
        return None

    def _child(self, job: dict) -> dict:
        return measure.in_child(__file__, job, timeout_s=900)

    def register(self) -> None:
        """A whole call on two large JPEGs, stage by stage."""
        from benchmarks import registering

        side, working = (256, 64) if self.args.quick else (2912, max(self.args.sizes))
        with tempfile.TemporaryDirectory() as folder:
            pair = registering.write_pair(pathlib.Path(folder), side)
            parts: dict[str, list[dict]] = {"ours": []}
            runs = {"ours": registering.Ours(working)}
            if self.torch:
                for layout in LAYOUTS:
                    name = f"torch {layout}"
                    runs[name] = registering.Theirs(working, self.args.device, layout)
                    parts[name] = []

            def arm(name: str) -> measure.Arm:
                return lambda: parts[name].append(runs[name](*pair))

            seconds = self.timed({name: arm(name) for name in runs})
        row = report.summarise(seconds)
        middle = {name: found[len(found) // 2] for name, found in parts.items()}
        for name in ("ours", f"torch {row.get('torch_layout')}"):
            for stage in registering.STAGES if name in middle else ():
                values = sorted(found[stage] for found in parts[name][1:])
                label = name.split()[0]
                row[f"{label}_{stage}_s"] = values[len(values) // 2]
        row["registered"] = middle["ours"]["ok"]
        self.add("register", f"two {side} px JPEGs", size=working, batch=2, **row)

    def scaling(self) -> None:
        """Matching over keypoints, the step over devices (CPU devices share cores)."""
        from benchmarks import ours

        counts = (64, 128) if self.args.quick else (256, 512, 1024, 2048, 4096)
        for count in counts:
            seconds = self.timed({"ours": ours.matching(count)})
            self.add("scaling", "keypoints", count=count, **report.summarise(seconds))
        if self.args.device == "gpu":
            import jax

            available = jax.device_count()
            devices = [n for n in (1, 2, 4, 8) if n <= available]
        else:
            devices = [1, 2] if self.args.quick else [1, 2, 4]
        size, batch = min(self.args.sizes), devices[-1]
        for count in devices:
            if not self.fits("scaling", "devices", 0 if self.args.quick else 80):
                return
            job = {"side": "ours", "kind": "unet_step", "size": size, "batch": batch}
            job |= {"devices": count, "small": self.args.quick}
            found = self._child({**job, "device": self.args.device, "cache": None})
            row = {"error": found["error"]} if "error" in found else {}
            if not row:
                row = {"ours_s": found["second_s"], "ours_peak_mib": found["peak_mib"]}
            self.add("scaling", "devices", size=size, batch=batch, count=count, **row)


def our_arm(
    kind: str, size: int, batch: int, precision: str, *, small: bool, devices: int = 1
) -> measure.Arm:
    """Build our arm of a case."""
    from benchmarks import ours

    options = {"precision": precision, "small": small}
    if kind.endswith("_step"):
        distill = kind == "rkd_step"
        options |= {"distill": distill, "devices": devices}
        return ours.train_step(size, batch, **options)
    return ours.network(size, batch, backward=kind == "forward_backward", **options)


def torch_arm(
    kind: str, size: int, batch: int, precision: str, device: str, layout: str
) -> measure.Arm:
    """Build PyTorch's arm of a case."""
    from benchmarks import theirs

    options = {"device": device, "layout": layout, "precision": precision}
    if kind.endswith("_step"):
        return theirs.train_step(size, batch, distill=kind == "rkd_step", **options)
    return theirs.network(size, batch, backward=kind == "forward_backward", **options)


def child(job: dict) -> dict:
    """Run one case twice in this process; return both times and the peak memory."""
    case = job["kind"], job["size"], job["batch"], "float32"
    if job["side"] == "torch":
        arm = torch_arm(*case, job["device"], job["layout"])
    else:
        _start_jax(job["device"], job.get("devices", 1), job.get("cache"))
        arm = our_arm(*case, small=job["small"], devices=job.get("devices", 1))
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        arm()
        seconds.append(time.perf_counter() - start)
    return {"first_s": seconds[0], "second_s": seconds[1], "peak_mib": _peak(job)}


def _peak(job: dict) -> float:
    if job["device"] == "cpu":
        return measure.peak_mib()
    if job["side"] == "torch":
        from benchmarks import theirs

        return theirs.peak_gpu_mib()
    import jax

    return jax.devices()[0].memory_stats()["peak_bytes_in_use"] / 2**20


def _start_jax(device: str, count: int = 1, cache: str | None = None) -> None:
    """Choose platform and memory as the doors do, before JAX starts."""
    # PyTorch has to find memory on the same card.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    keep_freed_memory()
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", count)
    elif jax.default_backend() != "gpu":
        raise SystemExit("error: --device gpu, but JAX finds none; install jax[cuda]")
    if cache:
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def machine(device: str) -> dict[str, Any]:
    """Return what the numbers depend on."""
    import importlib.metadata

    import jax

    versions = {}
    for name in ("jax", "jaxlib", "flax", "torch", "monai", "numpy"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    name = jax.devices()[0].device_kind
    if device == "cpu":
        info = pathlib.Path("/proc/cpuinfo")
        lines = info.read_text().splitlines() if info.exists() else []
        models = [x.split(":")[1].strip() for x in lines if x.startswith("model name")]
        name = models[0] if models else platform.processor()
    cores = len(os.sched_getaffinity(0))
    return {
        "device": f"{device}: {name}, {cores} cores",
        "load_at_start": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": versions,
        "date": time.strftime("%Y-%m-%d"),
    }


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _kinds(text: str) -> list[str]:
    if unknown := sorted(set(text.split(",")) - set(KINDS)):
        raise argparse.ArgumentTypeError(f"unknown {unknown}; known: {KINDS}")
    return text.split(",")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--sizes", type=_numbers, default=[256, 512, 768])
    parser.add_argument("--batches", type=_numbers, default=[1, 4])
    parser.add_argument("--rounds", type=int, default=5, help="timed runs of an arm")
    parser.add_argument("--minutes", type=float, default=40, help="time to fill")
    parser.add_argument("--sections", default=",".join(SECTIONS))
    parser.add_argument(
        "--kinds", type=_kinds, default=KINDS, help=f"of the network: {','.join(KINDS)}"
    )
    parser.add_argument("--out", default="benchmark", metavar="DIR")
    parser.add_argument("--no_torch", action="store_true", help="our half only")
    parser.add_argument(
        "--quick", action="store_true", help="tiny networks: does everything run?"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser


def _sections(asked: str) -> Iterator[str]:
    for name in asked.split(","):
        if name not in SECTIONS:
            raise SystemExit(f"error: section {name!r}; known: {', '.join(SECTIONS)}")
        yield name


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.child:
        print(json.dumps(child(json.loads(args.child))))
        return 0
    if args.quick:
        args.sizes, args.batches, args.rounds = [64], [1], 2
    sections = list(_sections(args.sections))
    _start_jax(args.device)
    about = machine(args.device)
    print(json.dumps(about), flush=True)
    if about["load_at_start"] > 0.5 and not args.quick:
        print(f"warning: load {about['load_at_start']:.1f}; only ratios mean something")
    run = Benchmark(args, about)
    for name in sections:
        getattr(run, name)()
    print(f"written to {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
