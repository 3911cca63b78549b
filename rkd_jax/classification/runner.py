"""One process that classifies many images."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

from rkd_jax.classification.classifier import Classifier, load_classifier
from rkd_jax.classification.explanation import draw_explanation
from rkd_jax.classification.outputs import DONE, ERROR, PICTURE, row_of
from rkd_jax.files import own_files
from rkd_jax.images.image_files import file_size, stem
from rkd_jax.images.photograph_lists import Photograph
from rkd_jax.images.pictures import encode_png
from rkd_jax.images.reading import read_image
from rkd_jax.runtime.command import describe_error
from rkd_jax.runtime.compile_cache import keep_compiled


def failed(photograph: Photograph, reason: str) -> dict[str, Any]:
    """Return the row of an image that could not be classified."""
    row = {"name": name_of(photograph), "path": str(photograph.path)}
    return {**row, "status": ERROR, "reason": reason}


def name_of(photograph: Photograph) -> str:
    """Return the name of an image; of a single one that of its file."""
    return photograph.name or stem(photograph.path)


def picture_of(folder: pathlib.Path, photograph: Photograph) -> pathlib.Path:
    """Return where the picture of an explanation is written."""
    return folder / f"{name_of(photograph)}.png"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a command classifies, in a form that can be sent to other processes.

    Attributes:
        weights: name or file.
        explain: folder of the pictures of explanations; None: none are drawn.
        cache: folder of compiled programs; empty: none.
    """

    weights: str
    explain: pathlib.Path | None = None
    cache: str = ""

    def classifier(self, base: pathlib.Path = pathlib.Path()) -> Classifier:
        """Load the classifier; relative paths are of the folder `base`.

        Raises:
            OSError, ValueError: the weights cannot be used.
        """
        keep_compiled(str(base / self.cache) if self.cache else "")
        weights = self.weights
        if (base / weights).is_file():
            weights = str(base / weights)
        return load_classifier(weights)


class Runner:
    """Classifies images and draws their explanations.

    Args:
        recipe: how.
        base: relative paths are of this folder.

    Raises:
        OSError, ValueError: the weights cannot be used.
    """

    def __init__(self, recipe: Recipe, base: pathlib.Path = pathlib.Path()) -> None:
        self._recipe, self._base = recipe, base
        self.classifier = recipe.classifier(base)
        self.facts = self.classifier.facts()

    def work(self, photograph: Photograph) -> dict[str, Any]:
        """Return the row of an image; whatever goes wrong is its reason."""
        path = self._base / photograph.path
        try:
            return self._work(path, photograph)
        except Exception as error:
            if str(path) not in str(error):
                error.add_note(str(path))
            text = describe_error(error)
            return failed(photograph, text.replace(str(path), str(photograph.path)))

    def _work(self, path: pathlib.Path, photograph: Photograph) -> dict[str, Any]:
        file_size(path)  # refuses what is no file, with a reason
        digest, image = own_files.digest(path), read_image(path)
        folder = self._recipe.explain
        found = self.classifier.classify(image, explain=folder is not None)
        drawn = ""
        if folder is not None:
            picture = self._base / picture_of(folder, photograph)
            data = encode_png(draw_explanation(image, found))
            own_files.write_bytes(picture, data)
            drawn = own_files.digest(picture)
        return {
            "name": name_of(photograph),
            "path": str(photograph.path),
            "status": DONE,
            **row_of(found),
            "sha256": digest,
            PICTURE: drawn,
            **self.facts,
        }
