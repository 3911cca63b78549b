"""Cases of the network and of the step: kind, size, batch, precision; both sides."""

import functools
import os
import statistics
import time
from collections.abc import Callable

from benchmarks import measure
from rkd_jax.runtime.compile_cache import keep_compiled
from rkd_jax.runtime.memory import keep_freed_memory

KINDS = ("forward", "forward_backward", "unet_step", "rkd_step")


def gflop(kind: str, size: int, batch: int, *, small: bool) -> float:
    """Return the work of a case; see `benchmarks.gflop`."""
    from benchmarks.gflop import of_case

    return of_case(kind, size, batch, small=small)


def our_arm(
    kind: str,
    size: int,
    batch: int,
    precision: str,
    *,
    small: bool,
    devices: int = 1,
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
    kind: str, size: int, batch: int, precision: str, *, device: str, layout: str
) -> measure.Arm:
    """Build PyTorch's arm of a case."""
    from benchmarks import theirs

    options = {"device": device, "layout": layout, "precision": precision}
    if kind.endswith("_step"):
        return theirs.train_step(size, batch, distill=kind == "rkd_step", **options)
    return theirs.network(size, batch, backward=kind == "forward_backward", **options)


def builders(
    kind: str,
    size: int,
    batch: int,
    precision: str,
    *,
    small: bool,
    device: str,
    layouts: tuple[str, ...],
) -> dict[str, Callable[[], measure.Arm]]:
    """Return what builds the arms of a case: ours, and PyTorch's of the layouts."""
    case = kind, size, batch, precision
    arms = {"ours": functools.partial(our_arm, *case, small=small)}
    for layout in layouts:
        arms[f"torch {layout}"] = functools.partial(
            torch_arm, *case, device=device, layout=layout
        )
    return arms


def start_jax(
    device: str, count: int = 1, cache: str | None = None, *, keep: bool = False
) -> None:
    """Choose platform and memory as the commands do, before JAX starts.

    Args:
        device: "cpu" or "gpu".
        count: CPU devices.
        cache: Folder of compiled programs.
        keep: Freed memory is kept, as serves PyTorch in the same process best: it
            takes many blocks a step, and mapping each anew costs it half as much again.
    """
    # PyTorch has to find memory on the same card.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    keep_freed_memory(give_back=not keep)
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", count)
    elif jax.default_backend() != "gpu":
        raise SystemExit("error: --device gpu, but JAX finds none; install jax[cuda]")
    if cache:
        keep_compiled(cache)


def alone(job: dict) -> dict:
    """Run one case in this process: what `--child` does.

    Args:
        job: "side" ("ours" or "torch"), "kind", "size", "batch", "device", "rounds";
            "small", "devices" and "cache" of ours, "layout" of PyTorch's.

    Returns:
        "median_s" of a run, after one run to warm up; "peak_mib"; and of ours
        "compile_s", the time in which that first run traced and compiled.
    """
    case = job["kind"], job["size"], job["batch"], "float32"
    found = {}
    if job["side"] == "torch":
        if job.get("keep"):
            keep_freed_memory(give_back=False)
        arm = torch_arm(*case, device=job["device"], layout=job["layout"])
        arm(1)
    else:
        devices = job.get("devices", 1)
        start_jax(job["device"], devices, job.get("cache"))
        arm = our_arm(*case, small=job["small"], devices=devices)
        clock = measure.CompileClock()
        arm(1)
        found["compile_s"] = clock.seconds()
    seconds = []
    for _ in range(job["rounds"]):
        start = time.perf_counter()
        arm(1)
        seconds.append(time.perf_counter() - start)
    middle = statistics.median(seconds)
    return {**found, "median_s": middle, "peak_mib": _peak(job)}


def _peak(job: dict) -> float:
    if job["device"] == "cpu":
        return measure.peak_mib()
    if job["side"] == "torch":
        from benchmarks import theirs

        return theirs.peak_gpu_mib()
    import jax

    return jax.devices()[0].memory_stats()["peak_bytes_in_use"] / 2**20
