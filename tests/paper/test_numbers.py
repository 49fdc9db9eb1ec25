import re
from pathlib import Path

import pytest
import yaml

from dualad.errors import DualadError
from dualad.paper.numbers import MEAN_OVER_DATASETS, paper_number, paper_numbers

CONFIG = yaml.safe_load((Path(__file__).parents[2] / "config" / "paper.yaml").read_text())
TABLE_6 = ("auroc", "f1", "f2", "tpr", "tnr", "fpr", "precision", "g_mean", "mcc", "kappa")


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("Table 4", 5 * 3),
        ("Table 5", 12 * 3),
        ("Table 6", 8 * 10),
        ("Table 8", 3 * 3 * 8),
        ("Table 9", 6 * 3),
        ("Table 10", 4 * 2),
        ("Eq. 25", 2 * 3),
        ("Section 4.1", 8),
    ],
)
def test_tables_are_complete(source, count):
    numbers = paper_numbers(source)
    assert len(numbers) == count
    assert len({(n.row, n.column) for n in numbers}) == count


def test_names_are_those_of_the_papers_configuration():
    for source in ("Table 6", "Table 8", "Table 9"):
        for number in paper_numbers(source):
            assert number.dataset in CONFIG["datasets"]
            assert number.method in CONFIG["methods"]
    datasets = dict.fromkeys(n.dataset for n in paper_numbers("Table 6"))
    assert list(datasets) == list(CONFIG["datasets"])
    assert [n.metric for n in paper_numbers("Table 6")[:10]] == list(TABLE_6)
    assert {n.dataset for n in paper_numbers("Table 10")} == {MEAN_OVER_DATASETS}


def test_a_cell_is_kept_as_printed_and_read_as_a_number():
    (tpr,) = (n for n in paper_numbers("Table 6") if (n.dataset, n.metric) == ("rope", "tpr"))
    assert (tpr.text, tpr.value, tpr.fraction) == ("100.00", 100.0, 1.0)
    first = paper_numbers("Table 5")[:3]
    assert [n.text for n in first] == ["13,342", "\N{EN DASH}", "13342/2 = 6671"]
    assert [n.value for n in first] == [13_342, None, None]
    assert paper_numbers("Table 4")[1].fraction == 0.8676
    assert paper_number("Table 10", "ece_mc") == 0.14


def test_one_number_is_looked_up():
    assert paper_number("Table 6", "mcc", dataset="zipper") == 87.24
    assert paper_number("Eq. 25", "log_slope", row="N > 6300") == 444.1692
    assert paper_number("Example 2", "n_images") == 26_684


@pytest.mark.parametrize(
    ("source", "metric", "dataset"),
    [("Table 6", "mcc", None), ("Table 6", "mcc", "digits"), ("Table 66", "mcc", "zipper")],
)
def test_what_is_not_one_number_is_an_error(source, metric, dataset):
    with pytest.raises(DualadError, match=r"numbers\.csv"):
        paper_number(source, metric, dataset=dataset)


def test_tables_that_repeat_each_other_agree():
    table_6 = {(n.dataset, n.metric): n.text for n in paper_numbers("Table 6")}
    for source in ("Table 8", "Table 9"):
        for number in paper_numbers(source):
            if number.method == "dual":
                assert number.text == table_6[number.dataset, number.metric]


def test_false_positive_rates_are_what_specificity_leaves():
    table_6 = {(n.dataset, n.metric): n.value for n in paper_numbers("Table 6")}
    for (dataset, metric), value in table_6.items():
        if metric == "fpr":
            # Both are rounded, so 90.625 and 9.375 may print as 90.63 and 9.38.
            assert value == pytest.approx(100 - table_6[dataset, "tnr"], abs=0.0101)


def test_calculations_of_tables_4_and_5_hold_but_for_one_misprint():
    wrong = []
    for number in paper_numbers("Table 4") + paper_numbers("Table 5"):
        if number.metric != "next" or number.text == "end":
            continue
        terms, result = re.fullmatch(r"\(?([\d +]+)\)?/2 = ([\d.]+).*", number.text).groups()
        if sum(map(int, terms.split("+"))) / 2 != float(result):
            wrong.append(number.text)
    assert wrong == ["(364 + 338)/2 = 338"]
