"""Tables across datasets and methods: performance (Table 6) and calibration (Table 10).

CSV holds plain numbers for machines; Markdown, LaTeX and HTML percentages and intervals for people.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dualad.errors import DualadError
from dualad.table_formats import NO_VALUE, Table, write_table

PERFORMANCE = {
    "auroc": "AUROC",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1",
    "f2": "F2",
    "tpr": "TPR",
    "tnr": "TNR",
    "fpr": "FPR",
    "precision": "Precision",
    "g_mean": "G-mean",
    "mcc": "MCC",
    "kappa": "Kappa",
}
"""Table 6's columns in the paper's order. What the paper prints as AUROC is balanced accuracy."""

PIXEL = {"pixel_auroc": "Pixel AUROC", "aupro": "AUPRO"}
_EXTRA = ("auprc", "ece")
_COUNTS = ("tp", "fp", "tn", "fn")
_NO_RESULT = "no result"
_CALIBRATION = ("fpr", "ece")


@dataclass(frozen=True)
class Entry:
    """One experiment's `metrics.json`; `metrics` is None if there is none."""

    dataset: str
    method: str
    metrics: Mapping[str, Any] | None
    note: str = ""


def dataset_note(folder: Path | str) -> str:
    """What a reader has to know about the dataset in `results/{dataset}`: synthetic defects, say.

    Empty without a `dataset.json` or a note in it.

    Raises
    ------
    DualadError
        If the file is there but cannot be read.
    """
    path = Path(folder) / "dataset.json"
    if not path.exists():
        return ""
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("note") or "")
    except (OSError, ValueError, AttributeError) as error:
        raise _unreadable(path, error) from error


def write_table06(prefix: Path | str, metrics_json: Sequence[Path | str]) -> list[Path]:
    """Write the performance of every method on every dataset.

    Parameters
    ----------
    prefix
        Path without suffix; `.csv`, `.md`, `.tex` and `.html` are added.
    metrics_json
        `results/{dataset}/{method}/metrics.json` in the rows' order; a missing file leaves a gap.
        The note in `results/{dataset}/dataset.json`, if any, goes into the notes.

    Returns
    -------
    The files written.

    Raises
    ------
    DualadError
        If a file is there but cannot be read.
    """
    entries = read_entries(metrics_json)
    with_pixels = any(
        e.metrics and e.metrics.get(key) is not None for e in entries for key in PIXEL
    )
    shown = PERFORMANCE | (PIXEL if with_pixels else {})
    table = Table(
        caption="Performance on the test set, in per cent, with bootstrap intervals in brackets. "
        "AUROC is computed from the scores; the column of that name in the paper's Table 6 is to "
        "be compared with the balanced accuracy. Skill is 1 - loss / loss of the mean image.",
        label="tab:performance",
        head=["Dataset", "Method", *shown.values(), "Skill", "Notes"],
        rows=[_performance_row(entry, tuple(shown)) for entry in entries],
        texts=2,
        breaks=breaks(entries),
    )
    keys = (*PERFORMANCE, *_EXTRA, *PIXEL)
    return write_table(Path(prefix), table, [_performance_record(entry, keys) for entry in entries])


def write_table10(prefix: Path | str, metrics_json: Sequence[Path | str]) -> list[Path]:
    """Write false positives and calibration without and with Monte Carlo dropout.

    Methods without Monte Carlo dropout are left out. After the datasets comes one row per method
    with the means over those datasets that have both variants.

    Parameters
    ----------
    prefix, metrics_json
        As for `write_table06`.

    Returns
    -------
    The files written.

    Raises
    ------
    DualadError
        If a file is there but cannot be read.
    """
    entries = read_entries(metrics_json)
    sampled = {e.method for e in entries if e.metrics and e.metrics.get("mc")}
    entries = [e for e in entries if e.method in sampled]
    means = [_mean(method, entries) for method in dict.fromkeys(e.method for e in entries)]
    table = Table(
        caption="False positive rate (FPR, per cent) and expected calibration error (ECE) on the "
        "test set with dropout off and with Monte Carlo dropout, and the mean over the images of "
        "the error's variance over the samples (eq. 32), which is zero with dropout off. Variances "
        "have the unit of the method's score, squared: compare classes, not methods. Lambda weighs "
        "the deviation in error + lambda * sigma.",
        label="tab:calibration",
        head=[
            "Dataset",
            "Method",
            "FPR",
            "FPR, MC",
            "ECE",
            "ECE, MC",
            "Variance, normal",
            "Variance, anomalous",
            "Lambda",
            "Notes",
        ],
        rows=[_calibration_row(entry) for entry in (*entries, *means)],
        texts=2,
        breaks=breaks((*entries, *means)),
    )
    records = [_calibration_record(entry) for entry in (*entries, *means)]
    return write_table(Path(prefix), table, records)


