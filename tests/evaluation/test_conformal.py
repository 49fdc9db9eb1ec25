"""Conformal thresholds and p-values: laws that hold for any scores, and the rates in simulation."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dualad.design.parameters import ThresholdParams
from dualad.errors import DualadError
from dualad.evaluation.conformal import conformal_p_values, conformal_threshold
from dualad.evaluation.thresholds import choose_threshold

SCORES = st.integers(1, 60).flatmap(
    lambda n: arrays(
        np.float64, n, elements=st.one_of(st.integers(0, 4).map(float), st.floats(-1e9, 1e9))
    )
)
ALPHAS = st.sampled_from([0.01, 0.05, 0.07, 0.1, 0.2, 0.25, 0.3, 0.5, 0.9, 0.95])


def conformal(alpha: float) -> ThresholdParams:
    return ThresholdParams("conformal", alpha=alpha)


def share_at_most(p_values: np.ndarray, n: int, alpha: float) -> Fraction:
    """Share of p-values, whole multiples of 1 / (n + 1), that are at most alpha; exact."""
    counts = [Fraction(round(p * (n + 1)), n + 1) for p in p_values]
    return Fraction(sum(p <= Fraction(str(alpha)) for p in counts), len(counts))


@settings(deadline=None)
@given(SCORES, ALPHAS)
def test_whichever_of_exchangeable_scores_is_new_few_have_small_p_values(
    scores: np.ndarray, alpha: float
) -> None:
    """With every score in turn as the new one, a share of at most alpha has p <= alpha."""
    n = len(scores) - 1
    p_values = conformal_p_values(scores, scores, np.ones(len(scores), bool))
    share = share_at_most(p_values, n, alpha)
    assert share <= Fraction(str(alpha))
    if len(np.unique(scores)) == len(scores):
        assert share > Fraction(str(alpha)) - Fraction(1, n + 1)


@settings(deadline=None)
@given(SCORES, SCORES, ALPHAS)
def test_an_image_is_called_anomalous_if_its_p_value_is_at_most_alpha(
    normals: np.ndarray, new: np.ndarray, alpha: float
) -> None:
    n = len(normals)
    if n < conformal(alpha).normals_needed:
        return
    threshold = conformal_threshold(normals, conformal(alpha))
    for score in [*new, *normals]:
        p = conformal_p_values([score], normals)
        assert (score > threshold) == (share_at_most(p, n, alpha) == 1)


@settings(deadline=None)
@given(SCORES, SCORES)
def test_p_values_depend_on_the_order_only_and_fall_with_the_score(
    normals: np.ndarray, new: np.ndarray
) -> None:
    p_values = conformal_p_values(new, normals)
    assert np.all((p_values > 0) & (p_values <= 1))
    ranks = np.unique(np.concatenate([normals, new]), return_inverse=True)[1].astype(float)
    again = conformal_p_values(3 * ranks[len(normals) :] - 7, 3 * ranks[: len(normals)] - 7)
    np.testing.assert_array_equal(p_values, again)
    assert np.all(np.diff(p_values[np.argsort(new)]) <= 0)


@settings(deadline=None)
@given(SCORES)
def test_a_member_of_the_reference_is_judged_by_the_others(normals: np.ndarray) -> None:
    p_values = conformal_p_values(normals, normals, np.ones(len(normals), bool))
    for i, score in enumerate(normals):
        assert p_values[i] == conformal_p_values([score], np.delete(normals, i))[0]


@pytest.mark.parametrize(
    ("alpha", "n", "rank"),
    [
        *((0.05, 19, 19), (0.05, 20, 20), (0.05, 39, 38), (0.1, 9, 9), (0.01, 99, 99)),
        # In floating point, (n + 1)(1 - alpha) would be above 1 and 7 here.
        *((0.95, 19, 1), (0.3, 9, 7), (0.9, 9, 1)),
    ],
)
def test_the_threshold_is_the_score_of_the_right_rank(alpha: float, n: int, rank: int) -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    assert conformal_threshold(scores, conformal(alpha)) == rank


@settings(deadline=None)
@given(st.integers(1, 400), ALPHAS)
def test_too_few_images_are_an_error_that_says_how_many_are_needed(n: int, alpha: float) -> None:
    params = conformal(alpha)
    if n >= 1 / Fraction(str(alpha)) - 1:
        conformal_threshold(np.arange(n), params)
        assert n >= params.normals_needed
        return
    assert n < params.normals_needed
    with pytest.raises(DualadError, match=rf"at least {params.normals_needed} normal .* has {n};"):
        conformal_threshold(np.arange(n), params)
    conformal_threshold(np.arange(params.normals_needed), params)
    # And the message's other way out.
    conformal_threshold(np.arange(n), conformal(1 / (n + 1) + 1e-12))


def test_other_rules_need_no_number_of_images() -> None:
    assert ThresholdParams("quantile", alpha=0.01).normals_needed == 0


@pytest.mark.parametrize("n", [19, 49, 100, 333])
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.25])
def test_the_mean_false_positive_rate_is_the_promised_one(n: int, alpha: float) -> None:
    """Of uniform scores, a share of 1 - t lies above t: no test images have to be drawn."""
    rng = np.random.default_rng(n)
    labels = np.zeros(n, np.int64)
    rates = [
        1 - choose_threshold(rng.random(n), labels, conformal(alpha)).value for _ in range(3000)
    ]
    error = 3 * np.std(rates) / np.sqrt(len(rates))
    assert alpha - 1 / (n + 1) - error < np.mean(rates) < alpha + error
    # The quantile of as many images, which corrects for nothing, lets more through.
    plain = ThresholdParams("quantile", q=1 - alpha)
    uncorrected = [1 - choose_threshold(rng.random(n), labels, plain).value for _ in range(3000)]
    assert np.mean(uncorrected) > alpha + error / 3


def test_p_values_of_normals_are_super_uniform_even_with_ties() -> None:
    rng = np.random.default_rng(5)
    p_values = np.concatenate(
        [
            conformal_p_values(np.round(rng.normal(size=50), 1), np.round(rng.normal(size=40), 1))
            for _ in range(2000)
        ]
    )
    for level in (0.03, 0.05, 0.1, 0.3, 0.7):
        assert np.mean(p_values <= level) < level + 0.005


def test_a_score_chosen_on_the_same_normals_breaks_the_promise() -> None:
    """The one of 50 useless scores that these normals have the lowest threshold for."""
    rng = np.random.default_rng(1)
    rates = []
    for _ in range(400):
        candidates = rng.random((50, 49))
        thresholds = [conformal_threshold(scores, conformal(0.05)) for scores in candidates]
        rates.append(1 - min(thresholds))
    assert np.mean(rates) > 0.1


def test_without_a_reference_every_p_value_is_one() -> None:
    np.testing.assert_array_equal(conformal_p_values([1.0, 2.0], []), [1, 1])
