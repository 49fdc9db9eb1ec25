"""Sweeps of one key of a method: the paper's Figs. 7 to 10, and any other as lines."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from dualad.experiments import sweep_stem
from dualad.figures.heatmaps import heatmap_figure
from dualad.figures.style import message_figure, panels, save_figure, themed
from dualad.result_files import dataset_note

METRICS = {"auroc": "AUROC", "f1": "F1", "accuracy": "accuracy", "tnr": "TNR"}
"""What Figs. 7, 9 and 10 show; accuracy is that of all test images, as in the paper."""

_TITLES = {
    "seed": "Fig. 7: under different seeds",
    "batch_size": "Fig. 8: under different batch sizes",
    "epochs": "Fig. 9: after different numbers of epochs",
    "dropout": "Fig. 10: under different dropout rates",
}


def draw_sweep(
    out_dir: Path | str,
    name: str,
    factor: str,
    folders: Mapping[str, Path | str],
    values: Sequence[str],
) -> list[Path]:
    """Draw a sweep on all of its datasets, PNG and PDF.

    Parameters
    ----------
    out_dir
        Made if missing.
    name, factor
        The sweep's name and the key that it varies.
    folders
        `results/{dataset}/sweeps/{name}` by dataset; in each a folder per value, with
        `metrics.json` and `scores.csv`, or without where every attempt diverged.
    values
        Names of the values, in order.
    """
    found = {
        dataset: {value: _point(Path(folder) / value) for value in values}
        for dataset, folder in folders.items()
    }
    draw = _DRAWN.get(name, _lines_figure)
    title = _TITLES.get(name, f"Sweep of {factor}")
    figure = draw(found, title, factor, _footnote(folders, found))
    return save_figure(figure, Path(out_dir), sweep_stem(name))


Points = Mapping[str, Mapping[str, dict[str, Any] | None]]


def _point(folder: Path) -> dict[str, Any] | None:
    """Metrics of a value, with accuracy and the ROC curve; None where training diverged."""
    path = folder / "metrics.json"
    if not path.exists():
        return None
    metrics: dict[str, Any] = json.loads(path.read_text())
    counts = metrics["counts"]
    right, everything = counts["tp"] + counts["tn"], sum(counts.values())
    scores = pd.read_csv(folder / "scores.csv")
    test = scores[scores["split"] == "test"]
    fpr, tpr, _ = roc_curve(test["label"], test["score"])
    return {**metrics, "accuracy": right / everything, "roc": (fpr, tpr)}


def _footnote(folders: Mapping[str, Path | str], points: Points) -> str:
    """The datasets' notes, the networks' skill, and what diverged."""
    parts = []
    for dataset, folder in folders.items():
        skills = [
            point["reconstruction_skill"]
            for point in points[dataset].values()
            if point and point.get("reconstruction_skill") is not None
        ]
        said = [dataset_note(Path(folder).parent.parent)]
        if skills:
            said.append(f"reconstruction skill {min(skills):.2f} to {max(skills):.2f}")
        diverged = [value for value, point in points[dataset].items() if point is None]
        if diverged:
            said.append(f"diverged: {', '.join(diverged)}")
        parts.append(f"{dataset}: {', '.join(filter(None, said))}")
    return "; ".join(parts)


def _long(points: Points) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"dataset": dataset, "value": value, "metric": title, "fraction": point[metric]}
            for dataset, by_value in points.items()
            for value, point in by_value.items()
            if point
            for metric, title in METRICS.items()
        ],
        columns=["dataset", "value", "metric", "fraction"],
    )


@themed()
def _bars_figure(points: Points, title: str, factor: str, footnote: str) -> Figure:
    rows = _long(points)
    if rows.empty:
        return message_figure(title, "Every value diverged.", footnote)
    figure, all_axes = panels(
        len(points), columns=2, cell=(3.6, 2.0), title=title, footnote=footnote, above=0.4
    )
    for axes, (dataset, by_value) in zip(all_axes, points.items(), strict=True):
        sns.barplot(
            data=rows[rows["dataset"] == dataset],
            x="value",
            y="fraction",
            hue="metric",
            order=list(by_value),
            palette="colorblind",
            edgecolor="white",
            ax=axes,
        )
        axes.set(xlabel=factor, ylabel="", ylim=(0, 1), title=dataset)
        axes.legend(ncols=4, loc="lower center", fontsize=6.5, framealpha=0.9, frameon=True)
        for bars, hatch in zip(axes.containers, ("", "///", "...", "xx"), strict=False):
            for bar in bars:
                bar.set_hatch(hatch)
    return figure


@themed()
def _roc_figure(points: Points, title: str, factor: str, footnote: str) -> Figure:
    figure, all_axes = panels(
        len(points), columns=2, cell=(3.2, 3.2), title=title, footnote=footnote, gaps=(0.7, 0.8)
    )
    dashes = ("-", "--", "-.", ":")
    for axes, (dataset, by_value) in zip(all_axes, points.items(), strict=True):
        colours = sns.color_palette("viridis", len(by_value))
        for i, ((value, point), colour) in enumerate(zip(by_value.items(), colours, strict=True)):
            if point:
                axes.plot(
                    *point["roc"],
                    color=colour,
                    linestyle=dashes[i % len(dashes)],
                    label=f"{value}: {point['auroc']:.3f}",
                )
        axes.plot([0, 1], [0, 1], color="#AAAAAA", linewidth=0.8)
        axes.set(xlabel="false positive rate", ylabel="true positive rate", title=dataset)
        axes.legend(loc="lower right", title=f"{factor}: AUROC")
    return figure


@themed()
def _lines_figure(points: Points, title: str, factor: str, footnote: str) -> Figure:
    rows = _long(points)
    if rows.empty:
        return message_figure(title, "Every value diverged.", footnote)
    figure, all_axes = panels(
        len(points), columns=2, cell=(3.4, 2.2), title=title, footnote=footnote, gaps=(0.6, 0.8)
    )
    for axes, (dataset, by_value) in zip(all_axes, points.items(), strict=True):
        mine = rows[rows["dataset"] == dataset].copy()
        numbers = pd.to_numeric(pd.Series(list(by_value)), errors="coerce")
        if numbers.notna().all():
            mine["value"] = pd.to_numeric(mine["value"])
        sns.lineplot(
            data=mine,
            x="value",
            y="fraction",
            hue="metric",
            style="metric",
            markers=True,
            palette="colorblind",
            errorbar=None,
            ax=axes,
        )
        axes.set(xlabel=factor, ylabel="", ylim=(0, 1.02), title=dataset)
        axes.legend(ncols=2, loc="lower right", fontsize=7)
    return figure


def _dropout_figure(points: Points, title: str, factor: str, footnote: str) -> Figure:
    tables = {
        dataset: pd.DataFrame(
            {
                value: [np.nan if point is None else point[metric] for metric in METRICS]
                for value, point in by_value.items()
            },
            index=list(METRICS.values()),
        )
        for dataset, by_value in points.items()
    }
    return heatmap_figure(tables, f"{title}, per cent", footnote)


_DRAWN: dict[str, Callable[[Points, str, str, str], Figure]] = {
    "seed": _bars_figure,
    "batch_size": _roc_figure,
    "epochs": _lines_figure,
    "dropout": _dropout_figure,
}
