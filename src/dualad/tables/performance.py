"""Performance of every method on every dataset (Table 6)."""

from collections.abc import Sequence
from typing import Any

from dualad.results.runs import Runs, threshold_text
from dualad.tables.cells import (
    INTERVALS,
    method_label,
    new_datasets,
    runs_cell,
    runs_record,
    with_runs_caption,
)
from dualad.tables.formats import NO_VALUE, Table

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
_AGREEMENT = ("base_rate", "threshold_probability", "flagged_below_half", "passed_above_half")


def performance_table(runs: Sequence[Runs]) -> Table:
    """Performance of every method on every dataset, in the order of `runs`."""
    with_pixels = any(run.values(key) for run in runs for key in PIXEL)
    shown = PERFORMANCE | (PIXEL if with_pixels else {})
    return Table(
        caption=with_runs_caption(
            f"Performance on the test set, in per cent, with intervals in brackets. {INTERVALS} "
            "Threshold is the rule that chose it, with its parameter: `conformal 0.05` wants an "
            "FPR of at most 5 %. AUROC is computed from the scores; the column of that name in the "
            "paper's Table 6 is to be compared with the balanced accuracy. Skill is 1 - loss / "
            "loss of the mean image.",
            runs,
        ),
        label="tab:performance",
        head=["Dataset", "Method", *shown.values(), "Skill", "Threshold", "Notes"],
        rows=[
            [
                run.dataset,
                method_label(run),
                *(runs_cell(run, metric) for metric in shown),
                runs_cell(run, "reconstruction_skill", "{:.2f}".format),
                threshold_text(run.first) or NO_VALUE,
                run.note,
            ]
            for run in runs
        ],
        texts=2,
        wrapped=frozenset({len(shown) + 3}),
        breaks=new_datasets(runs),
        records=[_record(run) for run in runs],
    )


def _record(runs: Runs) -> dict[str, Any]:
    record: dict[str, Any] = {"dataset": runs.dataset, "method": runs.method}
    for key in ("family", "score", "protocol", "n_test"):
        record[key] = runs.first.get(key)
    record["threshold"] = threshold_text(runs.first)
    record["runs"] = len(runs.done)
    for key in _COUNTS:
        record[key] = (runs.first.get("counts") or {}).get(key)
    for metric in (*PERFORMANCE, *_EXTRA, *PIXEL, "reconstruction_skill"):
        record |= runs_record(runs, metric)
    agreement = runs.first.get("agreement") or {}
    record |= {key: agreement.get(key) for key in _AGREEMENT}
    return record | {"n_parameters": runs.first.get("n_parameters"), "notes": runs.note}
