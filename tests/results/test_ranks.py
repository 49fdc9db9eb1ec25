import math

import numpy as np
import pytest

from dualad.errors import DualadError
from dualad.results.ranks import nemenyi_critical_difference, rank_methods

# Ranks of four versions of C4.5 on 14 datasets, as Demsar (2006) prints them in his Table 6.
C45 = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
DEMSAR = [
    (4, 3, 2, 1),
    (1, 2, 3, 4),
    (4, 1, 2, 3),
    (4, 1, 3, 2),
    (4, 2, 3, 1),
    (1, 2.5, 4, 2.5),
    (3, 2, 4, 1),
    (2.5, 2.5, 4, 1),
    (4, 3, 2, 1),
    (2.5, 2.5, 2.5, 2.5),
    (4, 2.5, 1, 2.5),
    (3, 2, 4, 1),
    (4, 1, 2, 3),
    (3, 1, 4, 2),
]


def by_dataset(rows, methods):
    return {f"d{i}": dict(zip(methods, row, strict=True)) for i, row in enumerate(rows)}


@pytest.fixture
def demsar():
    return by_dataset(DEMSAR, C45)


def test_quantiles_are_those_of_demsars_table_5():
    expected = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    found = [
        nemenyi_critical_difference(k, 1, 0.05) / math.sqrt(k * (k + 1) / 6) for k in range(2, 11)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_demsars_example(demsar):
    ranking = rank_methods(demsar, higher_is_better=False, alpha=0.1)
    assert ranking.methods == ("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5")
    assert ranking.average == pytest.approx((1.964, 2.000, 2.893, 3.143), abs=1e-3)
    assert ranking.critical_difference == pytest.approx(1.12, abs=0.005)
    # Pure C4.5 is worse than the two best; nothing is known of C4.5+cf.
    assert ranking.groups == (("C4.5+m+cf", "C4.5+m", "C4.5+cf"), ("C4.5+cf", "C4.5"))


def test_demsars_example_at_the_stricter_level_has_one_group(demsar):
    ranking = rank_methods(demsar, higher_is_better=False)
    assert ranking.critical_difference == pytest.approx(1.25, abs=0.005)
    assert ranking.friedman_p < 0.05
    assert ranking.groups == (ranking.methods,)


def test_friedman_without_ties_is_the_textbook_formula():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(9, 5))
    ranking = rank_methods(by_dataset(rows, "abcde"))
    n, k = 9, 5
    squares = sum(rank**2 for rank in ranking.average)
    expected = 12 * n / (k * (k + 1)) * (squares - k * (k + 1) ** 2 / 4)
    assert ranking.friedman_statistic == pytest.approx(expected)


def test_methods_in_the_same_order_everywhere_all_differ():
    ranking = rank_methods(by_dataset([(0.9, 0.8, 0.7)] * 12, "abc"))
    assert ranking.average == (1, 2, 3)
    assert ranking.friedman_statistic == pytest.approx(12 * 2)
    assert ranking.critical_difference == pytest.approx(2.343 * math.sqrt(12 / 72), abs=1e-3)
    assert ranking.groups == ()


def test_nothing_is_told_apart_where_friedman_finds_nothing():
    ranking = rank_methods(by_dataset([(3, 2, 1), (1, 2, 3)], "abc"))
    assert ranking.friedman_p == pytest.approx(1)
    assert ranking.groups == (("a", "b", "c"),)


def test_methods_that_always_tie_form_one_group():
    ranking = rank_methods(by_dataset([(1, 1, 1)] * 20, "abc"))
    assert ranking.average == (2, 2, 2) and ranking.friedman_statistic is None
    assert ranking.groups == (("a", "b", "c"),)


def test_two_methods_have_no_friedman_test_but_a_critical_difference():
    ranking = rank_methods(by_dataset([(0.9, 0.1)] * 4, "ab"))
    assert ranking.friedman_p is None
    assert ranking.critical_difference == pytest.approx(1.96 / 2, abs=1e-3)
    assert ranking.groups == ()


def test_gaps_are_left_out_and_named():
    values = by_dataset([(3, 2, 1, 0)] * 5, "abcd")
    values["d1"]["b"] = None
    del values["d4"]["b"]
    values["empty"] = {}
    ranking = rank_methods(values)
    assert ranking.methods == ("a", "c", "d") and ranking.datasets == ("d0", "d1", "d2", "d3", "d4")
    assert ranking.left_out_methods == ("b",) and ranking.left_out_datasets == ("empty",)


def test_a_dataset_of_one_method_is_left_out():
    values = by_dataset([(3, 2, 1)] * 4, "abc")
    values["d2"] = {"a": 1}
    ranking = rank_methods(values)
    assert ranking.left_out_datasets == ("d2",) and ranking.left_out_methods == ()


def test_what_ran_on_one_dataset_only_hides_no_other():
    """As in the default configuration: ablations on one dataset, baselines on another."""
    common = dict(zip("abcdefg", range(7), strict=True))
    values = {"digits": common | dict.fromkeys(["h", "i", "j", "k", "l"], 1.0), "faces": common}
    values["texture"] = common | {f"baseline{i}": 0.5 for i in range(11)}
    ranking = rank_methods(values)
    assert ranking.methods == tuple("gfedcba") and ranking.left_out_datasets == ()
    assert len(ranking.left_out_methods) == 16


@pytest.mark.parametrize("values", [{}, {"d": {"a": 1, "b": 2}}, {"d": {"a": 1}, "e": {"a": 2}}])
def test_too_little_to_rank(values):
    assert rank_methods(values) is None


def test_a_level_outside_its_range_is_refused(demsar):
    with pytest.raises(DualadError, match="between 0 and 1"):
        rank_methods(demsar, alpha=5)
