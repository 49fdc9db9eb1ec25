"""Heatmaps: metrics of methods on datasets (Fig. 5), and of dropout rates (Fig. 10)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualad.experiments import REPEAT_MARK
from dualad.figures.style import (
    HATCH,
    MUTED,
    Footnotes,
    message_figure,
    panels,
    save_figure,
    text_width,
    themed,
)
from dualad.tables import read_entries

METRICS = {
    "auroc": "AUROC",
    "balanced_accuracy": "balanced accuracy (the paper's AUROC)",
    "f1": "F1",
    "tpr": "TPR",
    "g_mean": "G-mean",
}
_CELL = (0.55, 0.24)
_TITLE = "Fig. 5: every method on every dataset, per cent"


def draw_heatmaps(out_dir: Path | str, metrics_json: Sequence[Path | str]) -> list[Path]:
    """Draw `fig05_heatmaps`, PNG and PDF.

    Parameters
    ----------
    out_dir
        Made if missing.
    metrics_json
        Of every experiment; repeats are passed over, a missing file leaves a hatched cell.
    """
    entries = [e for e in read_entries(metrics_json) if REPEAT_MARK not in e.method]
    footnotes = Footnotes()
    notes: dict[str, list[str]] = {}
    for entry in entries:
        found = notes.setdefault(entry.method, [])
        found += [note for note in (entry.metrics or {}).get("notes") or () if note not in found]
    labels = {method: footnotes.label(method, notes[method]) for method in notes}
    datasets = list(dict.fromkeys(entry.dataset for entry in entries))
    tables = {}
    for metric, title in METRICS.items():
        table = pd.DataFrame(np.nan, index=list(labels), columns=datasets)
        for entry in entries:
            value = (entry.metrics or {}).get(metric)
            table.loc[entry.method, entry.dataset] = np.nan if value is None else value
        tables[title] = table.rename(index=labels)
    return save_figure(
        heatmap_figure(tables, _TITLE, footnotes.text()), Path(out_dir), "fig05_heatmaps"
    )


@themed()
def heatmap_figure(tables: Mapping[str, pd.DataFrame], title: str, footnote: str = "") -> Figure:
    """One panel per table of fractions; cells without a value are hatched."""
    first = next(iter(tables.values()), pd.DataFrame())
    if first.empty:
        return message_figure(title, "No experiment of this run belongs here.", footnote)
    labels = [str(name) for name in first.index]
    columns = [str(name) for name in first.columns]
    slanted = max(map(len, columns)) > 6
    figure, all_axes = panels(
        len(tables),
        columns=3,
        cell=(max(_CELL[0] * len(columns), 1.6), _CELL[1] * len(labels) + 0.05),
        title=title,
        footnote=footnote,
        left=text_width(labels, 7.5) + 0.25,
        gaps=(text_width(labels, 7.5) + 0.3, 0.5 + 0.45 * slanted),
        bottom=0.3 + 0.45 * slanted,
    )
    for axes, (name, table) in zip(all_axes, tables.items(), strict=True):
        _draw(axes, name, table, slanted)
    return figure


def _draw(axes: Axes, name: str, table: pd.DataFrame, slanted: bool) -> None:
    axes.patch.set(hatch=HATCH, facecolor="white", edgecolor=MUTED)
    sns.heatmap(
        100 * table,
        ax=axes,
        vmin=0,
        vmax=100,
        cmap="Blues",
        annot=True,
        fmt=".0f",
        annot_kws={"fontsize": 7},
        cbar=False,
        linewidths=0.4,
        xticklabels=True,
        yticklabels=True,
    )
    axes.set_title(name, loc="left", fontsize=8)
    axes.set(xlabel="", ylabel="")
    axes.tick_params(length=0)
    axes.set_yticklabels(axes.get_yticklabels(), rotation=0)
    axes.set_xticklabels(
        axes.get_xticklabels(),
        rotation=35 if slanted else 0,
        ha="right" if slanted else "center",
        rotation_mode="anchor" if slanted else "default",
    )
