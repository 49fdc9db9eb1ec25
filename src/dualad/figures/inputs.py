"""What the figures are drawn from: the files that every method leaves in the result tree."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from dualad.errors import DualadError
from dualad.figures.style import Footnotes, Style, styles
from dualad.results.runs import Runs, dataset_note, read_runs


@dataclass(frozen=True)
class MethodFiles:
    """Where one method's results for one dataset are."""

    name: str
    family: str
    """Empty to take the one in `metrics.json`."""
    scores_csv: Path
    threshold_json: Path
    metrics_json: Path
    predictions_h5: Path
    attempts_csv: Path | None = None
    epochs_csv: Path | None = None
    trials_csv: Path | None = None
    notes: tuple[str, ...] = ()
    """What a reader has to know; the notes in `metrics.json` are added to these."""

    @classmethod
    def from_folder(
        cls, folder: Path | str, *, family: str = "", notes: Sequence[str] = ()
    ) -> "MethodFiles":
        """The files of `results/{dataset}/{method}`; the optional ones only if they exist."""
        folder = Path(folder)

        def existing(name: str) -> Path | None:
            path = folder / name
            return path if path.exists() else None

        return cls(
            name=folder.name,
            family=family,
            scores_csv=folder / "scores.csv",
            threshold_json=folder / "threshold.json",
            metrics_json=folder / "metrics.json",
            predictions_h5=folder / "predictions.h5",
            attempts_csv=existing("attempts.csv"),
            epochs_csv=existing("epochs.csv"),
            trials_csv=existing("search/trials.csv"),
            notes=tuple(notes),
        )


@dataclass(frozen=True)
class MethodResults:
    """One method's results, read."""

    name: str
    family: str
    scores: pd.DataFrame
    """A row per validation and test image, as in `scores.csv`."""
    threshold: Mapping[str, Any]
    metrics: Mapping[str, Any]
    predictions_h5: Path | None = None
    attempts: pd.DataFrame | None = None
    epochs: pd.DataFrame | None = None
    trials: pd.DataFrame | None = None
    notes: tuple[str, ...] = field(default=())

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
        """The bootstrap interval of a metric as text, empty if it has none."""
        bounds = self.intervals.get(metric)
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
    notes = dict.fromkeys(note for one in experiments if one.method for note in one.method.notes)
    missing = ", ".join(one.dataset for one in experiments if one.method is None)
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
            method=(
                load_method(MethodFiles.from_folder(folder))
                if (folder / "metrics.json").exists()
                else None
            ),
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


def read_results(metrics_json: Sequence[Path | str]) -> Results:
    """Read `metrics.json` of every experiment, and the datasets' notes.

    Parameters
    ----------
    metrics_json
        `results/{dataset}/{method}/metrics.json`, those of repeats (dual@1) among them; a missing
        file is an experiment without a result.

    Raises
    ------
    DualadError
        If a file is there but cannot be read.
    """
    runs = read_runs(metrics_json)
    families: dict[str, str] = {}
    notes: dict[str, dict[str, None]] = {}
    folders: dict[str, Path] = {}
    for one in runs:
        families[one.method] = families.get(one.method) or str(one.first.get("family", ""))
        notes.setdefault(one.method, {}).update(dict.fromkeys(one.method_notes))
        folders.setdefault(one.dataset, one.entries[0].folder.parent)
    footnotes = Footnotes()
    return Results(
        runs={(one.dataset, one.method): one for one in runs},
        looks=styles(families),
        methods={method: footnotes.label(method, list(notes[method])) for method in families},
        datasets={
            dataset: footnotes.label(dataset, [note] if (note := dataset_note(folder)) else [])
            for dataset, folder in folders.items()
        },
        footnotes=footnotes,
    )


def load_method(files: MethodFiles) -> MethodResults:
    """Read a method's small files; maps and reconstructions stay on disk until they are drawn.

    Raises
    ------
    DualadError
        If a file is missing or is not what it should be; the message names it.
    """
    metrics = _read_json(files.metrics_json)
    notes = dict.fromkeys((*files.notes, *(metrics.get("notes") or ())))
    threshold = _read_json(files.threshold_json)
    # The search of an earlier configuration stays in its folder.
    searched = threshold.get("method", {}).get("dropout") == "tuned"
    return MethodResults(
        name=files.name,
        family=files.family or str(metrics.get("family", "")),
        scores=_read_csv(files.scores_csv, ("split", "label", "decision", "score", "probability")),
        threshold=threshold,
        metrics=metrics,
        predictions_h5=files.predictions_h5,
        attempts=_read_optional(files.attempts_csv, ("attempt", "stopped")),
        epochs=_read_optional(files.epochs_csv, ("attempt", "epoch", "val_loss")),
        trials=_read_optional(files.trials_csv if searched else None, ("status", "val_loss")),
        notes=tuple(notes),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(content, dict):
        raise _unreadable(path, "no JSON object in it")
    return content


def _read_optional(path: Path | None, columns: Sequence[str]) -> pd.DataFrame | None:
    return None if path is None else _read_csv(path, columns)


def _read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        # Images, defects and groups may be called "NA" or "null"; numbers may be missing.
        texts = ("image", "split", "defect", "group")
        table = pd.read_csv(
            path,
            keep_default_na=False,
            na_values={column: [] if column in texts else ["", "nan"] for column in _header(path)},
        )
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    missing = [column for column in columns if column not in table]
    if missing:
        raise _unreadable(path, f"no column {', '.join(missing)}")
    return table


def _header(path: Path) -> list[str]:
    return list(pd.read_csv(path, nrows=0).columns)


def _unreadable(path: Path, reason: object) -> DualadError:
    return DualadError(f"{path}: cannot be read ({reason}); delete it and run the workflow again")
