"""The paper's numbers beside ours as a table."""

from collections.abc import Iterator, Sequence
from statistics import fmean, stdev
from typing import Any

from dualad.paper.comparison import Comparison, unknown_datasets
from dualad.tables.cells import INTERVALS
from dualad.tables.formats import NO_VALUE, Table
from dualad.tables.performance import PERFORMANCE

_LABELS = {
    **PERFORMANCE,
    "auroc": "AUROC (balanced accuracy)",
    "fpr_deterministic": "FPR",
    "fpr_mc": "FPR, MC",
    "ece_deterministic": "ECE",
    "ece_mc": "ECE, MC",
}
_NOTHING = Comparison("", "", "", "", None, "not run")


def comparison_table(comparisons: Sequence[Comparison], confidence: float) -> Table:
    """The paper's numbers beside ours.

    The CSV has a row per number. For people, an experiment that was not run is one row, and
    datasets that the paper has no number for are named in the caption.

    Parameters
    ----------
    comparisons
        The numbers, in the order of the rows.
    confidence
        Coverage of the intervals, in (0, 1).
    """
    unknown = unknown_datasets(comparisons)
    shown = [c for c in _without_repetition(comparisons) if c.dataset not in unknown]
    return Table(
        caption="The paper's numbers and ours, in per cent (ECE: fractions), with "
        f"{100 * confidence:g} % intervals in brackets. {INTERVALS} Difference is ours minus the "
        "paper's. What the paper calls AUROC is compared with our balanced accuracy; AUROC "
        "computed from our scores has a column of its own. Table 10 is a mean over datasets."
        + _left_out(unknown, bool(shown)),
        label="tab:comparison",
        head=[
            "Table",
            "Dataset",
            "Method",
            "Metric",
            "Paper",
            "Ours",
            "Difference",
            "Paper's in our interval",
            "Our AUROC",
            "Notes",
        ],
        rows=[_row(comparison) for comparison in shown],
        texts=4,
        breaks=frozenset(
            i
            for i in range(1, len(shown))
            if (shown[i].source, shown[i].dataset) != (shown[i - 1].source, shown[i - 1].dataset)
        ),
        records=[_record(comparison) for comparison in comparisons],
        columns=list(_record(_NOTHING)),
    )


def _left_out(unknown: Sequence[str], any_shown: bool) -> str:
    """A sentence on the datasets that the table leaves out."""
    named = f": {', '.join(unknown)}" if unknown else ""
    if not any_shown:
        return (
            f" None of the datasets run here is one that the paper has numbers for{named}; Table 6 "
            "has ours. config/paper.yaml runs the paper's datasets, and a dataset's key paper_name "
            "says which of them it is."
        )
    return f" Left out, as the paper has no numbers for them{named}." if unknown else ""


def _without_repetition(comparisons: Sequence[Comparison]) -> Iterator[Comparison]:
    """All but the second and later numbers of an experiment that was not run."""
    seen = set()
    for comparison in comparisons:
        experiment = (comparison.source, comparison.dataset, comparison.method)
        if comparison.status != "not run" or experiment not in seen:
            yield comparison
        if comparison.status == "not run":
            seen.add(experiment)


def _row(comparison: Comparison) -> list[str]:
    head = [comparison.source.removeprefix("Table "), comparison.dataset, comparison.method]
    if comparison.status == "not run":
        return [*head, "all", *[NO_VALUE] * 5, "not run"]
    return [
        *head,
        _LABELS[comparison.metric],
        _number(comparison, comparison.paper),
        _number(comparison, comparison.ours, comparison.interval),
        _number(comparison, comparison.difference, sign="+"),
        NO_VALUE if comparison.inside is None else "yes" if comparison.inside else "no",
        _number(comparison, comparison.auroc, comparison.auroc_interval),
        "; ".join(_notes(comparison)),
    ]


def _number(
    comparison: Comparison,
    value: float | None,
    interval: tuple[float, float] | None = None,
    sign: str = "",
) -> str:
    if value is None:
        return NO_VALUE
    scale, digits = (100, 2) if comparison.percent else (1, 3)
    text = f"{scale * value:{sign}.{digits}f}"
    if interval is None:
        return text
    low, high = (f"{scale * bound:.{digits}f}" for bound in interval)
    return f"{text} [{low}, {high}]"


def _notes(comparison: Comparison) -> Iterator[str]:
    if comparison.status == "not in the paper":
        yield comparison.status
    if len(comparison.runs) > 1:
        yield (
            f"{len(comparison.runs)} runs: mean {100 * fmean(comparison.runs):.2f}, "
            f"standard deviation {100 * stdev(comparison.runs):.2f}"
        )
    if comparison.note:
        yield comparison.note


def _record(comparison: Comparison) -> dict[str, Any]:
    low, high = comparison.interval or (None, None)
    auroc_low, auroc_high = comparison.auroc_interval or (None, None)
    several = len(comparison.runs) > 1
    return {
        "source": comparison.source,
        "dataset": comparison.dataset,
        "method": comparison.method,
        "metric": comparison.metric,
        "our_metric": comparison.our_metric,
        "status": comparison.status,
        "paper": comparison.paper,
        "ours": comparison.ours,
        "ours_ci_lo": low,
        "ours_ci_hi": high,
        "difference": comparison.difference,
        "paper_in_interval": None if comparison.inside is None else int(comparison.inside),
        "our_auroc": comparison.auroc,
        "our_auroc_ci_lo": auroc_low,
        "our_auroc_ci_hi": auroc_high,
        "runs": len(comparison.runs) if several else None,
        "runs_mean": fmean(comparison.runs) if several else None,
        "runs_sd": stdev(comparison.runs) if several else None,
        "notes": comparison.note,
    }
