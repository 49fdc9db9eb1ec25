"""Ours beside the paper: every number of Tables 6, 8, 9 and 10 with our run of the same experiment.

The column that the paper calls AUROC is held against our balanced accuracy, which is what its
numbers are (see `dualad.paper.audit`); our true AUROC stands beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Literal

from dualad.errors import DualadError
from dualad.paper.numbers import MEAN_OVER_DATASETS, PaperNumber, paper_numbers
from dualad.results.runs import Entry, Runs, metrics_block, read_runs

Status = Literal["compared", "not run", "not in the paper"]
SOURCES = ("Table 6", "Table 8", "Table 9", "Table 10")

_BALANCED = {"auroc": "balanced_accuracy"}
_STATUSES: tuple[Status, ...] = ("compared", "not in the paper", "not run")


@dataclass(frozen=True)
class Comparison:
    """One number of the paper and ours; fractions, and None where there is none."""

    source: str
    dataset: str
    """Our name of the dataset, the paper's where we have no run."""
    method: str
    metric: str
    """As in `numbers.csv`."""
    paper: float | None
    status: Status
    ours: float | None = None
    interval: tuple[float, float] | None = None
    """Bootstrap interval of `ours`; None for a mean over datasets."""
    auroc: float | None = None
    """Our true AUROC, where the paper's number is called AUROC."""
    auroc_interval: tuple[float, float] | None = None
    runs: list[float] = field(default_factory=list)
    """Our value under every seed, if there are repeats."""
    note: str = ""
    percent: bool = True
    """Whether people read it in per cent."""

    @property
    def our_metric(self) -> str:
        """The metric of ours that the paper's is held against."""
        return _BALANCED.get(self.metric, self.metric)

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's."""
        return None if self.ours is None or self.paper is None else self.ours - self.paper

    @property
    def inside(self) -> bool | None:
        """Whether the paper's number lies in our interval."""
        if self.paper is None or self.interval is None:
            return None
        return self.interval[0] <= self.paper <= self.interval[1]


def compare(
    metrics_json: Sequence[Path | str], paper_names: Mapping[str, str] | None = None
) -> list[Comparison]:
    """Hold our results against the paper's.

    Table 10 averages over datasets: so do we, over those of the paper that were run with Monte
    Carlo dropout.

    Parameters
    ----------
    metrics_json
        `results/{dataset}/{method}/metrics.json`; a missing file counts as not run. Methods that
        the paper has no numbers for are left out; the repeats of a method (dual@1) are taken
        together with it.
    paper_names
        The paper's name, as in `config/paper.yaml`, for datasets that we call otherwise.

    Returns
    -------
    list
        A comparison per table, dataset, method and metric: what both have, then what the paper
        lacks, then what was not run; each in the order of the paper's tables. Where none of our
        datasets is one of the paper's, only what the paper lacks.

    Raises
    ------
    DualadError
        If a file is there but cannot be read, or `paper_names` names a dataset that the paper
        does not have.
    """
    names = paper_names or {}
    printed = [
        number for source in SOURCES for number in paper_numbers(source) if number.value is not None
    ]
    in_paper = {number.dataset for number in printed} - {MEAN_OVER_DATASETS}
    _require_known(names, in_paper)
    every = read_runs(metrics_json)
    runs = [run for run in every if run.done]
    found = list(_lacking(printed, runs, names))
    if in_paper & {names.get(run.dataset, run.dataset) for run in every}:
        numbers = (comparison for number in printed for comparison in _compare(number, runs, names))
        found = [*numbers, *found]
    datasets = list(dict.fromkeys(comparison.dataset for comparison in found))
    methods = list(dict.fromkeys(comparison.method for comparison in found))
    # Table 8 goes metric by metric; a reader goes experiment by experiment.
    return sorted(
        found,
        key=lambda comparison: (
            _STATUSES.index(comparison.status),
            SOURCES.index(comparison.source),
            datasets.index(comparison.dataset),
            methods.index(comparison.method),
        ),
    )


