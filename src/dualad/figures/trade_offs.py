"""Every method as a bubble: AUROC against F1 (Fig. 6), and AUROC against what it costs."""

from collections.abc import Callable, Sequence
from statistics import fmean

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dualad.figures.inputs import Results
from dualad.figures.style import (
    INK,
    message_figure,
    method_handle,
    panels,
    set_log_x,
    themed,
)
from dualad.results.experiment import costs

_AREAS = (12.0, 110.0)
"""Of the smallest and the largest bubble, in square points."""
_COLUMNS = 4
_CROWDED = 12
"""More methods than this get larger panels."""
_RATES = (0.5, 0.75, 1.0)
_MEMORIES = (500.0, 2000.0, 8000.0)
_COSTS = {
    "fit_seconds": "search and fit (s)",
    "score_milliseconds": "score an image (ms)",
}
_NOTHING = "No experiment of this run has a result."


@themed()
def bubbles_figure(results: Results) -> Figure:
    """AUROC across, F1 up, area TPR; all panels have the same axes."""
    title = "AUROC against F1; area: TPR"
    metrics = ("auroc", "f1", "tpr")

    def values(dataset: str, method: str) -> list[float | None]:
        return [results.mean(dataset, method, metric) for metric in metrics]

    table = _table(results, metrics, values).dropna()
    if table.empty:
        return message_figure(title, _NOTHING, results.footnotes.text())
    columns = _COLUMNS if len(results.methods) <= _CROWDED else _COLUMNS - 1
    areas = [_area_handle(_AREAS[1] * rate, f"TPR {100 * rate:.0f} %") for rate in _RATES]
    figure, all_axes = panels(
        len(results.datasets),
        columns=columns,
        cell=(3.2, 3.0) if columns < _COLUMNS else (2.4, 2.2),
        title=title,
        footnote=results.footnotes.text(results.repeated),
        legend=[*_method_handles(results), *areas],
        gaps=(0.3, 0.7),
        left=0.7,
    )
    table["area"] = _AREAS[1] * table["tpr"].clip(lower=_AREAS[0] / _AREAS[1])
    limits = [(table[m].min() - 0.04, min(table[m].max() + 0.04, 1.03)) for m in ("auroc", "f1")]
    for i, (axes, (dataset, label)) in enumerate(
        zip(all_axes, results.datasets.items(), strict=True)
    ):
        _draw(axes, table[table["dataset"] == dataset], "auroc", "f1", results)
        axes.set_title(label, loc="left")
        axes.set(xlim=limits[0], ylim=limits[1], xlabel="AUROC", ylabel="" if i % columns else "F1")
        axes.tick_params(labelleft=not i % columns)
    return figure


@themed()
def costs_figure(results: Results) -> Figure:
    """Two panels a dataset; a bubble whose memory no file tells is as small as they come."""
    title = "AUROC against cost; area: peak memory"
    keys = (*_COSTS, "peak_memory_mb")

    def values(dataset: str, method: str) -> list[float | None]:
        paid = [costs(entry.folder) for entry in results.runs[dataset, method].done]
        return [results.mean(dataset, method, "auroc"), *(_mean(paid, key) for key in keys)]

    table = _table(results, ("auroc", *keys), values)
    table = table.dropna(subset=["auroc"]).dropna(subset=list(_COSTS), how="all")
    if table.empty:
        return message_figure(title, _NOTHING, results.footnotes.text())
    scale = _AREAS[1] / max(table["peak_memory_mb"].max(), _MEMORIES[-1])
    table["area"] = (scale * table["peak_memory_mb"].fillna(0)).clip(lower=_AREAS[0])
    areas = [_area_handle(max(scale * m, _AREAS[0]), f"{m:,.0f} MiB") for m in _MEMORIES]
    figure, all_axes = panels(
        2 * len(results.datasets),
        columns=4,
        cell=(2.4, 2.0),
        title=title,
        footnote=results.footnotes.text(
            "memory is that of the whole process, libraries included; methods that share a model "
            "have the cost of that model",
            results.repeated,
        ),
        legend=[*_method_handles(results), *areas],
        gaps=(0.3, 0.8),
        left=0.7,
    )
    low, high = table["auroc"].min() - 0.04, min(table["auroc"].max() + 0.04, 1.03)
    for i, axes in enumerate(all_axes):
        dataset, cost = list(results.datasets)[i // 2], list(_COSTS)[i % 2]
        shown = table[table["dataset"] == dataset].dropna(subset=[cost])
        _draw(axes, shown, cost, "auroc", results)
        axes.set_title("" if i % 2 else results.datasets[dataset], loc="left")
        set_log_x(axes)
        axes.set(xlim=_decades(table[cost]), ylim=(low, high), xlabel=_COSTS[cost])
        axes.set_ylabel("" if i % 4 else "AUROC")
        axes.tick_params(labelleft=not i % 4)
    return figure


def _table(
    results: Results,
    columns: Sequence[str],
    values: Callable[[str, str], Sequence[float | None]],
) -> pd.DataFrame:
    """A row per experiment: dataset, method, and the columns that `values` gives for them."""
    experiments = pd.DataFrame(list(results.runs), columns=["dataset", "method"])
    measured = [values(dataset, method) for dataset, method in results.runs]
    return experiments.join(pd.DataFrame(measured, columns=list(columns), dtype=float))


def _mean(paid: Sequence[dict[str, float | None]], key: str) -> float | None:
    known = [cost for record in paid if (cost := record[key]) is not None]
    return fmean(known) if known else None


def _decades(values: pd.Series) -> tuple[float, float]:
    """The powers of ten around some positive values, not too close to them."""
    low, high = np.log10(values.min() / 1.5), np.log10(values.max() * 1.5)
    return float(10 ** np.floor(low)), float(10 ** np.ceil(high))


def _draw(axes: Axes, table: pd.DataFrame, x: str, y: str, results: Results) -> None:
    # Large bubbles first: a small one under a large one could not be seen.
    for row in table.sort_values("area", ascending=False, kind="stable").to_dict("records"):
        look = results.looks[row["method"]]
        axes.scatter(
            row[x],
            row[y],
            s=row["area"],
            marker=look.marker,
            facecolor=look.face,
            edgecolor=look.colour,
            linewidth=1.1,
            alpha=0.85,
            zorder=3,
            clip_on=False,  # an AUROC of 1 lies near the edge
        )


def _method_handles(results: Results) -> list[Artist]:
    return [method_handle(look, results.methods[name]) for name, look in results.looks.items()]


def _area_handle(area: float, label: str) -> Artist:
    return Line2D(
        [],
        [],
        linestyle="none",
        marker="o",
        markersize=float(np.sqrt(area)),
        markerfacecolor="none",
        markeredgecolor=INK,
        label=label,
    )
