"""JSON files that may be damaged, or of others."""

from __future__ import annotations

import json
import pathlib
from typing import Any


def json_object(path: pathlib.Path) -> dict[str, Any]:
    """Return what a JSON file says; nothing if it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
