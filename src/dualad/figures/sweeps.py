"""Sweeps of one key of a method: the paper's Figs. 7 to 10, and any other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from sklearn.metrics import roc_curve

from dualad.figures.heatmaps import heatmap_figure
from dualad.figures.style import (
    HATCH,
    MUTED,
    Footnotes,
    message_figure,
    panels,
    styles,
    text_width,
    themed,
)
from dualad.results.experiment import dataset_note, read_metrics, read_test_scores

LINES = {
    "auroc": "AUROC",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "accuracy": "accuracy",
}
"""What Figs. 7 and 9 show. Accuracy is the share of all test images that are decided rightly."""
CELLS = {**LINES, "tnr": "TNR", "reconstruction_skill": "reconstruction skill"}
"""What Fig. 10 shows."""
MEAN_IMAGE_SKILL = 0.05
"""Below this reconstruction skill a network answers with little more than the mean image."""

_TITLES = {
    "seed": "Sensitivity to the seed",
    "batch_size": "Sensitivity to the batch size",
    "epochs": "Sensitivity to the number of epochs",
    "dropout": "Sensitivity to the dropout rate",
}
_MEAN_IMAGE = f"little more than the mean image (skill below {MEAN_IMAGE_SKILL})"
_NOTHING = "No value has a result: every training diverged."
_TICK = 0.66
"""Inches that a value's label takes at least."""
_BAND = "#F0F0F0"


@dataclass(frozen=True)
class Point:
    """The result of one value on one dataset."""

    metrics: Mapping[str, Any]
    """`metrics.json`, and `accuracy`."""
    fpr: np.ndarray[tuple[int], np.dtype[np.float64]]
    """The ROC curve's points, with `tpr`."""
    tpr: np.ndarray[tuple[int], np.dtype[np.float64]]

    @property
    def skill(self) -> float | None:
        """Reconstruction skill of the network; None for a method without one."""
        return self.metrics.get("reconstruction_skill")

    @property
    def is_mean_image(self) -> bool:
        """Whether the network answers with little more than the mean image."""
        return self.skill is not None and self.skill < MEAN_IMAGE_SKILL


@dataclass(frozen=True)
class SweepResults:
    """A sweep on its datasets."""

    title: str
    factor: str
    points: Mapping[str, Mapping[str, Point | None]]
    """By dataset's label and value; None where there is no result."""
    footnote: str

    @property
    def is_empty(self) -> bool:
        """Whether no value has a result on any dataset."""
        return not any(point for values in self.points.values() for point in values.values())

    @property
    def has_mean_images(self) -> bool:
        """Whether a network answers with little more than the mean image."""
        points = [point for values in self.points.values() for point in values.values()]
        return any(point is not None and point.is_mean_image for point in points)


def read_sweep(
    name: str, factor: str, folders: Mapping[str, Path | str], values: Sequence[str]
) -> SweepResults:
    """Read what a sweep left.

    Parameters
    ----------
    name, factor
        The sweep's name and the key that it varies.
    folders
        `results/{dataset}/sweeps/{name}` by dataset; in each a folder per value with
        `metrics.json` and `scores.csv`, without them where every attempt diverged. A missing
        folder is a dataset without a result.
    values
        Names of the values, in order.

    Raises
    ------
    DualadError
        If a file is there but cannot be read.
    """
    footnotes = Footnotes(folders)
    points: dict[str, dict[str, Point | None]] = {}
    remarks: dict[str, None] = {}
    for dataset, folder in folders.items():
        note = dataset_note(Path(folder).parents[1])
        label = footnotes.label(dataset, [note] if note else [])
        points[label] = {value: _point(Path(folder) / value) for value in values}
        missing = [value for value, point in points[label].items() if point is None]
        if not Path(folder).exists():
            remarks[f"no result for {dataset}"] = None
        elif missing:
            remarks[f"{dataset}: every attempt diverged at {', '.join(missing)}"] = None
        for point in filter(None, points[label].values()):
            remarks |= dict.fromkeys(point.metrics.get("notes") or ())
    title = _TITLES.get(name, f"Sensitivity to {factor}")
    return SweepResults(title, factor, points, footnotes.text(*remarks))


@themed()
def seeds_figure(sweep: SweepResults) -> Figure:
    """Fig. 7: metrics with bootstrap intervals side by side for every value."""
    return _metrics_figure(sweep, connected=False)


@themed()
def lines_figure(sweep: SweepResults) -> Figure:
    """Fig. 9: metrics with bootstrap intervals against the values, which are evenly spaced."""
    return _metrics_figure(sweep, connected=True)


@themed()
def roc_curves_figure(sweep: SweepResults) -> Figure:
    """Fig. 8: a ROC curve per value, with AUROC, interval and skill in the legend."""
    if sweep.is_empty:
        return message_figure(sweep.title, _NOTHING, sweep.footnote)
    remark = f"thin lines: {_MEAN_IMAGE}" if sweep.has_mean_images else ""
    figure, all_axes = panels(
        len(sweep.points),
        columns=2,
        cell=(3.6, 3.6),
        title=sweep.title,
        footnote="; ".join(filter(None, (remark, sweep.footnote))),
        gaps=(0.7, 0.85),
    )
    for axes, (dataset, by_value) in zip(all_axes, sweep.points.items(), strict=True):
        looks = styles(dict.fromkeys(by_value, ""))
        for value, point in by_value.items():
            if point is None:
                axes.plot([], [], linestyle="none", label=f"{value}: no result")
                continue
            bounds = (point.metrics.get("ci") or {}).get("auroc")
            interval = f" [{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else ""
            skill = "" if point.skill is None else f", skill {point.skill:.2f}"
            axes.plot(
                point.fpr,
                point.tpr,
                color=looks[value].colour,
                linestyle=looks[value].line,
                linewidth=0.8 if point.is_mean_image else 1.5,
                label=f"{value}: {point.metrics['auroc']:.3f}{interval}{skill}",
            )
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":", zorder=1)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.set(xlabel="false positive rate", ylabel="true positive rate")
        axes.set_title(dataset, loc="left")
        axes.legend(
            loc="lower right",
            title=f"{sweep.factor}: AUROC [interval]",
            fontsize=6.5,
            title_fontsize=6.5,
            handlelength=3,
        )
    return figure


