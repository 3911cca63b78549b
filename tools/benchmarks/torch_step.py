"""The paper's training step in PyTorch, by docs/paper/specification.md, 3 to 6.

What it computes is what the authors' program computes: all heads in all passes, lists
of points of any length, Python loops over images and points. Only windows of
suppression are taken along rows, then along columns: the same maxima, sooner.
"""

import numpy as np
import torch
from torch.nn import functional

RADIUS, THRESHOLD, BORDER, MARGIN = 20, 0.5, 8, 0.8
MOST_POINTS, MOST_CONFIRMED = 1000, 1024


def dice(prediction, target):
    """Dice with squared terms over the whole batch."""
    both = 2 * (prediction * target).sum() + 1e-3
    return 1 - both / ((prediction**2).sum() + (target**2).sum() + 1e-3)


def blur_kernel():
    """Return the 13x13 bump that smooths labels: `[1, 1, 13, 13]`."""
    half = (2 * 2 + 1) / 13 / 2
    x = torch.linspace(-2 - half, 2 + half, 14, dtype=torch.float64)
    mass = torch.special.ndtr(x).diff()
    bump = torch.sqrt(mass[:, None] * mass[None, :])
    bump = (bump - bump.min()) / (bump.max() - bump.min())
    return bump.float()[None, None]


def suppress(scores, radius=RADIUS):
    """Return the maxima of `[B, 1, H, W]` after two rounds of recovery, else zeros."""

    side = 2 * radius + 1

    def peak(x):
        rows = functional.max_pool2d(x, (1, side), 1, (0, radius))
        return functional.max_pool2d(rows, (side, 1), 1, (radius, 0))

    kept = scores == peak(scores)
    for _ in range(2):
        covered = peak(kept.float()) > 0
        rest = torch.where(covered, 0.0, scores)
        kept = kept | ((rest == peak(rest)) & ~covered)
    return torch.where(kept, scores, 0.0)


def keypoints(scores, threshold=THRESHOLD, radius=RADIUS):
    """Return (x, y) points of each image of `[B, 1, H, W]`."""
    found = []
    height, width = scores.shape[-2:]
    for image in suppress(scores, radius)[:, 0]:
        y, x = torch.nonzero(image > threshold, as_tuple=True)
        inside = (x >= BORDER) & (x < width - BORDER)
        inside &= (y >= BORDER) & (y < height - BORDER)
        found.append(torch.stack([x[inside], y[inside]], 1).float())
    return found


def sample(descriptors, points):
    """Read unit descriptors `[N, D]` of one image `[D, h, w]` at pixels `[N, 2]`."""
    h, w = descriptors.shape[1:]
    side = points.new_tensor([8 * w - 1, 8 * h - 1])
    grid = (points / side * 2 - 1)[None, None]
    read = functional.grid_sample(descriptors[None], grid, align_corners=True)
    return functional.normalize(read[0, :, 0].T, dim=1)


def random_affine(batch, rng):
    """Draw `[B, 2, 3]` from a warped image to the original, in -1..1 coordinates."""
    angle = torch.from_numpy(rng.uniform(-0.5, 0.5, batch)).float()
    scale = torch.from_numpy(rng.uniform(0.9, 1.1, batch)).float()
    shift = torch.from_numpy(rng.uniform(-0.1, 0.1, (batch, 2))).float()
    c, s = torch.cos(angle) * scale, torch.sin(angle) * scale
    return torch.stack(
        [torch.stack([c, -s, shift[:, 0]], 1), torch.stack([s, c, shift[:, 1]], 1)], 1
    )


def inverse_affine(matrix):
    """Invert `[B, 2, 3]`."""
    row = matrix.new_tensor([0.0, 0.0, 1.0]).expand(len(matrix), 1, 3)
    return torch.linalg.inv(torch.cat([matrix, row], 1))[:, :2]


def warp(images, matrix):
    """Sample `[B, C, H, W]` through affine maps `[B, 2, 3]`."""
    grid = functional.affine_grid(matrix, list(images.shape), align_corners=True)
    return functional.grid_sample(images, grid, align_corners=True)


def map_points(points, matrix, size):
    """Map pixels of one image, and return which stay inside."""
    last = points.new_tensor([size[1] - 1, size[0] - 1])
    unit = points / last * 2 - 1
    mapped = unit @ matrix[:, :2].T + matrix[:, 2]
    inside = (mapped.abs() < 1).all(1)
    return (mapped + 1) / 2 * last, inside


def triplet(anchors, positives):
    """Return the triplet loss with hard and random negatives, and the GOR term."""
    n = len(anchors)
    with torch.no_grad():
        distance = torch.cdist(anchors, positives)
        distance.fill_diagonal_(torch.inf)
        hard = distance.argmin(1)
        step = torch.randint(1, max(n, 2), (n,), device=anchors.device)
        other = (torch.arange(n, device=anchors.device) + step) % n

    def far(a, b):
        return 1 - (a * b).sum(1)

    negatives = positives[hard], positives[other]
    mean = sum(far(anchors, b) for b in negatives) / 2
    loss = functional.relu(MARGIN + far(anchors, positives) - mean).mean()
    return loss + sum((anchors * b).sum(1).square().mean() for b in negatives)


