"""Monte Carlo uncertainty against the error."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from dualad.figures.style import (
    CLASS_COLOURS,
    CLASS_MARKERS,
    CLASS_NAMES,
    INK,
    SIGMA,
    TITLE_SIZE,
    panels,
    text_width,
    themed,
)


@dataclass(frozen=True)
class MonteCarlo:
    """One panel: a method's test images and its two decision rules."""

    label: str
    test: pd.DataFrame
    """Columns label, score, mc_mean, mc_var."""
    cutoff: float
    """Threshold of the deterministic score."""
    error: str
    """`mean` (eq. 31) or `deterministic`: the error in `error + lambda * sigma`."""
    lambda_: float
    combined_cutoff: float
    """Threshold of `error + lambda * sigma`."""


@themed()
def uncertainty_figure(methods: Sequence[MonteCarlo], title: str, footnote: str = "") -> Figure:
    """Standard deviation over the Monte Carlo samples against the error, one panel a method."""
    columns = 2 if len(methods) in (2, 4) else 3
    titles = text_width(map(_title, methods), TITLE_SIZE, bold=True)
    figure, all_axes = panels(
        len(methods),
        columns=columns,
        cell=(max(2.3, titles), 1.7),
        title=title,
        footnote=footnote,
        legend=_legend(),
        gaps=(0.55, 0.68),
        left=0.75,
    )
    for i, (axes, method) in enumerate(zip(all_axes, methods, strict=True)):
        draw_uncertainty(axes, method)
        axes.set_ylabel("" if i % columns else f"{SIGMA} over samples (eq. 32)")
    return figure


def draw_uncertainty(axes: Axes, method: MonteCarlo) -> None:
    """Draw one method into existing axes."""
    test = method.test
    mean = method.error == "mean"
    error = test["mc_mean" if mean else "score"].to_numpy(dtype=float)
    sigma = np.sqrt(test["mc_var"].to_numpy(dtype=float))
    label = test["label"].to_numpy()
    for value in (0, 1):
        own = label == value
        axes.plot(
            error[own],
            sigma[own],
            CLASS_MARKERS[value],
            color=CLASS_COLOURS[value],
            markeredgecolor="white" if value == 0 else INK,
            markeredgewidth=0.3,
            markersize=4,
            alpha=0.75,
            rasterized=own.sum() > 2000,
        )
    axes.axvline(method.cutoff, color=INK, linestyle=":", linewidth=1.0, zorder=4)
    low, high = axes.get_ylim()
    heights = np.array([low, high])
    axes.plot(
        method.combined_cutoff - method.lambda_ * heights,
        heights,
        color=INK,
        linestyle="--",
        linewidth=1.2,
        zorder=4,
    )
    axes.set_ylim(low, high)
    axes.set_title(_title(method), pad=3)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
    axes.set(xlabel="mean error μ (eq. 31)" if mean else "score, dropout off")


def _title(method: MonteCarlo) -> str:
    return f"{method.label} (λ = {method.lambda_:g})"


def _legend() -> list[Line2D]:
    classes = [
        Line2D(
            [],
            [],
            marker=marker,
            color=colour,
            linestyle="none",
            markeredgecolor=INK,
            markeredgewidth=0.3,
            label=name,
        )
        for name, colour, marker in zip(CLASS_NAMES, CLASS_COLOURS, CLASS_MARKERS, strict=True)
    ]
    return [
        *classes,
        Line2D(
            [], [], color=INK, linestyle="--", linewidth=1.2, label=f"error + λ{SIGMA} = threshold"
        ),
        Line2D([], [], color=INK, linestyle=":", linewidth=1.0, label="threshold, dropout off"),
    ]
