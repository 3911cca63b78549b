"""Programs in pages: where they lie, and that a checker reads them as they are."""

import compileall
import pathlib

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
    programs = snippets.extract(PAGE)
    assert programs.keys() == {"pack/a.py", "line_8.py"}
    lines = PAGE.splitlines()
    for code in programs.values():
        for number, line in enumerate(code.splitlines()):
            assert line == "" or line.strip() == lines[number].strip()
    assert programs["pack/a.py"].split("\n")[3] == "x = 1"
    assert programs["pack/a.py"].split("\n")[15] == "z = x"
    assert programs["line_8.py"].split() == ["if", "x:", "y", "=", "2"]


def test_every_program_of_our_pages_is_python(tmp_path, capsys):
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    written = [file for page in pages for file in snippets.write(page, tmp_path)]
    assert written
    assert compileall.compile_dir(tmp_path, quiet=1), capsys.readouterr().out


def test_the_command_prints_the_folders_with_programs(tmp_path, capsys):
    page, empty = tmp_path / "page.md", tmp_path / "empty.md"
    page.write_text(PAGE)
    empty.write_text("Text")
    out = tmp_path / "out"
    assert snippets.main([str(out), str(page), str(empty)]) == 0
    (folder,) = capsys.readouterr().out.splitlines()
    assert sorted(p.name for p in pathlib.Path(folder).rglob("*.py")) == [
        "a.py",
        "line_8.py",
    ]
