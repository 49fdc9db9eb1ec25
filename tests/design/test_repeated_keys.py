"""A key that stands twice is refused; everything else is the reader's business."""

from pathlib import Path

import pytest

from dualad.design.repeated_keys import refuse_repeated_keys
from dualad.errors import DualadError

ROOT = Path(__file__).resolve().parents[2]


def written(folder: Path, text: str) -> Path:
    path = folder / "own.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("methods: {a: 1}\nimage_size: 8\nmethods: {b: 2}\n", "methods in line 1 and in line 3"),
        ("methods:\n  a:\n    q: 1\n    q: 2\n", r"methods\.a\.q in line 3 and in line 4"),
        ("values: [{x: 1, x: 1}]\n", r"values\[0\]\.x in line 1 and in line 1"),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_both_lines(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(DualadError, match=rf"own\.yaml: {told}"):
        refuse_repeated_keys([written(tmp_path, text)])


@pytest.mark.parametrize(
    "text",
    [
        "a: {x: 1}\nb: {x: 1}\n",
        "a: &one {x: 1}\nb: *one\nc: {<<: *one, x: 2}\n",
        "a: &a {x: 1}\nb: &b {y: 1}\nc:\n  <<: *a\n  <<: *b\n",
        "a: {1: x, '1': y}\n",
        "a: {[x, y]: 1, [x, z]: 1}\n",
        "[" * 5000,
        '{"a": {"x": 1}, "b": [1, 2]}',
        "a: [\n",
        "",
    ],
)
def test_other_files_pass(tmp_path: Path, text: str) -> None:
    refuse_repeated_keys([written(tmp_path, text), tmp_path / "absent.yaml"])


def test_what_is_shipped_passes() -> None:
    refuse_repeated_keys(sorted((ROOT / "config").glob("*.yaml")))