def dropout_figure(sweep: SweepResults) -> Figure:
    """Fig. 10: a heatmap of metrics by values for every dataset."""
    if sweep.is_empty:
        return message_figure(sweep.title, _NOTHING, sweep.footnote)
    tables = {
        dataset: pd.DataFrame(
            {
                value: [None if point is None else point.metrics.get(metric) for metric in CELLS]
                for value, point in by_value.items()
            },
            index=list(CELLS.values()),
            dtype=float,
        )
        for dataset, by_value in sweep.points.items()
    }
    return heatmap_figure(tables, f"{sweep.title}, per cent", sweep.footnote)


def sweep_figure(name: str, sweep: SweepResults) -> Figure:
    """The figure of a sweep on all of its datasets; its name decides how it is drawn.

    `seed` (Fig. 7) gives points with intervals, `batch_size` (Fig. 8) ROC curves, `dropout`
    (Fig. 10) heatmaps, `epochs` (Fig. 9) and any other name lines.
    """
    return _DRAWN.get(name, lines_figure)(sweep)


_DRAWN: dict[str, Callable[[SweepResults], Figure]] = {
    "seed": seeds_figure,
    "batch_size": roc_curves_figure,
    "dropout": dropout_figure,
}


def _point(folder: Path) -> Point | None:
    metrics = read_metrics(folder)
    if metrics is None:
        return None
    test = read_test_scores(folder)
    fpr, tpr, _ = roc_curve(test["label"], test["score"])
    accuracy = float((test["label"] == test["decision"]).mean())
    return Point({**metrics, "accuracy": accuracy}, fpr, tpr)


def _metrics_figure(sweep: SweepResults, *, connected: bool) -> Figure:
    if sweep.is_empty:
        return message_figure(sweep.title, _NOTHING, sweep.footnote)
    count = max(map(len, sweep.points.values()))
    tick = max(_TICK, text_width((v for by_value in sweep.points.values() for v in by_value), 7.5))
    figure, all_axes = panels(
        len(sweep.points),
        columns=2,
        cell=(max(3.4, tick * count), 2.3),
        title=sweep.title,
        footnote="; ".join(
            filter(None, ("bars: bootstrap intervals; accuracy has none", sweep.footnote))
        ),
        legend=_legend(sweep),
        gaps=(0.5, 0.95),
        bottom=0.6,
        left=0.5,
    )
    for axes, (dataset, by_value) in zip(all_axes, sweep.points.items(), strict=True):
        _draw_metrics(axes, by_value, connected=connected)
        axes.set_title(dataset, loc="left")
        axes.set_xlabel(sweep.factor)
    return figure


def _draw_metrics(axes: Axes, by_value: Mapping[str, Point | None], *, connected: bool) -> None:
    looks = styles(dict.fromkeys(LINES, ""))
    for i, point in enumerate(by_value.values()):
        if point is not None and point.is_mean_image:
            axes.axvspan(i - 0.5, i + 0.5, facecolor=_BAND, edgecolor="#CCCCCC", hatch=HATCH)
    spread = 0.1 if connected else 0.24
    for shift, metric in zip(np.linspace(-spread, spread, len(LINES)), LINES, strict=True):
        table = pd.DataFrame(
            [_bounds(point, metric) for point in by_value.values()],
            columns=["value", "low", "high"],
            index=np.arange(len(by_value)) + shift,
        )
        look = looks[metric]
        axes.errorbar(
            table.index,
            table["value"],
            yerr=[table["value"] - table["low"], table["high"] - table["value"]],
            marker=look.marker,
            color=look.colour,
            linestyle=look.line if connected else "none",
            linewidth=1.2,
            elinewidth=1.0,
        )
    axes.set_xticks(
        range(len(by_value)), [_tick(value, point) for value, point in by_value.items()]
    )
    axes.set(xlim=(-0.5, len(by_value) - 0.5), ylabel="")
    axes.grid(visible=False, axis="x")


def _bounds(point: Point | None, metric: str) -> tuple[float, float, float]:
    """Value and interval; an interval without extent where there is none."""
    value = None if point is None else point.metrics.get(metric)
    if point is None or value is None:
        return (np.nan, np.nan, np.nan)
    low, high = (point.metrics.get("ci") or {}).get(metric) or (value, value)
    # A bootstrap interval need not hold its estimate.
    return (value, min(low, value), max(high, value))


def _tick(value: str, point: Point | None) -> str:
    if point is None:
        return f"{value}\nno result"
    return value if point.skill is None else f"{value}\nskill {point.skill:.2f}"


def _legend(sweep: SweepResults) -> list[Artist]:
    looks = styles(dict.fromkeys(LINES, ""))
    handles: list[Artist] = [
        Line2D([], [], color=look.colour, linestyle=look.line, marker=look.marker, label=label)
        for look, label in zip(looks.values(), LINES.values(), strict=True)
    ]
    if sweep.has_mean_images:
        handles.append(Patch(facecolor=_BAND, edgecolor="#CCCCCC", hatch=HATCH, label=_MEAN_IMAGE))
    return handles
