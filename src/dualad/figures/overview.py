"""The AUROC of every method on every dataset, with intervals."""

from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dualad.design.families import SEMI_SUPERVISED
from dualad.figures.inputs import Results
from dualad.figures.style import (
    INK,
    MUTED,
    TITLE_SIZE,
    message_figure,
    panels,
    text_width,
    themed,
)

_COLUMNS = 4


@themed()
def auroc_overview_figure(results: Results) -> Figure:
    """A row per method and a panel per dataset; repeats are dots behind, controls hollow."""
    title = "AUROC on the test sets, with bootstrap intervals"
    if not results.runs:
        return message_figure(title, "There are no results to draw.")
    labels = list(results.methods.values())
    figure, all_axes = panels(
        len(results.datasets),
        columns=_COLUMNS,
        cell=(
            max(1.75, text_width(results.datasets.values(), TITLE_SIZE, bold=True)),
            0.22 * len(labels) + 0.1,
        ),
        title=title,
        footnote=results.footnotes.text(),
        legend=_legend(results),
        left=text_width(labels, 7.5) + 0.28,
        gaps=(0.3, 0.65),
    )
    lowest = min(
        _draw_dataset(axes, dataset, results)
        for axes, dataset in zip(all_axes, results.datasets, strict=True)
    )
    for i, (axes, label) in enumerate(zip(all_axes, results.datasets.values(), strict=True)):
        axes.set_title(label, pad=3)
        axes.set(
            xlim=(max(min(lowest, 0.5) - 0.03, -0.02), 1.02),
            ylim=(len(labels) - 0.5, -0.5),
            yticks=range(len(labels)),
            yticklabels=[] if i % _COLUMNS else labels,
            xlabel="AUROC",
        )
    return figure


def _draw_dataset(axes: Axes, dataset: str, results: Results) -> float:
    """Draw one dataset; returns the lowest value drawn."""
    drawn = [1.0]
    best_control = None
    for row, (name, style) in enumerate(results.looks.items()):
        runs = results.runs.get((dataset, name))
        value = runs.first.get("auroc") if runs else None
        if runs is None or value is None:
            text = "no result" if runs else "not run"
            axes.text(0.75, row, text, ha="center", va="center", fontsize=6.5, color=MUTED)
            continue
        repeats = [other for other in runs.values("auroc") if other != value]
        axes.plot(repeats, [row] * len(repeats), ".", color=style.colour, alpha=0.6, zorder=2.5)
        drawn += repeats
        bounds = (runs.first.get("ci") or {}).get("auroc") or (value, value)
        axes.plot(bounds, [row, row], color=style.colour, linewidth=1.6, zorder=2)
        axes.plot(
            value,
            row,
            markersize=6,
            linestyle="none",
            zorder=3,
            clip_on=False,
            **style.marking,
        )
        drawn += [value, bounds[0]]
        if style.control:
            best_control = max(best_control or 0.0, value)
    if best_control is not None:
        axes.axvline(best_control, color=MUTED, linestyle="--", linewidth=0.9, zorder=1)
    axes.axvline(0.5, color=MUTED, linestyle=":", linewidth=0.9, zorder=1)
    return min(drawn)


def _legend(results: Results) -> list[Artist]:
    shared: dict[str, Any] = {"color": INK, "linestyle": "none", "markersize": 6}
    thin: dict[str, Any] = {"color": MUTED, "linewidth": 0.9}
    kinds = {
        "dual": Line2D([], [], marker="o", label="dual autoencoder", **shared),
        SEMI_SUPERVISED: Line2D(
            [], [], marker="o", fillstyle="left", label="semi-supervised, knows labels", **shared
        ),
        "baseline": Line2D([], [], marker="o", mfc="#BBBBBB", label="baseline", **shared),
        "control": Line2D([], [], marker="o", mfc="white", label="control, no network", **shared),
    }
    drawn = {look.kind for look in results.looks.values()}
    handles: list[Artist] = [handle for kind, handle in kinds.items() if kind in drawn]
    if "control" in drawn:
        handles.append(Line2D([], [], linestyle="--", label="best control", **thin))
    handles.append(Line2D([], [], linestyle=":", label="chance", **thin))
    if any(len(runs.done) > 1 for runs in results.runs.values()):
        handles.append(Line2D([], [], marker=".", label="run under another seed", **shared))
    return handles
