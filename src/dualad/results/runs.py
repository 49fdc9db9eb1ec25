"""Experiments with their metrics and notes, and the runs of a method taken together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from dualad.design.experiments import REPEAT_MARK
from dualad.results.experiment import dataset_note, read_metrics

NO_RESULT = "no result"


@dataclass(frozen=True)
class Entry:
    """One experiment's `metrics.json`; `metrics` is None if there is none."""

    dataset: str
    method: str
    metrics: Mapping[str, Any] | None
    note: str = ""
    folder: Path = field(default_factory=Path)
    """Where the experiment's other files are."""

    @property
    def base(self) -> str:
        """The method that it repeats, or is."""
        return self.method.partition(REPEAT_MARK)[0]


@dataclass(frozen=True)
class Runs:
    """A method on a dataset: its first run, and its repeats under other seeds if there are any."""

    dataset: str
    method: str
    entries: tuple[Entry, ...]
    note: str = ""

    @property
    def done(self) -> list[Entry]:
        """The runs that have a result."""
        return [entry for entry in self.entries if entry.metrics is not None]

    @property
    def first(self) -> Mapping[str, Any]:
        """Metrics of the run that is no repeat; empty without a result."""
        return next((e.metrics for e in self.done if e.metrics and e.method == self.method), {})

    def values(self, metric: str, block: str = "") -> list[float]:
        """A metric of every run with a result; empty if it is undefined in one of them.

        Parameters
        ----------
        metric
            Key in `metrics.json`.
        block
            Key of the block that holds it, such as `mc`; empty for the top level.
        """
        values = [metrics_block(entry.metrics, block).get(metric) for entry in self.done]
        return [] if None in values else [value for value in values if value is not None]

    def mean(self, metric: str, block: str = "") -> float | None:
        """Mean of a metric over the runs; None where `values` is empty."""
        values = self.values(metric, block)
        return fmean(values) if values else None

    def deviation(self, metric: str, block: str = "") -> float | None:
        """Standard deviation (n - 1) over the runs; None for fewer than two."""
        values = self.values(metric, block)
        return stdev(values) if len(values) > 1 else None

    @property
    def method_notes(self) -> list[str]:
        """What the runs themselves say about their results."""
        notes = (note for entry in self.done for note in (entry.metrics or {}).get("notes") or ())
        return list(dict.fromkeys(notes))


def metrics_block(metrics: Mapping[str, Any] | None, block: str) -> Mapping[str, Any]:
    """The named block of `metrics.json`, or all of it for an empty name; empty if it is null."""
    found = (metrics or {}).get(block) if block else metrics
    return found or {}


def read_entries(paths: Sequence[Path | str]) -> list[Entry]:
    """Read `metrics.json` of every experiment; a missing file gives an entry without metrics.

    Raises
    ------
    DualadError
        If a file cannot be read.
    """
    return [_read_entry(Path(path).parent) for path in paths]


def _read_entry(folder: Path) -> Entry:
    metrics = read_metrics(folder)
    note = dataset_note(folder.parent)
    if metrics is None:
        return Entry(folder.parent.name, folder.name, None, joined(note, NO_RESULT), folder)
    notes = joined(note, *(metrics.get("notes") or ()))
    return Entry(metrics["dataset"], metrics["method"], metrics, notes, folder)


def read_runs(paths: Sequence[Path | str]) -> list[Runs]:
    """Read `metrics.json` of every experiment, the repeats of a method with the method.

    Parameters
    ----------
    paths
        `results/{dataset}/{method}/metrics.json`, those of repeats (dual@1) among them.

    Returns
    -------
    list
        One item per dataset and method, in the order in which they come; the run that is no repeat
        is the first of its entries.

    Raises
    ------
    DualadError
        If a file cannot be read.
    """
    grouped: dict[tuple[str, str], list[Entry]] = {}
    for entry in read_entries(paths):
        grouped.setdefault((entry.dataset, entry.base), []).append(entry)
    return [
        _with_note(Runs(dataset, method, tuple(sorted(entries, key=lambda e: e.method != method))))
        for (dataset, method), entries in grouped.items()
    ]


def _with_note(runs: Runs) -> Runs:
    """The runs with the notes of their dataset, of their results, and on missing ones."""
    missing = [entry.method for entry in runs.entries if entry.metrics is None]
    which = f" of {', '.join(missing)}" if runs.done else ""
    return replace(
        runs,
        note=joined(
            dataset_note(runs.entries[0].folder.parent),
            *runs.method_notes,
            f"{NO_RESULT}{which}" if missing else "",
        ),
    )


def threshold_text(metrics: Mapping[str, Any]) -> str:
    """The rule that chose a method's threshold, with its parameter: `conformal 0.05`, say.

    Parameters
    ----------
    metrics
        Content of `metrics.json`; empty text where it names no rule, as before version 0.3.
    """
    return " ".join(map(str, (metrics.get("threshold") or {}).values()))


def joined(*notes: str) -> str:
    """Notes in one line, without empty ones."""
    return "; ".join(filter(None, notes))


def notes_across(across: Sequence[Runs], *, gaps: bool = True) -> list[str]:
    """Notes on a method's results, with the datasets' names where not all have the note.

    Parameters
    ----------
    across
        The method on every dataset.
    gaps
        Whether to note on which datasets it has no result.
    """
    notes: dict[str, list[str]] = {}
    for run in across:
        missing = [NO_RESULT] if gaps and not run.done else []
        for note in (*run.method_notes, *missing):
            notes.setdefault(note, []).append(run.dataset)
    n = sum(bool(run.done) for run in across) or len(across)
    return [
        note if len(datasets) == n and note != NO_RESULT else f"{note} ({', '.join(datasets)})"
        for note, datasets in notes.items()
    ]


def values_by_dataset(runs: Sequence[Runs], metric: str) -> dict[str, dict[str, float | None]]:
    """Mean of a metric over the runs, by dataset and method: what `rank_methods` ranks."""
    values: dict[str, dict[str, float | None]] = {}
    for run in runs:
        values.setdefault(run.dataset, {})[run.method] = run.mean(metric)
    return values
