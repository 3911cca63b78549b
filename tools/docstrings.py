"""Read docstrings and comments of fields as the documentation shows them.

An extension of griffe, which reads the sources for `mkdocs build`. Google's style knows
examples in a section `Examples:` only; ours stand wherever they explain something, and
Markdown would take `>>>` for quotations. Fields of a config are explained by comments
above them, which griffe leaves out.
"""

from collections.abc import Sequence
from typing import Any

import griffe


def fence(text: str) -> str:
    r"""Put the examples of a docstring between lines of three backticks.

    An example lasts from `>>>` to the next blank line.

    >>> fence("Add.\n\n>>> 1 + 1\n2\n\nSource: none.").splitlines()[2:6]
    ['```pycon', '>>> 1 + 1', '2', '```']
    """
    lines: list[str] = []
    indent = None  # of the example that the line before is part of
    for line in text.splitlines():
        stripped = line.lstrip()
        if indent is None and stripped.startswith(">>> "):
            indent = line[: len(line) - len(stripped)]
            lines.append(f"{indent}```pycon")
        elif indent is not None and not stripped:
            lines.append(f"{indent}```")
            indent = None
        lines.append(line)
    if indent is not None:
        lines.append(f"{indent}```")
    return "\n".join(lines)


def comment_above(lines: Sequence[str], line: int) -> str:
    """Return the comment that stands directly above a line, counted from 1.

    >>> comment_above(["# Steps", "# in all.", "steps: int = 1"], 3)
    'Steps in all.'
    """
    first = line - 1
    while first > 0 and lines[first - 1].lstrip().startswith("# "):
        first -= 1
    return " ".join(text.strip().removeprefix("# ") for text in lines[first : line - 1])


class Docstrings(griffe.Extension):
    """Fence examples, and take comments of fields for their docstrings."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of one object that griffe has read."""
        if obj.docstring is not None:
            obj.docstring.value = fence(obj.docstring.value)
        elif obj.is_attribute and obj.parent is not None and obj.parent.is_class:
            text = comment_above(obj.lines_collection[obj.filepath], obj.lineno or 1)
            if text:
                obj.docstring = griffe.Docstring(text, parent=obj)