def read_entries(paths: Sequence[Path | str]) -> list[Entry]:
    """Read `metrics.json` of every experiment; a missing file gives an entry without metrics.

    Raises
    ------
    DualadError
        If a file is there but cannot be read.
    """
    entries = []
    for path in map(Path, paths):
        dataset, method, metrics = path.parent.parent.name, path.parent.name, None
        if path.exists():
            try:
                metrics = json.loads(path.read_text(encoding="utf-8"))
                dataset, method = metrics["dataset"], metrics["method"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise _unreadable(path, error) from error
        notes = [dataset_note(path.parent.parent), *((metrics or {}).get("notes") or ())]
        if metrics is None:
            notes.append(_NO_RESULT)
        entries.append(Entry(dataset, method, metrics, "; ".join(note for note in notes if note)))
    return entries


def _unreadable(path: Path, error: Exception) -> DualadError:
    return DualadError(f"{path}: cannot be read ({error!r}); delete it and run the workflow again")


def breaks(entries: Sequence[Entry]) -> frozenset[int]:
    """Rows, one per entry, at which another dataset begins."""
    return frozenset(
        i for i in range(1, len(entries)) if entries[i].dataset != entries[i - 1].dataset
    )


def _performance_row(entry: Entry, keys: Sequence[str]) -> list[str]:
    metrics = entry.metrics or {}
    intervals = metrics.get("ci") or {}
    skill = metrics.get("reconstruction_skill")
    return [
        entry.dataset,
        entry.method,
        *(percent(metrics.get(key), intervals.get(key)) for key in keys),
        NO_VALUE if skill is None else f"{skill:.2f}",
        entry.note,
    ]


def _performance_record(entry: Entry, keys: Sequence[str]) -> dict[str, Any]:
    metrics = entry.metrics or {}
    record: dict[str, Any] = {"dataset": entry.dataset, "method": entry.method}
    for key in ("family", "score", "protocol", "n_test"):
        record[key] = metrics.get(key)
    for key in _COUNTS:
        record[key] = (metrics.get("counts") or {}).get(key)
    for key in keys:
        record |= _with_interval(key, metrics, key)
    for key in ("reconstruction_skill", "n_parameters"):
        record[key] = metrics.get(key)
    return record | {"notes": entry.note}


def _calibration_row(entry: Entry) -> list[str]:
    metrics = entry.metrics or {}
    sampled = metrics.get("mc") or {}
    both = (metrics, sampled)
    return [
        entry.dataset,
        entry.method,
        *(percent(m.get("fpr"), (m.get("ci") or {}).get("fpr")) for m in both),
        *(_fraction(m.get("ece"), (m.get("ci") or {}).get("ece")) for m in both),
        *(_small(sampled.get(f"variance_{kind}")) for kind in ("normal", "anomalous")),
        _small(sampled.get("lambda")),
        entry.note,
    ]


def _calibration_record(entry: Entry) -> dict[str, Any]:
    metrics = entry.metrics or {}
    sampled = metrics.get("mc") or {}
    record: dict[str, Any] = {"dataset": entry.dataset, "method": entry.method}
    for key in _CALIBRATION:
        record |= _with_interval(key, metrics, f"{key}_deterministic")
        record |= _with_interval(key, sampled, f"{key}_mc")
    for key in ("variance_normal", "variance_anomalous", "lambda"):
        record[key] = sampled.get(key)
    return record | {"notes": entry.note}


def _mean(method: str, entries: Sequence[Entry]) -> Entry:
    """Means over the datasets; a number that one dataset lacks is averaged over the others."""
    both = [e.metrics for e in entries if e.method == method and e.metrics and e.metrics.get("mc")]

    def mean(blocks: Sequence[Mapping[str, Any]], key: str) -> float | None:
        values = [block[key] for block in blocks if block.get(key) is not None]
        return sum(values) / len(values) if values else None

    metrics: dict[str, Any] = {key: mean(both, key) for key in _CALIBRATION}
    metrics["mc"] = {
        key: mean([block["mc"] for block in both], key)
        for key in (*_CALIBRATION, "variance_normal", "variance_anomalous")
    }
    n = len(both)
    return Entry("(mean)", method, metrics, f"mean over {n} dataset{'s' if n > 1 else ''}")


def _with_interval(key: str, metrics: Mapping[str, Any], name: str) -> dict[str, Any]:
    low, high = (metrics.get("ci") or {}).get(key) or (None, None)
    return {name: metrics.get(key), f"{name}_ci_lo": low, f"{name}_ci_hi": high}


def percent(value: float | None, interval: Sequence[float] | None) -> str:
    """A fraction in per cent with one decimal, its interval in brackets; a dash for None."""
    if value is None:
        return NO_VALUE
    text = f"{100 * value:.1f}"
    return f"{text} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else text


def _fraction(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None:
        return NO_VALUE
    text = f"{value:.3f}"
    return f"{text} [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else text


def _small(value: float | None) -> str:
    return NO_VALUE if value is None else f"{value:.3g}"
