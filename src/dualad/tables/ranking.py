"""Average ranks of the methods over the datasets (Demsar, 2006)."""

from collections.abc import Sequence
from string import ascii_lowercase
from typing import Any

from dualad.results.ranks import Ranking, rank_methods
from dualad.results.runs import Runs, joined, notes_across, values_by_dataset
from dualad.tables.cells import datasets_caption
from dualad.tables.formats import Table
from dualad.tables.performance import PERFORMANCE

_COLUMNS = ("method", "average_rank", "groups", "notes")
"""Of the CSV; before the notes come the ranks on every dataset."""
_LOWER_IS_BETTER = frozenset({"fpr", "ece"})
_MANY = 10
"""Datasets above which chi square is a good approximation to the Friedman statistic (Demsar)."""


def ranks_table(runs: Sequence[Runs], metric: str = "auroc") -> Table:
    """Average ranks of methods by a metric, and which of them are not told apart.

    Parameters
    ----------
    runs
        Results; of several runs, the mean is ranked. Without two methods on two common datasets,
        the table has only a head and says so.
    metric
        Key in `metrics.json`.
    """
    ranking = rank_methods(
        values_by_dataset(runs, metric), higher_is_better=metric not in _LOWER_IS_BETTER
    )
    title = PERFORMANCE.get(metric, metric)
    caption = (
        f"Ranks by {title} need results of two methods or more on two datasets or more, without "
        "gaps; there are none."
    )
    if ranking:
        caption = _caption(ranking, title) + datasets_caption(
            [run for run in runs if run.dataset in ranking.datasets]
        )
    records = _records(ranking, runs) if ranking else []
    datasets = ranking.datasets if ranking else ()
    return Table(
        caption=caption,
        label="tab:ranks",
        head=["Method", "Groups", "Average rank", *datasets, "Notes"],
        rows=[
            [
                record["method"],
                record["groups"],
                f"{record['average_rank']:.2f}",
                *(f"{record[f'rank_{dataset}']:g}" for dataset in datasets),
                record["notes"],
            ]
            for record in records
        ],
        texts=2,
        records=records,
        columns=_COLUMNS,
    )


def _records(ranking: Ranking, runs: Sequence[Runs]) -> list[dict[str, Any]]:
    """A record per method, in the order of the average ranks.

    Methods that share a letter in `groups` are not told apart; `rank_<dataset>` is the rank on a
    dataset, 1 for the best.
    """
    records = []
    for column, method in enumerate(ranking.methods):
        across = [run for run in runs if run.method == method and run.dataset in ranking.datasets]
        letters = zip(ascii_lowercase, ranking.groups, strict=False)
        records.append(
            {
                "method": method,
                "average_rank": ranking.average[column],
                "groups": "".join(letter for letter, group in letters if method in group),
                **{
                    f"rank_{dataset}": float(ranking.ranks[row, column])
                    for row, dataset in enumerate(ranking.datasets)
                },
                "notes": joined(*notes_across(across)),
            }
        )
    return records


def _caption(ranking: Ranking, title: str) -> str:
    n, k = len(ranking.datasets), len(ranking.methods)
    parts = [f"Ranks of {k} methods by {title} on {n} datasets; 1 is the best, ties share."]
    if ranking.friedman_p is not None:
        parts.append(
            f"Friedman test: chi square {ranking.friedman_statistic:.2f}, "
            f"{k - 1} degrees of freedom, p = {ranking.friedman_p:.3g}"
            f"{'' if n > _MANY else ', which is approximate for so few datasets'}."
        )
    parts.append(
        f"Critical difference of average ranks (Nemenyi, {100 * ranking.alpha:g} %): "
        f"{ranking.critical_difference:.2f}. Methods that share a letter are not told apart."
    )
    if ranking.friedman_p is not None and ranking.friedman_p >= ranking.alpha:
        parts.append("The Friedman test finds no difference, so all share one.")
    left_out = (*ranking.left_out_methods, *ranking.left_out_datasets)
    if left_out:
        parts.append(f"Left out for want of results: {', '.join(left_out)}.")
    return " ".join(parts)
