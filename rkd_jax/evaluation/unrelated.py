"""Pairs of different eyes, none of which may be reported as registered.

Reads photographs of any folders (`list_pairs`), and counts the pairs that are reported
as registered although they show different eyes (`score`).
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import pathlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from rkd_jax.evaluation import arguments, pairs
from rkd_jax.evaluation.predictions import Prediction
from rkd_jax.evaluation.same_eye import is_known, read_same_eye
from rkd_jax.files.own_files import own_names
from rkd_jax.images import image_files
from rkd_jax.registration.files.pairs import Pair
from rkd_jax.runtime.command import say

_LABELS = re.compile(r"mask|1stho|2ndho|manual|label|groundtruth", re.IGNORECASE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m rkd_jax.evaluate unrelated`."""
    parser.add_argument(
        "--photographs",
        nargs="+",
        required=True,
        metavar="DIR",
        help="folders of photographs; names with _left and _right, or L and R after "
        "the number, tell the eyes of a patient",
    )
    parser.add_argument(
        "--count", type=int, default=500, metavar="N", help="pairs (default: 500)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the choice (default: 0)"
    )
    parser.add_argument(
        "--fellows",
        type=float,
        default=0.3,
        metavar="SHARE",
        help="share of pairs that are left and right eye of one patient (default: 0.3)",
    )
    parser.add_argument(
        "--same_eye",
        metavar="FILE",
        help="CSV of photographs known to show one eye (columns fixed, moving: paths "
        "or names): such pairs are counted apart",
    )
    arguments.add_registration(parser)


def run(args: argparse.Namespace) -> int:
    """Register the pairs, count and draw those that are reported as registered."""
    from rkd_jax.evaluation import accepted

    if args.count < 1:
        raise ValueError(f"--count {args.count}: expected at least 1")
    if not 0 <= args.fellows <= 1:
        raise ValueError(f"--fellows {args.fellows:g}: expected a share from 0 to 1")
    out = pathlib.Path(args.out)
    paths = photographs(args.photographs)
    eyes = {} if args.same_eye is None else read_same_eye(args.same_eye, paths)
    chosen = list_pairs(paths, args.count, seed=args.seed, fellows=args.fellows)
    by_name = {pair.name: pair for pair in chosen}
    same_eye = {p.name for p in chosen if is_known(eyes, p.fixed, p.moving)}
    inputs = [*paths, *([] if args.same_eye is None else [args.same_eye])]
    accepted.claim(out, chosen, inputs)
    metrics, saved = pairs.run(
        args, chosen, functools.partial(score, same_eye=same_eye)
    )
    wrong = [p for p in saved if p.ok and p.name not in same_eye]
    for prediction, picture in accepted.write(out, by_name, wrong):
        pair = by_name[prediction.name]
        say(
            f"reported as registered: {pair.fixed} and {pair.moving} (confidence "
            f"{prediction.confidence:.2f}); see {picture}: if both show one eye, add "
            "the pair to --same_eye FILE"
        )
    say(f"{summary(metrics)}\nwritten to {out}")
    return 0


def photographs(folders: Sequence[str | pathlib.Path]) -> list[pathlib.Path]:
    """List the photographs below folders, sorted: no masks, labels, results of ours.

    A file that several paths lead to (a link, a folder given twice) is listed once.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no photograph below it.
    """
    found, own = [], functools.cache(own_names)
    for folder in map(pathlib.Path, folders):
        here = [
            path
            for path in image_files.list_images(folder, recursive=True)
            if not _LABELS.search(str(path.relative_to(folder)))
            and path.name not in own(path.parent)
        ]
        if not here:
            raise ValueError(
                f"{folder}: no photographs; all images there are masks or labels by "
                f"their names ({_LABELS.pattern}), or results of rkd_jax"
            )
        found += here
    # Two paths to one file would be a pair of one eye, and half known to --same_eye.
    once = {os.path.realpath(path): path for path in reversed(found)}
    return [path for path in found if once[os.path.realpath(path)] is path]


def eye_of(path: pathlib.Path) -> tuple[str, str]:
    """Return (patient, eye) of a photograph, as far as its name tells.

    Example:
        >>> eye_of(pathlib.Path("train/10_left.jpeg"))
        ('train/10', 'left')
        >>> eye_of(pathlib.Path("CHASE_DB1/Image_03R.jpg"))
        ('CHASE_DB1/Image_03', 'R')
        >>> eye_of(pathlib.Path("im0001.png"))
        ('im0001', '')
    """
    # (?s): a name may have lines.
    match = re.fullmatch(r"(?s)(.*?)(?:_(left|right)|(?<=\d)([LR]))?", path.stem)
    patient = str(path.parent / match[1])
    return patient, match[2] or match[3] or ""


