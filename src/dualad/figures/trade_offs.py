"""Every method as a point: quality against quality (Fig. 6), quality against cost, and ranks."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dualad.experiments import REPEAT_MARK
from dualad.figures.style import (
    INK,
    Footnotes,
    Style,
    message_figure,
    panels,
    save_figure,
    styles,
    text_width,
    themed,
)
from dualad.ranks import Ranking, rank_methods
from dualad.result_files import costs
from dualad.tables import Entry, read_entries

_BUBBLES = (15, 220)
"""Areas of the smallest and the largest bubble, in square points."""
_LOGARITHMIC = ("fit_seconds", "score_milliseconds")
_COSTS = {
    "fit_seconds": "seconds to fit",
    "score_milliseconds": "milliseconds to score an image",
    "peak_memory_mb": "peak memory (MiB)",
}


def draw_bubbles(out_dir: Path | str, metrics_json: Sequence[Path | str]) -> list[Path]:
    """Draw `fig06_bubbles`: AUROC against F1, area the TPR, a panel per dataset.

    Parameters
    ----------
    out_dir
        Made if missing.
    metrics_json
        Of every experiment; repeats are passed over.
    """
    entries = _judged(read_entries(metrics_json))
    columns = {"auroc": "AUROC", "f1": "F1", "tpr": "TPR"}
    rows = _rows(entries, [{k: (e.metrics or {}).get(k) for k in columns} for e in entries])
    figure = _points_figure(
        rows, entries, "Fig. 6: AUROC against F1; area: TPR", [("auroc", "f1")], columns, "tpr"
    )
    return save_figure(figure, Path(out_dir), "fig06_bubbles")


def draw_costs(out_dir: Path | str, metrics_json: Sequence[Path | str]) -> list[Path]:
    """Draw `costs`: AUROC against time to fit, time to score, and memory, over all datasets.

    Parameters
    ----------
    out_dir
        Made if missing.
    metrics_json
        Of every experiment, with `fit.json` and `scoring.json` beside each.
    """
    paths = [Path(p) for p in metrics_json if REPEAT_MARK not in Path(p).parent.name]
    pairs = [
        (entry, costs(path.parent))
        for path, entry in zip(paths, read_entries(paths), strict=True)
        if entry.metrics
    ]
    entries = [entry for entry, _ in pairs]
    rows = _rows(entries, [{**cost, "auroc": (e.metrics or {}).get("auroc")} for e, cost in pairs])
    labels = {**_COSTS, "auroc": "AUROC"}
    figure = _points_figure(
        rows, entries, "AUROC against cost", [(key, "auroc") for key in _COSTS], labels
    )
    return save_figure(figure, Path(out_dir), "costs")


def draw_ranks(out_dir: Path | str, metrics_json: Sequence[Path | str]) -> list[Path]:
    """Draw `critical_difference`: average ranks over datasets and the Nemenyi test's groups.

    Parameters
    ----------
    out_dir
        Made if missing.
    metrics_json
        Of every experiment; ranked is the AUROC.
    """
    values: dict[str, dict[str, float | None]] = {}
    for entry in read_entries(metrics_json):
        if REPEAT_MARK not in entry.method:
            auroc = (entry.metrics or {}).get("auroc")
            values.setdefault(entry.dataset, {})[entry.method] = auroc
    return save_figure(
        critical_difference_figure(rank_methods(values)), Path(out_dir), "critical_difference"
    )


@themed()
def critical_difference_figure(ranking: Ranking | None) -> Figure:
    """Average ranks on a line, best to the left; bars join methods that are not told apart."""
    title = "Average ranks by AUROC, with critical difference (Nemenyi, 5 %)"
    if ranking is None:
        return message_figure(
            title, "Ranks need at least two methods that ran on at least two common datasets."
        )
    n = len(ranking.methods)
    left_out = [*ranking.left_out_methods, *ranking.left_out_datasets]
    footnote = f"{len(ranking.datasets)} datasets: {', '.join(ranking.datasets)}"
    footnote += f"; left out for gaps: {', '.join(left_out)}" if left_out else ""
    figure, (axes,) = panels(
        1,
        columns=1,
        cell=(5.0, 0.26 * (n + len(ranking.groups)) + 0.4),
        title=title,
        footnote=footnote,
        left=text_width(ranking.methods, 7.5) + 0.25,
    )
    for row, rank in enumerate(ranking.average):
        axes.plot([0.9, rank], [row, row], color="#BBBBBB", linewidth=0.8, zorder=1)
        axes.plot(rank, row, "o", color=INK, zorder=3)
        axes.annotate(f"{rank:.1f}", (rank, row), (5, 4), textcoords="offset points", fontsize=7)
    average = dict(zip(ranking.methods, ranking.average, strict=True))
    for i, group in enumerate(ranking.groups):
        ends = [average[group[0]], average[group[-1]]]
        axes.plot(ends, [n + i, n + i], color=INK, linewidth=3, solid_capstyle="butt")
    axes.plot(
        [1, 1 + ranking.critical_difference], [-0.8, -0.8], color="#D55E00", linewidth=2, marker="|"
    )
    axes.annotate(f"critical difference {ranking.critical_difference:.2f}", (1, -0.95), fontsize=7)
    axes.set(
        xlim=(0.9, max(n, 1 + ranking.critical_difference) + 0.3),
        ylim=(n + len(ranking.groups) - 0.4, -1.6),
        xlabel="average rank (1 is best)",
    )
    axes.set_yticks(range(n), ranking.methods)
    return figure


def _judged(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.metrics and REPEAT_MARK not in entry.method]


def _rows(entries: Sequence[Entry], values: Sequence[Mapping[str, float | None]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"dataset": entry.dataset, "method": entry.method, **value}
            for entry, value in zip(entries, values, strict=True)
        ]
    )


@themed()
def _points_figure(
    rows: pd.DataFrame,
    entries: Sequence[Entry],
    title: str,
    axes_of: Sequence[tuple[str, str]],
    labels: Mapping[str, str],
    area: str | None = None,
) -> Figure:
    """A panel per pair of columns, or per dataset where there is one pair; a marker per method."""
    if rows.empty:
        return message_figure(title, "No experiment of this run has a result.")
    looks = styles({e.method: str((e.metrics or {}).get("family", "")) for e in entries})
    footnotes = Footnotes()
    named = {
        e.method: footnotes.label(e.method, list((e.metrics or {}).get("notes") or ()))
        for e in entries
    }
    datasets = list(dict.fromkeys(rows["dataset"]))
    by_dataset = len(axes_of) == 1
    parts = (
        [(axes_of[0], [name]) for name in datasets]
        if by_dataset
        else [(pair, datasets) for pair in axes_of]
    )
    figure, all_axes = panels(
        len(parts),
        columns=min(4, len(parts)),
        cell=(2.5, 2.3),
        title=title,
        footnote=footnotes.text("" if by_dataset else f"datasets: {', '.join(datasets)}"),
        legend=[_handle(look, named[name]) for name, look in looks.items()],
        gaps=(0.75, 0.75),
    )
    for panel, ((x, y), names) in zip(all_axes, parts, strict=True):
        shown = rows[rows["dataset"].isin(names)].dropna(subset=[x, y])
        _scatter(panel, shown, x, y, looks, area)
        panel.set(xlabel=labels[x], ylabel=labels[y])
        if by_dataset:
            panel.set_title(names[0], loc="left")
        elif x in _LOGARITHMIC:
            panel.set_xscale("log")
    return figure


def _scatter(
    axes: Axes,
    rows: pd.DataFrame,
    x: str,
    y: str,
    looks: Mapping[str, Style],
    area: str | None,
) -> None:
    for method, mine in rows.groupby("method", sort=False):
        look = looks[str(method)]
        sns.scatterplot(
            data=mine,
            x=x,
            y=y,
            ax=axes,
            size=area,
            sizes=_BUBBLES,
            size_norm=(0, 1),
            s=None if area else 36,
            marker=look.marker,
            facecolor=look.face,
            edgecolor=look.colour,
            linewidth=1.2,
            alpha=0.85,
            legend=False,
        )


def _handle(look: Style, label: str) -> Artist:
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=look.marker,
        markerfacecolor=look.face,
        markeredgecolor=look.colour,
        label=label,
    )
