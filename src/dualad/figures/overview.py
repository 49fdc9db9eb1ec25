"""Figures across datasets: Fig. 4 for one method, and the AUROC of every method everywhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dualad.figures.curves import draw_precision_recall, draw_roc
from dualad.figures.distributions import (
    density,
    density_legend,
    draw_confidence,
    fill_density,
)
from dualad.figures.inputs import (
    MethodFiles,
    MethodResults,
    Series,
    dataset_series,
    load_method,
)
from dualad.figures.style import (
    INK,
    MUTED,
    Footnotes,
    Style,
    message_figure,
    panels,
    save_figure,
    styles,
    text_width,
    themed,
)
from dualad.result_files import dataset_note


def draw_cross_figures(
    out_dir: Path | str,
    datasets: Mapping[str, Sequence[MethodFiles]],
    *,
    performance_of: Sequence[str] = (),
) -> list[Path]:
    """Draw the figures that compare datasets.

    Parameters
    ----------
    out_dir
        Folder for `fig04_performance__{method}` and `auroc_overview`, PNG and PDF.
    datasets
        The methods' files per dataset. Where `metrics.json` is missing the figures have a gap.
        The note in `dataset.json` beside the methods' folders goes under the figures.
    performance_of
        Methods that get a Fig. 4; the first method if none is named.

    Returns
    -------
    The files written.
    """
    out_dir = Path(out_dir)
    notes = {
        dataset: (note,)
        for dataset, methods in datasets.items()
        if methods and (note := dataset_note(methods[0].scores_csv.parent.parent))
    }
    loaded = {
        dataset: {files.name: load_method(files) for files in methods if _is_complete(files)}
        for dataset, methods in datasets.items()
    }
    families = {files.name: files.family for methods in datasets.values() for files in methods}
    written = []
    for method in performance_of or list(families)[:1]:
        figure = _performance_of(method, loaded, notes)
        written += save_figure(figure, out_dir, f"fig04_performance__{method}")
    overview = auroc_overview_figure(loaded, styles(families), notes)
    return [*written, *save_figure(overview, out_dir, "auroc_overview")]


@themed()
def performance_figure(series: Sequence[Series], title: str, footnote: str = "") -> Figure:
    """Fig. 4: ROC, precision-recall, calibrated confidence, error densities of every dataset."""
    legend = density_legend("threshold")
    figure, (roc, recall, confidence, densities) = panels(
        4,
        columns=2,
        cell=(3.7, 3.7),
        title=title,
        footnote=footnote,
        legend=legend,
        left=max(text_width((one.label for one in series), 7.5) + 0.28, 0.6),
        gaps=(max(text_width((one.label for one in series), 7.5) + 0.35, 0.75), 0.85),
    )
    draw_roc(roc, series)
    draw_precision_recall(recall, series)
    draw_confidence(confidence, series)
    draw_density_ridges(densities, series)
    small: dict[str, Any] = {"fontsize": 7, "title_fontsize": 7, "handlelength": 3}
    roc.legend(loc="lower right", title="AUROC [interval]", **small)
    recall.legend(loc="lower left", title="average precision [interval]", **small)
    titles = ("(a) ROC", "(b) precision-recall", "(c) confidence", "(d) error density")
    for axes, text in zip((roc, recall, confidence, densities), titles, strict=True):
        axes.set_title(text, loc="left")
    return figure


def draw_density_ridges(axes: Axes, series: Sequence[Series]) -> None:
    """Both classes' densities of the score in units of the threshold, one ridge a series."""
    relative = [_relative_scores(one) for one in series]
    everything = np.concatenate(relative)
    low, high = np.quantile(everything, [0.005, 0.985])
    low, high = min(float(low), 1.0), max(float(high), 1.0)
    for row, (one, scores) in enumerate(zip(series, relative, strict=True)):
        base = len(series) - 1 - row
        label = one.test["label"].to_numpy()
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
    axes.set_yticks(range(len(series)), [one.label for one in reversed(series)])
    axes.set(xlim=(low, high), ylim=(-0.05, len(series)), xlabel="score / threshold")
    axes.grid(visible=False, axis="y")


