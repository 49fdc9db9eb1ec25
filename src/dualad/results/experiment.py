"""The files of one experiment, `results/{dataset}/{method}`, read back."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dualad.errors import DualadError
from dualad.files import read_json, reading, unreadable

logger = logging.getLogger(__name__)

RECOMMENDATION_FILE = "recommended.json"
"""In a dataset's folder: which of its methods to use."""

_TEXTS = ("image", "split", "defect", "group", "status", "stopped")
"""Columns of text. What they hold may be called "NA", "null" or "1"."""
_SCORES = ("image", "split", "label", "decision", "score")


def method_folder(folder: Path) -> Path:
    """The folder of a method, where that of a dataset may stand for its recommended method.

    Parameters
    ----------
    folder
        `results/{dataset}/{method}`, or `results/{dataset}`; which method the latter stands for is
        logged.

    Raises
    ------
    DualadError
        If it is a dataset's folder without `recommended.json`, or the method that this names has no
        folder there.
    """
    path = folder / RECOMMENDATION_FILE
    if (folder / "fit.json").exists():
        return folder
    if not path.exists():
        if (folder / "split.json").exists():
            raise DualadError(
                f"{folder}: no {RECOMMENDATION_FILE}; make it with `snakemake "
                f"results/{folder.name}/{RECOMMENDATION_FILE} --configfile` and the configuration "
                "of the run, or name the folder of one of its methods"
            )
        return folder
    values = read_json(path)
    with reading(path):
        method, reason = str(values["method"]), str(values["reason"])
    if not (folder / method).is_dir():
        raise DualadError(
            f"{path}: it recommends {method!r}, whose folder {folder / method} is gone; run the "
            "workflow again, or name the folder of another method"
        )
    logger.info("%s: the recommended method is %s", folder, reason)
    return folder / method


def read_metrics(folder: Path) -> dict[str, Any] | None:
    """Read an experiment's `metrics.json`.

    Parameters
    ----------
    folder
        `results/{dataset}/{method}`.

    Returns
    -------
    dict or None
        The file's content, with at least `dataset` and `method`; None without the file.

    Raises
    ------
    DualadError
        If the file cannot be read; the message names it.
    """
    path = folder / "metrics.json"
    metrics = _read_optional_json(path)
    if metrics is not None:
        with reading(path):
            metrics |= {key: str(metrics[key]) for key in ("dataset", "method")}
    return metrics


def read_threshold(folder: Path) -> dict[str, Any] | None:
    """Read an experiment's `threshold.json`; as `read_metrics`."""
    return _read_optional_json(folder / "threshold.json")


def method_params(folder: Path) -> dict[str, Any]:
    """Family and parameters in an experiment's `threshold.json`; empty without the file.

    Raises
    ------
    DualadError
        If the file cannot be read.
    """
    threshold = read_threshold(folder)
    if threshold is None:
        return {}
    with reading(folder / "threshold.json"):
        return dict(threshold["method"])


def dataset_note(folder: Path) -> str:
    """What a reader has to know about a dataset: that its defects are synthetic or its split shifted.

    Parameters
    ----------
    folder
        `results/{dataset}`.

    Returns
    -------
    str
        The note in `dataset.json` and the warning in `shift.json`; empty without either.

    Raises
    ------
    DualadError
        If a file cannot be read.
    """
    described = (_read_optional_json(folder / "dataset.json") or {}).get("note")
    warning = (_read_optional_json(folder / "shift.json") or {}).get("warning")
    return "; ".join(str(note) for note in (described, warning) if note)


def read_scores(folder: Path, *columns: str) -> pd.DataFrame:
    """Read an experiment's `scores.csv`.

    Parameters
    ----------
    folder
        The experiment's folder.
    columns
        Columns that are needed beside image, split, label, decision and score.

    Returns
    -------
    pandas.DataFrame
        A row per validation and test image.

    Raises
    ------
    DualadError
        If the file is missing, damaged, or lacks a column.
    """
    return _read_csv(folder / "scores.csv", (*_SCORES, *columns))


