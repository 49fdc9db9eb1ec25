"""One encoder or both (Table 8)."""

from collections.abc import Sequence
from typing import Any

from dualad.results.runs import NO_RESULT, Runs, joined, notes_across
from dualad.tables.cells import (
    datasets_caption,
    method_label,
    per_cent,
    runs_cell,
    runs_record,
    with_runs_caption,
)
from dualad.tables.formats import Table

METRICS = {
    "auroc": "AUROC",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1",
    "tpr": "TPR",
}


def encoders_table(runs: Sequence[Runs], methods: Sequence[str]) -> Table:
    """Methods in rows and datasets in columns, a block per metric, the best in bold.

    Parameters
    ----------
    runs
        Results; those of others than `methods` are passed over.
    methods
        The methods of the comparison in the rows' order.
    """
    compared = [run for run in runs if run.method in methods]
    found = {(run.method, run.dataset): run for run in compared}
    datasets = list(dict.fromkeys(run.dataset for run in compared))
    by_method = {m: [found.get((m, d), Runs(d, m, ())) for d in datasets] for m in methods}
    rows: list[list[str]] = []
    records: list[dict[str, Any]] = []
    bold: set[tuple[int, int]] = set()
    titles = {}
    for metric, title in METRICS.items():
        titles[len(rows)] = title
        for column in range(len(datasets)):
            best = _best([across[column] for across in by_method.values()], metric)
            bold |= {(len(rows) + i, 1 + column) for i in best}
        for method, across in by_method.items():
            label = max(map(method_label, across), key=len, default=method)
            cells = [runs_cell(run, metric) for run in across]
            rows.append([label, *cells, joined(*notes_across(across))])
            records += [
                {"metric": metric, "method": method, "dataset": run.dataset, "runs": len(run.done)}
                | runs_record(run, metric, "value")
                | {"notes": run.note or ("" if run.done else NO_RESULT)}
                for run in across
            ]
    caption = (
        "One encoder or both, in per cent, with intervals in brackets, exact ones of TPR and "
        "bootstrap ones of the others; the best of each dataset in bold. The paper's AUROC is to "
        "be compared with the balanced accuracy."
    )
    return Table(
        caption=with_runs_caption(caption, compared) + datasets_caption(compared),
        label="tab:encoders",
        head=["Method", *datasets, "Notes"],
        rows=rows,
        texts=1,
        breaks=frozenset(titles) - {0},
        titles=titles,
        bold=frozenset(bold),
        records=records,
    )


def _best(runs: Sequence[Runs], metric: str) -> list[int]:
    """Which of the methods have the highest value, as far as it is shown."""
    means = [run.mean(metric) for run in runs]
    highest = max((mean for mean in means if mean is not None), default=None)
    return [
        i
        for i, mean in enumerate(means)
        if highest is not None and mean is not None and per_cent(mean) == per_cent(highest)
    ]
