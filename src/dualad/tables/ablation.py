"""What removing one component changes (Table 9)."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from dualad.errors import DualadError
from dualad.results.runs import Runs, method_params, read_test_scores
from dualad.tables.cells import (
    cell,
    method_label,
    new_datasets,
    per_cent,
    runs_cell,
    runs_record,
    with_runs_caption,
)
from dualad.tables.formats import Table

Floats = NDArray[np.float64]
Interval = tuple[float, float]

METRICS = {
    "auroc": "AUROC",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1",
    "g_mean": "G-mean",
}
RESAMPLES = 1000
_CONFIDENCE = 0.95
_BATCH_CELLS = 2_000_000
"""Resamples are taken in batches of so many images, which bounds the memory."""


def ablation_table(every: Sequence[Runs], methods: Sequence[str]) -> Table:
    """Ablated methods beside the full one, with the difference and its interval.

    Parameters
    ----------
    every
        Results; those of others than `methods` are passed over. Beside each `metrics.json`,
        `scores.csv` and `threshold.json` are read.
    methods
        The full method, then the ablated ones.

    Raises
    ------
    DualadError
        If a file cannot be read, or two methods were tested on different images.
    """
    order = {method: i for i, method in enumerate(methods)}
    found = [one for one in every if one.method in order]
    datasets = list(dict.fromkeys(one.dataset for one in found))
    runs = sorted(found, key=lambda one: (datasets.index(one.dataset), order[one.method]))
    full = {one.dataset: one for one in runs if one.method == methods[0]}
    rows: list[list[str]] = []
    records = []
    bold: set[tuple[int, int]] = set()
    for one in runs:
        reference = full.get(one.dataset)
        compared = reference if reference is not one else None
        intervals = difference_intervals(one, compared) if compared else {}
        row = [one.dataset, method_label(one)]
        row.append("full model" if one is reference else _change(one, compared))
        record: dict[str, Any] = {"dataset": one.dataset, "method": one.method, "change": row[2]}
        record["runs"] = len(one.done)
        for metric in METRICS:
            difference = _difference(one, compared, metric)
            row += [runs_cell(one, metric), cell(difference, _signed, intervals.get(metric))]
            low, high = intervals.get(metric, (None, None))
            if low is not None and high is not None and not low <= 0 <= high:
                bold.add((len(rows), len(row) - 1))
            record |= runs_record(one, metric)
            record |= {
                f"{metric}_difference": difference,
                f"{metric}_difference_ci_lo": low,
                f"{metric}_difference_ci_hi": high,
            }
        rows.append([*row, one.note])
        records.append(record | {"notes": one.note})
    caption = (
        f"One component less than {methods[0] if methods else 'the full model'}, in per cent, "
        "with bootstrap intervals in brackets. Differences are to the full model, in percentage "
        "points; their intervals resample the test images once for both methods, each class by "
        "itself. Bold: 0 is outside, so these images tell the two apart. What another seed would "
        "change is in no interval."
    )
    return Table(
        caption=with_runs_caption(caption, runs),
        label="tab:ablation",
        head=[
            "Dataset",
            "Ablated",
            "Change",
            *(column for title in METRICS.values() for column in (title, "Difference")),
            "Notes",
        ],
        rows=rows,
        texts=3,
        breaks=new_datasets(runs),
        bold=frozenset(bold),
        wrapped=frozenset({2}),
        records=records,
    )


def difference_intervals(
    ablated: Runs, full: Runs, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """Paired, stratified percentile bootstrap of differences of metrics between two methods.

    Both methods are judged on the same resampled images, each class being resampled by itself.
    Of several runs the metrics are averaged, on the same images too.

    Parameters
    ----------
    ablated, full
        The methods on a dataset; the difference is the former minus the latter.
    resamples
        Number of bootstrap samples.
    seed
        Of the resampling.

    Returns
    -------
    dict
        95 % interval per metric of `METRICS`; empty if one of them has no result or a run of it no
        `scores.csv`.

    Raises
    ------
    DualadError
        If a `scores.csv` cannot be read, or they name different test images.
    """
    both = (ablated, full)
    if not all(of.done for of in both) or not all(
        (entry.folder / "scores.csv").exists() for of in both for entry in of.done
    ):
        return {}
    tables = [[read_test_scores(entry.folder) for entry in of.done] for of in both]
    reference = tables[0][0]
    for of, scores in zip(both, tables, strict=True):
        for entry, table in zip(of.done, scores, strict=True):
            if set(table.index) != set(reference.index):
                raise DualadError(
                    f"{entry.folder / 'scores.csv'}: the test images are not those of "
                    f"{ablated.done[0].folder / 'scores.csv'}; delete both and run the workflow "
                    "again"
                )
    aligned = [[table.loc[reference.index] for table in scores] for scores in tables]
    labels = reference["label"].to_numpy()

    def difference(normal: Any, anomalous: Any, axis: int = -1) -> Floats:
        ours, theirs = (
            np.mean([resampled_metrics(table, normal, anomalous) for table in scores], axis=0)
            for scores in aligned
        )
        return np.asarray(ours - theirs)

    result = stats.bootstrap(
        (np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)),
        difference,
        n_resamples=resamples,
        batch=max(_BATCH_CELLS // len(labels), 1),
        vectorized=True,
        confidence_level=_CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    low, high = map(np.atleast_1d, result.confidence_interval)
    return {m: (float(low[i]), float(high[i])) for i, m in enumerate(METRICS)}


def resampled_metrics(
    table: pd.DataFrame, normal: NDArray[np.integer], anomalous: NDArray[np.integer]
) -> Floats:
    """The metrics of many samples of the test images at once.

    Parameters
    ----------
    table
        A row per image: `score`, `decision`.
    normal, anomalous
        (..., n0) and (..., n1) rows of the normal and the anomalous images drawn.

    Returns
    -------
    ndarray
        (metrics, ...) in the order of `METRICS`.
    """
    score, decision = table["score"].to_numpy(), table["decision"].to_numpy()
    n0, n1 = normal.shape[-1], anomalous.shape[-1]
    ranks = stats.rankdata(np.concatenate([score[normal], score[anomalous]], axis=-1), axis=-1)
    # The Mann-Whitney statistic: pairs of images in which the anomalous one has the higher score.
    pairs = ranks[..., n0:].sum(axis=-1) - n1 * (n1 + 1) / 2
    tpr, fpr = decision[anomalous].mean(axis=-1), decision[normal].mean(axis=-1)
    found, alarms = n1 * tpr, n0 * fpr
    return np.stack(
        [
            pairs / (n0 * n1),
            (tpr + 1 - fpr) / 2,
            2 * found / (n1 + found + alarms),
            np.sqrt(tpr * (1 - fpr)),
        ]
    )


def _difference(one: Runs, full: Runs | None, metric: str) -> float | None:
    values = [of.values(metric) if of else [] for of in (one, full)]
    return fmean(values[0]) - fmean(values[1]) if all(values) else None


def _signed(value: float) -> str:
    # A difference of zero has no sign, nor has one that is shown as zero.
    text = per_cent(value)
    return "0.0" if float(text) == 0 else f"+{text}" if value > 0 else text


def _change(one: Runs, full: Runs | None) -> str:
    """The parameters in which a method differs from the full one, as `threshold.json` has them."""
    ours, theirs = (
        next((_flat(method_params(entry.folder)) for entry in of.done), {}) if of else {}
        for of in (one, full)
    )
    return ", ".join(
        f"{key} = {value}"
        for key, value in ours.items()
        if theirs and key != "repeat" and value != theirs.get(key)
    )


def _flat(params: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in params.items():
        nested = _flat(value) if isinstance(value, Mapping) else {}
        flat |= {f"{key}.{name}": v for name, v in nested.items()} if nested else {key: value}
    return flat
