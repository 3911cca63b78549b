"""Turn vessel masks into keypoint annotations in the "Lab" layout.

    python tools/label_junctions.py --dataset drive --data_dir DRIVE --out LAB
    python tools/label_junctions.py --dataset hrf --data_dir HRF --out LAB --append
    python tools/label_junctions.py --images DIR --masks DIR --name mine --out LAB

writes

    LAB/ImageData/drive_21_training.png     the image (PNG and JPEG byte for byte)
    LAB/Annotations/drive_21_training.txt   one point a line: x/width y/height
    LAB/ImageSets/train.txt, val.txt        "image_name, label_name" lines
    LAB/Pictures/drive_21_training.jpg      the points drawn, to check by eye

A point at pixel (x, y), centers at whole numbers, is written as x/width y/height: as
in the published annotations, x_px = x * width. Bifurcations are drawn in cyan,
crossings in yellow, the mask's outline in green. How points are found:
`rkd_jax/junctions/points.py`. A second run gives the same bytes.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import pathlib
import sys

import numpy as np

from rkd_jax.files import atomic
from rkd_jax.images.image_files import read_bytes
from rkd_jax.images.prepare import resize_points
from rkd_jax.images.reading import check_sides, read_image
from rkd_jax.junctions.points import Junctions, field_of_view, find_junctions
from rkd_jax.junctions.vessel_masks import DATASETS, LAYOUTS, Sample, folders, split

PICTURE_PX = 1200
MOST_VESSELS_FRAC = 0.5  # of an image; in a photograph vessels cover about a tenth


@dataclasses.dataclass(frozen=True)
class Labeled:
    """What is to be written for one sample."""

    sample: Sample
    image_name: str
    image_bytes: bytes
    label_bytes: bytes
    picture_bytes: bytes
    points: int
    crossings: int


def format_points(xy: np.ndarray, width: int, height: int) -> str:
    """Return annotation text for pixels `xy` `[N, 2]`.

    >>> format_points(np.array([[50.0, 10.0]]), 100, 40)
    '0.500000000 0.250000000\\n'
    """
    return "".join(f"{x / width:.9f} {y / height:.9f}\n" for x, y in xy)


def _read(path: pathlib.Path) -> tuple[bytes, np.ndarray]:
    data = read_bytes(path)
    image = read_image(data, name=str(path))
    check_sides(image.shape[1], image.shape[0], str(path))
    return data, image


def _read_mask(path: pathlib.Path, shape: tuple[int, int]) -> np.ndarray:
    _, pixels = _read(path)
    pixels = pixels.max(axis=-1) if pixels.ndim == 3 else pixels
    if pixels.shape != shape:
        raise ValueError(
            f"{path}: mask is {pixels.shape[1]}x{pixels.shape[0]} px but its image is "
            f"{shape[1]}x{shape[0]}: they must be of one size"
        )
    if not pixels.any():
        raise ValueError(f"{path}: the mask is empty (all pixels are 0)")
    return pixels > pixels.max() / 2.0


def _read_vessels(path: pathlib.Path, shape: tuple[int, int]) -> np.ndarray:
    mask = _read_mask(path, shape)
    if mask.mean() > MOST_VESSELS_FRAC:
        raise ValueError(
            f"{path}: {mask.mean():.0%} of the mask are vessel; expected white vessels "
            "on black: is it inverted, or a mask of something else?"
        )
    return mask


def _encode(image: np.ndarray, kind: str, **options) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    if image.dtype != np.uint8:
        image = np.rint(image * 255.0).astype(np.uint8)
    Image.fromarray(image).save(stream, kind, **options)
    return stream.getvalue()


def draw(image: np.ndarray, mask: np.ndarray, junctions: Junctions) -> np.ndarray:
    """Return the image `[H, W, 3]` with outline and points, longer side 1200 px."""
    import cv2

    picture = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    if picture.dtype != np.uint8:
        picture = np.rint(picture * 255.0).astype(np.uint8)
    scale = PICTURE_PX / max(mask.shape)
    size = (round(mask.shape[1] * scale), round(mask.shape[0] * scale))
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    large = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    outline, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outline, -1, (0, 160, 0), 1)
    centers = np.rint(resize_points(junctions.xy, scale)).astype(int).tolist()
    for center, crossing in zip(centers, junctions.crossing):
        color = (255, 255, 0) if crossing else (0, 255, 255)
        cv2.circle(picture, center, 6, color, 1, cv2.LINE_AA)
    return picture


def label(sample: Sample, prefix: str, max_points: int | None) -> Labeled:
    """Find the junctions of one sample and prepare its files."""
    data, image = _read(sample.image)
    shape = image.shape[:2]
    mask = _read_vessels(sample.mask, shape)
    if sample.field is not None:
        field = _read_mask(sample.field, shape)
    else:
        try:
            field = field_of_view(image)
        except ValueError as error:
            raise ValueError(f"{sample.image}: {error}") from error
    junctions = find_junctions(mask, field, max_points=max_points)
    suffix = sample.image.suffix.lower()
    if suffix not in (".png", ".jpg", ".jpeg"):
        data, suffix = _encode(image, "PNG"), ".png"
    return Labeled(
        sample=sample,
        image_name=f"{prefix}_{sample.name}{suffix}",
        image_bytes=data,
        label_bytes=format_points(junctions.xy, shape[1], shape[0]).encode(),
        picture_bytes=_encode(draw(image, mask, junctions), "JPEG", quality=90),
        points=len(junctions.xy),
        crossings=int(junctions.crossing.sum()),
    )


def _lists(out: pathlib.Path) -> dict[str, list[str]]:
    """Return the lines of the two split files, empty where there is none."""
    lists = {}
    for part in ("train", "val"):
        path = out / "ImageSets" / f"{part}.txt"
        lists[part] = path.read_text("utf-8").splitlines() if path.is_file() else []
    return lists


def write_lab(
    out: pathlib.Path, labeled: list[Labeled], sides: dict[str, str]
) -> dict[str, list[str]]:
    """Write or extend a Lab root; nothing is written if a file would be changed.

    Args:
        out: the root.
        labeled: what to write.
        sides: `train` or `val` by sample name.

    Returns:
        The lines of both lists.

    Raises:
        ValueError: a file is there with other content, or an image is in the other
            list already.
    """
    lists, contents = _lists(out), {}
    for item in labeled:
        stem = pathlib.Path(item.image_name).stem
        line, side = f"{item.image_name}, {stem}.txt", sides[item.sample.name]
        other = "val" if side == "train" else "train"
        if line in lists[other]:
            raise ValueError(
                f"{out / 'ImageSets' / other}.txt: {item.image_name} is listed there, "
                f"now it belongs to {side}: use the same --val_every, or a new --out"
            )
        if line not in lists[side]:
            lists[side].append(line)
        contents[out / "ImageData" / item.image_name] = item.image_bytes
        contents[out / "Annotations" / f"{stem}.txt"] = item.label_bytes
        contents[out / "Pictures" / f"{stem}.jpg"] = item.picture_bytes
    for path, data in contents.items():
        if path.exists() and path.read_bytes() != data:
            raise ValueError(
                f"{path}: exists with other content; remove it or choose another --out"
            )
    for path, data in contents.items():
        atomic.write_bytes(path, data)
    for part, lines in lists.items():
        text = "".join(f"{line}\n" for line in lines)
        atomic.write_bytes(out / "ImageSets" / f"{part}.txt", text.encode())
    return lists


def _run(args: argparse.Namespace) -> None:
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
    lists = write_lab(args.out, labeled, sides)
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


def main(argv: list[str] | None = None) -> int:
    """Run the command line tool; returns 0, or 2 for bad usage or input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    path = pathlib.Path
    parser.add_argument("--dataset", choices=sorted(DATASETS), help="official layout")
    parser.add_argument("--data_dir", type=path, help="root of the data set")
    parser.add_argument("--images", type=path, help="folder of images, with --masks")
    parser.add_argument("--masks", type=path, help="vessel masks of the same stems")
    parser.add_argument("--name", help="prefix of the files (default: data set)")
    parser.add_argument("--out", type=path, required=True, help="Lab root to write")
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
    try:
        _run(parser.parse_args(argv))
    except (ValueError, OSError) as error:
        message = " ".join(str(error).split())
        print(f"label_junctions: error: {message}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
