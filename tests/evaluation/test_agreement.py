"""Decisions beside probabilities: other base rates, and what is said where the two differ."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from dualad.design.parameters import CommonParams, ThresholdParams
from dualad.evaluation.agreement import (
    agreement,
    probabilities,
    remarks,
    threshold_probability,
    validation_base_rate,
)
from dualad.evaluation.calibration import at_base_rate
from dualad.evaluation.decisions import apply_threshold
from dualad.evaluation.evaluator import fit_threshold

SHARES = st.floats(0.01, 0.99)
PROBABILITIES = arrays(np.float64, 20, elements=st.floats(0, 1))


@settings(deadline=None)
@given(PROBABILITIES, SHARES, SHARES, SHARES)
def test_another_base_rate_changes_the_odds_and_not_the_order(
    found: np.ndarray, first: float, second: float, third: float
) -> None:
    moved = at_base_rate(found, first, second)
    assert np.all((moved >= 0) & (moved <= 1))
    assert np.all(np.diff(moved[np.argsort(found)]) >= -1e-12)
    np.testing.assert_allclose(at_base_rate(found, first, first), found, atol=1e-12)
    np.testing.assert_allclose(
        at_base_rate(moved, second, third), at_base_rate(found, first, third), atol=1e-9
    )
    assert at_base_rate(np.array([first]), first, second) == pytest.approx(second)


def test_a_corrected_probability_is_that_of_a_calibrator_fitted_at_the_other_base_rate() -> None:
    rng = np.random.default_rng(0)
    normal, anomalous = rng.normal(size=40_000), rng.normal(size=40_000) + 1.5

    def fitted(n_normal: int, n_anomalous: int) -> Any:
        scores = np.concatenate([normal[:n_normal], anomalous[:n_anomalous]])
        labels = np.repeat([0, 1], [n_normal, n_anomalous])
        return LogisticRegression().fit(scores[:, None], labels)

    grid = np.linspace(-2, 4, 30)[:, None]
    even, rare = (fitted(40_000, n).predict_proba(grid)[:, 1] for n in (40_000, 2_000))
    np.testing.assert_allclose(at_base_rate(even, 0.5, 1 / 21), rare, atol=0.03)


def real_scores() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Distances of handwritten digits to the mean 1: validation scores, labels; test ones."""
    digits = load_digits()
    images, labels = digits.data, (digits.target != 1).astype(np.int64)
    normal, anomalous = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    mean = images[normal[:80]].mean(axis=0)
    distances = np.linalg.norm(images - mean, axis=1)
    validation = np.concatenate([normal[80:120], anomalous[:10]])
    test = np.concatenate([normal[120:], anomalous[10:400]])
    return distances[validation], labels[validation], distances[test], labels[test]


@pytest.mark.parametrize("rule", ["closest_to_corner", "youden", "quantile", "conformal"])
@pytest.mark.parametrize("calibrator", ["logistic", "isotonic"])
@pytest.mark.parametrize("base_rate", [None, 0.02])
def test_every_real_image_whose_probability_and_decision_differ_has_a_remark(
    rule: str, calibrator: str, base_rate: float | None
) -> None:
    scores, labels, new, truth = real_scores()
    params = CommonParams(threshold=ThresholdParams(rule), calibrator=calibrator)  # type: ignore[arg-type]
    fitted = fit_threshold(params, "distance", scores, labels)
    decided = apply_threshold(fitted, new, base_rate=base_rate)
    differs = (decided["probability"] > 0.5) != (decided["decision"] == 1)
    said = remarks(fitted, decided, base_rate)
    assert [bool(text) for text in said] == differs.tolist()
    if base_rate is not None:
        # Where anomalies are rare, many that are rightly flagged are more probably normal.
        assert np.sum(differs & (truth == 1)) > 80
        assert all("though more probably normal: the threshold lies at" in t for t in said if t)
        assert decided["decision"].tolist() == apply_threshold(fitted, new)["decision"].tolist()
        return
    summary = agreement(fitted, decided, "")
    assert summary["base_rate"] == 0.2
    assert summary["flagged_below_half"] + summary["passed_above_half"] == differs.sum()


