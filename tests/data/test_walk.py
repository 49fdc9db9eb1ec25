"""All files below a folder, with what cannot be read."""

import logging
import os
from pathlib import Path

import pytest

from dualad.data import walk
from dualad.data.walk import files_below


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_visible_files_are_found_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b/c.png", "b-a.png", "a.png", ".hidden/d.png", "Thumbs.db"):
        touch(tmp_path / name)
    assert files_below(tmp_path) == (["a.png", "b-a.png", "b/c.png"], [])


def test_two_links_to_a_folder_give_its_files_twice(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere/x.png")
    top = tmp_path / "top"
    top.mkdir()
    for name in ("one", "two"):
        (top / name).symlink_to(tmp_path / "elsewhere")
    assert files_below(top) == (["one/x.png", "two/x.png"], [])


def test_a_link_to_a_folder_that_contains_it_is_not_followed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path / "top/a/x.png")
    touch(tmp_path / "outer/inner/y.png")
    (tmp_path / "top/a/loop").symlink_to("..")
    (tmp_path / "top/above").symlink_to(tmp_path)
    (tmp_path / "top/linked").symlink_to(tmp_path / "outer/inner")
    (tmp_path / "outer/inner/outwards").symlink_to(tmp_path / "outer")
    with caplog.at_level(logging.WARNING):
        assert files_below(tmp_path / "top") == (["a/x.png", "linked/y.png"], [])
    assert len(caplog.records) == 3


def test_two_folders_that_link_to_each_other_end(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        touch(tmp_path / name / f"{name}.png")
        (tmp_path / name / "other").symlink_to(tmp_path / other)
    names, problems = files_below(tmp_path)
    assert names == ["a/a.png", "a/other/b.png", "b/b.png", "b/other/a.png"]
    assert problems == []


def test_what_cannot_be_read_is_listed_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "self").symlink_to("self")
    os.mkfifo(tmp_path / "pipe")
    touch(tmp_path / "secret/x.png")
    visible = walk.visible

    def denying(folder: Path) -> list[Path]:
        if folder.name == "secret":
            raise PermissionError(13, "Permission denied")
        return visible(folder)

    monkeypatch.setattr(walk, "visible", denying)
    assert files_below(tmp_path) == (
        [],
        [
            ("gone", "the link leads to nowhere, which cannot be found"),
            ("pipe", "neither a file nor a folder"),
            ("secret", "the folder cannot be read (Permission denied)"),
            ("self", "the link leads to self, which cannot be found"),
        ],
    )
