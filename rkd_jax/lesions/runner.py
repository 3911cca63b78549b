"""One process that finds the lesions of many photographs: it skips finished ones."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from typing import Any

from rkd_jax.files import own_files
from rkd_jax.files.json_files import json_object
from rkd_jax.images.image_files import file_size
from rkd_jax.images.photograph_lists import Photograph
from rkd_jax.images.reading import read_image
from rkd_jax.lesions import outputs
from rkd_jax.lesions.detector import LesionDetector, load_lesion_detector
from rkd_jax.runtime.command import describe_error
from rkd_jax.runtime.compile_cache import keep_compiled


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of a photograph: its summary, or an error."""

    photograph: Photograph
    summary: dict[str, Any] | None
    error: str = ""

    def row(self) -> dict[str, Any]:
        """Return its row of `photographs.csv`; None is an empty cell."""
        summary = self.summary or {"status": "error", "reason": self.error}
        return {
            "name": self.photograph.name,
            "path": str(self.photograph.path),
            "status": summary["status"],
            "reason": summary["reason"],
            "note": summary.get("note"),
            "lesions": summary.get("count"),
            "area_px": summary.get("area_px"),
            "area_um2": summary.get("area_um2"),
            "seconds": summary.get("seconds"),
        }


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a command finds lesions, in a form that can be sent to other processes.

    Attributes:
        weights: name or file.
        threshold: of the mask; None: the one of the weights.
        um_per_px: side of a pixel on the retina; None: unknown.
        as_float: write the map as 32-bit numbers, too.
        tile: of `DetectorSettings`; None: the default.
        cache: folder of compiled programs; empty: none.
    """

    weights: str
    threshold: float | None = None
    um_per_px: float | None = None
    as_float: bool = False
    tile: int | None = None
    cache: str = ""

    def detector(self, base: pathlib.Path = pathlib.Path()) -> LesionDetector:
        """Load the detector; relative paths are of the folder `base`.

        Raises:
            OSError, ValueError: the weights cannot be used.
        """
        keep_compiled(str(base / self.cache) if self.cache else "")
        weights = self.weights
        if (base / weights).is_file():
            weights = str(base / weights)
        changes = {} if self.tile is None else {"tile": self.tile}
        return load_lesion_detector(weights, **changes)

    def settings(self, detector: LesionDetector) -> dict[str, Any]:
        """Return all that the files of a photograph depend on, JSON-like."""
        threshold = self.threshold
        if threshold is None:
            threshold = detector.settings.threshold
        return {
            **detector.facts(),
            "threshold": threshold,
            "um_per_px": self.um_per_px,
            "float": self.as_float,
        }


class Runner:
    """Finds the lesions of photographs and writes their files.

    Args:
        recipe: how.
        out: folder of the results.
        base: relative paths of photographs, and `out`, are of this folder.

    Raises:
        OSError, ValueError: the weights cannot be used.
    """

    def __init__(
        self,
        recipe: Recipe,
        out: pathlib.Path,
        base: pathlib.Path = pathlib.Path(),
    ) -> None:
        self._recipe, self._given_out, self._base = recipe, out, base
        self.detector = recipe.detector(base)
        self.facts = recipe.settings(self.detector)

    def work(self, photograph: Photograph) -> Result:
        """Find the lesions of a photograph; whatever goes wrong is its error."""
        path = self._base / photograph.path
        folder = self._base / self._given_out / photograph.name
        try:
            return Result(photograph, self._work(path, photograph, folder))
        except Exception as error:
            if str(path) not in str(error) and str(folder) not in str(error):
                error.add_note(str(path))
            text = describe_error(error)
            for given in (photograph.path, self._given_out):
                text = text.replace(str(self._base / given), str(given))
            return Result(photograph, None, text)

    def _work(
        self, path: pathlib.Path, photograph: Photograph, folder: pathlib.Path
    ) -> dict[str, Any]:
        began = time.perf_counter()
        file_size(path)  # refuses what is no file, with a reason
        more = {"sha256": own_files.digest(path), "settings": self.facts}
        done = self._finished(folder, more)
        if done is not None:
            return done
        image, recipe = read_image(path), self._recipe
        found = self.detector.detect(
            image, threshold=recipe.threshold, um_per_px=recipe.um_per_px
        )
        files = outputs.make_files(image, found, as_float=recipe.as_float)
        summary = {"path": str(photograph.path), **found.to_dict(), **more}
        del summary["lesions"]  # lesions.csv has them
        summary["seconds"] = round(time.perf_counter() - began, 3)
        outputs.write(folder, files, summary)
        return summary

    def _finished(
        self, folder: pathlib.Path, more: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Return the summary of a photograph that has the same result, or None."""
        summary = json_object(folder / outputs.SUMMARY)
        wanted = json.loads(json.dumps(more))
        if any(summary.get(key) != value for key, value in wanted.items()):
            return None
        if summary.get("status") == "refused":
            return summary
        names = outputs.names(as_float=self._recipe.as_float)
        return summary if all((folder / name).is_file() for name in names) else None
