"""Write drawn eyes with lesions and their masks, in the layout of IDRiD.

    python tools/made_lesions.py DIR [--count N] [--size PX] [--seed S]

They are the test photographs ("b. Testing Set"); no training on drawn eyes sees one of
them, whatever its seed.
"""

import argparse
import pathlib
import sys

from rkd_jax.data import lesion_folders
from rkd_jax.data.sources import synthetic_seed
from rkd_jax.files import atomic
from rkd_jax.images.pictures import encode_png
from rkd_jax.synthetic import fundus


def write(root: pathlib.Path, *, count: int, size: int, seed: int) -> None:
    """Write photographs and masks of all kinds of lesions.

    Args:
        root: folder that gets the layout of "A. Segmentation".
        count: photographs.
        size: their sides in pixels.
        seed: of the eyes.
    """
    part = lesion_folders.SPLITS["test"]
    for number in range(count):
        made = fundus.diabetic(synthetic_seed("pairs", seed, number), size=size)
        name = f"drawn_{number:02d}"
        files = {f"{lesion_folders.PHOTOGRAPHS}/{part}/{name}.png": made.image}
        for lesion, mask in made.lesions.items():
            kind = lesion_folders.lesion_kind(lesion)
            folder = f"{lesion_folders.MASKS}/{part}/{kind.folder}"
            files[f"{folder}/{name}_{kind.suffix}.png"] = mask.astype("uint8") * 255
        for path, pixels in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            atomic.write_bytes(target, encode_png(pixels))


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--count", type=int, default=8, metavar="N")
    parser.add_argument("--size", type=int, default=480, metavar="PX")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    args = parser.parse_args(argv)
    try:
        write(args.folder, count=args.count, size=args.size, seed=args.seed)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
