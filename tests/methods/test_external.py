"""A method from a user's own file: the example of the documentation, and what goes wrong."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from prepared import prepare_experiment

from dualad.design.experiments import resolve_methods
from dualad.errors import DualadError
from dualad.evaluation.predictions import read_predictions
from dualad.methods.jobs import Job, detector_class, run_baseline
from dualad.runtime import Runtime

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/adding-a-method.md"


def example() -> str:
    found = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.S)
    assert len(found) == 1
    return str(found[0])


@pytest.mark.parametrize("parameters", ["dualad.design.parameters", "dualad.params"])
def test_the_documented_example_is_short_and_runs(tmp_path: Path, parameters: str) -> None:
    code = example()
    assert len(code.splitlines()) < 40
    assert "from dualad.design.parameters import ExternalParams" in code
    # Methods that were written for version 0.1 import `dualad.params`.
    (tmp_path / "nearest.py").write_text(code.replace("dualad.design.parameters", parameters))
    digits = {"reader": "digits", "normal": [1], "anomalies_per_class": 4}
    files = prepare_experiment(digits, tmp_path, image_size=16)
    entry = {
        "family": "external",
        "module": str(tmp_path / "nearest.py"),
        "class_name": "Nearest",
        "options": {"neighbours": 3},
    }
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
