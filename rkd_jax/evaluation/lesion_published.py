"""Numbers on lesions that a paper printed, to stand beside ours and be marked as such.

Source: Sarhan et al., MICCAI 2019, table 2: microaneurysms of the 27 test photographs
of IDRiD. The paper does not say how it integrates the area, nor at which threshold F1,
precision and recall are. Its text claims a gain of 30.29 % over the first row, its
table 24.4 %.
"""

from typing import NamedTuple

LESION = "microaneurysms"
MARK = "the paper, on the 27 test photographs"


class Published(NamedTuple):
    """One row.

    Attributes:
        title: what the paper calls it.
        average_precision: its "AUC PR".
        f1: at a threshold that is not stated.
        precision: likewise.
        recall: likewise.
    """

    title: str
    average_precision: float
    f1: float
    precision: float
    recall: float


PAPER: dict[str, Published] = {
    "full": Published("HGN 1x (baseline)", 0.3374, 0.3618, 0.2970, 0.4626),
    "half": Published("HGN 0.5x", 0.3411, 0.4001, 0.4380, 0.3682),
    "geometric": Published("HGN geometric", 0.3622, 0.3866, 0.5115, 0.3108),
    "arithmetic": Published("HGN arithmetic", 0.3701, 0.4156, 0.4741, 0.3701),
    "cls_geometric": Published("cls geometric", 0.3895, 0.4153, 0.5402, 0.3374),
    "cls_arithmetic": Published("cls arithmetic", 0.3905, 0.4368, 0.4973, 0.3895),
    "refined_arithmetic": Published("PRN arithmetic", 0.3978, 0.4323, 0.54051, 0.3602),
    "refined_geometric": Published("PRN geometric", 0.4196, 0.38477, 0.61128, 0.2807),
}
"""Row of `evaluate lesions` -> what the paper printed. The classifier of the rows
"cls_..." was trained without triplet loss."""
