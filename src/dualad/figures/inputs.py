"""What the figures are drawn from: the files that every method leaves in the result tree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from dualad.errors import DualadError
from dualad.figures.style import Footnotes, Style, styles
from dualad.files import unreadable
from dualad.results.experiment import (
    dataset_note,
    read_attempts,
    read_epochs,
    read_metrics,
    read_scores,
    read_threshold,
    read_trials,
)
from dualad.results.runs import Runs, notes_across, read_runs


@dataclass(frozen=True)
class MethodResults:
    """One method's results, read."""

    name: str
    family: str
    folder: Path
    """`results/{dataset}/{method}`."""
    scores: pd.DataFrame
    """A row per validation and test image, as in `scores.csv`."""
    threshold: Mapping[str, Any]
    """Content of `threshold.json`."""
    metrics: Mapping[str, Any]
    """Content of `metrics.json`."""
    attempts: pd.DataFrame | None = None
    epochs: pd.DataFrame | None = None
    trials: pd.DataFrame | None = None

    @property
    def notes(self) -> list[str]:
        """What a reader has to know of the results."""
        return list(dict.fromkeys(self.metrics.get("notes") or ()))

    @property
    def predictions_h5(self) -> Path:
        """Where the maps and reconstructions are."""
        return self.folder / "predictions.h5"

    @property
    def test(self) -> pd.DataFrame:
        """The test images' rows."""
        return self.scores[self.scores["split"] == "test"].reset_index(drop=True)

    @property
    def cutoff(self) -> float:
        """The threshold: above it an image is called anomalous (eq. 37)."""
        return float(self.threshold["threshold"])

    @property
    def has_monte_carlo(self) -> bool:
        """Whether it was scored with Monte Carlo dropout too."""
        return self.threshold.get("mc") is not None

    @property
    def note(self) -> str:
        """All notes in one line."""
        return "; ".join(self.notes)


@dataclass(frozen=True)
class Series:
    """What one line of a figure shows: a method on a dataset, or a dataset under a method."""

    label: str
    style: Style
    test: pd.DataFrame
    """Columns label, score, decision, probability."""
    threshold: float
    intervals: Mapping[str, Sequence[float] | None] = field(default_factory=dict)

    def interval(self, metric: str) -> str:
        """The interval of a metric as text, empty if it has none."""
        return _interval({"ci": self.intervals}, metric)


def _interval(metrics: Mapping[str, Any], metric: str) -> str:
    bounds = (metrics.get("ci") or {}).get(metric)
    return f" [{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else ""


def method_series(
    methods: Sequence[MethodResults], looks: Mapping[str, Style], footnotes: Footnotes
) -> list[Series]:
    """The methods of one dataset as series."""
    return [_series(m, footnotes.label(m.name, m.notes), looks[m.name]) for m in methods]


def dataset_series(
    datasets: Mapping[str, tuple[MethodResults, Sequence[str]]],
    looks: Mapping[str, Style],
    footnotes: Footnotes,
) -> list[Series]:
    """The datasets under one method as series; each comes with that dataset's notes."""
    return [
        _series(method, footnotes.label(name, notes), looks[name])
        for name, (method, notes) in datasets.items()
    ]


def _series(method: MethodResults, label: str, style: Style) -> Series:
    intervals = method.metrics.get("ci") or {}
    return Series(label, style, method.test, method.cutoff, intervals)


def conformal_note(results: Mapping[str, MethodResults]) -> str:
    """Wanted and reached false positive rates of conformal thresholds; empty without one.

    Parameters
    ----------
    results
        By the name to show: of the method, or of the dataset where it is always the same method.
    """
    reached = [
        f"{name} wanted {rule['alpha']:g}, reached {method.metrics['fpr']:.3f}"
        f"{_interval(method.metrics, 'fpr')}"
        for name, method in results.items()
        if (rule := method.metrics.get("threshold") or {}).get("rule") == "conformal"
    ]
    return f"false positive rates of conformal thresholds: {', '.join(reached)}" if reached else ""


@dataclass(frozen=True)
class Experiment:
    """One method on one dataset."""

    dataset: str
    dataset_h5: Path
    method: MethodResults | None
    """None where there is no result."""
    note: str
    """The dataset's note."""


