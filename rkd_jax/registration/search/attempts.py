"""The search: other turns and scales for a pair that is not accepted as taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rkd_jax.registration.encoder import Encoder
from rkd_jax.registration.matching.pair import Pair
from rkd_jax.registration.photo import Photo
from rkd_jax.registration.result import Registration
from rkd_jax.registration.search.propose import (
    MAX_SCALE,
    TURNS_DEG,
    Hypothesis,
    by_network,
    by_sift,
)
from rkd_jax.registration.search.rectify import shared_parts


def search(
    encoder: Encoder,
    fixed: Photo,
    moving: Photo,
    attempt: Callable[[Pair], Registration],
) -> Registration | None:
    """Register two photographs turned or scaled against each other.

    Args:
        encoder: finds keypoints.
        fixed: the fixed photograph.
        moving: the moving photograph.
        attempt: matches, fits and judges a pair.

    Returns:
        The first result that is accepted, or None.
    """
    for hypothesis in _hypotheses(encoder, fixed, moving):
        pair = _rectified(encoder, fixed, moving, hypothesis)
        found = None if pair is None else attempt(pair)
        if found is not None and found.ok:
            return found
    return None


def tried(encoder: Encoder) -> str:
    """Return what the search tries, for the reason of a pair that it does not find."""
    text = f"tried too: any turn and scales up to {MAX_SCALE:g} by SIFT"
    if encoder.detector.upright:
        text += f", turns of {TURNS_DEG[0]} degrees by the network"
    return text


def _hypotheses(encoder: Encoder, fixed: Photo, moving: Photo) -> Iterator[Hypothesis]:
    """Yield the turns and scales to try, the cheap ones first."""
    yield from by_sift(fixed, moving)
    if encoder.detector.upright:
        ratio, mutual = encoder.options.ratio, encoder.options.mutual
        yield from by_network(
            encoder.detector, fixed, moving, ratio=ratio, mutual=mutual
        )


def _rectified(
    encoder: Encoder, fixed: Photo, moving: Photo, hypothesis: Hypothesis
) -> Pair | None:
    """Return the part that two photographs share, brought to one turn and scale.

    None where they share next to nothing.
    """
    similarity = hypothesis.transform
    size = encoder.detector.working_size
    parts = shared_parts(fixed, moving, similarity, size)
    if parts is None:
        return None
    fixed_part, moving_part = parts
    if fixed_part.keypoints is None:
        fixed_part = encoder.encode(fixed_part)
    moving_part = encoder.encode_warped(fixed_part, moving_part, similarity)
    return Pair(fixed_part, moving_part, encoder.options, scale=hypothesis.scale)
