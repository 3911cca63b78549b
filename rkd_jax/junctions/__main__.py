"""Turn vessel masks into keypoint annotations in SuperRetina's layout.

    rkd-jax label-junctions --dataset drive --data_dir DRIVE --out OUT
    rkd-jax label-junctions --dataset hrf --data_dir HRF --out OUT --append
    rkd-jax label-junctions --images DIR --masks DIR --name mine --out OUT

(`python -m rkd_jax.junctions` is the same) writes

    OUT/ImageData/drive_21_training.png     the image (PNG and JPEG byte for byte)
    OUT/Annotations/drive_21_training.txt   one point a line: x/width y/height
    OUT/ImageSets/train.txt, val.txt        "image_name, label_name" lines
    OUT/Pictures/drive_21_training.jpg      the points drawn, to check by eye

A point at pixel (x, y), centers at whole numbers, is written as x/width y/height: as
in the published annotations, x_px = x * width. Bifurcations are drawn in cyan,
crossings in yellow, the mask's outline in green. How points are found:
`rkd_jax.junctions.points`. A second run gives the same bytes.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

import numpy as np

from rkd_jax.junctions.labels import label, write_layout
from rkd_jax.junctions.vessel_masks import DATASETS, LAYOUTS, folders, split
from rkd_jax.runtime.command import run


def _run(args: argparse.Namespace) -> int:
    if args.dataset:
        if not args.data_dir or args.images or args.masks:
            raise ValueError("--dataset needs --data_dir, and neither --images/--masks")
        if not args.data_dir.is_dir():
            raise FileNotFoundError(
                f"{args.data_dir}: no such folder; check --data_dir"
            )
        samples = DATASETS[args.dataset](args.data_dir)
        source, prefix = args.data_dir, args.name or args.dataset
    else:
        if not args.images or not args.masks:
            raise ValueError("give --dataset and --data_dir, or --images and --masks")
        samples = folders(args.images, args.masks)
        source, prefix = args.images, args.name or "images"
    if not samples:
        layout = LAYOUTS.get(args.dataset, "images, and masks of the same stems")
        raise ValueError(f"{source}: no image with a vessel mask; expected {layout}")
    if args.val_every < 0 or args.max_points < 0:
        raise ValueError("--val_every and --max_points must be 0 or more")
    if args.out.exists() and not args.out.is_dir():
        raise ValueError(f"{args.out}: a file; --out must be a folder")
    if not args.append and args.out.is_dir() and any(args.out.iterdir()):
        raise ValueError(f"{args.out}: not empty; give --append to add to it")
    labeled = []
    for i, sample in enumerate(samples, start=1):
        item = label(sample, prefix, args.max_points or None)
        if item.points:
            labeled.append(item)
            found = f"{item.points} points, {item.crossings} of them crossings"
        else:
            found = f"left out, no junction found in {sample.mask}; check the mask"
        print(f"{i}/{len(samples)} {item.image_name}: {found}", file=sys.stderr)
    if not labeled:
        raise ValueError(f"{source}: no junction found in any vessel mask; check them")
    sides = split(samples, args.val_every)
    lists = write_layout(args.out, labeled, sides)
    points = np.array([item.points for item in labeled])
    crossings = sum(item.crossings for item in labeled)
    val = sum(sides[item.sample.name] == "val" for item in labeled)
    left_out = len(samples) - len(labeled)
    print(
        f"{prefix}: {len(labeled)} images ({len(labeled) - val} train, {val} val), "
        f"{points.sum()} points ({crossings} crossings); an image has "
        f"{points.mean():.1f} on average, {points.min()} to {points.max()}"
    )
    if left_out:
        print(f"{left_out} images without a junction left out, see above")
    print(f"{args.out}: {len(lists['train'])} train, {len(lists['val'])} val in all")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command line tool; returns 0, or 2 for bad usage or input."""
    parser = argparse.ArgumentParser(
        prog="python -m rkd_jax.junctions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    path = pathlib.Path
    parser.add_argument("--dataset", choices=sorted(DATASETS), help="official layout")
    parser.add_argument("--data_dir", type=path, help="root of the data set")
    parser.add_argument("--images", type=path, help="folder of images, with --masks")
    parser.add_argument("--masks", type=path, help="vessel masks of the same stems")
    parser.add_argument("--name", help="prefix of the files (default: data set)")
    parser.add_argument("--out", type=path, required=True, help="folder to write")
    parser.add_argument("--append", action="store_true", help="add to an existing root")
    parser.add_argument(
        "--val_every", type=int, default=10, help="hold out every n-th (0: none)"
    )
    parser.add_argument(
        "--max_points",
        type=int,
        default=90,
        help="keep this many an image, those of the widest vessels (0: all)",
    )
    args = parser.parse_args(argv)
    return run(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())
