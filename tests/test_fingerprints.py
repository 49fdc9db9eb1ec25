"""Fingerprints change with what matters and with nothing else."""

import os
from pathlib import Path

import pytest

from dualad import fingerprints
from dualad.errors import DualadError
from dualad.fingerprints import (
    check_code,
    check_code_again,
    folder_fingerprint,
    run_code,
    source_fingerprint,
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "dualad"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "data/__init__.py").write_text("from dualad.data.cache import read\n")
    (folder / "data/cache.py").write_text("def read():\n    return 1\n")
    (folder / "model.py").write_text("WIDTH = 2\n")
    (folder / "training.py").write_text(
        '"""Train."""\nfrom dualad import model\n\ndef train():\n'
        "    from dualad.data import read\n    return read() * model.WIDTH\n"
    )
    (folder / "errors.py").write_text("")
    (folder / "other.py").write_text("import dualad.errors\n")
    monkeypatch.setattr(fingerprints, "SOURCE_ROOT", tmp_path)
    return folder


def fingerprint(*modules: str, without: frozenset[str] = frozenset()) -> str:
    fingerprints._read.cache_clear()
    return source_fingerprint(*modules, without=without)


@pytest.mark.parametrize("name", ["training.py", "model.py", "data/cache.py", "data/__init__.py"])
def test_code_that_is_imported_counts(package: Path, name: str) -> None:
    before = fingerprint("dualad.training")
    path = package / name
    path.write_text(path.read_text() + "CHANGED = 1\n")
    assert fingerprint("dualad.training") != before


def test_code_that_is_not_imported_does_not(package: Path) -> None:
    before = fingerprint("dualad.training")
    (package / "other.py").write_text("CHANGED = 1\n")
    (package / "errors.py").write_text("CHANGED = 1\n")
    assert fingerprint("dualad.training") == before
    assert fingerprint("dualad.other") != before


def test_comments_docstrings_and_layout_do_not(package: Path) -> None:
    before = fingerprint("dualad.training")
    (package / "training.py").write_text(
        '"""Train a network."""\n\n\nfrom dualad import model\n\n\ndef train():\n'
        '    """Really."""\n    # Late, for a reason.\n    from dualad.data import read\n\n'
        "    return (read() * model.WIDTH)\n"
    )
    assert fingerprint("dualad.training") == before


def test_what_is_excluded_does_not(package: Path) -> None:
    without = frozenset({"dualad.data"})
    before = fingerprint("dualad.training", without=without)
    (package / "data/cache.py").write_text("CHANGED = 1\n")
    assert fingerprint("dualad.training", without=without) == before
    assert fingerprint("dualad.training", "dualad.data.cache", without=without) != before


def test_files_that_a_module_reads_count(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "_DATA_FILES", {"dualad.model": "texts/*"})
    (package / "texts").mkdir()
    seen = [fingerprint("dualad.training")]
    for text in ("one", "two"):
        (package / "texts/page.html").write_text(text)
        seen.append(fingerprint("dualad.training"))
    assert len(set(seen)) == 3


def test_an_unknown_module_is_an_error(package: Path) -> None:
    with pytest.raises(ValueError, match=r"dualad\.nothing"):
        fingerprint("dualad.nothing")


@pytest.fixture
def begun(package: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Code as it was when a run began, without what the module `other` does."""
    monkeypatch.setenv("DUALAD_RUN", "")
    monkeypatch.setattr(fingerprints, "_checked", [])
    fingerprints._read.cache_clear()
    return run_code("dualad.training", without=("dualad.other",))


def test_code_that_was_edited_after_a_run_began_is_refused_by_name(
    package: Path, begun: str
) -> None:
    check_code(begun)
    (package / "model.py").write_text("WIDTH = 22\n")
    fingerprints._read.cache_clear()
    with pytest.raises(DualadError, match=r"dualad\.training .*edited after.*same command"):
        check_code(begun)
    (package / "model.py").write_text("WIDTH = 2\n")
    fingerprints._read.cache_clear()
    check_code(begun)


def test_an_edit_that_changes_nothing_or_other_code_is_no_obstacle(
    package: Path, begun: str
) -> None:
    (package / "model.py").write_text("# As in the paper.\nWIDTH = 2\n")
    (package / "other.py").write_text("CHANGED = 1\n")
    fingerprints._read.cache_clear()
    check_code(begun)


def test_a_changed_default_of_the_design_is_refused_too(package: Path, begun: str) -> None:
    (package / "design").mkdir()
    (package / "design/parameters.py").write_text("EPOCHS = 1\n")
    with pytest.raises(DualadError, match="edited after"):
        check_code(begun)


def test_a_module_that_is_imported_late_is_checked_late(package: Path, begun: str) -> None:
    check_code_again()
    check_code(begun)
    check_code_again()
    (package / "model.py").write_text("WIDTH =\n")
    with pytest.raises(DualadError, match="edited after"):
        check_code_again()


def test_jobs_know_the_code_with_which_their_run_began(package: Path, begun: str) -> None:
    (package / "model.py").write_text("WIDTH = 22\n")
    fingerprints._read.cache_clear()
    assert run_code("dualad.training", without=("dualad.other",)) == begun


def test_a_folder_changes_with_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    assert folder_fingerprint(folder) == "absent"
    (folder / "good").mkdir(parents=True)
    (folder / "good/1.png").write_bytes(b"one")
    seen = [folder_fingerprint(folder)]
    (folder / "good/2.png").write_bytes(b"two")
    seen.append(folder_fingerprint(folder))
    os.utime(folder / "good/2.png", (1, 1))
    seen.append(folder_fingerprint(folder))
    (folder / "good/2.png").rename(folder / "2.png")
    seen.append(folder_fingerprint(folder))
    assert len(set(seen)) == 4
    assert folder_fingerprint(folder) == seen[-1]
    assert folder_fingerprint(folder / "2.png") != folder_fingerprint(folder / "good/1.png")


def test_odd_names_and_loops_of_links_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    before = folder_fingerprint(tmp_path)
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(b"xy")
    assert folder_fingerprint(tmp_path) not in ("absent", before)