def unknown_datasets(comparisons: Sequence[Comparison]) -> list[str]:
    """Our datasets that the paper has no number for, in order."""
    known = {
        comparison.dataset for comparison in comparisons if comparison.status != "not in the paper"
    }
    names = dict.fromkeys(comparison.dataset for comparison in comparisons)
    return [name for name in names if name not in known]


def _require_known(names: Mapping[str, str], known: set[str]) -> None:
    for name, paper_name in names.items():
        if paper_name not in known:
            raise DualadError(
                f"datasets.{name}.paper_name: the paper has no dataset {paper_name!r}; "
                f"name one of {', '.join(sorted(known))}"
            )


def _compare(
    number: PaperNumber, runs: Sequence[Runs], names: Mapping[str, str]
) -> Iterator[Comparison]:
    if number.dataset == MEAN_OVER_DATASETS:
        yield _compare_mean(number, runs, names)
        return
    compared = [
        run
        for run in runs
        if names.get(run.dataset, run.dataset) == number.dataset and run.method == number.method
    ]
    for run in compared:
        yield _of_run(number.source, run, number.metric, number.fraction, "compared")
    if not compared:
        yield _not_run(number)


def _not_run(number: PaperNumber) -> Comparison:
    return Comparison(
        number.source,
        number.dataset,
        number.method,
        number.metric,
        number.fraction,
        "not run",
        percent=number.unit == "%",
    )


def _compare_mean(
    number: PaperNumber, runs: Sequence[Runs], names: Mapping[str, str]
) -> Comparison:
    metric, _, variant = number.metric.rpartition("_")
    in_paper = {other.dataset for other in paper_numbers("Table 6")}
    values = [
        value
        for run in runs
        if run.method == number.method and names.get(run.dataset, run.dataset) in in_paper
        if (metrics := _representative(run).metrics or {}).get("mc")
        if (value := metrics_block(metrics, variant if variant == "mc" else "").get(metric))
        is not None
    ]
    if not values:
        return _not_run(number)
    return replace(
        _not_run(number),
        status="compared",
        ours=fmean(values),
        note=f"mean over {len(values)} of {len(in_paper)} datasets",
    )


def _representative(runs: Runs) -> Entry:
    """The run that is no repeat, or the first repeat where that one has no result."""
    return next((entry for entry in runs.done if entry.method == runs.method), runs.done[0])


def _of_run(
    source: str, runs: Runs, metric: str, paper: float | None, status: Status
) -> Comparison:
    entry = _representative(runs)
    metrics = entry.metrics or {}
    intervals = metrics.get("ci") or {}
    ours = _BALANCED.get(metric, metric)
    is_auroc = metric == "auroc"

    def interval(key: str) -> tuple[float, float] | None:
        return (intervals[key][0], intervals[key][1]) if intervals.get(key) else None

    return Comparison(
        source,
        entry.dataset,
        entry.method,
        metric,
        paper,
        status,
        metrics.get(ours),
        interval(ours),
        metrics.get("auroc") if is_auroc else None,
        interval("auroc") if is_auroc else None,
        runs.values(ours) if len(runs.done) > 1 else [],
        entry.note,
    )


def _lacking(
    printed: Sequence[PaperNumber],
    runs: Sequence[Runs],
    names: Mapping[str, str],
) -> Iterator[Comparison]:
    """Our runs of the paper's methods on datasets that the paper has no numbers for.

    They have the metrics of the first table that has the method.
    """
    numbers = [number for number in printed if number.dataset != MEAN_OVER_DATASETS]
    experiments = {(number.dataset, number.method) for number in numbers}
    columns: dict[str, dict[tuple[str, str], None]] = {}
    for number in numbers:
        printed_for = columns.setdefault(number.method, {})
        if not printed_for or next(iter(printed_for))[0] == number.source:
            printed_for[number.source, number.metric] = None
    for run in runs:
        if (names.get(run.dataset, run.dataset), run.method) not in experiments:
            for source, metric in columns.get(run.method, {}):
                yield _of_run(source, run, metric, None, "not in the paper")
