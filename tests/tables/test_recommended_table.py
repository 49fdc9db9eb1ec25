"""What recommendations are worth on the test images, on results made by hand."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from written_tables import body, records

from dualad.errors import DualadError
from dualad.tables.named import write_named_table

LABELS = np.repeat([0, 1], 20)


def put_dataset(root: Path, dataset: str, chosen: str, noise: Mapping[str, float]) -> Path:
    """A recommendation, and the results of its candidates with scores of so much noise."""
    rng = np.random.default_rng(0)
    for method, scale in noise.items():
        folder = root / dataset / method
        folder.mkdir(parents=True)
        score = LABELS + scale * rng.normal(size=40)
        table = pd.DataFrame({"image": [f"{i}.png" for i in range(40)], "split": "test"})
        table.assign(label=LABELS, decision=0, score=score).to_csv(
            folder / "scores.csv", index=False
        )
        auroc = float(roc_auc_score(LABELS, score))
        metrics = {"dataset": dataset, "method": method, "auroc": auroc, "notes": ["random f"]}
        metrics["ci"] = {"auroc": [auroc - 0.1, 1.0]}
        (folder / "metrics.json").write_text(json.dumps(metrics))
    names = [chosen, *(name for name in noise if name != chosen)]
    candidates = [
        {
            "method": name,
            "validation_auroc": 0.75,
            "validation_auroc_ci": [0.5, 1.0],
            "synthetic_auroc": None,
            "synthetic_auroc_ci": None,
        }
        for name in names
    ]
    path = root / dataset / "recommended.json"
    path.write_text(json.dumps({"method": chosen, "candidates": candidates}))
    return path


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """One recommendation that is right and one that is wrong; `b` ran on one dataset only."""
    return [
        put_dataset(tmp_path, "wrong", "c", {"a": 0.1, "b": 0.5, "c": 2.0}),
        put_dataset(tmp_path, "right", "a", {"a": 0.1, "c": 5.0}),
    ]


def test_a_wrong_choice_costs_what_the_best_had_more(paths: list[Path], tmp_path: Path) -> None:
    written = write_named_table("recommended", tmp_path / "t", paths, {}, resamples=200)
    wrong, right, *_ = records(written[0])
    assert (wrong["datasets"], wrong["method"], wrong["best_method"]) == ("wrong", "c", "a")
    regret = float(wrong["best_auroc"]) - float(wrong["test_auroc"])
    assert float(wrong["regret"]) == pytest.approx(regret) and regret > 0.1
    assert float(wrong["regret_ci_lo"]) < regret < float(wrong["regret_ci_hi"])
    assert (wrong["rank"], wrong["candidates"], wrong["right"]) == ("3.0", "3", "0.0")
    assert (right["regret"], right["rank"], right["right"]) == ("0.0", "1.0", "1.0")
    assert right["regret_ci_lo"] == ""
    row = body(written[1])[2]
    assert row[3] == "75.0 [50.0, 100.0]" and row[8] == "3 of 3" and row[9] == "random f"


def test_one_method_for_all_datasets_stands_beside_the_choice(
    paths: list[Path], tmp_path: Path
) -> None:
    written = write_named_table("recommended", tmp_path / "t", paths, {}, resamples=20)
    wrong, right, across, *fixed = records(written[0])
    assert (across["choice"], across["datasets"], across["right"]) == (
        "recommended",
        "all 2",
        "0.5",
    )
    regrets = [float(row["regret"]) for row in (wrong, right)]
    assert float(across["regret"]) == pytest.approx(np.mean(regrets))
    # Not `b`, which has no result on one of them; the best first.
    assert [row["choice"] for row in fixed] == ["always a", "always c"]
    assert fixed[0]["regret"] == "0.0" and float(fixed[1]["regret"]) > float(across["regret"])


def test_what_is_missing_is_left_out(paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "wrong/c/metrics.json").unlink()
    (tmp_path / "right/c/metrics.json").unlink()
    gone = tmp_path / "gone/recommended.json"
    found = records(write_named_table("recommended", tmp_path / "t", [*paths, gone], {})[0])
    assert [row["datasets"] for row in found] == ["right", "all 1", "all 1"]
    nothing = write_named_table("recommended", tmp_path / "n", [gone], {})[0].read_text()
    assert nothing.startswith("choice,datasets,method,") and nothing.count("\n") == 1


def test_a_damaged_recommendation_is_named(paths: list[Path], tmp_path: Path) -> None:
    paths[0].write_text('{"candidates": []}')
    with pytest.raises(DualadError, match=r"wrong/recommended.json"):
        write_named_table("recommended", tmp_path / "t", paths, {})
