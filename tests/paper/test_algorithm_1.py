import csv
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualad.errors import DualadError
from dualad.paper.algorithm_1 import (
    BatchSearch,
    Evaluation,
    read_batch_search,
    search_batch_size,
    write_batch_search,
)
from dualad.paper.numbers import paper_numbers
from dualad.tables.batch_search import batch_search_table


def printed(table):
    """Batch sizes and AUROCs of Table 4 or 5 in the order of the rows."""
    rows = {}
    for number in paper_numbers(table):
        if number.metric in ("batch_size", "auroc"):
            rows.setdefault(number.row, []).append(number.fraction)
    return [(int(size), auroc) for size, auroc in rows.values()]


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


def test_files_hold_the_search_and_are_read_back(tmp_path):
    found = search_batch_size(26_684, dict(printed("Table 5")).__getitem__, max_batch=20_000)
    paths = tmp_path / "rsna" / "evaluations.csv", tmp_path / "rsna" / "result.json"
    assert write_batch_search(found, *paths) == list(paths)
    with paths[0].open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "step": "1",
        "batch_size": "13342",
        "auroc": "",
        "origin": "26684 / 2",
        "best": "0",
    }
    assert [row["batch_size"] for row in rows if row["best"] == "1"] == ["364"]
    assert json.loads(paths[1].read_text()) == {
        "n_images": 26_684,
        "batch_size": 364,
        "auroc": 0.9695,
        "max_batch": 20_000,
        "epsilon": 10,
        "start_limit": 2000,
        "n_evaluated": 9,
    }
    assert read_batch_search(*paths) == found
    before = [path.read_bytes() for path in paths]
    write_batch_search(found, *paths)
    assert [path.read_bytes() for path in paths] == before
    assert not list((tmp_path / "rsna").glob(".*"))


@pytest.mark.parametrize("damaged", ["evaluations.csv", "result.json"])
@pytest.mark.parametrize("content", [None, "{", "a,b\n1,2\n"])
def test_a_damaged_file_is_named(tmp_path, damaged, content):
    found = BatchSearch(4, None, 10, 2000, (Evaluation(2, 0.5, "4 / 2"),))
    paths = tmp_path / "evaluations.csv", tmp_path / "result.json"
    write_batch_search(found, *paths)
    (tmp_path / damaged).unlink()
    if content:
        (tmp_path / damaged).write_text(content)
    with pytest.raises(DualadError, match=damaged):
        read_batch_search(*paths)


def test_the_table_has_the_papers_examples_and_ours(tmp_path):
    ours = search_batch_size(100, lambda size: 0.5 + size / 1000)
    folder = tmp_path / "digits" / "batch_search"
    write_batch_search(ours, folder / "evaluations.csv", folder / "result.json")
    table = batch_search_table([folder / "result.json"])
    for source, name in (("paper, Table 4", "Table 4"), ("paper, Table 5", "Table 5")):
        rows = [r for r in table.records if r["source"] == source]
        assert [(r["batch_size"], r["auroc"]) for r in rows] == printed(name)
        assert [r["batch_size"] for r in rows if r["best"]] == [98 if name[-1] == "4" else 364]
    own = [r for r in table.records if r["source"] == "ours"]
    assert {r["dataset"] for r in own} == {"digits"} and own[0]["batch_size"] == 50
    assert len(table.rows) == len(table.records) == 5 + 12 + len(ours.evaluations)
