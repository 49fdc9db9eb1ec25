"""Fig. 4: a method's performance on every dataset."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualad.figures.curves import draw_precision_recall, draw_roc
from dualad.figures.distributions import (
    density,
    density_legend,
    draw_confidence,
    fill_density,
)
from dualad.figures.inputs import Experiment, Series, conformal_note, dataset_series, remarks
from dualad.figures.style import (
    INK,
    MUTED,
    Footnotes,
    message_figure,
    panels,
    styles,
    text_width,
    themed,
)

_SIDE = 3.7
"""Inches of a panel's sides."""
_LEGEND_LINE = 0.14
"""Inches of a line of the legend below a panel."""


@themed()
def performance_across_figure(experiments: Sequence[Experiment]) -> Figure:
    """Fig. 4 of one method; a dataset without a result is named below the figure."""
    present = {
        experiment.dataset: (experiment.method, [experiment.note] if experiment.note else [])
        for experiment in experiments
        if experiment.method
    }
    names = dict.fromkeys(method.name for method, _ in present.values())
    title = f"Performance of {', '.join(names) or 'the method'} on each dataset's test set"
    if not present:
        return message_figure(title, "No dataset has results of the method.")
    footnotes = Footnotes(present)
    # Styled by all datasets: a missing one changes no other's look.
    looks = styles({experiment.dataset: "" for experiment in experiments})
    series = dataset_series(present, looks, footnotes)
    reached = conformal_note({dataset: method for dataset, (method, _) in present.items()})
    return performance_figure(series, title, footnotes.text(reached, *remarks(experiments)))


@themed()
def performance_figure(series: Sequence[Series], title: str, footnote: str = "") -> Figure:
    """Fig. 4: ROC, precision-recall, calibrated confidence, error densities of every dataset."""
    legend = density_legend("threshold")
    names = text_width((entry.label for entry in series), 7.5)
    beneath = _LEGEND_LINE * (len(series) + 2)
    figure, (roc, recall, confidence, densities) = panels(
        4,
        columns=2,
        cell=(_SIDE, _SIDE),
        title=title,
        footnote=footnote,
        legend=legend,
        left=max(names + 0.28, 0.6),
        gaps=(max(names + 0.35, 0.75), 0.85 + beneath),
    )
    draw_roc(roc, series)
    draw_precision_recall(recall, series)
    draw_confidence(confidence, series)
    draw_density_ridges(densities, series)
    # Below the axes: curves run through every corner.
    below: dict[str, Any] = {
        "loc": "upper left",
        "bbox_to_anchor": (0, -0.46 / _SIDE),
        "borderaxespad": 0,
        "alignment": "left",
        "fontsize": 7,
        "title_fontsize": 7,
        "handlelength": 3,
    }
    roc.legend(title="AUROC [interval]", **below)
    recall.legend(title="average precision [interval]", **below)
    titles = ("(a) ROC", "(b) precision-recall", "(c) confidence", "(d) error density")
    for axes, text in zip((roc, recall, confidence, densities), titles, strict=True):
        axes.set_title(text, loc="left")
    return figure


def draw_density_ridges(axes: Axes, series: Sequence[Series]) -> None:
    """Both classes' densities of the score in units of the threshold, one ridge a series."""
    relative = [_relative_scores(entry) for entry in series]
    everything = np.concatenate(relative)
    low, high = np.quantile(everything, [0.005, 0.985])
    low, high = min(float(low), 1.0), max(float(high), 1.0)
    for row, (entry, scores) in enumerate(zip(series, relative, strict=True)):
        base = len(series) - 1 - row
        label = entry.test["label"].to_numpy()
        lines = {
            value: line
            for value in (0, 1)
            if (line := density(scores[label == value], low, high)) is not None
        }
        peak = max((height.max() for _, height in lines.values()), default=1.0)
        for value, (x, height) in lines.items():
            fill_density(axes, x, height, value, base=base, scale=0.85 / peak)
        axes.axhline(base, color=MUTED, linewidth=0.6, zorder=4)
    axes.axvline(1.0, color=INK, linestyle="--", linewidth=1.0, zorder=5)
    axes.set_yticks(range(len(series)), [entry.label for entry in reversed(series)])
    axes.set(xlim=(low, high), ylim=(-0.05, len(series)), xlabel="score / threshold")
    axes.grid(visible=False, axis="y")


def _relative_scores(entry: Series) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Scores with the threshold at 1: divided by it, or shifted where it is not positive."""
    scores = entry.test["score"].to_numpy(dtype=np.float64)
    if entry.threshold > 0:
        return np.asarray(scores / entry.threshold)
    normals = scores[entry.test["label"].to_numpy() == 0]
    spread = float(np.std(normals)) or 1.0
    return np.asarray(1 + (scores - entry.threshold) / spread)
