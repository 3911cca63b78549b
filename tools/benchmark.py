"""Time this library and PyTorch on the same machine, in turns.

    python tools/benchmark.py [--device cpu|gpu] [--out DIR] [--quick]

In one run: the machine's matrix-product rate, weight gradients of convolutions, the
U-Net's forward and backward pass, the training step of the U-Net recipe and of RKD, a
whole `register` call, compile time without and with a compilation cache, peak memory,
how cost grows with size, batch, keypoints and devices, and images a second of training
with the real pipeline. PyTorch's networks and step are written from
docs/paper/specification.md; the better of its two memory layouts counts. Without
PyTorch only our own half is timed. Run it on an otherwise idle machine.

Writes `benchmark.json` and `benchmark.svg` anew with each result, and prints it as a
line. What does not fit into `--minutes`, or into memory by what section `process`
measured, is left out and named; what fails is named with its error (exit code 1).
`--batches` above 1 come last. "finished" in the file shows that the run ended.
"""

import argparse
import json
import os
import pathlib
import platform
import sys
import time
from typing import Any

from benchmarks import cases, measure, report
from benchmarks.run import LAYOUTS, PRECISIONS, Run
from benchmarks.sections import SECTIONS

from rkd_jax.runtime.memory import start_again


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
        lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
        models = [x.split(":")[1].strip() for x in lines if x.startswith("model name")]
        name = models[0] if models else platform.processor()
    on_linux = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if on_linux else os.cpu_count()
    return {
        "device": f"{device}: {name}, {cores} cores",
        "load_at_start": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": versions,
        "date": time.strftime("%Y-%m-%d"),
    }


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _some(*known: str):
    """Return the type of an option that takes some of the known words."""

    def parse(text: str) -> list[str]:
        asked = text.split(",")
        if unknown := sorted(set(asked) - set(known)):
            raise argparse.ArgumentTypeError(
                f"unknown {', '.join(unknown)}; known: {', '.join(known)}"
            )
        return asked

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])

    def some(option: str, known: tuple[str, ...], default: Any, text: str) -> None:
        parser.add_argument(
            option,
            type=_some(*known),
            default=default,
            metavar="A,B",
            help=f"{text}: {','.join(known)} (default: all)",
        )

    parser.add_argument("--device", choices=tuple(PRECISIONS), default="cpu")
    parser.add_argument("--sizes", type=_numbers, default=[256, 512, 768])
    parser.add_argument("--batches", type=_numbers, default=[1, 4])
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of an arm")
    parser.add_argument(
        "--repeats",
        type=int,
        help="runs in a row a round, not waited for in between (default: GPU 5, CPU 1)",
    )
    parser.add_argument("--minutes", type=float, default=60, help="time to fill")
    some("--sections", tuple(SECTIONS), tuple(SECTIONS), "what to measure, in order")
    some("--kinds", cases.KINDS, cases.KINDS, "of the network")
    some("--layouts", LAYOUTS, LAYOUTS, "PyTorch's channels")
    some("--precisions", PRECISIONS["gpu"], None, "those of the device")
    parser.add_argument(
        "--weights",
        metavar="NAME|FILE",
        help="of register, at their own working size and without PyTorch (default: "
        "default, at the largest of --sizes)",
    )
    parser.add_argument(
        "--pairs",
        metavar="FOLDER",
        help="photographs x_1.jpg, x_2.jpg to register in turn, a pair a round "
        "(default: two synthetic ones of 2912 px)",
    )
    parser.add_argument("--out", default="benchmark", metavar="DIR")
    parser.add_argument("--no_torch", action="store_true", help="our half only")
    parser.add_argument(
        "--quick", action="store_true", help="tiny networks: does everything run?"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser


def _complete(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Fill in what depends on other options."""
    known = PRECISIONS[args.device]
    args.precisions = args.precisions or known
    if unknown := sorted(set(args.precisions) - set(known)):
        parser.error(
            f"--precisions {','.join(unknown)}: expected some of {', '.join(known)} "
            f"with --device {args.device}"
        )
    if args.repeats is None:
        args.repeats = 5 if args.device == "gpu" else 1
    if args.quick:
        args.sizes, args.batches, args.rounds = [64], [1], 2


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.child:
        print(json.dumps(cases.alone(json.loads(args.child))))
        return 0
    _complete(parser, args)
    cases.start_jax(args.device, keep=True)
    about = machine(args.device)
    print(json.dumps(about), flush=True)
    if about["load_at_start"] > 0.5 and not args.quick:
        print(f"warning: load {about['load_at_start']:.1f}; only ratios mean something")
    run = Run(args, about)
    for name in args.sections:
        try:
            SECTIONS[name](run)
        except Exception as error:
            run.add(name, "section", error=measure.told(error))
    about["finished"] = True
    report.write(pathlib.Path(args.out), about, run.rows)
    print(f"written to {args.out}")
    failed = [row for row in run.rows if any("error" in key for key in row)]
    return 1 if failed else 0


if __name__ == "__main__":
    # Huge pages for both sides; a child's side has the memory that its users have.
    if "--child" not in sys.argv:
        if not any("gpu" in argument for argument in sys.argv):
            os.environ["JAX_PLATFORMS"] = "cpu"
        start_again()
    sys.exit(main())
