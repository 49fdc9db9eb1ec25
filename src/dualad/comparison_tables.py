"""Tables that set methods side by side: the registry, encoders, ablation, repeats, costs."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from dualad.batch_law import write_batch_law
from dualad.experiments import REPEAT_MARK, Method
from dualad.ranks import rank_methods
from dualad.table_formats import NO_VALUE, Table, write_table
from dualad.tables import Entry, breaks, percent, read_entries, write_table06, write_table10

ENCODER_METRICS = {
    "auroc": "AUROC",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1",
    "tpr": "TPR",
}
ABLATION_METRICS = {
    "auroc": "AUROC",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1",
    "g_mean": "G-mean",
}
SPREAD_METRICS = {"auroc": "AUROC", "balanced_accuracy": "Balanced accuracy"}
_RESAMPLES = 1000


def write_named_table(
    name: str, prefix: Path | str, inputs: Sequence[Path | str], methods: Mapping[str, Method]
) -> list[Path]:
    """Write the table of that name, as `prefix` with four suffixes.

    Parameters
    ----------
    name
        `table06_performance` and so on, the names of the workflow's targets.
    prefix
        Path without suffix.
    inputs
        Metrics of the experiments, or for `batch_law` the results of the batch searches.
    methods
        The methods that it compares, for Tables 7 to 9.
    """
    match name:
        case "table07_methods":
            return write_table07(prefix, methods)
        case "table08_encoders":
            return write_table08(prefix, inputs, list(methods))
        case "table09_ablation":
            return write_table09(prefix, inputs, list(methods))
        case _:
            return _WRITERS[name](prefix, inputs)


def write_table07(prefix: Path | str, methods: Mapping[str, Method]) -> list[Path]:
    """Write what every method of a configuration is, from the registry of families (Table 7)."""
    records = []
    for name, method in methods.items():
        if REPEAT_MARK in name:
            continue
        about, params = method.about, method.params
        size = method.input_size
        records.append(
            {
                "method": name,
                "title": about.title,
                "category": about.category,
                "mechanism": about.summary,
                "sees": f"colour, {size} px" if size else "gray",
                "backbone": getattr(params, "backbone", None),
                "weights": getattr(params, "weights", None),
                "publication": about.publication,
                "notes": "interpretation" if about.interpretation else "",
            }
        )
    head = {
        "method": "Method",
        "title": "Family",
        "category": "Category",
        "mechanism": "Mechanism",
        "sees": "Sees",
        "backbone": "Backbone",
        "publication": "Publication",
        "notes": "Notes",
    }
    table = Table(
        caption="Methods of this run. An interpretation is our reading of a publication that "
        "leaves much open.",
        label="tab:methods",
        head=list(head.values()),
        rows=[[str(record[key] or NO_VALUE) for key in head] for record in records],
        texts=len(head),
    )
    return write_table(Path(prefix), table, records)


def write_table08(
    prefix: Path | str, metrics_json: Sequence[Path | str], methods: Sequence[str]
) -> list[Path]:
    """Write single encoders beside the dual one, a block per metric (Table 8).

    Parameters
    ----------
    prefix
        Path without suffix.
    metrics_json
        Of every experiment; others than `methods` are passed over.
    methods
        Methods of the comparison, in order.
    """
    entries = [entry for entry in read_entries(metrics_json) if entry.method in methods]
    found = {(entry.method, entry.dataset): entry for entry in entries}
    datasets = list(dict.fromkeys(entry.dataset for entry in entries))
    rows: list[list[str]] = []
    records: list[dict[str, Any]] = []
    starts: list[int] = []
    for metric, title in ENCODER_METRICS.items():
        starts.append(len(rows))
        for method in methods:
            cells = [found.get((method, dataset)) for dataset in datasets]
            rows.append([title, method, *(_cell(cell, metric) for cell in cells), _notes(cells)])
            records.append(
                {"metric": metric, "method": method}
                | {name: _value(cell, metric) for name, cell in zip(datasets, cells, strict=True)}
                | {"notes": _notes(cells)}
            )
    table = Table(
        caption="One encoder or both, in per cent, with bootstrap intervals in brackets. The "
        "paper's AUROC is to be compared with the balanced accuracy.",
        label="tab:encoders",
        head=["Metric", "Method", *datasets, "Notes"],
        rows=rows,
        texts=2,
        breaks=frozenset(starts[1:]),
    )
    return write_table(Path(prefix), table, records)


def write_table09(
    prefix: Path | str, metrics_json: Sequence[Path | str], methods: Sequence[str]
) -> list[Path]:
    """Write what removing one component changes (Table 9).

    Parameters
    ----------
    prefix
        Path without suffix.
    metrics_json
        Of every experiment, with `scores.csv` beside each; others than `methods` are passed over.
    methods
        The full method first, then the ablated ones.

    Notes
    -----
    The interval of a difference resamples the test images once for both methods, each class by
    itself: it is much narrower than the two intervals are, because both see the same images.
    """
    chosen = [path for path in map(Path, metrics_json) if path.parent.name in methods]
    entries = read_entries(chosen)
    folders = {(e.dataset, e.method): p.parent for e, p in zip(entries, chosen, strict=True)}
    full = methods[0]
    rows, records = [], []
    for entry in entries:
        row = [entry.dataset, entry.method]
        record: dict[str, Any] = {"dataset": entry.dataset, "method": entry.method}
        reference = folders.get((entry.dataset, full))
        compared = entry.method != full and entry.metrics and reference
        differences = (
            paired_differences(folders[entry.dataset, entry.method], reference)
            if compared and reference and (reference / "scores.csv").exists()
            else {}
        )
        for metric in ABLATION_METRICS:
            row.append(_cell(entry, metric))
            value, *interval = differences.get(metric, (None,))
            row.append(percent(value, interval))
            record |= {metric: _value(entry, metric), f"{metric}_difference": value}
            low, high = interval or (None, None)
            record |= {f"{metric}_difference_ci_lo": low, f"{metric}_difference_ci_hi": high}
        rows.append([*row, entry.note])
        records.append(record | {"notes": entry.note})
    head = [column for title in ABLATION_METRICS.values() for column in (title, "Difference")]
    table = Table(
        caption=f"One component less than {full}, in per cent, with bootstrap intervals in "
        "brackets; differences to the full method are paired over the same test images.",
        label="tab:ablation",
        head=["Dataset", "Method", *head, "Notes"],
        rows=rows,
        texts=2,
        breaks=breaks(entries),
    )
    return write_table(Path(prefix), table, records)


def paired_differences(
    method: Path, reference: Path, resamples: int = _RESAMPLES, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """Differences of metrics between two methods, with 95 % intervals over shared test images.

    Parameters
    ----------
    method, reference
        Folders with `scores.csv`, of the same dataset.
    resamples
        Stratified bootstrap samples.
    seed
        Of the samples.

    Returns
    -------
    dict
        Per metric of `ABLATION_METRICS`: difference, and the interval's ends.
    """
    ours, theirs = (_test_scores(folder) for folder in (method, reference))
    both = ours.join(theirs, rsuffix="_reference", how="inner")
    rng = np.random.default_rng(seed)
    classes = [np.flatnonzero(both["label"] == label) for label in (0, 1)]

    def metrics(sample: pd.DataFrame, suffix: str) -> dict[str, float]:
        label, decision = sample["label"], sample[f"decision{suffix}"]
        hits = [np.mean(decision[label == 1] == 1), np.mean(decision[label == 0] == 0)]
        return {
            "auroc": float(roc_auc_score(label, sample[f"score{suffix}"])),
            "balanced_accuracy": float(balanced_accuracy_score(label, decision)),
            "f1": float(f1_score(label, decision, zero_division=0)),
            "g_mean": float(np.sqrt(np.prod(hits))),
        }

    def difference(sample: pd.DataFrame) -> list[float]:
        first, second = metrics(sample, ""), metrics(sample, "_reference")
        return [first[key] - second[key] for key in ABLATION_METRICS]

    drawn = [
        difference(both.iloc[np.concatenate([rng.choice(c, len(c)) for c in classes])])
        for _ in range(resamples)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    values = difference(both)
    return {
        key: (values[i], float(low[i]), float(high[i])) for i, key in enumerate(ABLATION_METRICS)
    }


def write_reproducibility(prefix: Path | str, metrics_json: Sequence[Path | str]) -> list[Path]:
    """Write the spread of every repeated method over its seeds.

    Methods without repeats are passed over. `seed` is the method's policy: the paper's dynamic
    seed, a fixed one, or none.
    """
    runs: dict[tuple[str, str], list[tuple[Path, Entry]]] = {}
    paths = list(map(Path, metrics_json))
    for path, entry in zip(paths, read_entries(paths), strict=True):
        base = entry.method.partition(REPEAT_MARK)[0]
        runs.setdefault((entry.dataset, base), []).append((path, entry))
    rows, records = [], []
    for (dataset, method), group in runs.items():
        if len(group) < 2:
            continue
        threshold = group[0][0].with_name("threshold.json")
        seed = json.loads(threshold.read_text())["method"]["seed"] if threshold.exists() else None
        row = [dataset, method, str(seed), str(len(group))]
        record: dict[str, Any] = {"dataset": dataset, "method": method, "seed": seed}
        record["runs"] = len(group)
        for metric in SPREAD_METRICS:
            values = [v for _, entry in group if (v := _value(entry, metric)) is not None]
            mean, deviation = (
                (float(np.mean(values)), float(np.std(values, ddof=1)))
                if len(values) > 1
                else (None, None)
            )
            ends = (min(values), max(values)) if values else (None, None)
            row.append(
                NO_VALUE
                if mean is None or deviation is None
                else f"{100 * mean:.1f} ± {100 * deviation:.1f} "
                f"({100 * min(values):.1f} to {100 * max(values):.1f})"
            )
            record |= {f"{metric}_mean": mean, f"{metric}_sd": deviation}
            record |= {f"{metric}_min": ends[0], f"{metric}_max": ends[1]}
        rows.append([*row, group[0][1].note])
        records.append(record | {"notes": group[0][1].note})
    table = Table(
        caption="Mean, standard deviation and range over runs under different seeds, in per cent. "
        "The test set is the same in all runs.",
        label="tab:reproducibility",
        head=["Dataset", "Method", "Seed", "Runs", *SPREAD_METRICS.values(), "Notes"],
        rows=rows,
        texts=3,
    )
    return write_table(Path(prefix), table, records)


def write_ranks(prefix: Path | str, metrics_json: Sequence[Path | str]) -> list[Path]:
    """Write average ranks by AUROC over the datasets (Demsar, 2006)."""
    values: dict[str, dict[str, float | None]] = {}
    for entry in read_entries(metrics_json):
        if REPEAT_MARK not in entry.method:
            values.setdefault(entry.dataset, {})[entry.method] = _value(entry, "auroc")
    ranking = rank_methods(values)
    caption = "Ranks need at least two methods that ran on at least two common datasets."
    records: list[dict[str, Any]] = []
    if ranking is not None:
        caption = (
            f"Average ranks by AUROC over {', '.join(ranking.datasets)}, 1 being the best. "
            f"Methods closer than {ranking.critical_difference:.2f} are not told apart (Nemenyi, "
            f"{100 * ranking.alpha:.0f} %)."
        )
        if ranking.friedman_p is not None:
            caption += f" Friedman test: p = {ranking.friedman_p:.3g}."
        for row, method in enumerate(ranking.methods):
            ranks = dict(zip(ranking.datasets, ranking.ranks[:, row].tolist(), strict=True))
            records.append({"method": method, "average_rank": ranking.average[row], **ranks})
    head = list(records[0]) if records else ["method", "average_rank"]
    table = Table(
        caption=caption,
        label="tab:ranks",
        head=[*(name.replace("_", " ") for name in head), "Notes"],
        rows=[[*(_short(record[key]) for key in head), ""] for record in records],
        texts=1,
    )
    return write_table(Path(prefix), table, records)


def _short(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def write_costs(prefix: Path | str, metrics_json: Sequence[Path | str]) -> list[Path]:
    """Write what each method cost, beside how well it did.

    Read beside each `metrics.json`: `fit.json`, `scoring.json`, and where there was a search
    `search/trials.csv`, whose seconds count as fitting.
    """
    rows, records = [], []
    paths = [Path(path) for path in metrics_json if REPEAT_MARK not in Path(path).parent.name]
    entries = read_entries(paths)
    for path, entry in zip(paths, entries, strict=True):
        cost = costs(path.parent)
        shown = [
            ("fit_seconds", "{:.1f}"),
            ("score_milliseconds", "{:.1f}"),
            ("peak_memory_mb", "{:.0f}"),
            ("parameters", "{:,}"),
        ]
        cells = [NO_VALUE if cost[k] is None else text.format(cost[k]) for k, text in shown]
        rows.append([entry.dataset, entry.method, _cell(entry, "auroc"), *cells, entry.note])
        records.append(
            {"dataset": entry.dataset, "method": entry.method, "auroc": _value(entry, "auroc")}
            | cost
            | {"notes": entry.note}
        )
    table = Table(
        caption="Quality and cost. Fitting includes the search over dropout rates; times are of "
        "this machine and of whatever else it was doing.",
        label="tab:costs",
        head=[
            "Dataset",
            "Method",
            "AUROC",
            "Fit (s)",
            "Score (ms/image)",
            "Peak memory (MiB)",
            "Parameters",
            "Notes",
        ],
        rows=rows,
        texts=2,
        breaks=breaks(entries),
    )
    return write_table(Path(prefix), table, records)


def costs(folder: Path) -> dict[str, float | None]:
    """Seconds to fit, milliseconds to score an image, MiB of memory, parameters of a method.

    None for what the method's `folder` does not tell.
    """
    fit, scoring = (_json(folder / name) for name in ("fit.json", "scoring.json"))
    trials = folder / "search/trials.csv"
    searched = float(pd.read_csv(trials)["seconds"].sum()) if trials.exists() else 0.0
    peaks = [one["peak_memory_mb"] for one in (fit, scoring) if one.get("peak_memory_mb")]
    return {
        "fit_seconds": fit["seconds"] + searched if "seconds" in fit else None,
        "score_milliseconds": (
            1000 * scoring["seconds"] / scoring["images"] if scoring.get("images") else None
        ),
        "peak_memory_mb": max(peaks, default=None),
        "parameters": fit.get("n_parameters"),
    }


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _test_scores(folder: Path) -> pd.DataFrame:
    scores = pd.read_csv(folder / "scores.csv")
    return scores[scores["split"] == "test"].set_index("image")[["label", "score", "decision"]]


def _value(entry: Entry | None, metric: str) -> float | None:
    return None if entry is None or entry.metrics is None else entry.metrics.get(metric)


def _cell(entry: Entry | None, metric: str) -> str:
    intervals = (entry.metrics or {}).get("ci") or {} if entry else {}
    return percent(_value(entry, metric), intervals.get(metric))


def _notes(entries: Sequence[Entry | None]) -> str:
    return "; ".join(dict.fromkeys(entry.note for entry in entries if entry and entry.note))


_WRITERS: dict[str, Callable[[Path | str, Sequence[Path | str]], list[Path]]] = {
    "table06_performance": write_table06,
    "table10_calibration": write_table10,
    "reproducibility": write_reproducibility,
    "ranks": write_ranks,
    "costs": write_costs,
    "batch_law": write_batch_law,
}
