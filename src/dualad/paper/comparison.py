"""Ours beside the paper: every number of Tables 6, 8, 9 and 10 with our run of the same experiment.

The column that the paper calls AUROC is held against our balanced accuracy, which is what its
numbers are (see `dualad.paper.audit`); our true AUROC stands beside it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

from dualad.design.experiments import REPEAT_MARK
from dualad.errors import DualadError
from dualad.paper.numbers import MEAN_OVER_DATASETS, PaperNumber, paper_numbers
from dualad.results.runs import Entry, dataset_note
from dualad.tables.formats import NO_VALUE, Table, write_table
from dualad.tables.performance import PERFORMANCE

Status = Literal["compared", "not run", "not in the paper"]
SOURCES = ("Table 6", "Table 8", "Table 9", "Table 10")

_BALANCED = {"auroc": "balanced_accuracy"}
_LABELS = {
    **PERFORMANCE,
    "auroc": "AUROC (balanced accuracy)",
    "fpr_deterministic": "FPR",
    "fpr_mc": "FPR, MC",
    "ece_deterministic": "ECE",
    "ece_mc": "ECE, MC",
}
_GROUPS = ("dataset", "method")
_STATUSES: tuple[Status, ...] = ("compared", "not in the paper", "not run")


@dataclass(frozen=True)
class Run:
    """Our experiment, and its repeats under other seeds if there are any."""

    entry: Entry
    repeats: tuple[Entry, ...] = ()

    def values(self, metric: str) -> list[float]:
        """A metric of every run that has it, the first run's first."""
        found = (one.metrics.get(metric) for one in (self.entry, *self.repeats) if one.metrics)
        return [value for value in found if value is not None]


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
    """Bootstrap 95 % interval of `ours`; None for a mean over datasets."""
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
        lacks, then what was not run; each in the order of the paper's tables.

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
    _require_known(names, {number.dataset for number in printed} - {MEAN_OVER_DATASETS})
    runs = _runs(metrics_json)
    found = [comparison for number in printed for comparison in _compare(number, runs, names)]
    found += _lacking(printed, runs, names)
    datasets, methods = ([*dict.fromkeys(getattr(c, of) for c in found)] for of in _GROUPS)
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


