"""False positives and calibration without and with Monte Carlo dropout (Table 10)."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from dualad.results.runs import Entry, Runs, joined, notes_across
from dualad.tables.cells import (
    fraction,
    method_label,
    new_datasets,
    per_cent,
    runs_cell,
    runs_record,
    significant,
    whole,
    with_runs_caption,
)
from dualad.tables.formats import Table

_BOTH = {"fpr": per_cent, "ece": fraction}
_VARIANCES = ("variance_normal", "variance_anomalous")
_WITHOUT_INTERVAL = dict.fromkeys((*_VARIANCES, "lambda"), "mc") | dict.fromkeys(
    ("threshold_probability", "flagged_below_half"), "agreement"
)
"""Metrics by the block that holds them."""


def calibration_table(runs: Sequence[Runs]) -> Table:
    """False positives and calibration without and with Monte Carlo dropout.

    Methods without Monte Carlo dropout are left out. After the datasets comes a row for each method
    that has both variants on more than one, with its means over these; of several runs, over those
    that were made on all of these datasets.
    """
    sampled = {run.method for run in runs if _with_sampling(run)}
    found = [run for run in runs if run.method in sampled]
    methods = dict.fromkeys(run.method for run in found)
    rows = [*found, *filter(None, (_mean(method, found) for method in methods))]
    return Table(
        caption=with_runs_caption(
            "False positive rate (FPR, per cent) and expected calibration error (ECE) on the test "
            "set with dropout off and with Monte Carlo dropout, and the mean over the images of "
            "the error's variance over the samples (eq. 32), which is zero with dropout off. "
            "Variances have the unit of the method's score, squared: compare classes, not methods. "
            "Lambda weighs the deviation in error + lambda * sigma. Intervals in brackets: exact "
            "ones of FPR, bootstrap ones of ECE. Probability at threshold: above it, with dropout "
            "off, an image is called anomalous; where that is below 0.5, some flagged images are "
            "more probably normal at the base rate of the validation images (flagged below 0.5).",
            rows,
        ),
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
            "Probability at threshold",
            "Flagged below 0.5",
            "Notes",
        ],
        rows=[
            [
                run.dataset,
                method_label(run),
                *(
                    runs_cell(run, m, number, block)
                    for m, number in _BOTH.items()
                    for block in ("", "mc")
                ),
                *(runs_cell(run, metric, significant, "mc") for metric in (*_VARIANCES, "lambda")),
                runs_cell(run, "threshold_probability", fraction, "agreement"),
                runs_cell(run, "flagged_below_half", whole, "agreement"),
                run.note,
            ]
            for run in rows
        ],
        texts=2,
        breaks=new_datasets(rows),
        records=[_record(run) for run in rows],
        columns=list(_record(Runs("", "", ()))),
    )


def _with_sampling(runs: Runs) -> list[Entry]:
    return [entry for entry in runs.done if (entry.metrics or {}).get("mc")]


def _record(runs: Runs) -> dict[str, Any]:
    record: dict[str, Any] = {"dataset": runs.dataset, "method": runs.method}
    record["runs"] = len(runs.done)
    for metric in _BOTH:
        record |= runs_record(runs, metric, f"{metric}_deterministic")
        record |= runs_record(runs, metric, f"{metric}_mc", "mc")
    for metric, block in _WITHOUT_INTERVAL.items():
        columns = runs_record(runs, metric, block=block)
        record |= {key: value for key, value in columns.items() if "_ci_" not in key}
    return record | {"notes": runs.note}


def _mean(method: str, runs: Sequence[Runs]) -> Runs | None:
    """Means over the datasets; a number that one dataset lacks is averaged over the others.

    None for a method with results on one dataset only.
    """
    by_run: dict[str, list[Mapping[str, Any]]] = {}
    for run in runs:
        for entry in _with_sampling(run) if run.method == method else ():
            by_run.setdefault(entry.method, []).append(entry.metrics or {})
    n = max(map(len, by_run.values()))
    if n == 1:
        return None
    across = [run for run in runs if run.method == method]
    note = joined(f"mean over {n} datasets", *notes_across(across))
    entries = [
        Entry(
            "(mean)",
            name,
            {metric: _average(blocks, metric) for metric in _BOTH}
            | {"mc": {m: _average([b["mc"] for b in blocks], m) for m in (*_BOTH, *_VARIANCES)}},
        )
        for name, blocks in by_run.items()
        if len(blocks) == n
    ]
    return Runs("(mean)", method, tuple(entries), note)


def _average(blocks: Sequence[Mapping[str, Any]], metric: str) -> float | None:
    values = [block[metric] for block in blocks if block.get(metric) is not None]
    return fmean(values) if values else None