def test_how_often_real_decisions_and_probabilities_differ() -> None:
    """With a fifth of anomalies in validation, the corner of the ROC lies below one half."""
    scores, labels, new, _ = real_scores()
    fitted = fit_threshold(CommonParams(), "distance", scores, labels)
    decided = apply_threshold(fitted, new)
    summary = agreement(fitted, decided, "")
    assert summary["threshold_probability"] == pytest.approx(
        probabilities(fitted, np.array([fitted["threshold"]]))[0]
    )
    assert summary["threshold_probability"] < 0.5
    assert (decided["decision"] == 1).sum() == 298
    assert summary["flagged_below_half"] == 214 and summary["passed_above_half"] == 0
    assert sum(map(bool, remarks(fitted, decided))) == 214
    # The corner weighs both error rates alike, which is what even odds do: far fewer differ.
    even = apply_threshold(fitted, new, base_rate=0.5)
    assert np.sum((even["probability"] > 0.5) != (even["decision"] == 1)) == 44


def test_an_image_above_the_threshold_has_a_higher_probability_than_the_threshold() -> None:
    scores, labels, new, _ = real_scores()
    fitted = fit_threshold(CommonParams(), "distance", scores, labels)
    decided = apply_threshold(fitted, new, base_rate=0.01)
    at_threshold = threshold_probability(fitted, 0.01)
    assert ((decided["probability"] > at_threshold) == (decided["decision"] == 1)).all()


def test_what_a_remark_says() -> None:
    flat = {"kind": "isotonic", "scores": [0.0, 1.0], "values": [0.0, 1.0]}
    counts = {"n_normal": 1, "n_anomalous": 1}
    sampled = {"threshold": 0.75, "calibrator": flat, "validation": counts}
    fitted = {"threshold": 0.2, "calibrator": flat, "validation": counts, "mc": sampled}
    sampled |= {"error": "mean", "lambda": 0.0}
    found = apply_threshold(fitted, [0.3, 0.7, 0.1], [0.9, 0.6, 0.1], [0.0, 0.0, 0.0])
    assert remarks(fitted, found) == [
        "called anomalous, though more probably normal: the threshold lies at a probability of 0.2",
        "by the score with Monte Carlo dropout called normal, though more probably anomalous: the "
        "threshold lies at a probability of 0.75",
        "",
    ]
    without = apply_threshold(fitted, [0.3, 0.7])
    assert remarks(fitted, without)[1] == ""


def test_a_probability_that_falls_with_the_score_is_named_as_such() -> None:
    labels = np.repeat([0, 1], 20)
    scores = np.concatenate([np.arange(20) + 15.0, np.arange(20)])
    params = CommonParams(threshold=ThresholdParams("quantile", q=0.5))
    fitted = fit_threshold(params, "worse than chance", scores, labels)
    found = apply_threshold(fitted, np.array([5.0, 30.0]))
    assert found["decision"].tolist() == [0, 1]
    passed, flagged = remarks(fitted, found)
    why = "against the probability: on the validation images, anomalies had lower scores"
    assert (passed, flagged) == (f"called normal, {why}", f"called anomalous, {why}")


def test_without_a_calibrator_nothing_can_differ() -> None:
    params = CommonParams(threshold=ThresholdParams("quantile"))
    fitted = fit_threshold(params, "any", np.arange(9.0), np.zeros(9, np.int64))
    found = apply_threshold(fitted, [100.0])
    assert np.isnan(found["probability"]).all() and remarks(fitted, found) == [""]
    assert validation_base_rate(fitted) is None
    assert set(agreement(fitted, found, "").values()) == {None}
