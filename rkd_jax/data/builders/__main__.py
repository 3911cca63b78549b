"""Prepare one data set: `python -m rkd_jax.data.builders NAME RAW_DIR DATA_DIR`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rkd_jax.data import builders
from rkd_jax.runtime import command, extras


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare a data set; return 0, or 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m rkd_jax.data.builders", description=__doc__
    )
    parser.add_argument("name", choices=sorted(builders.BUILDERS))
    parser.add_argument("raw_dir", help="the data set as published, unpacked")
    parser.add_argument("data_dir", help="folder of prepared data sets")
    parser.add_argument("--auxiliary_dir", help="medal_retina: images without labels")
    parser.add_argument(
        "--skip_missing",
        action="store_true",
        help="medal_retina: leave out listed samples whose files are missing",
    )
    args = parser.parse_args(argv)
    given = {"auxiliary_dir": args.auxiliary_dir, "skip_missing": args.skip_missing}
    options = {name: value for name, value in given.items() if value}

    def prepare() -> int:
        extras.require("data")
        builder = builders.build(
            args.name, raw_dir=args.raw_dir, data_dir=args.data_dir, **options
        )
        builder.download_and_prepare()
        for split, info in builder.info.splits.items():
            print(f"{args.name} {split}: {info.num_examples} examples")
        print(builder.data_path)
        return 0

    return command.run(prepare)


if __name__ == "__main__":
    sys.exit(main())
