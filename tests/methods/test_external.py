"""A method from a user's own file: the example of the documentation, and what goes wrong."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from dualad.data.cache import build_dataset
from dualad.data.preparation import prepare
from dualad.design.experiments import resolve_methods
from dualad.errors import DualadError
from dualad.evaluation.predictions import read_predictions
from dualad.methods.jobs import ExperimentFiles, Job, detector_class, run_baseline
from dualad.runtime import Runtime

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/adding-a-method.md"


def example() -> str:
    found = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.S)
    assert len(found) == 1
    return str(found[0])


def test_the_documented_example_is_short_and_runs(tmp_path: Path) -> None:
    code = example()
    assert len(code.splitlines()) < 40
    (tmp_path / "nearest.py").write_text(code)
    build_dataset(
        "digits",
        {"reader": "digits", "normal": [1], "anomalies_per_class": 4},
        tmp_path / "dataset.h5",
        tmp_path / "dataset.json",
        image_size=16,
    )
    prepare(
        tmp_path / "dataset.h5",
        tmp_path / "dataset.json",
        plan_json=tmp_path / "plan.json",
        split_json=tmp_path / "split.json",
    )
    entry = {
        "family": "external",
        "module": str(tmp_path / "nearest.py"),
        "class_name": "Nearest",
        "options": {"neighbours": 3},
    }
    files = ExperimentFiles(
        tmp_path / "dataset.h5", tmp_path / "split.json", tmp_path / "plan.json"
    )
    job = Job(files, tmp_path / "out", tmp_path / "work", Runtime(threads=2, cores=2))
    run_baseline(resolve_methods({"nearest": entry})["nearest"], job, map_size=16)
    predictions = read_predictions(tmp_path / "out/predictions.h5", "scores", "maps")
    assert predictions.default_score == "nearest"
    assert predictions.maps["nearest"].shape[1:] == (16, 16)
    test = json.loads((tmp_path / "split.json").read_text())["test"]
    assert len(test) == np.sum(predictions.split == "test")
    assert json.loads((tmp_path / "out/scoring.json").read_text())["images"] == len(
        predictions.index
    )


@pytest.mark.parametrize(
    ("text", "class_name", "message"),
    [
        (None, "Method", r"is no file in .*; name the file of your method"),
        ("x = 1\n", "Method", "no class Method derived from"),
        ("class Method: pass\n", "Method", "no class Method derived from"),
    ],
)
def test_mistakes_name_the_file(
    tmp_path: Path, text: str | None, class_name: str, message: str
) -> None:
    path = tmp_path / "own.py"
    if text is not None:
        path.write_text(text)
    entry = {"family": "external", "module": str(path), "class_name": class_name}
    method = resolve_methods({"m": entry})["m"]
    with pytest.raises(DualadError, match=message):
        detector_class("external", Runtime(threads=2, cores=2))(method.params)
