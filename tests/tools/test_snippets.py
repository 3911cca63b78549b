"""Programs in pages: where they lie, and that a checker reads them as they are."""

import compileall
import pathlib

import pytest
import snippets

ROOT = pathlib.Path(__file__).parents[2]

PAGE = """\
Text
```python
# pack/a.py
x = 1
```
- in a list:
  ```python
  if x:
      y = 2
  ```
```bash
python -m pack
```
```python title="more"
# pack/a.py, continued
z = x
```
"""


def test_a_line_keeps_the_number_it_has_in_the_page():
    programs = snippets.extract("page", PAGE)
    assert programs.keys() == {"pack/a.py", "page_8.py"}
    lines = PAGE.splitlines()
    for code in programs.values():
        for number, line in enumerate(code.splitlines()):
            assert line == "" or line.strip() == lines[number].strip()
    assert programs["pack/a.py"].split("\n")[3] == "x = 1"
    assert programs["pack/a.py"].split("\n")[15] == "z = x"
    assert programs["page_8.py"].split() == ["if", "x:", "y", "=", "2"]


def test_every_program_of_our_pages_is_python(tmp_path, capsys):
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    assert snippets.write(tmp_path, pages)
    assert compileall.compile_dir(tmp_path, quiet=1), capsys.readouterr().out


def test_a_path_belongs_to_one_page(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one.md", "two.md"):
        pathlib.Path(name).write_text(PAGE)
    assert snippets.main(["out", "one.md"]) == 0
    assert capsys.readouterr().out == "2 programs\n"
    names = {p.relative_to("out").as_posix() for p in pathlib.Path("out").rglob("*.py")}
    assert names == {"pack/a.py", "one_8.py"}
    with pytest.raises(ValueError, match=r"two\.md: pack/a\.py is shown in another"):
        snippets.main(["out", "one.md", "two.md"])