def read_test_scores(folder: Path) -> pd.DataFrame:
    """Read the test images' rows of an experiment's `scores.csv`.

    Returns
    -------
    pandas.DataFrame
        By `image`: `label` and `decision` (0 normal, 1 anomalous), `score`.

    Raises
    ------
    DualadError
        If the file cannot be read or names an image twice.
    """
    scores = read_scores(folder).set_index("image")
    test = scores.loc[scores["split"] == "test", ["label", "score", "decision"]]
    if not test.index.is_unique:
        raise unreadable(folder / "scores.csv", "it names an image twice")
    return test


def read_attempts(folder: Path) -> pd.DataFrame | None:
    """Read `attempts.csv`, a row per training attempt; as `read_trials`."""
    return _read_optional_csv(folder / "attempts.csv", ("attempt", "stopped"))


def read_epochs(folder: Path) -> pd.DataFrame | None:
    """Read `epochs.csv`, a row per epoch of every attempt; as `read_trials`."""
    return _read_optional_csv(folder / "epochs.csv", ("attempt", "epoch", "val_loss"))


def read_trials(folder: Path) -> pd.DataFrame | None:
    """Read `search/trials.csv`, a row per trial of the dropout search.

    Returns
    -------
    pandas.DataFrame or None
        None without the file, and for a method that takes its dropout rates from no search: the
        search of an earlier configuration stays in its folder.

    Raises
    ------
    DualadError
        If a file is damaged or lacks a column.
    """
    if method_params(folder).get("dropout") != "tuned":
        return None
    return _read_optional_csv(folder / "search/trials.csv", ("status", "val_loss"))


def costs(folder: Path) -> dict[str, float | None]:
    """What an experiment cost, by `fit.json`, `scoring.json` and, with a search, its trials.

    Returns
    -------
    dict
        `search_seconds` (0 for a fitted method that searches nothing), `fit_seconds` (search
        included), `score_milliseconds` per image, `peak_memory_mb` of fitting or scoring,
        whichever is larger, and `parameters`; None for what no file tells.

    Raises
    ------
    DualadError
        If a file cannot be read.
    """
    fit = _read_optional_json(folder / "fit.json") or {}
    scoring = _read_optional_json(folder / "scoring.json") or {}
    searched = _search_seconds(folder)
    fitted, images = fit.get("seconds"), scoring.get("images")
    with reading(folder / "scoring.json"):
        score_milliseconds = 1000 * scoring["seconds"] / images if images else None
        peaks = [
            float(cost["peak_memory_mb"]) for cost in (fit, scoring) if cost.get("peak_memory_mb")
        ]
    return {
        "search_seconds": searched if fit else None,
        "fit_seconds": None if fitted is None or searched is None else fitted + searched,
        "score_milliseconds": score_milliseconds,
        "peak_memory_mb": max(peaks, default=None),
        "parameters": fit.get("n_parameters"),
    }


def _search_seconds(folder: Path) -> float | None:
    """Time of the search; 0 for a method without one, None where its trials are missing."""
    if method_params(folder).get("dropout") != "tuned":
        return 0.0
    trials = read_trials(folder)
    if trials is None:
        return None
    with reading(folder / "search/trials.csv"):
        return float(trials["seconds"].sum())


def _read_optional_json(path: Path) -> dict[str, Any] | None:
    return read_json(path) if path.exists() else None


def _read_optional_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame | None:
    return _read_csv(path, columns) if path.exists() else None


def _read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A table with at least the given columns; numbers may be missing, texts are kept as they are."""
    with reading(path):
        # Names of files need not be UTF-8.
        source: dict[str, Any] = {"encoding": "utf-8", "encoding_errors": "surrogateescape"}
        header = list(pd.read_csv(path, nrows=0, **source).columns)
        table: pd.DataFrame = pd.read_csv(
            path,
            dtype=dict.fromkeys(_TEXTS, str),
            keep_default_na=False,
            na_values={name: [] if name in _TEXTS else ["", "nan"] for name in header},
            **source,
        )
    missing = [name for name in columns if name not in table]
    if missing:
        raise unreadable(path, f"no column {', '.join(missing)}")
    return table
