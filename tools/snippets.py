"""Write the Python blocks of Markdown pages as files, for a type checker to read.

    python tools/snippets.py OUT README.md docs/*.md

Each block that starts with three backticks and `python` becomes one file. Its name is
the page and the line, or the path in a first line such as `# my_package/task.py`; the
blocks of one path are parts of one file. A line of the file has the number that it has
in the page, so that an error names the place to mend.
"""

import argparse
import pathlib
import re
import textwrap
from collections.abc import Sequence

BLOCK = re.compile(r"^( *)```python\b[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"# ([\w/]+\.py)\b")


def extract(name: str, page: str) -> dict[str, str]:
    r"""Return the programs of a page by their paths.

    Args:
        name: the page, for programs without a path of their own.
        page: the text of the page.

    >>> extract("faq", "# Title\n```python\nx = 1\n```\n")
    {'faq_3.py': '\n\nx = 1\n'}
    """
    programs: dict[str, str] = {}
    for block in BLOCK.finditer(page):
        code = textwrap.dedent(block[2])
        before = page.count("\n", 0, block.start(2))
        named = PATH.match(code)
        path = named[1] if named else f"{name}_{before + 1}.py"
        text = programs.get(path, "")
        programs[path] = text + "\n" * (before - text.count("\n")) + code
    return programs


def write(out: pathlib.Path, pages: Sequence[pathlib.Path]) -> list[pathlib.Path]:
    """Write the programs of all pages into a folder; return the files.

    Raises:
        ValueError: two pages show a program of one path.
    """
    files: list[pathlib.Path] = []
    for page in pages:
        name = re.sub(r"\W+", "_", page.with_suffix("").as_posix()).strip("_")
        for path, code in extract(name, page.read_text(encoding="utf-8")).items():
            file = out / path
            if file in files:
                raise ValueError(f"{page}: {path} is shown in another page, too")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(code, encoding="utf-8")
            files.append(file)
    return files


def main(argv: Sequence[str] | None = None) -> int:
    """Write the programs of all pages; print their number; return 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=pathlib.Path, metavar="OUT")
    parser.add_argument("pages", type=pathlib.Path, nargs="+", metavar="PAGE")
    args = parser.parse_args(argv)
    print(f"{len(write(args.out, args.pages))} programs")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
