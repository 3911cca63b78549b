"""Numbers on FIRE that the paper printed, to stand beside ours and be marked as such.

Source: Nasser, Gupte and Sethi, "Reverse Knowledge Distillation" (2023), its two
tables; homography by LMEDS, two passes, 133 or 134 pairs (the denominators are mixed).
"""

from typing import NamedTuple


class Published(NamedTuple):
    """One row: per cent of pairs, then area under the curve by class.

    Attributes:
        title: what the paper calls it.
        failed: per cent.
        inaccurate: per cent.
        acceptable: per cent.
        S: AUC of the easy class.
        A: AUC of the moderate class.
        P: AUC of the hard class.
        mAUC: mean of the three.
    """

    title: str
    failed: float
    inaccurate: float
    acceptable: float
    S: float
    A: float
    P: float
    mAUC: float


PAPER: dict[str, Published] = {
    "sift": Published("SIFT", 0.0, 20.15, 79.85, 0.903, 0.474, 0.341, 0.573),
    "superpoint": Published("SuperPoint", 0.0, 5.22, 94.78, 0.882, 0.649, 0.490, 0.674),
    "unet": Published(
        "SuperRetina (3x3)", 0.0, 1.50, 98.50, 0.940, 0.783, 0.542, 0.755
    ),
    "large_kernel": Published(
        "large kernels 1, 3, 5", 0.0, 0.75, 99.25, 0.942, 0.783, 0.558, 0.761
    ),
    "large_kernel_1357": Published(
        "large kernels 1, 3, 5, 7", 0.0, 2.25, 97.74, 0.925, 0.717, 0.502, 0.714
    ),
    "swin": Published(
        "Swin from scratch", 0.0, 16.55, 83.45, 0.891, 0.649, 0.318, 0.619
    ),
    "swin_rkd": Published(
        "Swin, SuperRetina teacher, dropout .5",
        *(0.0, 0.0, 100.0, 0.935, 0.780, 0.550, 0.755),
    ),
    "swin_rkd_no_dropout": Published(
        "Swin, SuperRetina teacher, no dropout",
        *(0.0, 1.50, 98.50, 0.947, 0.769, 0.549, 0.755),
    ),
    "swin_rkd_large_kernel": Published(
        "Swin, large-kernel teacher, dropout .5",
        *(0.0, 0.75, 99.25, 0.914, 0.774, 0.558, 0.749),
    ),
    "swin_rkd_pretrained": Published(
        "pretrained Swin, large-kernel teacher, dropout .5",
        *(0.0, 0.75, 99.25, 0.928, 0.774, 0.559, 0.754),
    ),
}
