"""Grades of 30 drawn pictures."""

import json
import pathlib

import numpy as np

from rkd_jax.evaluation.predictions import read_predictions, refuse_other_settings
from rkd_jax.files import own_files

PREDICTIONS, METRICS = "predictions.npz", "metrics.json"


def add_arguments(parser):
    parser.add_argument("--weights", required=True, metavar="FILE")


def run(args):
    """Predict and save, then score what was saved; return the exit status."""
    from grading.data import Squares
    from grading.task import predict
    from rkd_jax import models, weights

    out, loaded = pathlib.Path(args.out), weights.load(args.weights)
    path = out / PREDICTIONS
    own_files.claim_results(out, [out / METRICS], path, _read, inputs=[args.weights])
    settings = {"weights": loaded.sha256}
    if args.overwrite or not path.exists():
        model = models.build(loaded.model, **loaded.options)
        size, grades = loaded.preprocess["size"], loaded.options["out_channels"]
        source = Squares(30, size=size, grades=grades, seed=1)
        found = predict(model, loaded.variables, source)
        with own_files.replacing(path) as part:
            text = np.array(json.dumps(settings))
            np.savez(part, settings=text, found=found, grades=source.groups)
    saved, right = _read(path)
    refuse_other_settings(path, saved, settings)
    metrics = {"score": float(np.mean(right)), "settings": saved}
    own_files.write_text(out / METRICS, json.dumps(metrics))
    print(f"{metrics['score']:.3f} of {len(right)} grades are right")
    return 0


def _read(path):
    return read_predictions(path, lambda arrays: arrays["found"] == arrays["grades"])
