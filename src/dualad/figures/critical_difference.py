"""Average ranks of methods over datasets, and which of them are not told apart."""

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from dualad.figures.inputs import Results
from dualad.figures.style import INK, MUTED, message_figure, panels, text_width, themed
from dualad.results.ranks import MIN_DATASETS, Ranking, rank_methods
from dualad.results.runs import values_by_dataset

_ROW = 0.24
_GROUP = 0.13
"""Inches between two bars of groups."""
_DIFFERENCE = "#D55E00"


@themed()
def critical_difference_figure(results: Results) -> Figure:
    """A row per method, the best on top; bars at the right join methods not told apart.

    The average ranks of the methods by AUROC (of several runs the mean), with the Nemenyi test's
    groups; a panel that says why where there are none.
    """
    ranking = rank_methods(values_by_dataset(list(results.runs.values()), "auroc"))
    title = "Average ranks by AUROC"
    if ranking is None:
        return message_figure(
            title,
            f"Ranks need at least two methods with results on the same {MIN_DATASETS} datasets or "
            "more.",
            results.footnotes.text(),
        )
    labels = [results.methods[method] for method in ranking.methods]
    figure, (axes,) = panels(
        1,
        columns=1,
        cell=(4.6 + _GROUP * len(ranking.groups), _ROW * (len(labels) + 1.5)),
        title=title,
        footnote=results.footnotes.text(_footnote(ranking, results), results.repeated),
        legend=_legend(),
        left=text_width(labels, 7.5) + 0.25,
        above=0.08,
    )
    _draw_ranks(axes, ranking, results)
    _draw_groups(axes, ranking, figure.get_figwidth())
    axes.set_yticks(range(len(labels)), labels)
    axes.set(ylim=(len(labels) - 0.5, -2), xlabel="rank; 1 is the best")
    axes.grid(visible=False, axis="y")
    return figure


def _draw_ranks(axes: Axes, ranking: Ranking, results: Results) -> None:
    for row, (method, average) in enumerate(zip(ranking.methods, ranking.average, strict=True)):
        look = results.looks[method]
        axes.axhline(row, color="#EEEEEE", linewidth=0.8, zorder=0)
        own = ranking.ranks[:, row]
        axes.plot(own, [row] * len(own), "|", color=MUTED, markersize=7, zorder=1)
        axes.plot(average, row, markersize=7, zorder=3, **look.marking)
        axes.annotate(
            f"{average:.1f}",
            (average, row),
            (6, 2.5),
            textcoords="offset points",
            fontsize=6.5,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )
    reach = [1, 1 + ranking.critical_difference]
    axes.plot(reach, [-1.2, -1.2], color=_DIFFERENCE, linewidth=2, marker="|", markersize=8)
    text = f"critical difference {ranking.critical_difference:.2f}"
    axes.annotate(text, (1, -1.35), fontsize=7, va="bottom")


def _draw_groups(axes: Axes, ranking: Ranking, figure_width: float) -> None:
    highest = max(len(ranking.methods), 1 + ranking.critical_difference) + 0.3
    inches = axes.get_position().width * figure_width
    per_inch = (highest - 0.7) / (inches - _GROUP * (len(ranking.groups) + 1))
    for i, group in enumerate(ranking.groups):
        ends = [ranking.methods.index(group[0]) - 0.25, ranking.methods.index(group[-1]) + 0.25]
        x = highest + _GROUP * (i + 0.7) * per_inch
        axes.plot([x, x], ends, color=INK, linewidth=3, solid_capstyle="butt")
    axes.set_xlim(0.7, highest + _GROUP * (len(ranking.groups) + 1) * per_inch)
    ticks = MaxNLocator(integer=True).tick_values(1, highest)
    axes.set_xticks([tick for tick in ticks if 1 <= tick <= highest])


def _footnote(ranking: Ranking, results: Results) -> str:
    parts = [f"datasets: {', '.join(results.datasets[name] for name in ranking.datasets)}"]
    if ranking.friedman_p is not None:
        same = ", no difference found: all methods are one group"
        found = same if ranking.friedman_p >= ranking.alpha else ""
        parts.append(f"Friedman test: p = {ranking.friedman_p:.3g}{found}")
    left_out = (*ranking.left_out_methods, *ranking.left_out_datasets)
    if left_out:
        parts.append(f"left out for want of results: {', '.join(left_out)}")
    return "; ".join(parts)


def _legend() -> list[Artist]:
    return [
        Line2D([], [], linestyle="none", marker="o", color=INK, label="average rank"),
        Line2D([], [], linestyle="none", marker="|", color=MUTED, label="rank on a dataset"),
        Line2D([], [], color=INK, linewidth=3, label="not told apart (Nemenyi test)"),
    ]
