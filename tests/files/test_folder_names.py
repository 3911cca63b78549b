"""Names of folders of results: which cannot be."""

from rkd_jax.files.folder_names import unusable_name


def test_names_that_cannot_be_folders():
    for name in ("", ".", "..", "a/b", "a\\b", "é" * 128):
        assert unusable_name(name, windows=False)
    for name in ("con", "NUL.png", "Com1", "a:b", "a.", "a ", "a?", "a\nb"):
        assert unusable_name(name, windows=True)
        assert not unusable_name(name, windows=False)
    for name in ("é" * 127, "-rf", "=1+1", "a b", "caf\udce9", "console"):
        assert not unusable_name(name, windows=True)


def test_names_of_files_beside_the_folders():
    assert unusable_name("Table.CSV", taken=("table.csv",))
    assert not unusable_name("table", taken=("table.csv",))
