import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paper_results import printed

from dualad.errors import DualadError
from dualad.paper.algorithm_1 import search_batch_size


def tried(found):
    return [e.batch_size for e in found.evaluations if e.auroc is not None]


@pytest.mark.parametrize(
    ("table", "n_images", "evaluated", "best", "auroc"),
    [
        ("Table 4", 262, [131, 65, 32, 98, 81], 98, 0.9762),
        ("Table 5", 26_684, [1667, 833, 416, 208, 312, 364, 338, 351, 357], 364, 0.9695),
    ],
)
def test_the_papers_examples_are_retraced(table, n_images, evaluated, best, auroc):
    rows = printed(table)
    found = search_batch_size(n_images, dict(rows).__getitem__)
    assert [(e.batch_size, e.auroc) for e in found.evaluations] == rows
    assert tried(found) == evaluated
    assert (found.best.batch_size, found.best.auroc) == (best, auroc)


def test_each_size_says_where_it_comes_from():
    found = search_batch_size(26_684, dict(printed("Table 5")).__getitem__)
    assert [e.origin for e in found.evaluations] == [
        "26684 / 2",
        "13342 / 2",
        "6671 / 2",
        "3335 / 2",
        "1667 / 2",
        "833 / 2",
        "416 / 2",
        "(416 + 208) / 2",
        "(312 + 416) / 2",
        "(364 + 312) / 2",  # the paper prints 364 + 338, whose half is 351
        "(364 + 338) / 2",
        "(364 + 351) / 2",
    ]


def test_sizes_larger_than_the_training_pool_are_only_halved():
    found = search_batch_size(262, lambda size: size / 1000, max_batch=100)
    assert [(e.batch_size, e.auroc) for e in found.evaluations][:2] == [(131, None), (65, 0.065)]
    assert search_batch_size(10_000, lambda _: 0.5, max_batch=1).best.batch_size == 1


@pytest.mark.parametrize(
    ("n_images", "sizes"), [(1, [1]), (2, [1]), (3, [1]), (4, [2, 1]), (5, [2, 1]), (6, [3, 1])]
)
def test_very_small_datasets(n_images, sizes):
    assert tried(search_batch_size(n_images, lambda size: 1 / size)) == sizes
    assert tried(search_batch_size(n_images, lambda _: 0.5)) == sizes


def test_an_auroc_that_rises_to_a_batch_of_one_ends_there():
    found = search_batch_size(1000, lambda size: 1 / size)
    assert tried(found) == [500, 250, 125, 62, 31, 15, 7, 3, 1]
    assert found.best.batch_size == 1


def test_an_auroc_that_falls_at_once_is_searched_below_the_start():
    found = search_batch_size(400, lambda size: size / 400)
    assert tried(found) == [200, 100, 150, 175, 187, 193]
    assert found.best.batch_size == 200


def test_the_smaller_neighbour_is_taken_on_a_tie():
    values = {200: 0.5, 100: 0.9, 50: 0.5, 75: 0.6}
    assert tried(search_batch_size(400, lambda s: values.get(s, 0.895)))[:4] == [200, 100, 50, 75]


def test_differences_under_one_per_cent_end_the_search():
    assert tried(search_batch_size(400, lambda _: 0.7)) == [200, 100, 150]


def test_epsilon_decides_how_fine_the_search_is():
    def peak(size):
        return max(0.0, 1 - 0.02 * abs(size - 84.3))

    assert tried(search_batch_size(262, peak, epsilon=40)) == [131, 65, 32, 98]
    fine = tried(search_batch_size(262, peak, epsilon=1))
    assert fine == [131, 65, 32, 98, 81, 89, 85, 83, 84]


@given(
    n_images=st.integers(1, 200_000),
    max_batch=st.none() | st.integers(1, 200_000),
    epsilon=st.integers(1, 50),
    data=st.data(),
)
def test_any_callable_is_searched_in_logarithmic_time(n_images, max_batch, epsilon, data):
    asked = {}

    def auroc(size):
        assert size not in asked
        # Few distinct values, so that ties are frequent.
        asked[size] = data.draw(st.sampled_from([0.0, 0.3, 0.5, 0.505, 0.9, 1.0]))
        return asked[size]

    found = search_batch_size(n_images, auroc, max_batch=max_batch, epsilon=epsilon)
    limit = min(2000, max_batch or 2000, max(n_images // 2, 1))
    assert tried(found) == list(asked) and all(1 <= size <= limit for size in asked)
    assert len(asked) <= 2 * math.log2(limit) + 2
    best = max(asked.values())
    assert found.best.auroc == best
    assert found.best.batch_size == next(size for size, value in asked.items() if value == best)
    sizes = [e.batch_size for e in found.evaluations]
    assert len(sizes) == len(set(sizes))


@pytest.mark.parametrize(
    "settings", [{"n_images": 0}, {"max_batch": 0}, {"epsilon": 0}, {"start_limit": 0}]
)
def test_settings_below_one_are_refused(settings):
    (name,) = settings
    with pytest.raises(DualadError, match=f"{name} is 0"):
        search_batch_size(**{"n_images": 10, "auroc": lambda _: 0.5, **settings})


@pytest.mark.parametrize("value", [97.62, -0.1, math.nan])
def test_an_auroc_that_is_no_fraction_is_refused(value):
    with pytest.raises(DualadError, match=r"batch size 131 .* fraction"):
        search_batch_size(262, lambda _: value)
