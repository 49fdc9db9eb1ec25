"""Read what experiments left: metrics, notes, costs; runs of a method taken together."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from dualad.errors import DualadError
from dualad.design.experiments import REPEAT_MARK

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
        every = [note for entry in self.done for note in (entry.metrics or {}).get("notes") or ()]
        return list(dict.fromkeys(every))


def metrics_block(metrics: Mapping[str, Any] | None, block: str) -> Mapping[str, Any]:
    """The named block of `metrics.json`, or all of it for an empty name; empty if it is null."""
    found = (metrics or {}).get(block) if block else metrics
    return found or {}


def dataset_note(folder: Path | str) -> str:
    """What a reader has to know about the dataset in `results/{dataset}`: synthetic defects, say.

    Empty without a `dataset.json` or a note in it.

    Raises
    ------
    DualadError
        If the file is there but cannot be read.
    """
    return str(_read(Path(folder) / "dataset.json", lambda values: values.get("note")) or "")


def read_entries(paths: Sequence[Path | str]) -> list[Entry]:
    """Read `metrics.json` of every experiment; a missing file gives an entry without metrics.

    Raises
    ------
    DualadError
        If a file is there but cannot be read.
    """
    entries = []
    for path in map(Path, paths):
        named = (path.parent.parent.name, path.parent.name, None)
        dataset, method, metrics = (
            _read(path, lambda values: (values["dataset"], values["method"], values)) or named
        )
        notes = [dataset_note(path.parent.parent)]
        notes += [NO_RESULT] if metrics is None else metrics.get("notes") or []
        note = "; ".join(filter(None, notes))
        entries.append(Entry(dataset, method, metrics, note, path.parent))
    return entries


def read_runs(paths: Sequence[Path | str]) -> list[Runs]:
    """Read `metrics.json` of every experiment, the repeats of a method with the method.

    Parameters
    ----------
    paths
        `results/{dataset}/{method}/metrics.json`, those of repeats (dual@1) among them.

    Returns
    -------
    One per dataset and method, in the order in which they come.

    Raises
    ------
    DualadError
        If a file is there but cannot be read.
    """
    grouped: dict[tuple[str, str], list[Entry]] = {}
    for entry in read_entries(paths):
        grouped.setdefault((entry.dataset, entry.base), []).append(entry)
    found = []
    for (dataset, method), entries in grouped.items():
        runs = Runs(dataset, method, tuple(entries))
        notes = [dataset_note(entries[0].folder.parent), *runs.method_notes]
        missing = [entry.method for entry in entries if entry.metrics is None]
        if missing:
            of = f" of {', '.join(missing)}" if runs.done else ""
            notes.append(f"{NO_RESULT}{of}")
        note = "; ".join(filter(None, notes))
        found.append(Runs(dataset, method, tuple(entries), note))
    return found


def values_by_dataset(runs: Sequence[Runs], metric: str) -> dict[str, dict[str, float | None]]:
    """Mean of a metric over the runs, by dataset and method: what `rank_methods` ranks."""
    values: dict[str, dict[str, float | None]] = {}
    for one in runs:
        values.setdefault(one.dataset, {})[one.method] = one.mean(metric)
    return values


def method_params(folder: Path) -> dict[str, Any]:
    """Family and parameters in an experiment's `threshold.json`; empty without the file.

    Raises
    ------
    DualadError
        If the file is there but cannot be read.
    """
    return _read(folder / "threshold.json", lambda values: dict(values["method"])) or {}


def costs(folder: Path) -> dict[str, float | None]:
    """What an experiment cost, by `fit.json`, `scoring.json` and, with a search, its trials.

    Parameters
    ----------
    folder
        `results/{dataset}/{method}`.

    Returns
    -------
    dict
        `search_seconds` (0 for a fitted method that searches nothing), `fit_seconds` (search
        included), `score_milliseconds` per image, `peak_memory_mb` of fitting or scoring,
        whichever is larger, and `parameters`; None for what no file tells.

    Raises
    ------
    DualadError
        If a file is there but cannot be read.
    """
    fit = _read(folder / "fit.json", dict) or {}
    scoring = _read(folder / "scoring.json", dict) or {}
    # The search of an earlier configuration stays in its folder.
    tuned = method_params(folder).get("dropout") == "tuned"
    searched = _search_seconds(folder / "search/trials.csv") if tuned else 0.0
    peaks = [one["peak_memory_mb"] for one in (fit, scoring) if one.get("peak_memory_mb")]
    fitted, images = fit.get("seconds"), scoring.get("images")
    return {
        "search_seconds": searched if fit else None,
        "fit_seconds": None if fitted is None or searched is None else fitted + searched,
        "score_milliseconds": 1000 * scoring["seconds"] / images if images else None,
        "peak_memory_mb": max(peaks, default=None),
        "parameters": fit.get("n_parameters"),
    }


def read_test_scores(folder: Path) -> pd.DataFrame:
    """Rows of the test images in an experiment's `scores.csv`.

    Returns
    -------
    pandas.DataFrame
        By `image`: `label`, `score`, `decision`.

    Raises
    ------
    DualadError
        If the file cannot be read or names an image twice.
    """
    path = folder / "scores.csv"
    try:
        table = pd.read_csv(path).set_index("image")
        test = table.loc[table["split"] == "test", ["label", "score", "decision"]]
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(path, error) from error
    if not test.index.is_unique:
        raise DualadError(f"{path}: an image is there twice; delete it and run the workflow again")
    return test


def _search_seconds(trials_csv: Path) -> float | None:
    if not trials_csv.exists():
        return None
    try:
        return float(pd.read_csv(trials_csv)["seconds"].sum())
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(trials_csv, error) from error


def _read(path: Path, take: Callable[[dict[str, Any]], Any]) -> Any:
    """What `take` takes from a JSON file; None without the file."""
    if not path.exists():
        return None
    try:
        return take(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DualadError:
    return DualadError(f"{path}: cannot be read ({error!r}); delete it and run the workflow again")
