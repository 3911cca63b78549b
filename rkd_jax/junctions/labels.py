"""Keypoint annotations of vessel masks: found, drawn and written to a folder."""

from __future__ import annotations

import dataclasses
import io
import pathlib

import numpy as np

from rkd_jax.files import atomic
from rkd_jax.geometry.resize import resize_points
from rkd_jax.images.image_files import read_bytes
from rkd_jax.images.pictures import to_rgb8
from rkd_jax.images.reading import check_sides, read_image
from rkd_jax.junctions.points import Junctions, bright_disc, find_junctions
from rkd_jax.junctions.vessel_masks import Sample

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
    """Encode by Pillow: roots of earlier versions hold its bytes, which must agree."""
    from PIL import Image

    stream = io.BytesIO()
    if image.dtype != np.uint8:
        image = np.rint(image * 255.0).astype(np.uint8)
    Image.fromarray(image).save(stream, kind, **options)
    return stream.getvalue()


def draw(image: np.ndarray, mask: np.ndarray, junctions: Junctions) -> np.ndarray:
    """Return the image `[H, W, 3]` with outline and points, longer side 1200 px."""
    import cv2

    picture = to_rgb8(image)
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
            field = bright_disc(image)
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


def write_layout(
    out: pathlib.Path, labeled: list[Labeled], sides: dict[str, str]
) -> dict[str, list[str]]:
    """Write or extend SuperRetina's layout; write nothing if a file would be changed.

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
