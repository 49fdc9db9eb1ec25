"""Labels of test images reach the metrics, and nothing that decides anything."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from disturbed import CONTROLS, NETWORK, TARGETS, results
from workspace import Workspace

from dualad.data.split import Split
from dualad.files import read_json

JUDGED = ("metrics.json", "scores.csv", "dataset.h5", "table06_performance", "ranks")
"""Files in which labels of test images stand, or what they say of a method."""


def permute_test_labels(dataset_h5: Path, split: Split) -> None:
    """Give the test images of a cached dataset each other's labels and defects."""
    test = np.array(split.test)
    order = np.random.default_rng(0).permutation(len(test))
    with h5py.File(dataset_h5, "r+") as file:
        for column in ("label", "defect"):
            values = file[column][...]
            values[test] = values[test][order]
            file[column][...] = values


def predicted(path: Path) -> dict[str, str]:
    """All arrays of predictions by name, but the saliency of the images that figures show.

    Figures show defects, so the labels choose these images.
    """
    with h5py.File(path) as file:
        names: list[str] = []
        file.visit(names.append)
        arrays = {name: file[name] for name in names if isinstance(file[name], h5py.Dataset)}
        # As text, in which one NaN is like another.
        found = {
            name: str(array[...].tolist())
            for name, array in arrays.items()
            if not name.startswith("saliency")
        }
        return {**found, "attributes": str(sorted(file.attrs.items()))}


def check_permuted_labels(undisturbed: Workspace, folder: Path, config: str) -> None:
    workspace = Workspace(folder, config)
    assert workspace.run("--", "results/digits/dataset.h5").returncode == 0
    split = Split.from_json(read_json(undisturbed.results / "digits/split.json"))
    permute_test_labels(workspace.results / "digits/dataset.h5", split)
    run = workspace.run("--", *TARGETS)
    assert run.returncode == 0, run.text
    expected, found = results(undisturbed), results(workspace)
    assert expected.keys() == found.keys()
    changed = {path for path, content in expected.items() if found[path] != content}
    for path in [path for path in changed if path.endswith("predictions.h5")]:
        first, second = (predicted(space.results / path) for space in (undisturbed, workspace))
        assert first == second
        changed.remove(path)
    assert all(any(name in path for name in JUDGED) for path in changed), changed
    # The labels were permuted, and the metrics noticed.
    assert any("metrics.json" in path for path in changed)
    for path in changed:
        if path.endswith("scores.csv"):
            tables = (pd.read_csv(space.results / path) for space in (undisturbed, workspace))
            first, second = (table.drop(columns=["label", "defect"]) for table in tables)
            pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_permuted_test_labels_change_no_decision_of_a_control(
    controls: Workspace, tmp_path: Path
) -> None:
    check_permuted_labels(controls, tmp_path, CONTROLS)


@pytest.mark.slow
def test_permuted_test_labels_change_no_attempt_and_no_hyperparameter(
    network: Workspace, tmp_path: Path
) -> None:
    check_permuted_labels(network, tmp_path, NETWORK)
