"""Training curves of all attempts, and the trials of the dropout search."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from dualad.figures.style import (
    INK,
    MUTED,
    add_legend,
    footnote_height,
    new_figure,
    panels,
    place_axes,
    set_log_x,
    themed,
    title_height,
)

_LOSS = "#0173B2"
_VALIDATION = "#DE8F05"
_METRIC = "#029E73"
_STOP = "#A61C1C"
_SELECTED_FACE = "#FFF8E1"
_SELECTED_EDGE = "#B8860B"
_COLUMNS = 5
_REASONS = {
    "early_stopping": "stopped early",
    "epochs": "epoch limit",
    "zero_gradient": "zero gradient",
    "nan": "not a number",
}
_NOT_RATES = {"trial", "status", "val_loss", "seconds", "learning_rate"}


@themed()
def training_curves_figure(
    epochs: pd.DataFrame, attempts: pd.DataFrame, title: str, footnote: str = ""
) -> Figure:
    """Losses (top) and detection metric (bottom) over the epochs of every attempt.

    Parameters
    ----------
    epochs
        Columns attempt, epoch, loss, val_loss, detection_metric, smoothed_metric.
    attempts
        A row per attempt: attempt, best_epoch, mean_image_loss, stopped, diverged, selected.
    """
    rows = attempts.to_dict("records")
    bands = -(-len(rows) // _COLUMNS)
    columns = -(-len(rows) // bands)
    width = {1: 5.4, 2: 2.8}.get(columns, 1.8)
    figure, places = panels(
        columns * bands,
        columns=columns,
        cell=(width, 2.2),
        title=title,
        footnote=footnote,
        legend=_training_legend(),
        gaps=(0.12, 0.8),
        above=0.34,
    )
    last = int(epochs["epoch"].max()) if len(epochs) else 1
    losses, metrics = [], []
    for place, row in zip(places, rows, strict=False):
        upper, lower = _split(figure, place)
        own = epochs[epochs["attempt"] == row["attempt"]]
        _draw_losses(upper, own, row)
        _draw_metric(lower, own, row)
        for axes in (upper, lower):
            axes.set_xlim(1 - 0.02 * last, last + 0.03 * last)
        losses.append(upper)
        metrics.append(lower)
    for place in places:
        place.remove()
    limits = _loss_limits(epochs, attempts)
    for axes in losses:
        _scale_losses(axes, limits)
    _share_y(losses, columns, "1000 MSLE", limits=limits)
    _share_y(metrics, columns, "TPR + TNR", limits=_metric_limits(epochs))
    return figure


@themed()
def search_trials_figure(trials: pd.DataFrame, title: str, footnote: str = "") -> Figure:
    """Validation loss of every trial, and the dropout rates that each one tried per layer.

    Parameters
    ----------
    trials
        Columns status, val_loss and one per hyperparameter, in the order of the trials.
    """
    # Numbered in order: the tuners' own names are texts.
    trials = trials.assign(trial=np.arange(1, len(trials) + 1))
    # A failed trial has a placeholder for its loss.
    succeeded = (trials["status"] == "COMPLETED") & np.isfinite(trials["val_loss"].astype(float))
    finished = trials[succeeded]
    layers = [c for c in trials.columns if c not in _NOT_RATES]
    with_rate = "learning_rate" in trials and trials["learning_rate"].notna().any()
    widths = [2.3, *([1.5] if with_rate else []), max(0.5 * len(layers), 2.0)]
    gaps = [0.12] * (len(widths) - 2) + [0.65]
    width = 0.8 + sum(widths) + sum(gaps) + 0.9
    below = footnote_height(footnote, width) + 0.45
    height = title_height(title, width) + 0.3 + 2.1 + below
    figure = new_figure(width, height, title, footnote)
    add_legend(figure, _search_legend(), title_height(title, width))
    axes, x = [], 0.8
    for panel, gap in zip(widths, [*gaps, 0.0], strict=True):
        axes.append(place_axes(figure, x, below, panel, 2.1))
        x += panel + gap
    bar = place_axes(figure, x + 0.08, below, 0.1, 2.1)
    _draw_trial_losses(axes[0], trials, finished)
    if with_rate:
        _draw_learning_rates(axes[1], finished)
    _draw_rates(figure, axes[-1], bar, finished, layers)
    return figure


def _split(figure: Figure, place: Axes) -> tuple[Axes, Axes]:
    """Two axes, one above the other, where `place` is."""
    box = place.get_position()
    height = 0.48 * box.height
    upper = figure.add_axes((box.x0, box.y1 - height, box.width, height))
    return upper, figure.add_axes((box.x0, box.y0, box.width, height))


def _scale_losses(axes: Axes, limits: tuple[float, float] | None) -> None:
    """In thousandths, for short tick labels; logarithmic unless all losses are much the same."""
    span = limits[1] / limits[0] if limits is not None else 1.0
    if span < 4:
        axes.yaxis.set_major_locator(MaxNLocator(4))
    else:
        axes.set_yscale("log")
        # Two ticks at least: with one, the locator labels every integer, one over the other.
        steps = (1, 2, 3, 5) if span < 10 else (1, 2, 5) if span < 100 else (1,)
        axes.yaxis.set_major_locator(LogLocator(subs=steps))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(_thousandths())


def _thousandths() -> FuncFormatter:
    """Tick labels of losses, which are small."""
    return FuncFormatter(lambda value, _: f"{1000 * value:.6g}")


def _draw_losses(axes: Axes, epochs: pd.DataFrame, attempt: Mapping[Any, Any]) -> None:
    axes.plot(epochs["epoch"], epochs["loss"], color=_LOSS, linewidth=1.1)
    axes.plot(epochs["epoch"], epochs["val_loss"], color=_VALIDATION, linestyle=(0, (5, 1.5)))
    axes.axhline(attempt["mean_image_loss"], color=INK, linestyle=":", linewidth=1.0)
    best = epochs[epochs["epoch"] == attempt["best_epoch"]]
    axes.plot(
        best["epoch"],
        best["val_loss"],
        marker="*",
        markersize=9,
        color=INK,
        markeredgecolor="white",
        linestyle="none",
        zorder=5,
    )
    _mark_stop(axes, epochs)
    axes.tick_params(labelbottom=False)
    axes.set_title(_attempt_title(attempt), fontsize=8, pad=3, linespacing=1.3)
    _highlight(axes, attempt)


def _draw_metric(axes: Axes, epochs: pd.DataFrame, attempt: Mapping[Any, Any]) -> None:
    if epochs["detection_metric"].notna().any():
        axes.plot(
            epochs["epoch"], epochs["detection_metric"], color=_METRIC, linewidth=0.7, alpha=0.7
        )
        axes.plot(
            epochs["epoch"],
            epochs["smoothed_metric"],
            color=_METRIC,
            linestyle=(0, (4, 1, 1, 1)),
            linewidth=1.8,
        )
    else:
        axes.text(
            0.5,
            0.5,
            "no validation anomalies",
            transform=axes.transAxes,
            ha="center",
            va="center",
            fontsize=7,
            color=MUTED,
        )
    _mark_stop(axes, epochs)
    axes.set_xlabel("epoch")
    _highlight(axes, attempt)


def _mark_stop(axes: Axes, epochs: pd.DataFrame) -> None:
    if len(epochs):
        axes.axvline(epochs["epoch"].max(), color=_STOP, linewidth=1.2, linestyle="-.", zorder=1)


def _attempt_title(attempt: Mapping[Any, Any]) -> str:
    reason = _REASONS.get(str(attempt["stopped"]), str(attempt["stopped"]))
    lines = [f"attempt {attempt['attempt']}", f"{reason}, epoch {attempt['epochs']}"]
    if attempt["selected"]:
        lines[0] += ": selected"
    elif attempt["diverged"]:
        lines[0] += ": diverged"
    return "\n".join(lines)


def _highlight(axes: Axes, attempt: Mapping[Any, Any]) -> None:
    if attempt["selected"]:
        axes.set_facecolor(_SELECTED_FACE)
        for spine in axes.spines.values():
            spine.set(edgecolor=_SELECTED_EDGE, linewidth=1.8)


def _share_y(
    all_axes: Sequence[Axes], columns: int, label: str, *, limits: tuple[float, float] | None
) -> None:
    for i, axes in enumerate(all_axes):
        if limits is not None:
            axes.set_ylim(*limits)
        if i % columns:
            axes.tick_params(labelleft=False, which="both")
        else:
            axes.set_ylabel(label)


def _loss_limits(epochs: pd.DataFrame, attempts: pd.DataFrame) -> tuple[float, float] | None:
    values = np.concatenate(
        [epochs["loss"], epochs["val_loss"], attempts["mean_image_loss"]], dtype=float
    )
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        return None
    # A diverged attempt's first epochs would leave the others no room.
    return float(values.min() / 1.3), float(min(values.max(), np.quantile(values, 0.995) * 2) * 1.3)


def _metric_limits(epochs: pd.DataFrame) -> tuple[float, float] | None:
    values = epochs[["detection_metric", "smoothed_metric"]].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    return (float(values.min()) - 0.05, 2.03) if values.size else None


def _training_legend() -> list[Artist]:
    return [
        Line2D([], [], color=_LOSS, linewidth=1.1, label="training"),
        Line2D([], [], color=_VALIDATION, linestyle=(0, (5, 1.5)), label="validation"),
        Line2D([], [], color=INK, linestyle=":", linewidth=1.0, label="mean image"),
        Line2D([], [], color=INK, marker="*", markersize=8, linestyle="none", label="weights kept"),
        Line2D([], [], color=_METRIC, linewidth=0.7, label="M"),
        Line2D(
            [], [], color=_METRIC, linestyle=(0, (4, 1, 1, 1)), linewidth=1.8, label="S (smoothed)"
        ),
        Line2D([], [], color=_STOP, linestyle="-.", linewidth=1.2, label="stop"),
    ]


def _search_legend() -> list[Artist]:
    return [
        Line2D([], [], color=_LOSS, marker="o", markersize=4, linestyle="none", label="trial"),
        Line2D([], [], color=MUTED, linewidth=1.0, label="best so far"),
        Line2D([], [], color=INK, marker="*", markersize=10, linewidth=2.0, label="best trial"),
        Line2D([], [], color=_STOP, marker="x", linestyle="none", label="failed"),
    ]


def _draw_trial_losses(axes: Axes, trials: pd.DataFrame, finished: pd.DataFrame) -> None:
    axes.plot(
        finished["trial"],
        finished["val_loss"].cummin(),
        drawstyle="steps-post",
        color=MUTED,
        linewidth=1.0,
    )
    axes.plot(finished["trial"], finished["val_loss"], "o", color=_LOSS, markersize=4)
    if len(finished):
        best = finished.iloc[int(np.argmin(finished["val_loss"]))]
        axes.plot(best["trial"], best["val_loss"], "*", color=INK, markersize=11)
    failed = trials.loc[trials.index.difference(finished.index), "trial"]
    if len(failed):
        top = np.full(len(failed), 0.96)
        axes.plot(failed, top, "x", color=_STOP, transform=axes.get_xaxis_transform())
    axes.set(xlabel="trial", ylabel="validation loss (1000 MSLE)")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(_thousandths())


def _draw_learning_rates(axes: Axes, finished: pd.DataFrame) -> None:
    axes.plot(finished["learning_rate"], finished["val_loss"], "o", color=_LOSS, markersize=4)
    set_log_x(axes)
    axes.set(xlabel="learning rate")
    axes.tick_params(labelleft=False)


def _draw_rates(
    figure: Figure, axes: Axes, bar: Axes, finished: pd.DataFrame, layers: list[str]
) -> None:
    if not len(finished) or not layers:
        axes.text(0.5, 0.5, "no finished trial", transform=axes.transAxes, ha="center")
        bar.remove()
        return
    losses = finished["val_loss"].to_numpy(dtype=float)
    colours = matplotlib.colormaps["viridis"]
    norm = Normalize(losses.min(), losses.max())
    positions = np.arange(len(layers))
    order = np.argsort(losses)[::-1]  # the best is drawn last, on top
    for i in order:
        best = i == order[-1]
        axes.plot(
            positions,
            finished[layers].iloc[i].to_numpy(dtype=float),
            color=INK if best else colours(norm(losses[i])),
            linewidth=2.0 if best else 0.8,
            alpha=1.0 if best else 0.6,
            marker="*" if best else "o",
            markersize=9 if best else 3,
            zorder=5 if best else 2,
        )
    axes.set_xticks(positions, [layer.replace("_", "\n") for layer in layers])
    axes.set(ylabel="dropout rate", ylim=(-0.02, None), xlim=(-0.3, len(layers) - 0.7))
    figure.colorbar(
        ScalarMappable(norm, colours), cax=bar, label="validation loss", format=_thousandths()
    )
