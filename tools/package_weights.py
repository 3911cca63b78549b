"""Make a weights file for the package out of a training run's.

    python tools/package_weights.py RUN/weights.safetensors NAME.safetensors \\
        [--size PX] [--teacher TEXT] [--threshold T] [--fusion NAME]
        [--classifier_weight W]

The file is stored as float16, without `compute_dtype`, which belongs to a machine. The
recipe names its folders as the model card does: LAB, IDRID_TRAINING_IMAGES. The
fusion of a detector of lesions, and its threshold of the best F1 on the held-out
photographs, are those that `evaluate lesions --rows all` prints.
"""

import argparse
import copy
import pathlib
import sys
from typing import Any

from rkd_jax import weights
from rkd_jax.lesions.fusion import FUSIONS
from rkd_jax.lesions.settings import MODEL, settings_of
from rkd_jax.registration.arguments import working_size

FOLDERS = {"data_dir": "LAB", "auxiliary_dir": "IDRID_TRAINING_IMAGES"}
"""Of photographs with keypoints; the config of other tasks has no `auxiliary_dir`."""

LESIONS_ONLY = {"fusion", "classifier_weight"}
CHANGED = ("size", "threshold", "fusion", "classifier_weight")
"""Facts of the preparation that the command may change."""


def neutral(recipe: dict[str, Any], teacher: str | None = None) -> dict[str, Any]:
    """Return a recipe without folders of the machine it ran on.

    >>> neutral({"config": {"data": {"data_dir": "/x/lab", "auxiliary_dir": ""}}})
    {'config': {'data': {'data_dir': 'LAB', 'auxiliary_dir': ''}}}
    """
    recipe = copy.deepcopy(recipe)
    data = recipe["config"]["data"]
    if "auxiliary_dir" in data:
        for key, name in FOLDERS.items():
            data[key] = name if data.get(key) else ""
    of_teacher = recipe["config"].get("task", {}).get("teacher", {})
    if of_teacher.get("weights"):
        of_teacher["weights"] = teacher or pathlib.Path(of_teacher["weights"]).name
    if recipe["config"].get("init_weights"):
        # The run's folder says what it is: all runs write "weights.safetensors".
        start = pathlib.Path(recipe["config"]["init_weights"])
        recipe["config"]["init_weights"] = start.parent.name or start.stem
    return recipe


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", metavar="FILE", help="a run's weights.safetensors")
    parser.add_argument("target", metavar="FILE", help="the file to write")
    parser.add_argument("--size", type=working_size, metavar="PX", help="another one")
    parser.add_argument(
        "--threshold", type=float, metavar="T", help="of a detector of lesions"
    )
    parser.add_argument(
        "--fusion", choices=sorted(FUSIONS), help="of a detector of lesions"
    )
    parser.add_argument(
        "--classifier_weight", type=float, metavar="W", help="of a detector of lesions"
    )
    parser.add_argument("--teacher", metavar="TEXT", help="which teacher it was")
    args = parser.parse_args(argv)
    try:
        found = weights.load(args.source)
        options = {k: v for k, v in found.options.items() if k != "compute_dtype"}
        changes = {name: getattr(args, name) for name in CHANGED}
        changes = {name: value for name, value in changes.items() if value is not None}
        if found.model == MODEL:
            settings_of(found.preprocess | changes, args.source)
        elif strange := sorted(changes.keys() & LESIONS_ONLY):
            raise ValueError(
                f"{args.source}: weights of {found.model!r} have no "
                f"{', '.join(strange)}; expected those of a detector of lesions"
            )
        elif changes and "classes" in found.preprocess:
            raise ValueError(
                f"{args.source}: a classifier's {', '.join(sorted(changes))} cannot be "
                "changed; train it so"
            )
        weights.save(
            args.target,
            found.variables,
            model=found.model,
            options=options,
            preprocess=found.preprocess | changes,
            recipe=neutral(found.recipe, args.teacher),
            dtype="float16",
        )
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyError as error:
        print(
            f"error: {args.source}: its recipe has no {error}; expected the weights of "
            "`python -m rkd_jax.train`",
            file=sys.stderr,
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
