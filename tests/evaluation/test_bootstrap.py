"""The bootstrap against one that goes through scikit-learn, and its settings."""

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judgements import judgements

from dualad.errors import DualadError
from dualad.evaluation.bootstrap import (
    Interval,
    Resampling,
    bootstrap_image_metrics,
    percentile_intervals,
)
from dualad.evaluation.metrics import (
    IMAGE_METRICS,
    Judgement,
    image_metrics,
)


@settings(deadline=None, max_examples=10)
@given(judgements())
def test_a_resample_that_draws_everything_once_gives_the_metrics_themselves(
    judgement: Judgement,
) -> None:
    # With one image per distinct class a resample can only repeat the set.
    first = [np.flatnonzero(judgement.labels == label)[0] for label in (0, 1)]
    pair = Judgement(
        judgement.labels[first],
        judgement.scores[first],
        judgement.decisions[first],
        None if judgement.probabilities is None else judgement.probabilities[first],
    )
    values = image_metrics(pair, 10)
    intervals = bootstrap_image_metrics(pair, 10, Resampling(3, 0.9, 0))
    for key, interval in intervals.items():
        expected = None if values[key] is None else pytest.approx((values[key], values[key]))
        assert interval == expected


def slow_bootstrap(judgement: Judgement, resamples: int, seed: int) -> dict[str, Interval]:
    """The same resamples, each judged from scratch by scikit-learn."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(judgement.labels == label) for label in (0, 1)]
    picks = [rng.integers(len(of), size=(resamples, len(of))) for of in members]
    rows = []
    for number in range(resamples):
        chosen = np.concatenate([of[pick[number]] for of, pick in zip(members, picks, strict=True)])
        resample = Judgement(
            judgement.labels[chosen],
            judgement.scores[chosen],
            judgement.decisions[chosen],
            None if judgement.probabilities is None else judgement.probabilities[chosen],
        )
        rows.append(image_metrics(resample, 10))
    intervals: dict[str, Interval] = {}
    for key in IMAGE_METRICS:
        values = [row[key] for row in rows if row[key] is not None]
        low, high = np.quantile(values, [0.025, 0.975]) if values else (None, None)
        intervals[key] = None if low is None else (float(low), float(high))
    return intervals


@settings(deadline=None, max_examples=4)
@given(judgements(n=40), st.integers(0, 100))
def test_bootstrap_equals_one_through_scikit_learn(judgement: Judgement, seed: int) -> None:
    intervals = bootstrap_image_metrics(judgement, 10, Resampling(12, 0.95, seed))
    expected = slow_bootstrap(judgement, 12, seed)
    assert tuple(intervals) == IMAGE_METRICS
    for key, interval in expected.items():
        assert intervals[key] == (None if interval is None else pytest.approx(interval))


def test_intervals_cover_the_value_and_shrink_with_the_set() -> None:
    rng = np.random.default_rng(1)

    def width(n: int) -> float:
        labels = np.arange(n) % 2
        scores = rng.normal(size=n) + labels
        judgement = Judgement(labels, scores, (scores > 0.5).astype(np.int64), None)
        interval = bootstrap_image_metrics(judgement, 10, Resampling(500, 0.95, 0))["auroc"]
        value = image_metrics(judgement, 10)["auroc"]
        assert interval is not None and value is not None
        assert interval[0] < value < interval[1]
        return interval[1] - interval[0]

    # Half the width of a normal interval: 1.96 sd, the sd by Hanley and McNeil about 0.0345.
    assert width(200) == pytest.approx(2 * 1.96 * 0.0335, rel=0.25)
    assert width(3200) == pytest.approx(width(200) / 4, rel=0.3)


def test_bootstrap_settings() -> None:
    judgement = Judgement(np.array([0, 1]), np.array([0.0, 1.0]), np.array([0, 1]), None)
    none = bootstrap_image_metrics(judgement, 10, Resampling(0, 0.95, 0))
    assert none == dict.fromkeys(IMAGE_METRICS)
    with pytest.raises(DualadError, match=r"evaluation\.confidence"):
        bootstrap_image_metrics(judgement, 10, Resampling(1, 95, 0))


def test_a_thousand_resamples_of_a_thousand_images_are_quick_and_small() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(1000) % 2
    scores = rng.normal(size=1000) + labels
    judgement = Judgement(labels, scores, (scores > 0.5).astype(np.int64), rng.random(1000))
    started = time.process_time()
    bootstrap_image_metrics(judgement, 10, Resampling(1000, 0.95, 0))
    assert time.process_time() - started < 2
    tracemalloc.start()
    bootstrap_image_metrics(judgement, 10, Resampling(3000, 0.95, 0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300e6


def test_intervals_are_percentiles_of_resamples_that_keep_both_classes() -> None:
    anomalous = np.array([False, True, True, False, True])
    seen: list[np.ndarray] = []

    def statistic(drawn: np.ndarray) -> dict[str, np.ndarray]:
        seen.append(drawn)
        values = np.arange(len(drawn), dtype=float)
        return {
            "rank": values,
            "gaps": np.where(values < 10, np.nan, values),
            "none": 0 / values[:0],
        }

    found = percentile_intervals(anomalous, statistic, Resampling(101, 0.9))
    (drawn,) = seen
    assert drawn[:, anomalous].sum(axis=1).tolist() == [3] * 101
    assert drawn[:, ~anomalous].sum(axis=1).tolist() == [2] * 101
    assert found["rank"] == pytest.approx((5, 95))
    assert found["gaps"] == pytest.approx((14.5, 95.5))
    assert found["none"] is None
