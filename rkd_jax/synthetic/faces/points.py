"""The 98 points of WFLW: their order, their mirror images, and their names.

Left and right are those of the picture. 0 to 32 run along the contour from the left
ear over the chin (16) to the right ear; 33 to 41 and 42 to 50 are the brows, upper edge
first; 51 to 54 the ridge of the nose, 55 to 59 its base; 60 to 67 and 68 to 75 the
eyes, clockwise from their left corner; 76 to 87 the outer and 88 to 95 the inner lips,
clockwise from the left corner; 96 and 97 the pupils.

Source: WFLW (Wu et al., CVPR 2018).
"""

import numpy as np

COUNT = 98
EYE_CORNERS = (60, 72)
"""Outer corners of the eyes."""
ATTRIBUTES = ("pose", "expression", "illumination", "make-up", "occlusion", "blur")
"""Flags of a face, in the order of the lists."""


def _flip() -> tuple[int, ...]:
    order = np.arange(COUNT)
    order[0:33] = np.arange(32, -1, -1)
    order[33:38], order[42:47] = np.arange(46, 41, -1), np.arange(37, 32, -1)
    order[38:42], order[47:51] = np.arange(50, 46, -1), np.arange(41, 37, -1)
    order[55:60] = np.arange(59, 54, -1)
    order[60:65], order[68:73] = np.arange(72, 67, -1), np.arange(64, 59, -1)
    order[65:68], order[73:76] = np.arange(75, 72, -1), np.arange(67, 64, -1)
    order[76:83], order[83:88] = np.arange(82, 75, -1), np.arange(87, 82, -1)
    order[88:93], order[93:96] = np.arange(92, 87, -1), np.arange(95, 92, -1)
    order[96:98] = 97, 96
    return tuple(int(i) for i in order)


FLIP = _flip()
"""Point i of a mirrored picture is point `FLIP[i]` of the picture, mirrored."""
