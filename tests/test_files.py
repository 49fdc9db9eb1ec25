"""Files are written whole or not at all, and a damaged one is named."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from dualad.errors import DualadError
from dualad.files import read_json, reading, replacing, write_json, write_text


def test_a_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new/file.txt"
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.suffix == path.suffix
    assert path.read_text() == "half"
    assert os.listdir(path.parent) == ["file.txt"]


def test_a_failure_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "earlier")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "earlier"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_write_error_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DualadError, match=r"file/inside\.txt: cannot be written"):
        write_text(tmp_path / "file/inside.txt", "text")


def test_json_has_no_infinity(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"loss": float("inf")})
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", "\ufeff{}", "[" * 100_000, '{"a": ' * 100_000]
)
def test_damaged_json_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DualadError, match=r"a\.json: cannot be read .*; delete it and run"):
        read_json(path)


def test_missing_values_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(DualadError, match=r"a\.json"), reading(path):
        read_json(path)["b"]


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    for name in ("n" * 251 + ".txt", "ü" * 125 + ".txt"):
        write_text(tmp_path / name, "whole")
        assert (tmp_path / name).read_text() == "whole"
    assert len(os.listdir(tmp_path)) == 2


def test_threads_write_files_whose_names_begin_alike(tmp_path: Path) -> None:
    names = [f"{'n' * 200}{number}.txt" for number in range(4)]
    started = Barrier(len(names))

    def write(name: str) -> None:
        with replacing(tmp_path / name) as temporary:
            temporary.write_text(name)
            started.wait()

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(write, names))
    assert {name: (tmp_path / name).read_text() for name in os.listdir(tmp_path)} == {
        name: name for name in names
    }


def test_a_message_does_not_quote_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\xff" * 10_000)
    with pytest.raises(DualadError) as caught:
        read_json(path)
    assert len(str(caught.value)) < 500
