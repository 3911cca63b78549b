"""A whole `register` call, stage by stage, here and in PyTorch with OpenCV."""

import collections
import pathlib
import time

import cv2
import numpy as np

STAGES = ("reading", "preprocessing", "network", "matching", "fitting")


def write_pair(folder: pathlib.Path, side: int) -> tuple[str, str]:
    """Write two JPEGs of one synthetic eye, `side` pixels square."""
    from rkd_jax.data.fundus_synthesis import visits

    pair = visits(0, size=768)
    paths = []
    for name in ("fixed", "moving"):
        image = getattr(pair, name).image
        image = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
        paths.append(str(folder / f"{name}.jpg"))
        cv2.imwrite(paths[-1], image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    return paths[0], paths[1]


class Ours:
    """`Matcher.register` with the packaged U-Net; adds up the seconds of its parts.

    Fitting is what is left: families, guided matching without the matching itself,
    evidence and judgement.
    """

    def __init__(self, working_size: int):
        from rkd_jax.matching import base, matcher

        self.seconds = collections.Counter()
        self.matcher = matcher.load_matcher(working_size=working_size)
        parts = (
            (base, "read_image", "reading"),
            (self.matcher, "_prepare", "preprocessing"),
            (self.matcher, "_features", "network"),
            (base.PairMatcher, "free", "matching"),
            (base.PairMatcher, "near", "matching"),
        )
        for owner, name, stage in parts:
            setattr(owner, name, self._timed(stage, getattr(owner, name)))

    def _timed(self, stage, function):
        def run(*args, **options):
            start, before = time.perf_counter(), self.seconds.total()
            result = function(*args, **options)
            inner = self.seconds.total() - before
            self.seconds[stage] += time.perf_counter() - start - inner
            return result

        return run

    def __call__(self, fixed: str, moving: str) -> dict[str, float]:
        """Register; return seconds by stage and in all, and whether it worked."""
        self.seconds.clear()
        start = time.perf_counter()
        result = self.matcher.register(fixed, moving)
        total = time.perf_counter() - start
        self.seconds["fitting"] = total - self.seconds.total()
        return {**self.seconds, "total": total, "ok": result.ok}


class Theirs:
    """The authors' evaluation of a pair, one pass (docs/specification.md, 7)."""

    def __init__(self, working_size: int, device: str, layout: str):
        import torch

        from benchmarks import theirs, torch_reference

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

    def _network(self, images):
        from benchmarks import torch_step

        torch = self.torch
        x = torch.from_numpy(np.stack(images)[:, None]).to(self.place)
        with torch.no_grad():
            heat, _, descriptors = self.model(x.contiguous(memory_format=self.format))
            points = torch_step.keypoints(heat, 0.01, radius=10)
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
        (to, to_vectors), (points, vectors) = self._network(prepared)
        mark()
        pairs = cv2.BFMatcher().knnMatch(vectors, to_vectors, k=2)
        good = [a for a, b in pairs if a.distance < 0.9 * b.distance]
        mark()
        if len(good) >= 4:
            source = np.float32([points[m.queryIdx] for m in good])
            target = np.float32([to[m.trainIdx] for m in good])
            cv2.findHomography(source, target, cv2.LMEDS)
        mark()
        seconds = dict(zip(STAGES, np.diff(marks).tolist()))
        return {**seconds, "total": marks[-1] - marks[0]}
