"""A whole `register` call, stage by stage, here and in PyTorch with OpenCV."""

import collections
import pathlib
import time

import cv2
import numpy as np

from benchmarks.measure import union

STAGES = ("reading", "preprocessing", "points", "network", "matching", "fitting")
# A camera's, of 255: a JPEG without it is decoded sooner than a real photograph's.
NOISE = 3.0


def write_pair(folder: pathlib.Path, side: int) -> tuple[str, str]:
    """Write two JPEGs of one synthetic eye, `side` pixels square."""
    from rkd_jax.synthetic.fundus import visits

    pair, rng = visits(0, size=768), np.random.default_rng(0)
    paths = []
    for name in ("fixed", "moving"):
        image = getattr(pair, name).image
        image = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
        noisy = image + rng.normal(0, NOISE, image.shape)
        image = noisy.round().clip(0, 255).astype(np.uint8)
        paths.append(str(folder / f"{name}.jpg"))
        cv2.imwrite(paths[-1], image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    return paths[0], paths[1]


class Ours:
    """`Matcher.register` with packaged weights, and the wall time of its parts.

    Two threads prepare the two images. Reading is the time in which at least one of
    them reads; preprocessing is what preparing takes beyond that. Points are OpenCV's,
    where descriptors are read besides the network's own. Fitting is what is left of
    all: families, guided matching without the matching itself, evidence and judgement.
    """

    def __init__(self, working_size: int | None, weights: str | None = None):
        from rkd_jax.registration import encoder, matcher, photo
        from rkd_jax.registration.matching.pair import Pair

        self.spans = collections.defaultdict(list)
        self.matcher = matcher.load_matcher(weights, working_size=working_size)
        parts = (
            (photo, "read_with_depth", "reading"),
            (encoder, "prepare_photo", "preparing"),
            (self.matcher.detector, "_more_points", "points"),
            (self.matcher.detector, "_detect", "network"),
            (Pair, "match", "matching"),
            (Pair, "match_near", "matching"),
        )
        for owner, name, stage in parts:
            setattr(owner, name, self._timed(stage, getattr(owner, name)))

    def _timed(self, stage, function):
        import jax

        def run(*args, **options):
            start = time.perf_counter()
            try:
                return jax.block_until_ready(function(*args, **options))
            finally:
                self.spans[stage].append((start, time.perf_counter()))

        return run

    def __call__(self, fixed: str, moving: str) -> dict[str, float]:
        """Register; return seconds by stage and in all, and whether it worked."""
        self.spans.clear()
        start = time.perf_counter()
        result = self.matcher.register(fixed, moving)
        total = time.perf_counter() - start
        took = {stage: union(spans) for stage, spans in self.spans.items()}
        took["preprocessing"] = took.pop("preparing") - took["reading"]
        took["fitting"] = total - sum(took.values())
        return {**took, "total": total, "ok": result.ok}


class Theirs:
    """The authors' evaluation of a pair, one pass (docs/paper/specification.md, 7).

    With as many keypoints at most as ours has, so that both match lists of one size.
    """

    def __init__(self, working_size: int, device: str, layout: str):
        import torch

        from benchmarks import theirs, torch_reference
        from rkd_jax.registration.options import MatcherOptions

        self.most = MatcherOptions().max_keypoints
        self.torch, self.size, self.device = torch, working_size, device
        self.place = torch.device("cuda" if device == "gpu" else "cpu")
        self.format = theirs.FORMATS[layout]
        model = torch_reference.SuperRetina().eval()
        self.model = model.to(self.place, memory_format=self.format)

    def _prepare(self, image):
        green = image[..., 1].astype(np.float64)
        z = (green - green.mean()) / (green.std() + 1e-6)
        z = (255 * (z - z.min()) / (z.max() - z.min())).astype(np.uint8)
        z = cv2.createCLAHE(2.0, (8, 8)).apply(z)
        table = (255 * (np.arange(256) / 255) ** (1 / 1.2)).astype(np.uint8)
        z = cv2.resize(table[z], (self.size, self.size), interpolation=cv2.INTER_AREA)
        return z.astype(np.float32) / 255

    def _best(self, points, heat):
        x, y = points.long().T
        order = heat[y, x].argsort(descending=True, stable=True)
        return points[order[: self.most]]

    def _network(self, images):
        from benchmarks import torch_step

        torch = self.torch
        x = torch.from_numpy(np.stack(images)[:, None]).to(self.place)
        with torch.no_grad():
            heat, _, descriptors = self.model(x.contiguous(memory_format=self.format))
            found = torch_step.keypoints(heat, 0.01, radius=10)
            points = [self._best(p, h[0]) for p, h in zip(found, heat)]
            vectors = [torch_step.sample(d, p) for d, p in zip(descriptors, points)]
        points = [p.cpu().numpy() for p in points]
        return list(zip(points, (v.cpu().numpy() for v in vectors)))

    def __call__(self, fixed: str, moving: str) -> dict[str, float]:
        """Register; return seconds by stage and in all."""
        marks = [time.perf_counter()]

        def mark():
            marks.append(time.perf_counter())

        images = [cv2.imread(path)[..., ::-1] for path in (fixed, moving)]
        mark()
        prepared = [self._prepare(image) for image in images]
        mark()
        mark()  # no points of OpenCV's
        (to, to_vectors), (points, vectors) = self._network(prepared)
        mark()
        pairs = cv2.BFMatcher().knnMatch(vectors, to_vectors, k=2)
        good = [a for a, b in pairs if a.distance < 0.9 * b.distance]
        mark()
        if len(good) >= 4:
            source = np.float32([points[m.queryIdx] for m in good])
            target = np.float32([to[m.trainIdx] for m in good])
            cv2.setRNGSeed(0)
            cv2.findHomography(source, target, cv2.LMEDS)
        mark()
        seconds = dict(zip(STAGES, np.diff(marks).tolist(), strict=True))
        return {**seconds, "total": marks[-1] - marks[0]}
