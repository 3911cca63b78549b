"""Report a run: progress with time left, JSONL, TensorBoard, pictures."""

import contextlib
import json
import logging
import math
import pathlib
import sys
import time

import numpy as np

from rkd_jax.files.atomic import atomic_path, write_text
from rkd_jax.training.disk import name_file
from rkd_jax.training.tensorboard import EventFile

logger = logging.getLogger(__name__)
METRICS, PICTURES = "metrics.jsonl", "pictures"


class Report:
    """The report of one run; does nothing on processes other than the first.

    `metrics.jsonl` holds one object a line: the step and its metrics, nothing that
    depends on the clock, so that a resumed run writes the same file.

    Args:
        workdir: of the run.
        title: what the progress lines begin with.
        total: steps of the whole run.
        start: steps already done; later lines of an older file are dropped.
        primary: whether this process writes at all.
    """

    def __init__(
        self, workdir: pathlib.Path, title: str, total: int, start: int, primary: bool
    ) -> None:
        self._title, self._total, self._primary = title, total, primary
        self._folder = pathlib.Path(workdir)
        self._started, self._start = time.monotonic(), start
        self._bar = self._tensorboard = None
        if not primary:
            return
        from tqdm import tqdm

        self._lines = self._folder / METRICS
        self._forget_after(start)
        folder = self._folder / "tensorboard"
        self._tensorboard = EventFile(folder, purge_step=start + 1)
        if sys.stderr.isatty():
            self._bar = tqdm(total=total, initial=start, desc=title, unit="step")

    def first_step(self) -> None:
        """Say that the first step compiles; the estimate of the time left omits it."""
        self.say("the first step compiles; this takes a while")

    def compiled(self, step: int) -> None:
        """Start the clock of the time left."""
        self._started, self._start = time.monotonic(), step

    def advance(self) -> None:
        """Count a step on the progress bar."""
        if self._bar is not None:
            self._bar.update()

    def say(self, text: str) -> None:
        """Print a line of progress to the log."""
        if not self._primary:
            return
        if self._bar is not None:
            self._bar.write(f"{self._title}: {text}", file=sys.stderr)
        else:
            logger.info("%s: %s", self._title, text)

    def scalars(self, step: int, metrics: dict[str, float], *, group: str) -> None:
        """Write the metrics of a step to JSONL (null where not finite), TensorBoard."""
        if not self._primary:
            return
        known = {k: v if math.isfinite(v) else None for k, v in metrics.items()}
        line = {"step": step, "group": group, **known}
        with name_file(self._lines), self._lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in known.items():
            if value is not None:
                self._tensorboard.scalar(f"{group}/{name}", value, step)

    def progress(
        self, step: int, metrics: dict[str, float], *, batch: int, waited_s: float
    ) -> None:
        """Print where the run stands.

        Args:
            step: steps done.
            metrics: of this step.
            batch: images a step.
            waited_s: seconds waited for data since the clock started.
        """
        if not self._primary:
            return
        done = max(step - self._start, 1)
        passed = max(time.monotonic() - self._started, 1e-9)
        left = passed / done * (self._total - step)
        terms = "  ".join(f"{k} {v:.4g}" for k, v in metrics.items())
        rate = f"{batch * done / passed:.2f} img/s, data wait {waited_s / passed:.0%}"
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {metrics.get('loss', float('nan')):.4g}")
        self.say(
            f"step {step}/{self._total} ({step / self._total:.0%})  {terms}  {rate}, "
            f"{_duration(left)} left"
        )

    def pictures(self, step: int, pictures: dict[str, np.ndarray]) -> None:
        """Save uint8 RGB pictures as PNG files and show them in TensorBoard."""
        if not self._primary:
            return
        from rkd_jax.images.pictures import encode_png

        for name, picture in pictures.items():
            path = self._folder / PICTURES / f"{name}_{step:07d}.png"
            with name_file(path), atomic_path(path) as part:
                part.write_bytes(encode_png(picture))
            self._tensorboard.picture(name, picture, step)

    def close(self) -> None:
        """Flush and close; a full disk, which has been raised before, is no error."""
        if self._tensorboard is not None:
            with contextlib.suppress(OSError):
                self._tensorboard.close()
        if self._bar is not None:
            self._bar.close()

    def _forget_after(self, start: int) -> None:
        """Drop lines after `start`, and one that a killed process left half-written."""
        if not self._lines.exists():
            return
        kept = []
        for line in self._lines.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry["step"] <= start:
                kept.append(line + "\n")
        write_text(self._lines, "".join(kept))


def _duration(seconds: float) -> str:
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}"