def unrelated(
    paths: Sequence[pathlib.Path], count: int, *, seed: int = 0, fellows: float = 0.3
) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """Choose pairs of different eyes.

    Args:
        paths: photographs.
        count: pairs wanted, all different.
        seed: of the choice.
        fellows: share of pairs that are left and right eye of one patient, as far as
            there are such.

    Raises:
        ValueError: there are not so many pairs.
    """
    rng = np.random.default_rng(seed)
    patients: dict[str, list[pathlib.Path]] = {}
    for path in paths:
        patients.setdefault(eye_of(path)[0], []).append(path)
    both = [
        pair
        for group in patients.values()
        for pair in itertools.combinations(sorted(group), 2)
        if eye_of(pair[0])[1] != eye_of(pair[1])[1]
    ]
    order = rng.permutation(len(both))[: round(fellows * count)]
    chosen = [both[i] for i in order]
    seen = set(chosen)
    names = sorted(patients)
    if len(names) < 2:
        raise ValueError("photographs of one patient only: give more folders")
    for _ in range(100 * count):
        if len(chosen) >= count:
            return chosen
        first, second = rng.choice(len(names), 2, replace=False)
        group0, group1 = patients[names[first]], patients[names[second]]
        pair = (
            group0[rng.integers(len(group0))],
            group1[rng.integers(len(group1))],
        )
        if pair not in seen and pair[::-1] not in seen:
            seen.add(pair)
            chosen.append(pair)
    raise ValueError(f"found {len(chosen)} different pairs; {count} were asked for")


def list_pairs(
    paths: Sequence[pathlib.Path],
    count: int,
    *,
    seed: int = 0,
    fellows: float = 0.3,
) -> list[Pair]:
    """Choose pairs of different eyes among photographs; see `unrelated`."""
    chosen = unrelated(paths, count, seed=seed, fellows=fellows)
    width = len(str(count))
    return [
        Pair(f"{number:0{width}} {fixed.name} {moving.name}", fixed, moving)
        for number, (fixed, moving) in enumerate(chosen)
    ]


def score(
    predictions: Sequence[Prediction], *, same_eye: Collection[str] = ()
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Count the pairs of different eyes that are wrongly reported as registered.

    Args:
        predictions: of all pairs.
        same_eye: names of pairs that are known to show one eye: counted apart.

    Returns:
        Of the other pairs "pairs", "ok" (number reported as registered), "ok_percent",
        "ok_percent_low" and "ok_percent_high" (exact 95 % interval of Clopper and
        Pearson), "highest_confidence"; "same_eye" with "pairs" and "ok"; and one row a
        pair, the highest confidence first.

    Raises:
        ValueError: all pairs are known to show one eye.
    """
    from scipy.stats import binomtest

    strangers = [p for p in predictions if p.name not in same_eye]
    if not strangers:
        raise ValueError(
            "--same_eye lists all pairs that were chosen: choose more, or give more "
            "photographs"
        )
    accepted, count = sum(p.ok for p in strangers), len(strangers)
    interval = binomtest(accepted, count).proportion_ci(0.95, method="exact")
    rows = [
        {
            "pair": prediction.name,
            "ok": prediction.ok,
            "same_eye": prediction.name in same_eye,
            "confidence": round(prediction.confidence, 4),
            "matches": len(prediction.points_fixed),
            "inliers": int(prediction.inliers.sum()),
            "family": prediction.family,
            "reason": prediction.reason,
        }
        for prediction in sorted(predictions, key=lambda p: (-p.confidence, p.name))
    ]
    return {
        "protocol": "pairs of different eyes: none can be registered",
        "pairs": count,
        "ok": accepted,
        "ok_percent": 100.0 * accepted / count,
        "ok_percent_low": 100.0 * float(interval.low),
        "ok_percent_high": 100.0 * float(interval.high),
        "highest_confidence": max(p.confidence for p in strangers),
        "same_eye": {
            "pairs": len(predictions) - count,
            "ok": sum(p.ok for p in predictions) - accepted,
        },
    }, rows


def summary(metrics: Mapping[str, Any]) -> str:
    """Return the metrics of `score` as one line of text."""
    known = metrics["same_eye"]
    apart = ""
    if known["pairs"]:
        apart = (
            f"; known to show one eye: {known['pairs']} more, {known['ok']} reported"
        )
    return (
        f"{metrics['ok']} of {metrics['pairs']} pairs of different eyes reported as "
        f"registered ({metrics['ok_percent']:.1f} %, at most "
        f"{metrics['ok_percent_high']:.1f} % with 97.5 % confidence); highest "
        f"confidence {metrics['highest_confidence']:.3f}{apart}"
    )
