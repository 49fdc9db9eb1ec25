"""How values become cells for people and columns for machines."""

from collections.abc import Callable, Sequence
from typing import Any

from dualad.results.experiment import dataset_note
from dualad.results.runs import Entry, Runs, metrics_block
from dualad.tables.formats import NO_VALUE, PLUS_MINUS

Number = Callable[[float], str]

INTERVALS = (
    "Those of TPR, TNR, FPR and precision are exact (Clopper and Pearson, 1934), the others are "
    "bootstrap intervals, which have no width where no image was decided wrongly."
)
"""A sentence for captions."""

RUNS_CAPTION = (
    " Where a method ran under several seeds, a cell is the mean over its runs "
    f"{PLUS_MINUS} their standard deviation, which takes the interval's place."
)


def per_cent(value: float) -> str:
    """A fraction in per cent, one decimal."""
    return f"{100 * value:.1f}"


def signed(value: float) -> str:
    """A difference of fractions in percentage points, with its sign unless it is shown as zero."""
    text = per_cent(value)
    return "0.0" if float(text) == 0 else f"+{text}" if value > 0 else text


def fraction(value: float) -> str:
    """Three decimals."""
    return f"{value:.3f}"


def significant(value: float) -> str:
    """Three significant digits."""
    return f"{value:.3g}"


def whole(value: float) -> str:
    """No decimals, thousands set apart."""
    return f"{value:,.0f}"


def cell(value: float | None, number: Number, interval: Sequence[float] | None = None) -> str:
    """A value with its interval in brackets, if it has one; a dash for None."""
    if value is None:
        return NO_VALUE
    text = number(value)
    return f"{text} [{number(interval[0])}, {number(interval[1])}]" if interval else text


def percent(value: float | None, interval: Sequence[float] | None = None) -> str:
    """A fraction in per cent with one decimal, its interval in brackets; a dash for None."""
    return cell(value, per_cent, interval)


def runs_cell(runs: Runs, metric: str, number: Number = per_cent, block: str = "") -> str:
    """A metric of one run with its interval, or its mean and deviation over several."""
    if len(runs.done) < 2:
        only = metrics_block(runs.done[0].metrics if runs.done else None, block)
        return cell(only.get(metric), number, (only.get("ci") or {}).get(metric))
    mean, deviation = runs.mean(metric, block), runs.deviation(metric, block)
    if mean is None or deviation is None:
        return NO_VALUE
    return f"{number(mean)} {PLUS_MINUS} {number(deviation)}"


def runs_record(runs: Runs, metric: str, name: str = "", block: str = "") -> dict[str, Any]:
    """The columns of a metric: the first run's value and interval, mean and deviation over all.

    Parameters
    ----------
    runs
        The runs.
    metric, block
        As for `Runs.values`.
    name
        Beginning of the columns' names, if not the metric's.
    """
    name = name or metric
    first = metrics_block(runs.first, block)
    low, high = (first.get("ci") or {}).get(metric) or (None, None)
    return {
        name: first.get(metric),
        f"{name}_ci_lo": low,
        f"{name}_ci_hi": high,
        f"{name}_mean": runs.mean(metric, block),
        f"{name}_sd": runs.deviation(metric, block),
    }


def method_label(runs: Runs) -> str:
    """The method's name, with the number of its runs if there are several."""
    n = len(runs.done)
    return f"{runs.method} ({n} runs)" if n > 1 else runs.method


def new_datasets(runs: Sequence[Runs | Entry]) -> frozenset[int]:
    """Rows, one per item, at which another dataset begins."""
    return frozenset(i for i in range(1, len(runs)) if runs[i].dataset != runs[i - 1].dataset)


def with_runs_caption(caption: str, runs: Sequence[Runs]) -> str:
    """The caption, with what the cells of several runs show if there are any."""
    return caption + RUNS_CAPTION if any(len(run.done) > 1 for run in runs) else caption


def datasets_caption(runs: Sequence[Runs]) -> str:
    """A sentence of the datasets' notes; empty if they have none."""
    folders = {run.dataset: run.entries[0].folder.parent for run in runs}
    notes = {dataset: dataset_note(folder) for dataset, folder in folders.items()}
    text = "; ".join(f"{dataset}: {note}" for dataset, note in notes.items() if note)
    return f" {text}." if text else ""
