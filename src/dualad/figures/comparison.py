"""Ours beside the paper as a picture: a row per experiment, a panel per metric."""

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dualad.figures.style import (
    MUTED,
    Footnotes,
    draw_points,
    message_figure,
    panels,
    styles,
    text_width,
    themed,
)
from dualad.paper.comparison import Comparison, unknown_datasets

METRICS = {"auroc": "balanced accuracy", "f1": "F1", "tpr": "TPR", "tnr": "TNR"}
"""Panels by the paper's metric; what the paper calls AUROC is balanced accuracy."""

_LOOKS = styles({"ours": "", "paper": ""})
_TITLE = "The paper's numbers and ours"


@themed()
def comparison_figure(comparisons: Sequence[Comparison]) -> Figure:
    """Dots for the paper's value and ours, joined by a line, with our interval.

    Parameters
    ----------
    comparisons
        What was compared is drawn; experiments that only one side has are named below. Without
        any in common, the figure says that and no more.
    """
    rows = _rows(comparisons)
    if not rows:
        return message_figure(
            _TITLE,
            "None of the experiments run here is one that the paper has numbers for. "
            "config/paper.yaml runs the paper's datasets.",
        )
    missing = _one_sided(comparisons)
    names = Footnotes(name for row in rows for name in row)
    footnotes = Footnotes()
    labels = [
        footnotes.label(
            f"{names.label(method, [])}, {names.label(dataset, [])}", [note] if note else []
        )
        for (method, dataset), (note, _) in rows.items()
    ]
    figure, all_axes = panels(
        len(METRICS),
        columns=len(METRICS),
        cell=(1.75, 0.24 * len(rows) + 0.1),
        title=_TITLE,
        footnote=footnotes.text(missing),
        legend=_legend(),
        left=text_width(labels, 7.5) + 0.28,
        gaps=(0.15, 0.6),
    )
    lowest = min(
        _draw_metric(axes, [numbers.get(metric) for _, numbers in rows.values()])
        for axes, metric in zip(all_axes, METRICS, strict=True)
    )
    methods = [method for method, _ in rows]
    for i, (axes, title) in enumerate(zip(all_axes, METRICS.values(), strict=True)):
        axes.set_title(title, pad=3)
        axes.set(
            xlim=(lowest - 2, 102),
            ylim=(len(rows) - 0.5, -0.5),
            yticks=range(len(rows)),
            yticklabels=[] if i else labels,
            xlabel="%",
        )
        for row in range(1, len(rows)):
            if methods[row] != methods[row - 1]:
                axes.axhline(row - 0.5, color=MUTED, linewidth=0.7)
    return figure


def _rows(
    comparisons: Sequence[Comparison],
) -> dict[tuple[str, str], tuple[str, dict[str, Comparison]]]:
    """Note and numbers by metric of each method and dataset that both sides have."""
    found: dict[tuple[str, str], tuple[str, dict[str, Comparison]]] = {}
    for comparison in comparisons:
        if comparison.status == "compared" and comparison.metric in METRICS:
            _, numbers = found.setdefault(
                (comparison.method, comparison.dataset), (comparison.note, {})
            )
            # Tables 8 and 9 print Table 6's numbers again.
            numbers.setdefault(comparison.metric, comparison)
    methods = list(dict.fromkeys(method for method, _ in found))
    return dict(sorted(found.items(), key=lambda item: methods.index(item[0][0])))


def _one_sided(comparisons: Sequence[Comparison]) -> str:
    """Which experiments only the paper has, and which datasets or experiments only we have."""
    unknown = unknown_datasets(comparisons)
    parts = [f"not in the paper: {', '.join(unknown)}"] if unknown else []
    for status in ("not run", "not in the paper"):
        by_method: dict[str, dict[str, None]] = {}
        for comparison in comparisons:
            known = comparison.dataset not in unknown
            if comparison.status == status and comparison.metric in METRICS and known:
                by_method.setdefault(comparison.method, {})[comparison.dataset] = None
        if by_method:
            named = [f"{method} ({', '.join(names)})" for method, names in by_method.items()]
            parts.append(f"{status}: {', '.join(named)}")
    return "; ".join(parts)


def _draw_metric(axes: Axes, numbers: Sequence[Comparison | None]) -> float:
    """Draw one panel, a row per experiment; returns the lowest value drawn, in per cent."""
    ours, paper = _LOOKS["ours"], _LOOKS["paper"]
    drawn = [100.0]
    for row, comparison in enumerate(numbers):
        if comparison is None or comparison.ours is None:
            axes.text(
                0.5,
                row,
                "not in the paper" if comparison is None else "undefined here",
                ha="center",
                va="center",
                fontsize=6.5,
                color=MUTED,
                transform=axes.get_yaxis_transform(),
            )
        if comparison is None:
            continue
        values = [100 * value for value in (comparison.ours, comparison.paper) if value is not None]
        axes.plot(values, [row] * len(values), color=MUTED, linewidth=0.9, zorder=1)
        bounds = [100 * bound for bound in comparison.interval or ()]
        axes.plot(bounds, [row] * len(bounds), color=ours.colour, linewidth=2.2, zorder=2)
        for value, look, face in (
            (comparison.ours, ours, ours.colour),
            (comparison.paper, paper, "none"),
        ):
            if value is not None:
                draw_points(axes, [100 * value], [row], look, face, layer=3)
        drawn += [*values, *bounds]
    return min(drawn)


def _legend() -> list[Artist]:
    ours, paper = _LOOKS["ours"], _LOOKS["paper"]
    return [
        Line2D(
            [],
            [],
            color=ours.colour,
            marker=ours.marker,
            linewidth=2.2,
            label="ours, with interval",
        ),
        Line2D(
            [],
            [],
            marker=paper.marker,
            markerfacecolor="none",
            markeredgecolor=paper.colour,
            markeredgewidth=1.4,
            linestyle="none",
            label="paper",
        ),
    ]
