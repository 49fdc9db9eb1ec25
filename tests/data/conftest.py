"""Fixtures of the data tests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from samples import SIZE, make_mvtec

from dualad.data.cache import build_dataset
from dualad.data.dataset import Dataset


@pytest.fixture
def mvtec(tmp_path: Path) -> Path:
    """A folder with a small category of MVTec AD."""
    return make_mvtec(tmp_path / "bottle")


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Any]:
    """`build_dataset` into the test's folder; returns the open `Dataset` and the JSON."""

    def run(entry: dict[str, Any], **options: Any) -> tuple[Dataset, dict[str, Any]]:
        h5_path, json_path = tmp_path / "out/dataset.h5", tmp_path / "out/dataset.json"
        options = {"image_size": SIZE, **options}
        build_dataset("toy", entry, h5_path, json_path, **options)
        return Dataset(h5_path), json.loads(json_path.read_text())

    return run
