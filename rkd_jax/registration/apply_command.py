"""What `python -m rkd_jax.apply` does: images, points and files for other programs."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Sequence

from rkd_jax.files import own_files
from rkd_jax.images.image_files import IMAGE_SUFFIXES, list_images, stem
from rkd_jax.images.storing import SUFFIXES, kept_suffix
from rkd_jax.registration import exports
from rkd_jax.registration.drawing import Drawing
from rkd_jax.registration.files.landmarks import check_inside, read_points
from rkd_jax.registration.files.point_files import (
    MATCHES,
    POINTS,
    points_text,
    read_matches,
)
from rkd_jax.registration.files.transform_file import SavedTransform, load_transform
from rkd_jax.registration.matching.matches import Matches
from rkd_jax.runtime.command import BAD_INPUT, describe_error, say, shown

OK, NOT_REGISTERED = 0, 3
_OF_FILES = {
    *IMAGE_SUFFIXES,
    *(pathlib.Path(name).suffix for name in exports.FILES.values()),
    *(".txt", ".tsv", ".gz"),
}


def apply(args: argparse.Namespace) -> int:
    """Apply a transform to what the arguments name.

    Args:
        args: of `rkd_jax.apply`.

    Returns:
        The exit status.

    Raises:
        OSError, ValueError: bad input; the message names the file or the argument.
    """
    _check(args)
    saved = load_transform(args.transform)
    if not saved.ok:
        if not args.even_if_refused or saved.transform is None:
            has = "" if saved.transform is None else "; --even_if_refused applies it"
            say(f"not registered: {shown(saved.reason)}{has}", sys.stderr)
            return NOT_REGISTERED
        saved = dataclasses.replace(saved, ok=True)
    images = _images(args)
    targets, points_target, folder = _targets(args, images)
    exported = {folder / exports.FILES[name]: name for name in args.export}
    written = [*targets, *([points_target] if args.points else []), *exported]
    inputs = [saved.path, saved.path.parent / MATCHES, *images]
    own_files.claim(written, inputs=[*inputs, *([args.points] if args.points else [])])
    if args.points:
        _write_points(saved, args, points_target)
        say(f"written to {shown(points_target)}")
    writers = exports.writers(saved, args.export, lambda: _inliers(saved))
    for name, write in writers.items():
        with own_files.replacing(folder / name) as part:
            write(part)
        say(f"written to {shown(folder / name)}")
    return _draw(saved, args, images, targets) if images else OK


def _check(args: argparse.Namespace) -> None:
    if args.image is None and not args.points and not args.export:
        raise ValueError(
            "nothing to do: expected IMAGE, --points FILE or --export NAMES"
        )
    if args.export and args.inverse:
        raise ValueError(
            "--export writes the transform in both directions as each program wants "
            "it: drop --inverse"
        )


def _images(args: argparse.Namespace) -> list[pathlib.Path]:
    if args.image is None:
        return []
    path = pathlib.Path(args.image)
    return list_images(path, gzipped=True) if path.is_dir() else [path]


def _targets(
    args: argparse.Namespace, images: Sequence[pathlib.Path]
) -> tuple[list[pathlib.Path], pathlib.Path, pathlib.Path]:
    """Return what `--out` stands for: files of the images, of points, and a folder."""
    out = pathlib.Path(args.out)
    suffix = "" if out.is_dir() else out.suffix.lower()
    one_image = args.image is not None and not pathlib.Path(args.image).is_dir()
    alone = not args.export and (args.image is None or not args.points)
    if suffix in (*SUFFIXES, ".csv"):
        if alone and suffix == ".csv" and args.image is None:
            return [], out, out.parent
        if alone and suffix != ".csv" and one_image:
            return [out], out, out.parent
        raise ValueError(
            f"--out {out}: expected a folder, as several files or files of another "
            "kind are to be written"
        )
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out}: expected a folder, found a file")
    if suffix in _OF_FILES:  # a folder of this name would be a surprise
        raise ValueError(
            f"--out {out}: expected a folder, or a name that ends in "
            f"{', '.join(SUFFIXES)} (images) or .csv (points); an export needs a folder"
        )
    sources: dict[pathlib.Path, pathlib.Path] = {}
    for path in images:
        target = out / f"{stem(path)}{kept_suffix(path)}"
        first = sources.setdefault(target, path)
        if first is not path:
            raise ValueError(
                f"{path}: {first.name} would be written to {target.name}, too; rename "
                "one of the two"
            )
    return list(sources), out / POINTS, out


def _write_points(
    saved: SavedTransform, args: argparse.Namespace, target: pathlib.Path
) -> None:
    image, size = "moving", saved.moving_size
    if args.inverse:
        image, size = "fixed", saved.fixed_size
    points = read_points(args.points, image=image)
    check_inside(points, size, args.points, image=image)
    if args.inverse:
        text = points_text(saved, saved.warp_points_inverse(points), points)
    else:
        text = points_text(saved, points, saved.warp_points(points))
    own_files.write_text(target, text)


def _inliers(saved: SavedTransform) -> Matches:
    path = saved.path.parent / MATCHES
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; the export 'bigwarp' needs the matches that "
            "`register` writes beside the transform: register the pair again"
        )
    matches, inliers = read_matches(path)
    found = len(matches), int(inliers.sum())
    expected = tuple(saved.content.get(key) for key in ("matches", "inliers"))
    if None not in expected and found != expected:
        raise ValueError(
            f"{path}: expected the matches of {saved.path.name}, {expected[0]} with "
            f"{expected[1]} inliers, found {found[0]} with {found[1]}: the file of "
            "another pair? Register the pair again"
        )
    return matches.subset(inliers)


def _draw(
    saved: SavedTransform,
    args: argparse.Namespace,
    images: Sequence[pathlib.Path],
    targets: Sequence[pathlib.Path],
) -> int:
    """Draw each image; go on past one of several that cannot be drawn."""
    drawing = Drawing(
        saved, inverse=args.inverse, interpolation=args.interpolation, fill=args.fill
    )
    failed = 0
    for path, target in zip(images, targets, strict=True):
        try:
            data, notes = drawing.draw(path, target.suffix)
            own_files.write_bytes(target, data)
        except Exception as error:
            if not pathlib.Path(args.image).is_dir():
                raise
            failed += 1
            say(f"error: {describe_error(error)}", sys.stderr)
            continue
        for note in notes:
            say(f"note: {shown(note)}", sys.stderr)
        say(f"written to {shown(target)}")
    if failed:
        say(f"{failed} of {len(images)} images are not drawn", sys.stderr)
    return BAD_INPUT if failed else OK
