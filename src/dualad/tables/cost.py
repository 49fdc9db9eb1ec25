"""What methods cost, beside how well they do."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from dualad.results.experiment import costs
from dualad.results.runs import Runs
from dualad.tables.cells import (
    cell,
    method_label,
    new_datasets,
    runs_cell,
    runs_record,
    significant,
    whole,
    with_runs_caption,
)
from dualad.tables.formats import Table

_COLUMNS = {
    "search_seconds": ("Search (s)", significant),
    "fit_seconds": ("Search and fit (s)", significant),
    "score_milliseconds": ("Score (ms per image)", significant),
    "peak_memory_mb": ("Peak memory (MiB)", whole),
    "parameters": ("Parameters", whole),
}


def costs_table(runs: Sequence[Runs]) -> Table:
    """Time, memory and parameters of every method on every dataset, and its AUROC.

    Beside each `metrics.json`, `fit.json`, `scoring.json` and, where there was a search,
    `search/trials.csv` are read; a missing file leaves a gap, a damaged one is a `DualadError`.
    """
    paid = [_mean_costs(run) for run in runs]
    records: list[dict[str, Any]] = [
        {"dataset": run.dataset, "method": run.method, "runs": len(run.done)}
        | runs_record(run, "auroc")
        | cost
        | {"notes": run.note}
        for run, cost in zip(runs, paid, strict=True)
    ]
    return Table(
        caption=with_runs_caption(
            "Cost, and AUROC in per cent with its bootstrap interval in brackets. Times are of the "
            "machine that ran it, and of whatever else it was doing; a job that was stopped and "
            "went on counts from there. Methods that share a model (an ablation of the threshold, "
            "say) show the cost of that model. Peak memory is that of a whole process, the "
            "libraries in it included. Costs of several runs are means.",
            runs,
        ),
        label="tab:costs",
        head=[
            "Dataset",
            "Method",
            "AUROC",
            *(title for title, _ in _COLUMNS.values()),
            "Notes",
        ],
        rows=[
            [
                run.dataset,
                method_label(run),
                runs_cell(run, "auroc"),
                *(cell(cost[key], number) for key, (_, number) in _COLUMNS.items()),
                run.note,
            ]
            for run, cost in zip(runs, paid, strict=True)
        ],
        texts=2,
        breaks=new_datasets(runs),
        records=records,
    )


def _mean_costs(runs: Runs) -> dict[str, float | None]:
    costs_of_runs = [costs(entry.folder) for entry in runs.entries]
    known = {key: [c for cost in costs_of_runs if (c := cost[key]) is not None] for key in _COLUMNS}
    return {key: fmean(values) if values else None for key, values in known.items()}