def write_comparison(
    prefix: Path | str,
    metrics_json: Sequence[Path | str],
    *,
    paper_names: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write the paper's numbers beside ours.

    The CSV has a row per number; for people, an experiment that was not run is one row.

    Parameters
    ----------
    prefix
        Path without suffix; `.csv`, `.md`, `.tex` and `.html` are added.
    metrics_json, paper_names
        As for `compare`.

    Returns
    -------
    The files written.

    Raises
    ------
    DualadError
        As for `compare`.
    """
    comparisons = compare(metrics_json, paper_names)
    shown = list(_without_repetition(comparisons))
    table = Table(
        caption="The paper's numbers and ours, in per cent (ECE: fractions), with bootstrap 95 % "
        "intervals in brackets. Difference is ours minus the paper's. What the paper calls AUROC "
        "is compared with our balanced accuracy; AUROC computed from our scores has a column of "
        "its own. Table 10 is a mean over datasets.",
        label="tab:comparison",
        head=[
            "Table",
            "Dataset",
            "Method",
            "Metric",
            "Paper",
            "Ours",
            "Difference",
            "Paper's in our interval",
            "Our AUROC",
            "Notes",
        ],
        rows=[_row(comparison) for comparison in shown],
        texts=4,
        breaks=frozenset(
            i
            for i in range(1, len(shown))
            if (shown[i].source, shown[i].dataset) != (shown[i - 1].source, shown[i - 1].dataset)
        ),
        records=[_record(comparison) for comparison in comparisons],
    )
    return write_table(prefix, table)


def _require_known(names: Mapping[str, str], known: set[str]) -> None:
    for name, paper_name in names.items():
        if paper_name not in known:
            raise DualadError(
                f"datasets.{name}.paper_name: the paper has no dataset {paper_name!r}; "
                f"name one of {', '.join(sorted(known))}"
            )


def _runs(paths: Sequence[Path | str]) -> dict[tuple[str, str], Run]:
    """Our runs by dataset and method, without those that have no result."""
    grouped: dict[tuple[str, str], list[Entry]] = {}
    for path in map(Path, paths):
        if path.exists():
            entry = _read(path)
            base = entry.method.partition(REPEAT_MARK)[0]
            grouped.setdefault((entry.dataset, base), []).append(entry)
    return {
        key: Run(first, tuple(rest))
        for key, entries in grouped.items()
        for first, *rest in [sorted(entries, key=lambda entry: REPEAT_MARK in entry.method)]
    }


def _read(path: Path) -> Entry:
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        notes = [dataset_note(path.parent.parent), *(metrics.get("notes") or ())]
        return Entry(metrics["dataset"], metrics["method"], metrics, "; ".join(filter(None, notes)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DualadError(
            f"{path}: cannot be read ({error!r}); delete it and run the workflow again"
        ) from error


def _compare(
    number: PaperNumber, runs: Mapping[tuple[str, str], Run], names: Mapping[str, str]
) -> Iterator[Comparison]:
    if number.dataset == MEAN_OVER_DATASETS:
        yield _compare_mean(number, runs, names)
        return
    own = [
        run
        for (dataset, method), run in runs.items()
        if names.get(dataset, dataset) == number.dataset and method == number.method
    ]
    for run in own:
        yield _of_run(number.source, run, number.metric, number.fraction, "compared")
    if not own:
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
    number: PaperNumber, runs: Mapping[tuple[str, str], Run], names: Mapping[str, str]
) -> Comparison:
    key, _, variant = number.metric.rpartition("_")
    in_paper = {other.dataset for other in paper_numbers("Table 6")}
    values = []
    for (dataset, method), run in runs.items():
        metrics = run.entry.metrics or {}
        if (
            method == number.method
            and names.get(dataset, dataset) in in_paper
            and metrics.get("mc")
        ):
            block = metrics["mc"] if variant == "mc" else metrics
            values += [block[key]] if block.get(key) is not None else []
    if not values:
        return _not_run(number)
    return Comparison(
        number.source,
        number.dataset,
        number.method,
        number.metric,
        number.fraction,
        "compared",
        fmean(values),
        note=f"mean over {len(values)} of {len(in_paper)} datasets",
        percent=number.unit == "%",
    )


def _of_run(source: str, run: Run, metric: str, paper: float | None, status: Status) -> Comparison:
    metrics = run.entry.metrics or {}
    intervals = metrics.get("ci") or {}
    ours = _BALANCED.get(metric, metric)
    is_auroc = metric == "auroc"

    def interval(key: str) -> tuple[float, float] | None:
        return (intervals[key][0], intervals[key][1]) if intervals.get(key) else None

    return Comparison(
        source,
        run.entry.dataset,
        run.entry.method,
        metric,
        paper,
        status,
        metrics.get(ours),
        interval(ours),
        metrics.get("auroc") if is_auroc else None,
        interval("auroc") if is_auroc else None,
        run.values(ours) if run.repeats else [],
        run.entry.note,
    )


def _lacking(
    printed: Sequence[PaperNumber],
    runs: Mapping[tuple[str, str], Run],
    names: Mapping[str, str],
) -> Iterator[Comparison]:
    """Our runs of the paper's methods on datasets that the paper has no numbers for.

    They have the metrics of the first table that has the method.
    """
    numbers = [number for number in printed if number.dataset != MEAN_OVER_DATASETS]
    experiments = {(number.dataset, number.method) for number in numbers}
    columns: dict[str, dict[tuple[str, str], None]] = {}
    for number in numbers:
        of_method = columns.setdefault(number.method, {})
        if not of_method or next(iter(of_method))[0] == number.source:
            of_method[number.source, number.metric] = None
    for (dataset, method), run in runs.items():
        if (names.get(dataset, dataset), method) not in experiments:
            for source, metric in columns.get(method, {}):
                yield _of_run(source, run, metric, None, "not in the paper")


def _without_repetition(comparisons: Sequence[Comparison]) -> Iterator[Comparison]:
    """All but the second and later numbers of an experiment that was not run."""
    seen = set()
    for comparison in comparisons:
        experiment = (comparison.source, comparison.dataset, comparison.method)
        if comparison.status != "not run" or experiment not in seen:
            yield comparison
        if comparison.status == "not run":
            seen.add(experiment)


def _row(one: Comparison) -> list[str]:
    head = [one.source.removeprefix("Table "), one.dataset, one.method]
    if one.status == "not run":
        return [*head, "all", *[NO_VALUE] * 5, "not run"]
    return [
        *head,
        _LABELS[one.metric],
        _number(one, one.paper),
        _number(one, one.ours, one.interval),
        _number(one, one.difference, sign="+"),
        NO_VALUE if one.inside is None else "yes" if one.inside else "no",
        _number(one, one.auroc, one.auroc_interval),
        "; ".join(_notes(one)),
    ]


def _number(
    one: Comparison,
    value: float | None,
    interval: tuple[float, float] | None = None,
    sign: str = "",
) -> str:
    if value is None:
        return NO_VALUE
    scale, digits = (100, 2) if one.percent else (1, 3)
    text = f"{scale * value:{sign}.{digits}f}"
    if interval is None:
        return text
    low, high = (f"{scale * bound:.{digits}f}" for bound in interval)
    return f"{text} [{low}, {high}]"


def _notes(one: Comparison) -> Iterator[str]:
    if one.status == "not in the paper":
        yield one.status
    if len(one.runs) > 1:
        yield (
            f"{len(one.runs)} runs: mean {100 * fmean(one.runs):.2f}, "
            f"standard deviation {100 * stdev(one.runs):.2f}"
        )
    if one.note:
        yield one.note


def _record(one: Comparison) -> dict[str, Any]:
    low, high = one.interval or (None, None)
    auroc_low, auroc_high = one.auroc_interval or (None, None)
    several = len(one.runs) > 1
    return {
        "source": one.source,
        "dataset": one.dataset,
        "method": one.method,
        "metric": one.metric,
        "our_metric": one.our_metric,
        "status": one.status,
        "paper": one.paper,
        "ours": one.ours,
        "ours_ci_lo": low,
        "ours_ci_hi": high,
        "difference": one.difference,
        "paper_in_interval": None if one.inside is None else int(one.inside),
        "our_auroc": one.auroc,
        "our_auroc_ci_lo": auroc_low,
        "our_auroc_ci_hi": auroc_high,
        "runs": len(one.runs) if several else None,
        "runs_mean": fmean(one.runs) if several else None,
        "runs_sd": stdev(one.runs) if several else None,
        "notes": one.note,
    }
