"""What removing one component changes (Table 9)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualad.evaluation.bootstrap import ResampledMetrics, Resampling, percentile_intervals
from dualad.results.differences import aligned_test_scores, has_scores, judgement
from dualad.results.experiment import method_params
from dualad.results.runs import Runs
from dualad.tables.cells import (
    cell,
    method_label,
    new_datasets,
    runs_cell,
    runs_record,
    signed,
    with_runs_caption,
)
from dualad.tables.formats import Table

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Interval = tuple[float, float]

METRICS = {
    "auroc": "AUROC",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1",
    "g_mean": "G-mean",
}


def ablation_table(
    runs: Sequence[Runs],
    methods: Sequence[str],
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> Table:
    """Ablated methods beside the full one, with the difference and its interval.

    Parameters
    ----------
    runs
        Results; those of other methods than `methods` are passed over. Beside each `metrics.json`,
        `scores.csv` and `threshold.json` are read.
    methods
        The full method, then the ablated ones.
    resamples, confidence
        Number of bootstrap samples and coverage of the intervals, as the evaluator's.

    Raises
    ------
    DualadError
        If a file cannot be read, two methods were tested on different images, or the confidence is
        not between 0 and 1.
    """
    resampling = Resampling(resamples, confidence)
    ablations = _ablations(runs, methods, resampling)
    compared = [ablation.runs for ablation in ablations]
    caption = (
        f"One component less than {methods[0] if methods else 'the full model'}, in per cent, "
        "with bootstrap intervals in brackets. Differences are to the full model, in percentage "
        "points; their intervals resample the test images once for both methods, each class by "
        "itself. Bold: 0 is outside, so these images tell the two apart. What another seed would "
        "change is in no interval."
    )
    return Table(
        caption=with_runs_caption(caption, compared),
        label="tab:ablation",
        head=[
            "Dataset",
            "Ablated",
            "Change",
            *(column for title in METRICS.values() for column in (title, "Difference")),
            "Notes",
        ],
        rows=[_row(ablation) for ablation in ablations],
        texts=3,
        breaks=new_datasets(compared),
        bold=frozenset(
            (i, 4 + 2 * j)
            for i, ablation in enumerate(ablations)
            for j, metric in enumerate(METRICS)
            if ablation.tells_apart(metric)
        ),
        wrapped=frozenset({2}),
        records=[_record(ablation) for ablation in ablations],
    )


@dataclass(frozen=True)
class _Ablation:
    """A method on a dataset and how it differs from the full one."""

    runs: Runs
    change: str
    """The parameters that differ, or that this is the full model."""
    differences: Mapping[str, float | None]
    """Per metric of `METRICS`, ablated minus full; None where one of them has no value."""
    intervals: Mapping[str, Interval]
    """Bootstrap intervals of the differences; a metric may be missing."""

    def tells_apart(self, metric: str) -> bool:
        """Whether 0 is outside the interval of a metric's difference."""
        interval = self.intervals.get(metric)
        return interval is not None and not interval[0] <= 0 <= interval[1]


def _ablations(
    runs: Sequence[Runs], methods: Sequence[str], resampling: Resampling
) -> list[_Ablation]:
    """Dataset by dataset, the methods in their order."""
    order = {method: i for i, method in enumerate(methods)}
    found = [run for run in runs if run.method in order]
    datasets = list(dict.fromkeys(run.dataset for run in found))
    full = {run.dataset: run for run in found if run.method == methods[0]}
    return [
        _compare(run, full.get(run.dataset), resampling)
        for run in sorted(found, key=lambda run: (datasets.index(run.dataset), order[run.method]))
    ]


def _compare(runs: Runs, full: Runs | None, resampling: Resampling) -> _Ablation:
    if runs is full:
        return _Ablation(runs, "full model", dict.fromkeys(METRICS), {})
    return _Ablation(
        runs,
        _change(runs, full),
        {metric: _difference(runs, full, metric) for metric in METRICS},
        difference_intervals(runs, full, resampling) if full else {},
    )


def _row(ablation: _Ablation) -> list[str]:
    row = [ablation.runs.dataset, method_label(ablation.runs), ablation.change]
    for metric, difference in ablation.differences.items():
        row.append(runs_cell(ablation.runs, metric))
        row.append(cell(difference, signed, ablation.intervals.get(metric)))
    return [*row, ablation.runs.note]


def _record(ablation: _Ablation) -> dict[str, Any]:
    runs = ablation.runs
    record: dict[str, Any] = {"dataset": runs.dataset, "method": runs.method}
    record |= {"change": ablation.change, "runs": len(runs.done)}
    for metric, difference in ablation.differences.items():
        low, high = ablation.intervals.get(metric, (None, None))
        record |= runs_record(runs, metric)
        record |= {
            f"{metric}_difference": difference,
            f"{metric}_difference_ci_lo": low,
            f"{metric}_difference_ci_hi": high,
        }
    return record | {"notes": runs.note}


def difference_intervals(ablated: Runs, full: Runs, resampling: Resampling) -> dict[str, Interval]:
    """Paired, stratified percentile bootstrap of differences of metrics between two methods.

    Both methods are evaluated on the same resampled images, each class being resampled by itself.
    The metrics of several runs are averaged, on the same images too.

    Parameters
    ----------
    ablated, full
        The methods on a dataset; the difference is the former minus the latter.
    resampling
        How samples are drawn.

    Returns
    -------
    dict
        (low, high) per metric of `METRICS`; empty if one of the methods has no result or one of
        its runs no `scores.csv`.

    Raises
    ------
    DualadError
        If a `scores.csv` cannot be read, or they name different test images.
    """
    compared = (ablated, full)
    if not all(map(has_scores, compared)):
        return {}
    tables = aligned_test_scores(compared)
    labels = tables[0][0]["label"].to_numpy(dtype=np.int64)
    ours, theirs = ([ResampledMetrics(judgement(table)) for table in scores] for scores in tables)

    def differences(drawn: Counts) -> dict[str, Floats]:
        means = _mean_metrics(ours, drawn), _mean_metrics(theirs, drawn)
        return {metric: means[0][metric] - means[1][metric] for metric in METRICS}

    found = percentile_intervals(labels == 1, differences, resampling)
    return {metric: interval for metric, interval in found.items() if interval is not None}


def _mean_metrics(runs: Sequence[ResampledMetrics], drawn: Counts) -> dict[str, Floats]:
    """Metrics of `METRICS` on every sample, averaged over the runs."""
    values = [metrics_of(drawn) for metrics_of in runs]
    return {metric: np.mean([value[metric] for value in values], axis=0) for metric in METRICS}


def _difference(runs: Runs, full: Runs | None, metric: str) -> float | None:
    ours, theirs = (r.values(metric) if r else [] for r in (runs, full))
    return fmean(ours) - fmean(theirs) if ours and theirs else None


def _change(runs: Runs, full: Runs | None) -> str:
    """The parameters in which a method differs from the full one, as `threshold.json` has them."""
    ours, theirs = (
        next((_flat(method_params(entry.folder)) for entry in r.done), {}) if r else {}
        for r in (runs, full)
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