def remarks(experiments: Sequence[Experiment]) -> tuple[str, str]:
    """What limits a method's results, and which datasets it has none for; for below a figure."""
    notes = dict.fromkeys(
        note for experiment in experiments if experiment.method for note in experiment.method.notes
    )
    missing = ", ".join(
        experiment.dataset for experiment in experiments if experiment.method is None
    )
    return "; ".join(notes), f"no result for {missing}" if missing else ""


def load_experiments(metrics_json: Sequence[Path | str]) -> list[Experiment]:
    """Read what one method left on every dataset.

    Parameters
    ----------
    metrics_json
        `results/{dataset}/{method}/metrics.json`. A missing file is a dataset without a result.

    Raises
    ------
    DualadError
        If a file is damaged, or there are several methods.
    """
    folders = [Path(path).parent for path in metrics_json]
    names = dict.fromkeys(folder.name for folder in folders)
    if len(names) > 1:
        raise DualadError(f"the figure shows one method; choose one of {', '.join(names)}")
    return [
        Experiment(
            dataset=folder.parent.name,
            dataset_h5=folder.parent / "dataset.h5",
            method=(load_method(folder) if (folder / "metrics.json").exists() else None),
            note=dataset_note(folder.parent),
        )
        for folder in folders
    ]


@dataclass(frozen=True)
class Results:
    """Every method on every dataset, repeats together with their method."""

    runs: Mapping[tuple[str, str], Runs]
    """By dataset and method; what is no part of the design is missing."""
    looks: Mapping[str, Style]
    """Per method, in order."""
    methods: Mapping[str, str]
    """Label with note marks per method."""
    datasets: Mapping[str, str]
    """Label with note marks per dataset."""
    footnotes: Footnotes

    def mean(self, dataset: str, method: str, metric: str) -> float | None:
        """A metric, averaged over the runs; None where there is no result or it is undefined."""
        runs = self.runs.get((dataset, method))
        return runs.mean(metric) if runs else None

    @property
    def repeated(self) -> str:
        """Says which methods' values are means over runs; empty if none is."""
        counts = {runs.method: len(runs.done) for runs in self.runs.values() if len(runs.done) > 1}
        listed = ", ".join(f"{method} ({n} runs)" for method, n in counts.items())
        return f"means over runs: {listed}" if listed else ""


def read_results(
    metrics_json: Sequence[Path | str], families: Mapping[str, str] | None = None
) -> Results:
    """Read `metrics.json` of every experiment, and the datasets' notes.

    Parameters
    ----------
    metrics_json
        `results/{dataset}/{method}/metrics.json`, those of repeats (dual@1) among them; a missing
        file is an experiment without a result.
    families
        Families of all methods of the configuration, by name, in its order. A method then stands in
        the same order and looks the same in every figure.

    Raises
    ------
    DualadError
        If a file is there but cannot be read.
    """
    runs = read_runs(metrics_json)
    found: dict[str, str] = {}
    folders: dict[str, Path] = {}
    for run in runs:
        found[run.method] = found.get(run.method) or str(run.first.get("family", ""))
        folders.setdefault(run.dataset, run.entries[0].folder.parent)
    footnotes = Footnotes([*found, *folders])
    every = styles({**(families or {}), **found})
    looks = {name: look for name, look in every.items() if name in found}
    return Results(
        runs={(run.dataset, run.method): run for run in runs},
        looks=looks,
        methods={
            method: footnotes.label(
                method, notes_across([run for run in runs if run.method == method], gaps=False)
            )
            for method in looks
        },
        datasets={
            dataset: footnotes.label(dataset, [note] if (note := dataset_note(folder)) else [])
            for dataset, folder in folders.items()
        },
        footnotes=footnotes,
    )


def load_method(folder: Path, family: str = "") -> MethodResults:
    """Read a method's small files; maps and reconstructions stay on disk until they are drawn.

    Parameters
    ----------
    folder
        `results/{dataset}/{method}`.
    family
        Empty to take the one in `metrics.json`.

    Raises
    ------
    DualadError
        If a file is missing or is not what it should be; the message names it.
    """
    metrics, threshold = read_metrics(folder), read_threshold(folder)
    for name, content in (("metrics.json", metrics), ("threshold.json", threshold)):
        if content is None:
            raise unreadable(folder / name, "no such file")
    return MethodResults(
        name=folder.name,
        family=family or str((metrics or {}).get("family", "")),
        folder=folder,
        scores=read_scores(folder, "probability"),
        threshold=threshold or {},
        metrics=metrics or {},
        attempts=read_attempts(folder),
        epochs=read_epochs(folder),
        trials=read_trials(folder),
    )
