"""Paired differences to the best controls and to a reference."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from dualad.errors import DualadError
from dualad.evaluation.bootstrap import Resampling
from dualad.results.differences import Compared, compare_methods
from dualad.results.runs import read_runs

N = 120
LABELS = np.tile([0, 0, 1], N // 3)


class Tree:
    """A results folder with methods of known quality."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: list[Path] = []

    def add(
        self,
        method: str,
        family: str,
        validation: float,
        test: float,
        dataset: str = "bottle",
        validation_anomalies: bool = True,
        notes: tuple[str, ...] = (),
        seed: int = 0,
    ) -> None:
        """Scores that separate the classes by so many standard deviations, with their metrics."""
        rng = np.random.default_rng([seed, len(method)])
        noise = {"val": rng.normal(size=N), "test": rng.normal(size=N)}
        gaps = {"val": validation, "test": test}
        labels = {"val": LABELS * validation_anomalies, "test": LABELS}
        rows = pd.concat(
            pd.DataFrame(
                {
                    "image": [f"{split}/{i}.png" for i in range(N)],
                    "split": split,
                    "label": labels[split],
                    "decision": 0,
                    "score": noise[split] + gaps[split] * labels[split],
                }
            )
            for split in ("val", "test")
        )
        out = self.folder / dataset / method
        out.mkdir(parents=True)
        rows.to_csv(out / "scores.csv", index=False)
        of_test = rows[rows["split"] == "test"]
        metrics: dict[str, Any] = {
            "dataset": dataset,
            "method": method,
            "family": family,
            "auroc": roc_auc_score(of_test["label"], of_test["score"]),
            "notes": list(notes),
        }
        (out / "metrics.json").write_text(json.dumps(metrics))
        self.paths.append(out / "metrics.json")

    def compared(
        self, reference: str | None = None, resampling: Resampling | None = None
    ) -> dict[str, Compared]:
        """By method."""
        found = compare_methods(read_runs(self.paths), reference, resampling or Resampling(300))
        return {row.runs.method: row for row in found}

    def auroc(self, method: str) -> float:
        """What `metrics.json` says."""
        content = json.loads((self.folder / "bottle" / method / "metrics.json").read_text())
        return float(content["auroc"])


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_validation_chooses_one_control_and_hindsight_another(tree: Tree) -> None:
    tree.add("mean_image", "mean_image", validation=3.0, test=0.5)
    tree.add("gradient", "gradient", validation=0.5, test=3.0)
    tree.add("dual", "dual_autoencoder", validation=4.0, test=1.8)
    row = tree.compared()["dual"]
    assert (row.control.other, row.hardest.other) == ("mean_image", "gradient")
    assert row.control.value == pytest.approx(tree.auroc("dual") - tree.auroc("mean_image"))
    assert row.hardest.value == pytest.approx(tree.auroc("dual") - tree.auroc("gradient"))
    assert (row.control.verdict, row.hardest.verdict) == ("better", "worse")
    best = tree.compared()["mean_image"].control
    assert best.other == "mean_image" and best.value is None and best.verdict == ""


def test_equal_methods_are_not_told_apart(tree: Tree) -> None:
    tree.add("pca", "pca", validation=1.0, test=1.0, seed=1)
    tree.add("dual", "dual_autoencoder", validation=1.0, test=1.0, seed=2)
    difference = tree.compared()["dual"].control
    assert difference.verdict == "not told apart" and difference.interval is not None
    low, high = difference.interval
    assert low < 0 < high


def test_the_interval_is_that_of_a_paired_bootstrap(tree: Tree) -> None:
    tree.add("pca", "pca", validation=1.0, test=1.0, seed=1)
    tree.add("dual", "dual_autoencoder", validation=1.0, test=1.2, seed=2)
    interval = tree.compared(resampling=Resampling(4000))["dual"].control.interval
    assert interval is not None
    tests = [
        pd.read_csv(tree.folder / "bottle" / name / "scores.csv").query("split == 'test'")
        for name in ("dual", "pca")
    ]
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(400):
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(label == LABELS), np.sum(label == LABELS)) for label in (0, 1)]
        )
        ours, theirs = (roc_auc_score(t["label"].iloc[rows], t["score"].iloc[rows]) for t in tests)
        drawn.append(ours - theirs)
    np.testing.assert_allclose(interval, np.quantile(drawn, [0.025, 0.975]), atol=0.015)


