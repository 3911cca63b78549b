"""README and docs: size, links, words, and Python that can be parsed.

`mkdocs build --strict` checks the links between pages and their anchors; here are also
links to files of the repository, and pages that code names.
"""

import ast
import io
import pathlib
import re
import tokenize

import pytest
import snippets

import rkd_jax

ROOT = pathlib.Path(rkd_jax.__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    ROOT / "rkd_jax" / "pretrained" / "MODEL_CARD.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
SOURCES = [
    path
    for folder in ("rkd_jax", "configs", "tools")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
# Metaphors for packages and entry points, which a reader would have to learn.
BANNED = re.compile(r"\b(door|room|shelf|house)s?\b|\bshelves\b", re.IGNORECASE)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def _name(path: pathlib.Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _prose(path: pathlib.Path) -> list[str]:
    """Return the lines of a page, or the comments and texts of a module."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text.splitlines()
    kinds = (tokenize.COMMENT, tokenize.STRING)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    # Python 3.12 gives the text parts of f-strings as tokens of their own.
    return [
        token.string
        for token in tokens
        if token.type in kinds or tokenize.tok_name[token.type] == "FSTRING_MIDDLE"
    ]


def test_readme_is_one_page():
    assert (ROOT / "README.md").stat().st_size <= 7000


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_to_files(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    links = [link for link in LINK.findall(text) if "://" not in link]
    files = {link.partition("#")[0] for link in links} - {""}
    assert [file for file in sorted(files) if not (page.parent / file).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_python_can_be_parsed(page):
    text = page.read_text(encoding="utf-8")
    for language, code in FENCE.findall(text):
        if language == "python":
            ast.parse(code)
    assert text.count("\n```") % 2 == 0, "a block of code is not closed"


def test_no_metaphors():
    found = [
        f"{_name(path)}: {line.strip()}"
        for path in [*PAGES, *SOURCES]
        for line in _prose(path)
        if BANNED.search(line)
    ]
    assert found == []


def test_pages_that_code_names_exist():
    named = {
        (_name(path), page)
        for path in [*SOURCES, *sorted((ROOT / "tests").rglob("*.py"))]
        for page in re.findall(r"docs/[\w/]+\.md", path.read_text(encoding="utf-8"))
    }
    assert named, "no module names a page: the pattern is wrong"
    assert [name for name in sorted(named) if not (ROOT / name[1]).exists()] == []


def test_add_a_task_shows_the_files_that_are_tested():
    page = (ROOT / "docs" / "add_a_task.md").read_text(encoding="utf-8")
    shown = snippets.extract("add_a_task", page)
    folder = ROOT / "tests" / "helpers"
    files = [*folder.glob("grading/*.py"), folder / "grading_experiment.py"]
    assert len(files) > 1
    for path in files:
        name = path.relative_to(folder).as_posix()
        code = shown.get(name, "").strip().partition("\n")[2]
        assert code == path.read_text(encoding="utf-8").strip(), name
