"""Benchmarks: one module each, which says what it reads and how it scores."""

from __future__ import annotations

import argparse
from typing import Protocol

BENCHMARKS: dict[str, str] = {
    "fire": "rkd_jax.evaluation.fire",
    "multimodal": "rkd_jax.evaluation.multimodal",
    "unrelated": "rkd_jax.evaluation.unrelated",
    "ablation": "rkd_jax.evaluation.ablation",
    "wflw": "rkd_jax.evaluation.wflw",
    "lesions": "rkd_jax.evaluation.lesions",
    "classification": "rkd_jax.evaluation.classification",
}
"""Name of the command -> module. One line adds a benchmark of your own; with

    from rkd_jax import evaluate, evaluation
    evaluation.BENCHMARKS["mine"] = "my_package.my_benchmark"
    raise SystemExit(evaluate.main())

as `run_mine.py`, `python run_mine.py mine --out DIR` runs it.
"""


class Benchmark(Protocol):
    """What such a module offers; its docstring's first line is shown by `--help`.

    Keep its import light (no JAX, OpenCV, SciPy): `--help` imports all benchmarks.
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments besides `--out`, `--overwrite` and the cache."""

    def run(self, args: argparse.Namespace) -> int:
        """Measure, write into `args.out`, print a table; return the exit status."""
