"""Cross-validate the face experiment on one list of WFLW, split by image.

    python tools/wflw_folds.py --data_dir WFLW --out DIR [--config FILE:variant]

For every fold, the teacher, the student from scratch and the distilled student are
trained on the other folds (`OUT/foldK`), and the mean face is taken of them; each is
scored on the fold (`OUT/foldK/scores/NAME`, as `python -m rkd_jax.evaluate wflw` does).
`folds.json`, `folds.csv` and `error_curve.png` then hold all of it: NME of each fold,
their mean and spread, and the scores of all faces, each predicted by the networks that
did not see its image. The same command resumes a stopped run.
"""

import argparse
import csv
import inspect
import io
import json
import pathlib
import runpy
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from rkd_jax import config as schema
from rkd_jax import evaluate, tasks, train
from rkd_jax.data import wflw
from rkd_jax.evaluation import charts, wflw_scores
from rkd_jax.evaluation.predictions import PREDICTIONS
from rkd_jax.evaluation.wflw_predictions import Predictions, load_predictions
from rkd_jax.files.atomic import write_bytes, write_text
from rkd_jax.runtime.compile_cache import add_option
from rkd_jax.tasks.faces import FacesConfig, FacesDataConfig

MEAN_FACE = "mean face"
SCORES = ("nme", "failure_rate", "auc")
DEFAULT = pathlib.Path(__file__).parents[1] / "configs" / "faces.py"


def load_config(text: str) -> schema.Config:
    """Return the config of `FILE` or `FILE:variant`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a config file, unknown variant, or not an experiment with faces
            of WFLW, a teacher trained for it and a comparison with the student from
            scratch.
    """
    path, _, variant = text.partition(":")
    if not pathlib.Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such config file; check --config")
    try:
        get_config = runpy.run_path(path)["get_config"]
        inspect.signature(get_config).bind(variant)
    except Exception as error:  # whatever a file that is no config may raise
        raise ValueError(
            f"{path}: not a config file ({type(error).__name__}: {error}); expected "
            "Python with get_config(variant), as configs/faces.py"
        ) from error
    try:
        config = get_config(variant)
    except AttributeError as error:  # a field that the config does not have
        raise ValueError(f"{text}: {error}") from error
    if not isinstance(config, schema.Config):
        raise ValueError(
            f"{path}: get_config returns {type(config).__name__}; expected "
            "rkd_jax.config.Config"
        )
    if not (config.task.name == "landmarks" and config.data.kind == "wflw"):
        raise ValueError(f"{text}: not a config for WFLW; see configs/faces.py:folds")
    task = FacesConfig.of(config)
    if not (task.distill and task.compare_scratch):
        raise ValueError(
            f"{text}: task.distill and task.compare_scratch must both be true, for a "
            "student and one from scratch"
        )
    given = {
        "task.teacher.weights": task.teacher.weights,
        "init_weights": config.init_weights,
    }
    for field, weights in given.items():
        if weights:
            raise ValueError(
                f"{text}: {field} must be empty: each fold trains its own networks, "
                "since others may have seen its faces"
            )
    return config


def run_fold(
    config: schema.Config,
    fold: int,
    folds: int,
    data_dir: str,
    out: pathlib.Path,
    *,
    cache: str = "",
) -> dict[str, Predictions]:
    """Train and score one fold; return the predictions of each row.

    Compiled programs are kept in the folder `cache`, if it has a name.
    """
    from rkd_jax.training.run_folder import WEIGHTS

    data = FacesDataConfig.of(config)
    data.data_dir, data.fold, data.folds = data_dir, fold, folds
    workdir = out / f"fold{fold}"
    train.train(config, workdir)
    networks = {
        stage.title: stage.folder
        for stage in tasks.load(config.task.name).stages(config)
    }
    rows = {MEAN_FACE: ["--method", "mean_face"]} | {
        name: ["--weights", str(workdir / folder / WEIGHTS)]
        for name, folder in networks.items()
    }
    listed = wflw.read_list(data_dir, config.data.val_split)
    _, faces = wflw.split_fold(listed, fold, folds)
    found = {}
    for name, options in rows.items():
        scores = workdir / "scores" / name.replace(" ", "_")
        common = ["--data_dir", data_dir, "--list", config.data.val_split]
        common += ["--fold", str(fold), "--folds", str(folds), "--out", str(scores)]
        # Saved predictions of an earlier version are no loss beside the training.
        common += ["--compilation_cache_dir", cache, "--overwrite"]
        if evaluate.main(["wflw", *common, *options]) != 0:
            raise ValueError(f"{scores}: fold {fold} of {name} could not be scored")
        _, saved = load_predictions(scores / PREDICTIONS)
        found[name] = saved.of(faces)
    return found


