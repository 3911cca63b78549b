"""Lesions: pixel masks, such as the microaneurysms of IDRiD.

Layouts: IDRiD's "A. Segmentation", or a folder of photographs and one of masks (read by
`rkd_jax.data.lesion_folders`). Maps are made and saved (`lesion_maps`), then what was
saved is scored (`lesion_scores`, `rkd_jax.metrics.lesions`).
"""

from __future__ import annotations

import argparse
import functools
import pathlib
from typing import TYPE_CHECKING, Any

from rkd_jax.runtime.command import say

if TYPE_CHECKING:
    from rkd_jax.data.lesion_folders import LesionPhotograph
    from rkd_jax.lesions.detector import LesionDetector


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command, but for those of the output."""
    parser.add_argument(
        "--data_dir",
        required=True,
        metavar="DIR",
        help='IDRiD\'s "A. Segmentation"; with --masks a folder of photographs',
    )
    parser.add_argument(
        "--split", choices=("train", "test"), help="of IDRiD (default: test)"
    )
    parser.add_argument("--masks", metavar="DIR", help="folder of masks")
    parser.add_argument(
        "--suffix", metavar="S", help="end of the masks' names, such as _MA"
    )
    parser.add_argument(
        "--images", metavar="FILE", help="text file with photographs, one a line"
    )
    parser.add_argument(
        "--lesion",
        metavar="NAME",
        help="microaneurysms, haemorrhages, hard_exudates or soft_exudates (default: "
        "that of the weights)",
    )
    parser.add_argument("--healthy", metavar="DIR", help="photographs without lesions")
    parser.add_argument(
        "--weights",
        metavar="NAME|FILE",
        help="weights (default: microaneurysms, which come with the package)",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="T",
        help="of F1, precision, recall and false positives (default: of the weights)",
    )
    parser.add_argument(
        "--candidates",
        type=float,
        default=0.05,
        metavar="T",
        help="connected pixels of this score or more are a candidate (default: 0.05)",
    )
    parser.add_argument(
        "--rows",
        choices=("weights", "all"),
        default="weights",
        help="the fusion of the weights (default), or all of the paper's table",
    )
    parser.add_argument(
        "--cls",
        metavar="FILE",
        help="with --rows all: weights of the same proposal networks whose classifier "
        "was trained without triplet loss",
    )


def run(args: argparse.Namespace) -> int:
    """Predict and save; then score and draw what was saved."""
    from rkd_jax.data.lesion_folders import healthy_photographs
    from rkd_jax.evaluation import lesion_maps, lesion_scores
    from rkd_jax.evaluation.lesion_maps import HEALTHY, Job, finder
    from rkd_jax.lesions import detector as detectors
    from rkd_jax.metrics.lesions.curves import CODING

    _check(args)
    detector = detectors.load_lesion_detector(args.weights)
    cls = None if args.cls is None else detectors.load_lesion_detector(args.cls)
    lesion = _lesion(args, detector, cls)
    photographs = _photographs(args, lesion)
    healthy = healthy_photographs(args.healthy) if args.healthy else []
    _check_healthy(healthy, photographs)
    shipped = detector.settings.fusion
    jobs = [Job(p, _rows(args, shipped)) for p in photographs]
    jobs += [Job(p, (shipped,), HEALTHY) for p in healthy]
    out = pathlib.Path(args.out)
    _claim(out, jobs, args)
    lesion_scores.check_masks(photographs)
    settings = _facts(detector) | {"cls": None if cls is None else _facts(cls)}
    settings |= {"levels": CODING}
    find = finder(detector, cls)
    lesion_maps.predict(jobs, find, out, settings, overwrite=args.overwrite)
    threshold = args.threshold or detector.settings.threshold
    source = f"the threshold of {shipped}" if args.threshold is None else "--threshold"
    facts = {"row": shipped, "lesion": lesion}
    facts |= {"threshold": threshold, "threshold_source": source}
    facts |= {"split": None if args.masks else args.split or "test"}
    say(_score(out, jobs, facts, min(args.candidates, threshold), settings))
    say(f"written to {out}")
    return 0


def _check(args: argparse.Namespace) -> None:
    from rkd_jax.lesions.settings import check_threshold

    if args.threshold is not None:
        check_threshold(args.threshold)
    if not 0 <= args.candidates < 1:
        raise ValueError(
            f"--candidates {args.candidates:g}: expected a probability below 1"
        )
    if args.masks is None and args.suffix is not None:
        raise ValueError("--suffix without --masks: give the folder of masks, too")
    if args.masks is not None and args.split is not None:
        raise ValueError("--split is of IDRiD's layout; leave it out with --masks")
    if args.cls is not None and args.rows != "all":
        raise ValueError("--cls without --rows all: its rows would not be scored")


def _lesion(
    args: argparse.Namespace, detector: LesionDetector, cls: LesionDetector | None
) -> str:
    """Return which lesion is scored; refuse weights of another one."""
    from rkd_jax.data.lesion_folders import lesion_kind
    from rkd_jax.lesions.choice import DEFAULT

    known = detector.settings.lesion
    wanted = known if args.lesion is None else args.lesion
    lesion_kind(wanted)
    for name, one in (("--weights", detector), ("--cls", cls)):
        if one is not None and one.settings.lesion != wanted:
            raise ValueError(
                f"{name} {getattr(args, name[2:]) or DEFAULT}: trained for "
                f"{one.settings.lesion}, found --lesion {wanted}; give weights of this "
                "lesion, or another --lesion"
            )
    return wanted


def _photographs(args: argparse.Namespace, lesion: str) -> list[LesionPhotograph]:
    """List the photographs to score."""
    from rkd_jax.data.lesion_folders import idrid_photographs, plain_photographs
    from rkd_jax.evaluation.arguments import read_names

    if args.masks is None:
        found = idrid_photographs(args.data_dir, lesion, args.split or "test")
    else:
        found = plain_photographs(args.data_dir, args.masks, args.suffix or "")
    names = read_names(args.images, "--images")
    if names is None:
        return found
    known = {p.name: p for p in found} | {_file_name(p): p for p in found}
    missing = [name for name in names if name not in known]
    if missing or not names:
        there = [p.name for p in found]
        shown = ", ".join(there[:5]) + ", ..." * (len(there) > 5)
        raise ValueError(
            f"{args.images}: no photographs {missing[:5] or '(the list is empty)'}; "
            f"there are {shown} ({len(there)} in all)"
        )
    wanted = {known[name].name for name in names}
    return [p for p in found if p.name in wanted]


def _check_healthy(
    healthy: list[LesionPhotograph], photographs: list[LesionPhotograph]
) -> None:
    """Refuse a healthy photograph that has a mask: its hits would count as false."""
    marked = {one.image.resolve() for one in photographs if one.mask is not None}
    for one in healthy:
        if one.image.resolve() in marked:
            raise ValueError(
                f"--healthy: {one.image} has a mask of lesions; give a folder of "
                "photographs without any"
            )


def _file_name(photograph: LesionPhotograph) -> str:
    """Return the name with the extension of the file."""
    parent = pathlib.PurePosixPath(photograph.name).parent
    return (parent / photograph.image.name).as_posix()


def _rows(args: argparse.Namespace, shipped: str) -> tuple[str, ...]:
    from rkd_jax.lesions.fusion import FUSIONS

    if args.rows == "weights":
        return (shipped,)
    cls = ("cls_arithmetic", "cls_geometric") if args.cls else ()
    plain = [row for row in FUSIONS if not row.startswith("refined_")]
    return (*plain, *cls, *(row for row in FUSIONS if row not in plain))


def _claim(out: pathlib.Path, jobs: list[Any], args: argparse.Namespace) -> None:
    """Refuse a folder where files of the run would replace those of others."""
    from rkd_jax.evaluation.lesion_maps import PREDICTIONS, load_predictions
    from rkd_jax.evaluation.lesion_tables import FILES
    from rkd_jax.files import own_files

    inputs = [job.photograph.image for job in jobs]
    inputs += [job.photograph.mask for job in jobs if job.photograph.mask]
    inputs += [file for file in (args.images, args.weights, args.cls) if file]
    written = [out / name for name in FILES]
    written += [out / file for job in jobs for file in job.files().values()]
    own_files.claim_results(
        out, written, out / PREDICTIONS, load_predictions, inputs=inputs
    )


def _facts(detector: LesionDetector) -> dict[str, Any]:
    """Return all that the four maps depend on; fusions are rows."""
    facts = detector.facts()
    facts.pop("fusion", None)
    return facts


def _score(
    out: pathlib.Path,
    jobs: list[Any],
    facts: dict[str, Any],
    low: float,
    settings: dict[str, Any],
) -> str:
    """Score the saved maps, write all files; return the printed table."""
    from rkd_jax.evaluation import lesion_maps, lesion_scores, lesion_tables
    from rkd_jax.evaluation.lesion_differences import compare

    _, saved = lesion_maps.load_predictions(out / lesion_maps.PREDICTIONS)
    kinds: dict[str, list[Any]] = {lesion_maps.MAPS: [], lesion_maps.HEALTHY: []}
    for job in jobs:
        kinds[job.folder].append(job.photograph)

    def load(folder: str, row: str, photograph: LesionPhotograph) -> Any:
        name = lesion_maps.Job(photograph, (row,), folder).files()[row]
        return lesion_maps.load_map(out, name, saved)

    row, photographs = facts["row"], kinds[lesion_maps.MAPS]
    counted = lesion_scores.count(
        photographs, jobs[0].rows, functools.partial(load, lesion_maps.MAPS), low=low
    )
    scores = {
        name: lesion_scores.score_row(one, facts["threshold"])
        for name, one in counted.items()
    }
    differences = compare(scores) if len(scores) > 1 else []
    lines = scores[row].photographs
    facts |= {
        "photographs": len(photographs),
        "photographs_with_lesions": sum(line["lesion_px"] > 0 for line in lines),
        "lesions": sum(line["lesions"] for line in lines),
        "refused": [
            job.photograph.name for job in jobs if saved[job.files()[row]].refused
        ],
        "candidate_threshold": low,
        "settings": settings,
    }
    if healthy := kinds[lesion_maps.HEALTHY]:
        facts["healthy"] = lesion_scores.score_healthy(
            healthy,
            row,
            functools.partial(load, lesion_maps.HEALTHY),
            low=low,
            threshold=facts["threshold"],
        )
    lesion_tables.write(out, scores, differences, facts)
    return lesion_tables.printed(scores, differences, facts)
