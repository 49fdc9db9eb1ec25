"""Verdicts and warnings, in words."""

import json
from pathlib import Path
from typing import Any

import pytest

from dualad.pages.summary import standing, verdict, warnings

METRICS: dict[str, Any] = {
    "method": "dual",
    "auroc": 0.981,
    "ci": {"auroc": [0.95, 1.0], "fpr": [0.08, 0.2]},
    "fpr": 0.125,
    "counts": {"tp": 47, "fn": 3, "fp": 10, "tn": 70},
    "threshold": {"rule": "youden"},
    "notes": ["random features"],
}


def difference(control: str, value: str, low: str, high: str, word: str) -> dict[str, str]:
    named = {"": control, "_difference": value, "_verdict": word}
    ends = {"_difference_ci_lo": low, "_difference_ci_hi": high}
    return {f"test_control{key}": text for key, text in {**named, **ends}.items()}


@pytest.mark.parametrize(
    ("compared", "words"),
    [
        (
            difference("pca", "0.05", "0.01", "0.09", "better"),
            "better than that of pca, the best control without a network "
            "(+5.0 [+1.0, +9.0] points)",
        ),
        (
            difference("pca", "-0.05", "-0.09", "-0.01", "worse"),
            "worse than that of pca, a control without a network (-5.0 [-9.0, -1.0] points)",
        ),
        (
            difference("pca", "0.0", "0.0", "0.0", "not told apart"),
            "which these images do not tell from that of pca",
        ),
        (difference("dual", "", "", "", ""), "it is itself the best control"),
        (difference("", "", "", "", ""), "no control without a network was run"),
        (None, "no control without a network was run"),
    ],
)
def test_a_verdict_is_a_sentence_with_the_counts_and_the_best_control(
    compared: dict[str, str] | None, words: str
) -> None:
    said = verdict(METRICS, compared)
    assert said.startswith(
        "finds 47 of 50 anomalous test images and raises 10 false alarms on 80 normal ones; its "
        "AUROC is 0.981 [0.950, 1.000]"
    )
    assert words in said and said.count(".") == said.rstrip(".").count(".") + 1
    assert standing(compared) == (compared or {}).get("test_control_verdict", "")


def folder(root: Path, dataset: dict[str, Any], plan: dict[str, Any]) -> Path:
    (root / "dual").mkdir(parents=True)
    (root / "dataset.json").write_text(json.dumps(dataset))
    (root / "plan.json").write_text(json.dumps(plan))
    (root / "dual/attempts.csv").write_text(
        "attempt,stopped,diverged\n1,nan,True\n2,epochs,False\n3,epochs,True\n"
    )
    return root


def test_everything_that_limits_a_result_is_said(tmp_path: Path) -> None:
    described = {
        "note": "synthetic defects",
        "duplicates": [{}, {}],
        "unreadable": [{"image": "a.png", "reason": "empty"}],
    }
    plan = {"clamped": True, "batch_size": 1, "formula_value": -3.25}
    counts = {"tp": 10, "fn": 0, "fp": 10, "tn": 70}
    conformal = {"rule": "conformal", "alpha": 0.05}
    metrics = {**METRICS, "counts": counts, "threshold": conformal}
    said = warnings(folder(tmp_path / "parts", described, plan), metrics, ["dual"])
    assert said == [
        "synthetic defects",
        "2 training images left out: equal to a validation or test image byte for byte",
        "1 image left out: not readable",
        "small test set: with 10 anomalous images, one of them moves the TPR by 10.0 points",
        "batch size clamped to 1: the paper's formula gives -3.2",
        "dual: random features",
        "the threshold did not transfer: a false positive rate of 5.0 % was wanted, "
        "12.5 [8.0, 20.0] % was reached",
        "dual: 2 of 3 attempts diverged",
    ]


def test_a_result_without_limits_has_no_warning(tmp_path: Path) -> None:
    made = folder(tmp_path / "parts", {"note": ""}, {"clamped": False})
    (made / "dual/attempts.csv").unlink()
    assert warnings(made, {**METRICS, "notes": []}, ["dual"]) == []


def test_an_interval_without_width_is_not_taken_for_certainty(tmp_path: Path) -> None:
    made = folder(tmp_path / "parts", {"note": ""}, {"clamped": False})
    perfect = {**METRICS, "auroc": 1.0, "ci": {"auroc": [1.0, 1.0]}, "notes": []}
    (said,) = warnings(made, perfect, [])
    assert said.endswith("that is not certainty")


def test_a_rate_within_chance_of_the_wanted_one_is_no_warning(tmp_path: Path) -> None:
    made = folder(tmp_path / "parts", {"note": ""}, {"clamped": False})
    metrics = {**METRICS, "threshold": {"rule": "conformal", "alpha": 0.1}, "notes": []}
    assert not [text for text in warnings(made, metrics, []) if "transfer" in text]
