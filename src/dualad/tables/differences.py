"""How far every method is from the best control and from one other method, beside Table 6."""

from collections.abc import Sequence
from typing import Any

from dualad.evaluation.bootstrap import Resampling
from dualad.results.differences import Compared, Difference, compare_methods
from dualad.results.runs import Runs
from dualad.tables.cells import (
    cell,
    method_label,
    new_datasets,
    runs_cell,
    runs_record,
    signed,
    with_runs_caption,
)
from dualad.tables.formats import NO_VALUE, Table

_COLUMNS = ("dataset", "method", "notes")


def differences_table(
    runs: Sequence[Runs],
    *,
    reference: str | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> Table:
    """Paired differences in AUROC from the best controls and from a named method.

    Parameters
    ----------
    runs
        Results; beside each `metrics.json`, `scores.csv` is read.
    reference
        Name of the method; None leaves its columns out.
    resamples, confidence
        Number of bootstrap samples and coverage of the intervals, as the evaluator's.

    Raises
    ------
    DualadError
        If a file cannot be read, two methods were tested on different images, or the confidence is
        not between 0 and 1.
    """
    rows = compare_methods(runs, reference, Resampling(resamples, confidence))
    head = ["Dataset", "Method", "AUROC"]
    head += ["Control by validation", "Difference", "Verdict"]
    head += ["Control by test", "Difference", "Verdict"]
    if reference:
        head += [f"Difference to {reference}", "Verdict"]
    caption = (
        "AUROC in per cent, and differences in percentage points on the same test images: to the "
        "control that has the highest AUROC on the validation images, and to the one that has it "
        "on the test images themselves, a choice with hindsight that favours the control. Controls "
        "that learnt from labels of anomalies count for methods that did so too. Intervals "
        "resample the test images once for all methods, each class by itself; a method is better "
        "or worse where 0 is outside, each comparison taken by itself."
    )
    return Table(
        caption=with_runs_caption(caption, runs),
        label="tab:differences",
        head=[*head, "Notes"],
        rows=[_row(row, reference) for row in rows],
        texts=2,
        breaks=new_datasets([row.runs for row in rows]),
        bold=frozenset(
            (i, column)
            for i, row in enumerate(rows)
            for column, difference in ((4, row.control), (7, row.hardest), (9, row.reference))
            if difference.verdict in ("better", "worse")
        ),
        records=[_record(row) for row in rows],
        columns=_COLUMNS,
    )


def _row(row: Compared, reference: str | None) -> list[str]:
    cells = [row.runs.dataset, method_label(row.runs), runs_cell(row.runs, "auroc")]
    for difference in (row.control, row.hardest):
        cells += [difference.other or NO_VALUE, *_cells(difference)]
    return [*cells, *(_cells(row.reference) if reference else []), row.runs.note]


def _cells(difference: Difference) -> list[str]:
    shown = cell(difference.value, signed, difference.interval)
    return [shown, difference.verdict or NO_VALUE]


def _record(row: Compared) -> dict[str, Any]:
    record: dict[str, Any] = {"dataset": row.runs.dataset, "method": row.runs.method}
    record |= {"runs": len(row.runs.done), **runs_record(row.runs, "auroc")}
    named = {
        "validation_control": row.control,
        "test_control": row.hardest,
        "reference": row.reference,
    }
    for name, difference in named.items():
        low, high = difference.interval or (None, None)
        record |= {
            name: difference.other,
            f"{name}_difference": difference.value,
            f"{name}_difference_ci_lo": low,
            f"{name}_difference_ci_hi": high,
            f"{name}_verdict": difference.verdict,
        }
    return record | {"notes": row.runs.note}