def test_without_validation_anomalies_no_control_is_chosen_by_them(tree: Tree) -> None:
    tree.add("pca", "pca", validation=1.0, test=1.0, validation_anomalies=False)
    tree.add("dual", "dual_autoencoder", 1.0, 3.0, validation_anomalies=False)
    row = tree.compared()["dual"]
    assert row.control.other == "" and row.control.value is None
    assert row.hardest.other == "pca" and row.hardest.verdict == "better"


def test_controls_that_learnt_from_labels_stand_beside_methods_that_did(tree: Tree) -> None:
    marked = ("semi-supervised: fitted on validation labels",)
    tree.add("pca", "pca", validation=1.0, test=1.0)
    tree.add("trained", "mean_image", validation=4.0, test=4.0, notes=marked)
    tree.add("dual", "dual_autoencoder", validation=2.0, test=2.0)
    tree.add("hybrid", "dual_autoencoder", validation=3.0, test=3.0, notes=marked)
    found = tree.compared()
    assert (found["dual"].control.other, found["dual"].hardest.other) == ("pca", "pca")
    assert (found["hybrid"].control.other, found["hybrid"].hardest.other) == ("trained", "trained")


def test_every_method_is_compared_with_the_reference(tree: Tree) -> None:
    tree.add("padim", "padim", validation=2.0, test=2.0)
    tree.add("dual", "dual_autoencoder", validation=2.0, test=0.1)
    found = tree.compared(reference="padim")
    assert found["padim"].reference.value is None
    assert found["dual"].reference.verdict == "worse"
    assert tree.compared()["dual"].reference.other == ""


def test_runs_of_a_method_are_averaged(tree: Tree) -> None:
    tree.add("pca", "pca", validation=1.0, test=1.0)
    tree.add("dual", "dual_autoencoder", validation=1.0, test=1.0, seed=3)
    tree.add("dual@1", "dual_autoencoder", validation=1.0, test=2.0, seed=4)
    difference = tree.compared()["dual"].control
    mean = (tree.auroc("dual") + tree.auroc("dual@1")) / 2
    assert difference.value == pytest.approx(mean - tree.auroc("pca"))
    assert "dual@1" not in tree.compared()


def test_each_dataset_has_controls_of_its_own(tree: Tree) -> None:
    tree.add("pca", "pca", validation=2.0, test=2.0)
    tree.add("dual", "dual_autoencoder", validation=1.0, test=1.0, dataset="rope")
    row = tree.compared()["dual"]
    assert row.control.other == row.hardest.other == ""


def test_other_test_images_are_an_error(tree: Tree) -> None:
    tree.add("pca", "pca", validation=1.0, test=1.0)
    tree.add("dual", "dual_autoencoder", validation=1.0, test=1.0)
    path = tree.folder / "bottle/dual/scores.csv"
    path.write_text(path.read_text().replace("test/0.png", "test/other.png"))
    with pytest.raises(DualadError, match=r"dual/scores\.csv: the test images are not those of"):
        tree.compared()


def test_a_missing_result_and_missing_scores_leave_gaps(tree: Tree) -> None:
    tree.add("pca", "pca", validation=1.0, test=1.0)
    tree.add("dual", "dual_autoencoder", validation=1.0, test=1.0)
    (tree.folder / "bottle/dual/scores.csv").unlink()
    tree.paths.append(tree.folder / "bottle/gone/metrics.json")
    found = tree.compared()
    assert found["dual"].control.value is not None and found["dual"].control.verdict == ""
    assert found["gone"].control.value is None and found["gone"].control.other == "pca"


def test_without_resamples_there_is_no_verdict(tree: Tree) -> None:
    tree.add("pca", "pca", validation=1.0, test=0.1)
    tree.add("dual", "dual_autoencoder", validation=1.0, test=5.0)
    assert tree.compared(resampling=Resampling(0))["dual"].control.verdict == ""