def summarize(
    found: Sequence[dict[str, Predictions]],
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the scores of each row, and the errors of all faces.

    Args:
        found: for every fold, the predictions of each row.
    """
    rows, errors = {}, {}
    for name in found[0]:
        parts = [wflw_scores.score(fold[name])[0]["subsets"]["all"] for fold in found]
        together = Predictions.join([fold[name] for fold in found])
        pooled, errors[name] = wflw_scores.score(together)
        spread = {
            key: {
                "mean": float(np.mean([part[key] for part in parts])),
                "sd": float(np.std([part[key] for part in parts], ddof=1)),
            }
            for key in SCORES
        }
        rows[name] = {**spread, "folds": parts, "pooled": pooled["subsets"]}
    return rows, errors


def table(rows: dict[str, Any]) -> str:
    """Return mean and spread over folds as text."""
    lines = [f"{'':12}{'NME %':>16}{'failure %':>16}{'AUC':>18}"]
    for name, row in rows.items():
        shown = [f"{row[k]['mean']:.2f} ± {row[k]['sd']:.2f}" for k in SCORES[:2]]
        area = f"{row['auc']['mean']:.3f} ± {row['auc']['sd']:.3f}"
        lines.append(f"{name:12}{shown[0]:>16}{shown[1]:>16}{area:>18}")
    return "\n".join(lines)


def write(out: pathlib.Path, rows: dict[str, Any], errors: dict[str, Any]) -> None:
    """Write `folds.json`, `folds.csv` and `error_curve.png`."""
    write_text(out / "folds.json", json.dumps(rows, indent=1) + "\n")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["network", "fold", "faces", *SCORES])
    for name, row in rows.items():
        for fold, part in enumerate(row["folds"]):
            numbers = [f"{part[key]:.4f}" for key in SCORES]
            writer.writerow([name, fold, part["faces"], *numbers])
    write_text(out / "folds.csv", text.getvalue())
    curve = charts.error_curve(errors, limit=0.4)
    write_bytes(out / wflw_scores.CURVE, charts.png(curve))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status, as `rkd_jax.train` does."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data_dir", required=True, metavar="DIR", help="WFLW folder")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--config", default=f"{DEFAULT}:folds", metavar="FILE:VARIANT")
    parser.add_argument("--folds", type=int, default=5, metavar="N")
    add_option(parser)
    args = parser.parse_args(argv)
    if args.folds < 2:
        parser.error(f"--folds {args.folds}: expected at least 2")
    return train.exit_status(lambda: cross_validate(args))


def cross_validate(args: argparse.Namespace) -> None:
    """Train and score all folds; write and print the rows."""
    out, cache = pathlib.Path(args.out), args.compilation_cache_dir
    train.prepare_jax(cache)
    found = []
    for fold in range(args.folds):
        config = load_config(args.config)
        found.append(
            run_fold(config, fold, args.folds, args.data_dir, out, cache=cache)
        )
    rows, errors = summarize(found)
    write(out, rows, errors)
    print(f"{args.folds} folds by image, mean and standard deviation over folds:")
    print(table(rows))
    print(f"written to {out}")


if __name__ == "__main__":
    sys.exit(main())