class Step:
    """One training step of the U-Net recipe, or of RKD with a teacher.

    Args:
        student: Network `x -> heatmap, logits, descriptors`, on its device.
        teacher: Frozen network, or None.
        images: `[B, 1, H, W]` tensor.
        labels: `[B, N, 2]` keypoints in pixels, NumPy.
        autocast: Context in which the networks run.
    """

    def __init__(self, student, teacher, images, labels, autocast):
        self.student, self.teacher, self.images = student.train(), teacher, images
        self.autocast = autocast
        self.optimizer = torch.optim.Adam(student.parameters(), lr=1e-4)
        self.kernel = blur_kernel().to(images.device)
        self.rng = np.random.default_rng(0)
        self.given = torch.zeros_like(images)
        for image, points in zip(self.given, labels):
            x, y = points.astype(int).T
            image[0, y, x] = 1
        self.values = np.zeros((len(images), *images.shape[-2:]), np.int32)

    def _run(self, network, images):
        with self.autocast():
            heatmap, _, descriptors = network(images)
        return heatmap.float(), descriptors.float()

    def __call__(self):
        """Take the step; return the loss as a tensor."""
        batch = len(self.images)
        matrices = [random_affine(batch, self.rng) for _ in range(2)]
        to_raw = [m.to(self.images.device) for m in matrices]
        to_view = [inverse_affine(m) for m in to_raw]
        heat, descriptors = self._run(self.student, self.images)
        with torch.no_grad():
            view = warp(self.images, to_raw[0])
            seen, seen_descriptors = self._run(self.student, view)
            labels = self._expand(heat, descriptors, seen, seen_descriptors, to_view[0])
            smooth = functional.conv2d(labels, self.kernel, padding=6).clamp(max=1)
            back = warp(seen, to_view[0])
        loss = dice(heat, smooth) + dice(heat, back)
        view = warp(self.images, to_raw[1])
        gain = self.rng.uniform(0.7, 1.3)
        view = ((view - view.mean()) * gain + view.mean()).clamp(0, 1)
        _, there = self._run(self.student, view)
        loss = loss + self._descriptor_loss(heat, descriptors, there, to_view[1])
        if self.teacher is not None:
            loss = loss + self._distillation(heat, descriptors)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def _expand(self, heat, here, seen, there, to_view):
        """Expand the labels: geometric and content check, value maps, merging."""
        size, merged = heat.shape[-2:], self.given.clone()
        for i, points in enumerate(keypoints(heat)):
            mapped, inside = map_points(points, to_view[i], size)
            points, mapped = points[inside], mapped[inside]
            x, y = mapped.long().T
            kept = (seen[i, 0, y, x] >= 0.5).nonzero()[:MOST_CONFIRMED, 0]
            points, mapped = points[kept], mapped[kept]
            if len(points) > 1:
                a, b = sample(here[i], points), sample(there[i], mapped)
                nearest = torch.cdist(a, b).topk(2, largest=False)
                itself = torch.arange(len(a), device=a.device)
                right = nearest.indices[:, 0] == itself
                right &= nearest.values[:, 0] < 0.7 * nearest.values[:, 1]
                self._remember(i, points[right].long().cpu().numpy())
            values = torch.from_numpy(self.values[i]).to(heat)[None, None]
            strong = suppress(values) >= 5
            merged[i] = torch.where(strong[0], 0.8, merged[i])
        merged = torch.where(self.given > 0, 1.0, merged)
        return (suppress(merged) > THRESHOLD).float()

    def _remember(self, i, points):
        """Strengthen the value map at the points; let the others fade."""
        values = self.values[i]
        before = values.copy()
        for x, y in points:
            area = values[max(y - 2, 0) : y + 2, max(x - 2, 0) : x + 2]
            if values[y, x] or not area.any():
                values[y, x] += 5
            else:
                area[area != 0] += 1
        values[(values == before) & (values > 0)] -= 1

    def _descriptor_loss(self, heat, here, there, to_view):
        scores = torch.where(self.given == 1, 10.0, heat.detach())
        anchors, positives = [], []
        for i, points in enumerate(keypoints(scores)):
            if len(points) > MOST_POINTS:
                return heat.new_zeros(())
            mapped, inside = map_points(points, to_view[i], heat.shape[-2:])
            anchors.append(sample(here[i], points[inside]))
            positives.append(sample(there[i], mapped[inside]))
        return self._pooled(anchors, positives)

    def _distillation(self, heat, here):
        with torch.no_grad():
            answer, theirs = self._run(self.teacher, self.images)
        scores = torch.where(self.given == 1, 10.0, answer)
        points = [found[:MOST_POINTS] for found in keypoints(scores)]
        anchors = [sample(d, p) for d, p in zip(theirs, points)]
        followers = [sample(d, p) for d, p in zip(here, points)]
        return dice(answer, heat) + self._pooled(anchors, followers)

    def _pooled(self, anchors, positives):
        terms = [triplet(a, p) for a, p in zip(anchors, positives) if len(a) > 1]
        if not terms:
            return anchors[0].new_zeros(())
        return sum(terms) / len(terms)
