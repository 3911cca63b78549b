"""Classification: images with one class each, such as grades of retinopathy.

Layouts are those of `rkd_jax.data.class_layouts`, and prepared data sets. Logits are
computed and saved (`classification_predictions`), then what was saved is scored
(`classification_scores`, `rkd_jax.metrics.classification`).
"""

from __future__ import annotations

import argparse
import pathlib
from typing import TYPE_CHECKING, Any

from rkd_jax.runtime.command import say

if TYPE_CHECKING:
    from rkd_jax.classification.classifier import Classifier
    from rkd_jax.data.class_data import ClassData

ALONE = "weights"
"""The row of a single network without a name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command, but for those of the output."""
    parser.add_argument(
        "--data_dir", required=True, metavar="DIR", help="images, or a data set"
    )
    parser.add_argument(
        "--labels", metavar="CSV", help="table of the images with their classes"
    )
    parser.add_argument(
        "--layout",
        metavar="NAME",
        help="table, folders, medmnist, ham10000, aptos2019, idrid, eyepacs, or tfds "
        "(default: table with --labels, else folders: one a class)",
    )
    parser.add_argument(
        "--name",
        metavar="NAME",
        help="data set in --data_dir with --layout tfds, such as aptos2019",
    )
    for name, what in (
        ("image", "image"),
        ("class", "class"),
        ("group", "group, if there is one"),
        ("fold", "fold, if there is one"),
    ):
        parser.add_argument(
            f"--{name}_column",
            metavar="NAME",
            help=f"column of --labels (default: {what})",
        )
    parser.add_argument(
        "--fold",
        metavar="NAME",
        help="part of the data (default: test; all where they have no parts)",
    )
    parser.add_argument(
        "--split_seed",
        type=int,
        metavar="N",
        help="divide the data as training does with config.data.split_seed=N, and "
        "score the part that --fold names: train, val or test",
    )
    parser.add_argument(
        "--shares",
        type=int,
        nargs=3,
        metavar=("TRAIN", "VAL", "TEST"),
        help="with --split_seed: those of config.data.shares (default: 7 1 2)",
    )
    parser.add_argument(
        "--cross_validation",
        type=int,
        nargs=2,
        metavar=("FOLDS", "FOLD"),
        help="with --split_seed: config.data.folds and config.data.fold",
    )
    parser.add_argument(
        "--images", metavar="FILE", help="text file with images, one a line"
    )
    parser.add_argument(
        "--weights",
        nargs="+",
        required=True,
        metavar="[NAME=]FILE",
        help="weights; of several, such as teacher=FILE student=FILE, each is compared "
        "with the one before it and with the first",
    )
    parser.add_argument(
        "--average_seeds",
        action="store_true",
        help="rows NAME_0, NAME_1, ... are runs of one recipe with other seeds: their "
        "means are compared, too",
    )


def run(args: argparse.Namespace) -> int:
    """Predict and save; then score and draw what was saved."""
    from rkd_jax.classification.classifier import load_classifier
    from rkd_jax.evaluation import classification_predictions as predictions
    from rkd_jax.evaluation import (
        classification_scores,
        classification_seeds,
        classification_tables,
    )
    from rkd_jax.evaluation.classification_data import read_data, trained_on
    from rkd_jax.evaluation.predictions import PREDICTIONS
    from rkd_jax.runtime import extras

    extras.require("evaluate")
    files = _files(args.weights)
    if args.average_seeds:
        classification_seeds.recipes(list(files))  # refuses other names at once
    classifiers = {row: load_classifier(file) for row, file in files.items()}
    classes, ordered = _agreed(classifiers, files)
    data = read_data(args, classes)
    for row, one in classifiers.items():
        if trained_on(args, data, one.weights.recipe):
            say(
                f"note: {files[row]} was trained on part of {args.data_dir}, all of "
                "which is scored here; --split_seed N scores the part that was held out"
            )
    out = pathlib.Path(args.out)
    _claim(out, data, files, args)
    saved = predictions.predict(
        classifiers, data, out / PREDICTIONS, overwrite=args.overwrite
    )
    scores = {
        row: classification_scores.score_row(
            data,
            saved[row],
            temperature=one.settings.temperature,
            ordered=ordered,
        )
        for row, one in classifiers.items()
    }
    groups = len(set(data.groups))
    means = classification_seeds.average(scores, groups) if args.average_seeds else {}
    compare = classification_scores.compare
    differences = compare(scores, groups), compare(means, groups)
    facts = _facts(data, ordered)
    facts["settings"] = {row: one.facts() for row, one in classifiers.items()}
    table = classification_tables.Table(scores, means, *differences, facts)
    classification_tables.write(out, data, saved, table)
    say(classification_tables.printed(table))
    say(f"written to {out}")
    return 0


def _files(texts: list[str]) -> dict[str, str]:
    """Return the weights of each row."""
    from rkd_jax.evaluation.arguments import parse_weights

    if len(texts) == 1 and "=" not in texts[0]:
        return {ALONE: texts[0]}
    return parse_weights(texts)


def _agreed(
    classifiers: dict[str, Classifier], files: dict[str, str]
) -> tuple[tuple[str, ...], bool]:
    """Return the classes of all networks, and whether they are ordered."""
    (first, one), *others = classifiers.items()
    for row, other in others:
        if other.settings.classes != one.settings.classes:
            raise ValueError(
                f"{files[row]}: classes {', '.join(other.settings.classes)}; expected "
                f"those of {files[first]}: {', '.join(one.settings.classes)}"
            )
    return one.settings.classes, one.settings.ordered


def _claim(
    out: pathlib.Path, data: ClassData, files: dict[str, str], args: argparse.Namespace
) -> None:
    """Refuse a folder where files of the run would replace those of others."""
    from rkd_jax.evaluation.classification_data import files_of
    from rkd_jax.evaluation.classification_predictions import load_predictions
    from rkd_jax.evaluation.classification_tables import files as written
    from rkd_jax.evaluation.predictions import PREDICTIONS
    from rkd_jax.files import own_files

    inputs = [*files_of(data), *files.values()]
    inputs += [file for file in (args.labels, args.images) if file]
    own_files.claim_results(
        out,
        [out / name for name in written(list(files))],
        out / PREDICTIONS,
        load_predictions,
        inputs=inputs,
    )


def _facts(data: ClassData, ordered: bool) -> dict[str, Any]:
    """Return what the scores are of."""
    counts = dict(zip(data.classes, data.counts.tolist(), strict=True))
    return {
        "images": len(data),
        "groups": len(set(data.groups)),
        "ordered": ordered,
        "class_counts": counts,
        "absent_classes": [name for name, count in counts.items() if not count],
    }
