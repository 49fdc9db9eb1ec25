"""How scores and calibrated probabilities are distributed in the two classes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.stats import gaussian_kde

from dualad.figures.inputs import Series
from dualad.figures.score_axis import is_skewed
from dualad.figures.style import (
    ANOMALOUS,
    CLASS_COLOURS,
    CLASS_NAMES,
    HATCH,
    INK,
    MUTED,
    NORMAL,
    TITLE_SIZE,
    panels,
    set_log_x,
    text_width,
    themed,
)

_GRID = 256
Floats = NDArray[np.float64]


@themed()
def confidence_figure(series: Sequence[Series], title: str, footnote: str = "") -> Figure:
    """Boxes of the calibrated anomaly probability per series and class, on the test set."""
    figure, (axes,) = panels(
        1,
        columns=1,
        cell=(4.8, 0.36 * len(series) + 0.1),
        title=title,
        footnote=footnote,
        legend=density_legend("decision changes"),
        left=text_width((entry.label for entry in series), 7.5) + 0.28,
        above=0.05,
    )
    draw_confidence(axes, series)
    return figure


@themed()
def error_density_figure(series: Sequence[Series], title: str, footnote: str = "") -> Figure:
    """Densities of the score of normal and anomalous test images, one panel a series."""
    columns = 3 if len(series) in (3, 5, 6, 9) else 4
    titles = text_width((entry.label for entry in series), TITLE_SIZE, bold=True)
    figure, all_axes = panels(
        len(series),
        columns=columns,
        cell=(max(1.9, titles), 1.2),
        title=title,
        footnote=footnote,
        legend=density_legend("threshold"),
        left=0.3,
        gaps=(0.18, 0.66),
    )
    for i, (axes, entry) in enumerate(zip(all_axes, series, strict=True)):
        draw_density(axes, entry)
        axes.set_title(entry.label, pad=3)
        axes.set(yticks=[], ylabel="" if i % columns else "density")
    return figure


def draw_confidence(axes: Axes, series: Sequence[Series]) -> None:
    """Draw the boxes into existing axes, one row a series."""
    for row, entry in enumerate(series):
        known = entry.test[entry.test["probability"].notna()]
        if known.empty:
            axes.text(0.5, row, "not calibrated", ha="center", va="center", color=MUTED)
        for value in (0, 1):
            _draw_box(axes, row + (-0.19, 0.19)[value], known, value)
        if (boundary := probability_boundary(known)) is not None:
            axes.plot(
                [boundary, boundary],
                [row - 0.46, row + 0.46],
                color=INK,
                linestyle="--",
                linewidth=1.0,
                zorder=5,
            )
    axes.set_yticks(range(len(series)), [entry.label for entry in series])
    axes.set_ylim(len(series) - 0.5, -0.5)
    axes.set(xlim=(-0.02, 1.02), xlabel="calibrated probability of being anomalous", ylabel="")
    axes.grid(visible=False, axis="y")


def draw_density(axes: Axes, entry: Series) -> None:
    """Draw both classes' score densities and the threshold into existing axes."""
    label = entry.test["label"].to_numpy()
    scores = entry.test["score"].to_numpy(dtype=float)
    logarithmic = is_skewed(scores)
    # Beyond this a few extreme scores would squeeze everything else into one bin.
    low, high = np.quantile(scores, [0.0, 0.995])
    low, high = min(low, entry.threshold), max(high, entry.threshold)
    for value in (0, 1):
        of_class = scores[label == value]
        line = density(of_class, low, high, logarithmic=logarithmic)
        if line is not None:
            fill_density(axes, *line, value)
    axes.axvline(entry.threshold, color=INK, linestyle="--", linewidth=1.0, zorder=5)
    if logarithmic:
        set_log_x(axes)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4, prune="both"))
    axes.set(xlabel="score", ylim=(0, None))
    axes.grid(visible=False, axis="y")


def fill_density(
    axes: Axes, x: Floats, height: Floats, value: int, *, base: float = 0.0, scale: float = 1.0
) -> None:
    """Fill one class's density above `base`: normals plain, anomalies hatched and outlined."""
    top = base + scale * height
    if value == 0:
        axes.fill_between(x, base, top, color=NORMAL, alpha=0.65, linewidth=0, zorder=2)
        axes.plot(x, top, color="#0173B2", linewidth=1.0, zorder=3)
    else:
        axes.fill_between(
            x,
            base,
            top,
            facecolor="none",
            edgecolor=ANOMALOUS,
            hatch=HATCH,
            linewidth=0,
            zorder=3,
        )
        axes.plot(x, top, color=ANOMALOUS, linewidth=1.3, zorder=4)


def density(
    scores: Floats, low: float, high: float, *, logarithmic: bool = False
) -> tuple[Floats, Floats] | None:
    """Gaussian kernel density on a grid that covers [low, high] and a little more.

    Returns
    -------
    Grid and height, each (256,); None if there are fewer than two different scores.
    """
    if np.unique(scores).size < 2:
        return None
    values = np.log(scores) if logarithmic else scores
    ends = np.log([low, high]) if logarithmic else np.array([low, high])
    margin = 0.05 * (ends[1] - ends[0])
    grid = np.linspace(ends[0] - margin, ends[1] + margin, _GRID)
    height = gaussian_kde(values)(grid)
    return (np.exp(grid) if logarithmic else grid), height


def probability_boundary(test: pd.DataFrame) -> float | None:
    """The probability at which decisions change, None if all are the same."""
    flagged = test["decision"] == 1
    if flagged.all() or not flagged.any():
        return None
    return float((test["probability"][~flagged].max() + test["probability"][flagged].min()) / 2)


def density_legend(threshold: str) -> list[Artist]:
    """Legend entries of the two classes and of the dashed line."""
    return [
        Patch(facecolor=NORMAL, edgecolor=INK, linewidth=0.6, label=CLASS_NAMES[0]),
        Patch(facecolor=ANOMALOUS, edgecolor=INK, linewidth=0.6, hatch=HATCH, label=CLASS_NAMES[1]),
        Line2D([], [], color=INK, linestyle="--", linewidth=1.0, label=threshold),
    ]


def _draw_box(axes: Axes, position: float, known: pd.DataFrame, value: int) -> None:
    values = known.loc[known["label"] == value, "probability"].to_numpy(dtype=float)
    if not values.size:
        return
    line = {"color": INK, "linewidth": 0.8}
    drawn = axes.boxplot(
        values,
        positions=[position],
        widths=0.32,
        orientation="horizontal",
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": CLASS_COLOURS[value], "edgecolor": INK, "linewidth": 0.8},
        medianprops=line,
        whiskerprops=line,
        capprops=line,
        flierprops={"marker": ".", "markersize": 3, "markeredgecolor": INK},
    )
    if value == 1:
        drawn["boxes"][0].set_hatch(HATCH)