@themed()
def auroc_overview_figure(
    results: Mapping[str, Mapping[str, MethodResults]],
    looks: Mapping[str, Style],
    dataset_notes: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """AUROC with its interval, a row per method and a panel per dataset; controls are hollow.

    Parameters
    ----------
    results
        Per dataset and method; what is missing leaves a gap.
    looks
        Style per method; its order is the rows' order.
    """
    footnotes = Footnotes()
    names = list(looks)
    notes = {
        name: next((m[name].notes for m in results.values() if name in m), ()) for name in names
    }
    labels = [footnotes.label(name, notes[name]) for name in names]
    panel_labels = [footnotes.label(name, (dataset_notes or {}).get(name, ())) for name in results]
    figure, all_axes = panels(
        len(results),
        columns=4,
        cell=(1.75, 0.22 * len(names) + 0.1),
        title="AUROC on the test sets, with bootstrap intervals",
        footnote=footnotes.text(),
        legend=_overview_legend(),
        left=text_width(labels, 7.5) + 0.28,
        gaps=(0.15, 0.65),
    )
    lowest = min(
        _draw_point_ranges(axes, names, methods, looks)
        for axes, methods in zip(all_axes, results.values(), strict=True)
    )
    for i, (axes, label) in enumerate(zip(all_axes, panel_labels, strict=True)):
        axes.set_title(label, pad=3)
        axes.set(
            xlim=(max(min(lowest, 0.5) - 0.03, -0.02), 1.02),
            ylim=(len(names) - 0.5, -0.5),
            yticks=range(len(names)),
            yticklabels=[] if i % 4 else labels,
            xlabel="AUROC",
        )
    return figure


def _draw_point_ranges(
    axes: Axes,
    names: Sequence[str],
    methods: Mapping[str, MethodResults],
    looks: Mapping[str, Style],
) -> float:
    """Draw one dataset; returns the lowest value drawn."""
    drawn = [1.0]
    best_control = None
    for row, name in enumerate(names):
        value = methods[name].metrics.get("auroc") if name in methods else None
        if value is None:
            axes.text(0.75, row, "no result", ha="center", va="center", fontsize=6.5, color=MUTED)
            continue
        style = looks[name]
        bounds = (methods[name].metrics.get("ci") or {}).get("auroc") or (value, value)
        axes.plot(bounds, [row, row], color=style.colour, linewidth=1.6, zorder=2)
        axes.plot(
            value,
            row,
            marker=style.marker,
            markersize=6,
            markerfacecolor=style.face,
            markeredgecolor=style.colour,
            linestyle="none",
            zorder=3,
        )
        drawn += [value, bounds[0]]
        if style.control:
            best_control = max(best_control or 0.0, value)
    if best_control is not None:
        axes.axvline(best_control, color=MUTED, linestyle="--", linewidth=0.9, zorder=1)
    axes.axvline(0.5, color=MUTED, linestyle=":", linewidth=0.9, zorder=1)
    return min(drawn)


def _overview_legend() -> list[Artist]:
    shared: dict[str, Any] = {"color": INK, "linestyle": "none", "markersize": 6}
    return [
        Line2D([], [], marker="o", label="method", **shared),
        Line2D([], [], marker="o", markerfacecolor="white", label="control, no network", **shared),
        Line2D([], [], color=MUTED, linestyle="--", linewidth=0.9, label="best control"),
        Line2D([], [], color=MUTED, linestyle=":", linewidth=0.9, label="chance"),
    ]


def _performance_of(
    method: str,
    loaded: Mapping[str, Mapping[str, MethodResults]],
    notes: Mapping[str, Sequence[str]],
) -> Figure:
    title = f"Performance of {method} on each dataset's test set"
    present = {
        dataset: (methods[method], notes.get(dataset, ()))
        for dataset, methods in loaded.items()
        if method in methods
    }
    if not present:
        return message_figure(title, f"No dataset has results of the method {method} yet.")
    looks = styles(dict.fromkeys(loaded, ""))
    footnotes = Footnotes()
    series = dataset_series(present, looks, footnotes)
    own = next(iter(present.values()))[0].note
    missing = [dataset for dataset in loaded if dataset not in present]
    gaps = f"no results for {', '.join(missing)}" if missing else ""
    return performance_figure(series, title, footnotes.text(own, gaps))


def _relative_scores(one: Series) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Scores with the threshold at 1: divided by it, or shifted where it is not positive."""
    scores = one.test["score"].to_numpy(dtype=np.float64)
    if one.threshold > 0:
        return np.asarray(scores / one.threshold)
    normals = scores[one.test["label"].to_numpy() == 0]
    spread = float(np.std(normals)) or 1.0
    return np.asarray(1 + (scores - one.threshold) / spread)


def _is_complete(files: MethodFiles) -> bool:
    return files.metrics_json.exists() and files.scores_csv.exists()
