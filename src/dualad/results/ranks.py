"""Average ranks of methods over datasets, and which of them differ.

The procedure is Demsar's (Journal of Machine Learning Research 7, 2006): the Friedman test asks
whether the methods differ at all, the Nemenyi test by how much two average ranks have to differ.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from dualad.errors import DualadError

MIN_DATASETS = 2
"""Fewer datasets give no ranking: the ranks on one are its table read in another way."""


@dataclass(frozen=True)
class Ranking:
    """Methods by average rank, the best first."""

    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    ranks: NDArray[np.float64]
    """(datasets, methods) rank of a method on a dataset, 1 the best; ties share their mean."""
    average: tuple[float, ...]
    """Mean rank per method."""
    friedman_statistic: float | None
    """Chi square, corrected for ties; None for fewer than three methods, which the test needs, and
    where all methods tie on all datasets."""
    friedman_p: float | None
    alpha: float
    """Level of significance of both tests."""
    critical_difference: float
    """Average ranks that differ by less are not told apart by the Nemenyi test."""
    groups: tuple[tuple[str, ...], ...]
    """The largest sets of two or more methods, neighbours in `methods`, that are not told apart. A
    method may be in several, or in none. All methods if the Friedman test finds no difference."""
    left_out_methods: tuple[str, ...] = ()
    left_out_datasets: tuple[str, ...] = ()
    """What had gaps."""


def rank_methods(
    values: Mapping[str, Mapping[str, float | None]],
    *,
    higher_is_better: bool = True,
    alpha: float = 0.05,
) -> Ranking | None:
    """Rank methods by a metric on every dataset and compare their average ranks.

    Ranks need a value of every method on every dataset. So methods and datasets are left out such
    that most values remain, and on a tie most datasets.

    Parameters
    ----------
    values
        The metric by dataset and, within, by method. A value that is missing or None is a gap.
    higher_is_better
        Whether rank 1 goes to the highest value.
    alpha
        Level of significance of the Friedman and the Nemenyi test, in (0, 1).

    Returns
    -------
    Ranking or None
        None unless two methods have values on the same `MIN_DATASETS` datasets.

    Raises
    ------
    DualadError
        If `alpha` is not between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise DualadError(f"the level of significance is {alpha}; choose one between 0 and 1")
    table = pd.DataFrame([dict(row) for row in values.values()], index=list(values), dtype=float)
    complete = _without_gaps(table)
    if complete.empty:
        return None
    signed = -complete.to_numpy() if higher_is_better else complete.to_numpy()
    ranks = stats.rankdata(signed, axis=1)
    order = np.argsort(ranks.mean(axis=0), kind="stable")
    ranks = ranks[:, order]
    methods = tuple(str(complete.columns[i]) for i in order)
    average = tuple(ranks.mean(axis=0).tolist())
    statistic, p = _friedman(ranks)
    difference = nemenyi_critical_difference(len(methods), len(complete), alpha)
    same = (statistic is None and len(methods) > 2) or (p is not None and p >= alpha)
    return Ranking(
        methods=methods,
        datasets=tuple(map(str, complete.index)),
        ranks=ranks,
        average=average,
        friedman_statistic=statistic,
        friedman_p=p,
        alpha=alpha,
        critical_difference=difference,
        groups=_groups(methods, average, math.inf if same else difference),
        left_out_methods=tuple(str(m) for m in table.columns if m not in complete.columns),
        left_out_datasets=tuple(str(d) for d in table.index if d not in complete.index),
    )


def nemenyi_critical_difference(n_methods: int, n_datasets: int, alpha: float) -> float:
    """By how much two average ranks have to differ at least to be told apart.

    It is q * sqrt(k (k + 1) / (6 N)) for k methods on N datasets, q being the quantile of the
    studentised range for k groups and infinitely many degrees of freedom, divided by sqrt(2).
    """
    q = stats.studentized_range.ppf(1 - alpha, n_methods, math.inf) / math.sqrt(2)
    return float(q * math.sqrt(n_methods * (n_methods + 1) / (6 * n_datasets)))


def _without_gaps(table: pd.DataFrame) -> pd.DataFrame:
    """The largest part without gaps, of enough datasets and methods; empty if there is none."""
    # The datasets that a method has, and those that several have in common. They are few, because
    # most methods have the same ones.
    common = {tuple(column) for column in table.notna().to_numpy().T.tolist()}
    for held in sorted(common):
        common |= {tuple(map(all, zip(held, other, strict=True))) for other in common}
    parts = [table.loc[list(datasets)].dropna(axis=1) for datasets in sorted(common)]
    ranked = [part for part in parts if len(part) >= MIN_DATASETS and part.shape[1] >= 2]
    return max(ranked, key=lambda part: (part.size, len(part)), default=table.iloc[:0])


def _friedman(ranks: NDArray[np.float64]) -> tuple[float | None, float | None]:
    if ranks.shape[1] < 3 or np.all(ranks == ranks[0, 0]):
        return None, None
    result = stats.friedmanchisquare(*ranks.T)
    return float(result.statistic), float(result.pvalue)


def _groups(
    methods: tuple[str, ...], average: tuple[float, ...], difference: float
) -> tuple[tuple[str, ...], ...]:
    groups: list[tuple[str, ...]] = []
    reached = 0
    for first, rank in enumerate(average):
        stop = sum(other - rank < difference for other in average)
        if stop > reached and stop - first > 1:
            groups.append(methods[first:stop])
        reached = max(reached, stop)
    return tuple(groups)
