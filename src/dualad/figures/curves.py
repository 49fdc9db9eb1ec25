"""Receiver operating characteristics and precision-recall curves."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from dualad.design.families import SEMI_SUPERVISED
from dualad.figures.inputs import Series
from dualad.figures.style import (
    MUTED,
    footnote_height,
    new_figure,
    place_axes,
    text_width,
    themed,
    title_height,
)

_CROWDED = 12
"""More curves than this are drawn apart by kind of method."""


@themed()
def roc_figure(series: Sequence[Series], title: str, footnote: str = "") -> Figure:
    """ROC of every series on the test set, the chosen threshold marked, AUROC in the legend."""
    return _with_legend(draw_roc, series, title, footnote, "AUROC [interval]")


@themed()
def precision_recall_figure(series: Sequence[Series], title: str, footnote: str = "") -> Figure:
    """Precision against recall; a dotted line shows what chance gives."""
    legend = "average precision [interval]"
    return _with_legend(draw_precision_recall, series, title, footnote, legend)


def draw_roc(axes: Axes, series: Sequence[Series]) -> None:
    """Draw the curves into existing axes."""
    for i, entry in enumerate(series):
        label, score = entry.test["label"], entry.test["score"]
        fpr, tpr, _ = roc_curve(label, score)
        text = _legend_text(entry, "auroc", roc_auc_score(label, score))
        flagged = entry.test["decision"] == 1
        axes.plot(fpr, tpr, **_line(entry, i), label=text)
        _mark(axes, flagged[label == 0].mean(), flagged[label == 1].mean(), entry)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":", zorder=1)
    _unit_square(axes)
    axes.set(xlabel="false positive rate", ylabel="true positive rate")


def draw_precision_recall(axes: Axes, series: Sequence[Series]) -> None:
    """Draw the curves into existing axes."""
    prevalences = set()
    for i, entry in enumerate(series):
        label, score = entry.test["label"], entry.test["score"]
        precision, recall, _ = precision_recall_curve(label, score)
        text = _legend_text(entry, "auprc", average_precision_score(label, score))
        flagged = entry.test["decision"] == 1
        axes.step(recall, precision, where="post", **_line(entry, i), label=text)
        if flagged.any():
            _mark(axes, flagged[label == 1].mean(), label[flagged].mean(), entry)
        prevalences.add(round(float(np.mean(label)), 6))
    if len(prevalences) == 1:
        prevalence = prevalences.pop()
        axes.axhline(prevalence, color=MUTED, linewidth=0.8, linestyle=":", zorder=1)
        below = prevalence > 0.1
        axes.annotate(
            f"prevalence {prevalence:.2f}",
            (1.0, prevalence),
            xytext=(0, -3 if below else 3),
            textcoords="offset points",
            ha="right",
            va="top" if below else "bottom",
            fontsize=7,
            color=MUTED,
        )
    _unit_square(axes)
    axes.set(xlabel="recall (true positive rate)", ylabel="precision")


def _with_legend(
    draw: Callable[[Axes, Sequence[Series]], None],
    series: Sequence[Series],
    title: str,
    footnote: str,
    legend: str,
) -> Figure:
    """A square drawing with a legend to its right; many methods in one drawing per kind."""
    groups = _groups(series)
    side = max(3.6, 0.17 * (max(map(len, groups)) + 2))
    labels = text_width(f"{entry.label}  0.000 [0.000, 0.000]" for entry in series)
    width = 0.6 + side + 0.75 + max(labels, text_width([legend]))
    step = side + 0.6
    below = footnote_height(footnote, width) + 0.46
    height = title_height(title, width) + len(groups) * step - 0.6 + below
    figure = new_figure(width, height, title, footnote)
    for i, group in enumerate(groups):
        bottom = below + (len(groups) - 1 - i) * step
        axes = place_axes(figure, 0.6, bottom, side, side)
        draw(axes, group)
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(1.02, 1.0),
            borderaxespad=0,
            title=legend,
            alignment="left",
            handlelength=3,
        )
    return figure


def _groups(series: Sequence[Series]) -> list[Sequence[Series]]:
    """All series, or, of many, ours and the baselines apart, each with the controls."""
    if len(series) <= _CROWDED:
        return [series]
    controls = [entry for entry in series if entry.style.control]
    others = (
        [entry for entry in series if entry.style.kind in kinds]
        for kinds in (("dual", SEMI_SUPERVISED), ("baseline",))
    )
    return [[*own, *controls] for own in others if own] or [series]


def _legend_text(entry: Series, metric: str, value: float) -> str:
    """Name of a series, the area under its curve, and the area's interval."""
    return f"{entry.label}  {value:.3f}{entry.interval(metric)}"


def _unit_square(axes: Axes) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")


def _line(entry: Series, i: int) -> dict[str, Any]:
    """Matplotlib's options of a curve, the i-th of a drawing; earlier ones lie on top."""
    return {
        "color": entry.style.colour,
        "linestyle": entry.style.line,
        # No marker along the line, but in the legend: it names the operating point.
        "marker": entry.style.marker,
        "markevery": [],
        "markerfacecolor": entry.style.face,
        "fillstyle": entry.style.fill,
        "zorder": 3 - 0.01 * i,
    }


def _mark(axes: Axes, x: float, y: float, entry: Series) -> None:
    axes.plot(
        x,
        y,
        marker=entry.style.marker,
        markersize=7,
        markerfacecolor=entry.style.face,
        fillstyle=entry.style.fill,
        markeredgecolor="white" if entry.style.kind == "dual" else entry.style.colour,
        linestyle="none",
        zorder=4,
        clip_on=False,
    )
