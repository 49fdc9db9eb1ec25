"""Threshold rules against exhaustive search, and the fast metric against scikit-learn's curve."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_curve

from dualad.design.parameters import ThresholdParams, ThresholdRule
from dualad.errors import DualadError
from dualad.evaluation.thresholds import choose_threshold, detection_metric

LABELLED = st.integers(2, 40).flatmap(
    lambda n: st.tuples(
        arrays(
            np.float64,
            n,
            elements=st.one_of(
                st.integers(-3, 3).map(float), st.floats(-1e300, 1e300, allow_subnormal=True)
            ),
        ),
        arrays(np.int64, n, elements=st.integers(0, 1)).filter(lambda y: 0 < y.sum() < len(y)),
    )
)


def rates(scores: np.ndarray, labels: np.ndarray, threshold: float) -> tuple[float, float]:
    return float(np.mean(scores[labels == 1] > threshold)), float(
        np.mean(scores[labels == 0] > threshold)
    )


def criterion(rule: str, scores: np.ndarray, labels: np.ndarray, threshold: float) -> float:
    tpr, fpr = rates(scores, labels, threshold)
    if rule == "closest_to_corner":
        return -float(np.hypot(1 - tpr, fpr))
    if rule == "youden":
        return tpr - fpr
    correct = np.sum(labels * (scores > threshold))
    return float(2 * correct / (np.sum(labels) + np.sum(scores > threshold)))


def test_a_fixed_threshold_is_the_given_one() -> None:
    scores, labels = np.array([0.1, 0.5, 0.6, 0.9]), np.array([0, 0, 1, 1])
    chosen = choose_threshold(scores, labels, ThresholdParams(rule="fixed", value=0.6))
    assert (chosen.value, chosen.rule, chosen.tpr, chosen.fpr) == (0.6, "fixed", 0.5, 0.0)
    # Without anomalies, too.
    assert choose_threshold(scores, 0 * labels, ThresholdParams("fixed", value=0.3)).fpr == 0.75
    with pytest.raises(DualadError, match=r"threshold\.value"):
        choose_threshold(scores, labels, ThresholdParams(rule="fixed"))


@pytest.mark.parametrize("rule", ["closest_to_corner", "youden", "f1"])
@settings(deadline=None, max_examples=50)
@given(LABELLED)
def test_no_other_threshold_does_better(
    rule: ThresholdRule, labelled: tuple[np.ndarray, np.ndarray]
) -> None:
    scores, labels = labelled
    chosen = choose_threshold(scores, labels, ThresholdParams(rule=rule))
    candidates = [-np.inf, *scores, np.inf]
    values = [criterion(rule, scores, labels, threshold) for threshold in candidates]
    assert criterion(rule, scores, labels, chosen.value) == pytest.approx(max(values))
    assert (chosen.tpr, chosen.fpr) == rates(scores, labels, chosen.value)
    assert (chosen.n_normal, chosen.n_anomalous) == (np.sum(labels == 0), np.sum(labels == 1))
    # Of several thresholds that do as well, the one with the fewest false alarms.
    best = [t for t, v in zip(candidates, values, strict=True) if np.isclose(v, max(values))]
    assert chosen.fpr == min(rates(scores, labels, t)[1] for t in best)


@settings(deadline=None, max_examples=50)
@given(LABELLED)
def test_fast_detection_metric_equals_the_curves(
    labelled: tuple[np.ndarray, np.ndarray],
) -> None:
    scores, labels = labelled
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    best = np.argmin(np.round(np.hypot(1 - tpr, fpr), 12))
    assert detection_metric(scores, labels) == tpr[best] + (1 - fpr[best])
    chosen = choose_threshold(scores, labels, ThresholdParams())
    assert chosen.tpr is not None
    assert detection_metric(scores, labels) == pytest.approx(chosen.tpr + 1 - chosen.fpr)


@settings(deadline=None, max_examples=50)
@given(LABELLED, st.floats(0.1, 5), st.floats(-5, 5))
def test_detection_metric_depends_on_the_order_only(
    labelled: tuple[np.ndarray, np.ndarray], factor: float, shift: float
) -> None:
    scores, labels = labelled
    ranks = np.unique(scores, return_inverse=True)[1]
    assert detection_metric(np.exp(factor * ranks / 10) + shift, labels) == detection_metric(
        scores, labels
    )


def test_threshold_lies_halfway_between_the_classes() -> None:
    chosen = choose_threshold([0.1, 0.2, 0.6, 0.9], [0, 0, 1, 1], ThresholdParams())
    assert chosen.value == pytest.approx(0.4)
    assert (chosen.tpr, chosen.fpr) == (1, 0)


def test_adjacent_floats_are_told_apart() -> None:
    low = 0.1
    for _ in range(4):
        high = float(np.nextafter(low, 1))
        chosen = choose_threshold([low, high], [0, 1], ThresholdParams())
        assert low <= chosen.value < high
        low = high


def test_everything_or_nothing_can_be_anomalous() -> None:
    everything = choose_threshold([1.0, 1.0, 1.0], [0, 1, 1], ThresholdParams(rule="f1"))
    assert everything.value < 1 and (everything.tpr, everything.fpr) == (1, 1)
    nothing = choose_threshold([2.0, 1.0], [0, 1], ThresholdParams(rule="youden"))
    assert nothing.value == 2 and (nothing.tpr, nothing.fpr) == (0, 0)


def test_quantile_needs_normal_images_only() -> None:
    scores = np.arange(101) / 100
    chosen = choose_threshold(scores, np.zeros(101), ThresholdParams(rule="quantile", q=0.95))
    assert chosen.value == pytest.approx(0.95)
    assert chosen.tpr is None and chosen.fpr == pytest.approx(5 / 101)
    mixed = choose_threshold(
        [*scores, 7.0], [*np.zeros(101), 1], ThresholdParams(rule="quantile", q=0.95)
    )
    assert mixed.value == chosen.value and mixed.tpr == 1


@pytest.mark.parametrize("rule", ["closest_to_corner", "youden", "f1"])
def test_one_class_names_the_quantile_rule(rule: ThresholdRule) -> None:
    with pytest.raises(DualadError, match=r"threshold: \{rule: quantile\}"):
        choose_threshold([0.1, 0.2], [0, 0], ThresholdParams(rule=rule))
    assert np.isnan(detection_metric([0.1, 0.2], [0, 0]))


def test_unusable_validation_sets_are_errors() -> None:
    with pytest.raises(DualadError, match="needs normal images"):
        choose_threshold([0.1, 0.2], [1, 1], ThresholdParams(rule="quantile"))
    with pytest.raises(DualadError, match=r"threshold\.q"):
        choose_threshold([0.1, 0.2], [0, 1], ThresholdParams(rule="quantile", q=95))
    with pytest.raises(DualadError, match="diverged"):
        choose_threshold([0.1, np.nan], [0, 1], ThresholdParams())
    assert np.isnan(detection_metric([0.1, np.nan], [0, 1]))
