"""Faces on disk in WFLW's layout, drawn by `synthetic.faces`."""

import numpy as np
from PIL import Image

from rkd_jax.synthetic import faces as face_synthesis


def line(points, name, box=None, flags=None):
    """Return one line of a list."""
    numbers = [f"{v:.6f}" for v in np.asarray(points, np.float64).ravel()]
    if box is not None:
        numbers += [str(round(float(v))) for v in box]
        numbers += [str(int(f)) for f in flags]
    return " ".join([*numbers, name])


def write_wflw(root, *, pictures=6, size=96, lists=("test",)):
    """Write pictures of one or, every third, two faces; return the drawn faces."""
    folder = root / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
    folder.mkdir(parents=True)
    rows, drawn = [], []
    for i in range(pictures):
        name = f"{i % 2}--Event/face {i}.png"
        path = root / "WFLW_images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        faces = [
            face_synthesis.face(10 * i + j, size=size) for j in range(1 + i % 3 // 2)
        ]
        Image.fromarray(np.concatenate([f.image for f in faces], axis=1)).save(path)
        for j, face in enumerate(faces):
            shift = np.array([j * size, 0.0])
            points = face.points + shift
            box = face.box + np.tile(shift, 2)
            rows.append(line(points, name, box, face.attributes))
            drawn.append((name, points, np.round(box), face.attributes))
    for name in lists:
        path = folder / f"list_98pt_rect_attr_{name}.txt"
        path.write_text("\n".join(rows) + "\n")
    return drawn
