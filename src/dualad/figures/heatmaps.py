"""Heatmaps: metrics of methods on datasets (Fig. 5), and of dropout rates (Fig. 10)."""

from collections.abc import Mapping

import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from dualad.figures.inputs import Results
from dualad.figures.style import (
    HATCH,
    MUTED,
    message_figure,
    panels,
    text_width,
    themed,
)

METRICS = {
    "balanced_accuracy": "balanced accuracy",
    "auroc": "AUROC",
    "f1": "F1",
    "tpr": "TPR",
    "g_mean": "G-mean",
}
_CELL = (0.42, 0.22)
_COLUMNS = 3
_ANNOTATION = 6.5
_SLANT = 35


def metrics_figure(results: Results) -> Figure:
    """Fig. 5: methods by datasets, a panel per metric; of several runs the mean is shown."""
    tables = {
        title: pd.DataFrame(
            {
                label: [results.mean(dataset, method, metric) for method in results.methods]
                for dataset, label in results.datasets.items()
            },
            index=list(results.methods.values()),
            dtype=float,
        )
        for metric, title in METRICS.items()
    }
    footnote = results.footnotes.text("the paper's AUROC is balanced accuracy", results.repeated)
    return heatmap_figure(tables, "Every method on every dataset, per cent", footnote)


@themed()
def heatmap_figure(tables: Mapping[str, pd.DataFrame], title: str, footnote: str = "") -> Figure:
    """One panel per table; cells without a value are hatched.

    Parameters
    ----------
    tables
        By the panel's title: fractions, drawn in per cent. All have the same rows.
    title, footnote
        Of the figure.
    """
    first = next(iter(tables.values()), pd.DataFrame())
    if first.empty:
        return message_figure(title, "There are no results to draw.", footnote)
    rows = [str(name) for name in first.index]
    columns = [str(name) for table in tables.values() for name in table.columns]
    count = max(len(table.columns) for table in tables.values())
    width = max(_CELL[0] * count, 0.85 * text_width(tables, 8))
    slanted = text_width(columns, 7.5) > width / count
    names = 0.6 * text_width(columns, 7.5) + 0.12 if slanted else 0.15
    figure, all_axes = panels(
        len(tables),
        columns=_COLUMNS,
        cell=(width, _CELL[1] * len(rows)),
        title=title,
        footnote=footnote,
        legend=_legend(tables),
        left=max(text_width(rows, 7.5), 0.82 * text_width(columns, 7.5) * slanted) + 0.2,
        gaps=(0.3, names + 0.35),
        bottom=names + 0.05,
        above=0.25,
    )
    for i, (axes, (name, table)) in enumerate(zip(all_axes, tables.items(), strict=True)):
        _draw(axes, table, slanted)
        axes.set_title(name, loc="left", fontsize=8)
        if i % _COLUMNS:
            axes.set_yticklabels([])
    return figure


def _draw(axes: Axes, table: pd.DataFrame, slanted: bool) -> None:
    axes.patch.set(hatch=HATCH, facecolor="white", edgecolor="#BBBBBB")
    sns.heatmap(
        100 * table,
        ax=axes,
        vmin=0,
        vmax=100,
        cmap="Blues",
        annot=True,
        fmt="z.1f",
        annot_kws={"fontsize": _ANNOTATION},
        cbar=False,
        linewidths=0.4,
        xticklabels=True,
        yticklabels=True,
    )
    axes.grid(visible=False)
    axes.set(xlabel="", ylabel="")
    axes.tick_params(length=0, pad=2)
    axes.set_yticklabels(axes.get_yticklabels(), rotation=0)
    axes.set_xticklabels(
        axes.get_xticklabels(),
        rotation=_SLANT if slanted else 0,
        ha="right" if slanted else "center",
        rotation_mode="anchor" if slanted else "default",
    )


def _legend(tables: Mapping[str, pd.DataFrame]) -> list[Artist]:
    gaps = any(table.isna().any(axis=None) for table in tables.values())
    hatched = Patch(facecolor="white", edgecolor=MUTED, hatch=HATCH, label="no result")
    return [hatched] if gaps else []
