"""Experiments: files of a clone that a wheel has inside the package."""

import os
import pathlib


def folder(name: str) -> pathlib.Path:
    """Return the folder of shipped files, `configs`.

    >>> (folder("configs") / "rkd.py").is_file()
    True
    """
    package = pathlib.Path(__file__).absolute().parents[1]
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def config_names() -> list[str]:
    """Return the names of the experiments that come with the package.

    >>> "rkd" in config_names()
    True
    """
    return sorted(path.stem for path in folder("configs").glob("[!_]*.py"))


def find_config(text: str) -> str:
    """Return the `FILE[:variant]` that a `--config` means.

    A bare name such as "rkd:demo" is that of an experiment that comes with the package,
    unless a file has that name.

    Args:
        text: as typed, a file or a name, with its variants.

    Returns:
        The file as it was typed, or one of ours relative to the working directory: no
        drive letter, whose colon would be read as the start of the variants.

    Raises:
        FileNotFoundError: there is neither; the message lists what there is.

    >>> pathlib.Path(find_config("rkd:demo")).name
    'rkd.py:demo'
    """
    drive, rest = os.path.splitdrive(text)
    name, colon, variant = rest.partition(":")
    path = pathlib.Path(drive + name)
    if not path.is_file():
        if name not in config_names():
            raise FileNotFoundError(_missing(path))
        path = folder("configs") / f"{name}.py"
    elif not drive:
        return text
    return f"{_relative(path)}{colon}{variant}"


def _relative(path: pathlib.Path) -> str:
    try:
        return os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)


def _missing(path: pathlib.Path) -> str:
    beside = sorted(p.as_posix() for p in path.parent.glob("[!_]*.py"))
    ours = f"with the package come {', '.join(config_names())}"
    there = f"there are {', '.join(beside)}; " if path.suffix and beside else ""
    return f"no file {path}; {there}{ours}, as in --config rkd:demo"
