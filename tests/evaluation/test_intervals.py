"""Exact intervals of rates against the beta distribution, their coverage, and who gets them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judgements import judgements
from scipy.stats import beta, binom

from dualad.errors import DualadError
from dualad.evaluation.bootstrap import Resampling, bootstrap_image_metrics
from dualad.evaluation.intervals import RATES, clopper_pearson, image_intervals
from dualad.evaluation.metrics import IMAGE_METRICS, Judgement, image_metrics


@settings(deadline=None)
@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_that_of_the_beta_distribution(counts: tuple[int, int]) -> None:
    k, n = counts
    low, high = clopper_pearson(k, n, 0.9) or (np.nan, np.nan)
    assert low == pytest.approx(beta.ppf(0.05, k, n - k + 1) if k else 0)
    assert high == pytest.approx(beta.ppf(0.95, k + 1, n - k) if k < n else 1)
    assert low <= k / n <= high and high - low > 0
    mirrored = clopper_pearson(n - k, n, 0.9)
    assert mirrored == pytest.approx((1 - high, 1 - low))


def test_none_of_32_is_not_certainty() -> None:
    assert clopper_pearson(0, 32, 0.95) == pytest.approx((0, 0.10888), abs=1e-5)
    assert clopper_pearson(32, 32, 0.95) == pytest.approx((1 - 0.10888, 1), abs=1e-5)
    assert clopper_pearson(0, 0, 0.95) is None


@pytest.mark.parametrize("n", [10, 32, 100])
def test_every_proportion_is_covered_as_often_as_stated(n: int) -> None:
    """Near the edge too, where Wilson's interval covers 84 % only."""
    proportions = np.linspace(0, 1, 2001)
    bounds = np.array([clopper_pearson(k, n, 0.95) for k in range(n + 1)])
    low, high = bounds[:, :1], bounds[:, 1:]
    covered = (low <= proportions) & (proportions <= high)
    chance = np.sum(binom.pmf(np.arange(n + 1)[:, None], n, proportions) * covered, axis=0)
    assert chance.min() >= 0.95


@settings(deadline=None, max_examples=20)
@given(judgements())
def test_rates_get_exact_intervals_and_all_others_the_bootstraps(judgement: Judgement) -> None:
    resampling = Resampling(20, 0.9, 0)
    found = image_intervals(judgement, 10, resampling)
    drawn = bootstrap_image_metrics(judgement, 10, resampling)
    values = image_metrics(judgement, 10)
    assert tuple(found) == IMAGE_METRICS
    for metric, interval in found.items():
        if metric not in RATES:
            assert interval == drawn[metric]
            continue
        assert (interval is None) == (values[metric] is None)
        if interval is not None and values[metric] is not None:
            assert interval[0] <= values[metric] <= interval[1] and interval[0] < interval[1]
    assert found["fpr"] == pytest.approx(tuple(1 - bound for bound in found["tnr"][::-1]))


def test_rates_need_no_resamples_but_a_confidence() -> None:
    judgement = Judgement(np.array([0, 1]), np.array([0.0, 1.0]), np.array([0, 1]), None)
    found = image_intervals(judgement, 10, Resampling(0, 0.5, 0))
    assert found["tpr"] == found["precision"] == pytest.approx((0.25, 1))
    assert found["auroc"] is None
    with pytest.raises(DualadError, match=r"evaluation\.confidence"):
        image_intervals(judgement, 10, Resampling(0, 95, 0))


def test_precision_without_a_flagged_image_has_no_interval() -> None:
    judgement = Judgement(np.array([0, 1]), np.array([0.0, 1.0]), np.array([0, 0]), None)
    assert image_intervals(judgement, 10, Resampling(5))["precision"] is None
