"""How much results vary over runs of one method under different seeds."""

from collections.abc import Sequence
from statistics import fmean, stdev

import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dualad.figures.inputs import Results
from dualad.figures.style import (
    INK,
    message_figure,
    panels,
    styles,
    text_width,
    themed,
)
from dualad.results.experiment import method_params
from dualad.results.runs import Runs

METRICS = {"auroc": "AUROC", "balanced_accuracy": "balanced accuracy"}

_POLICIES = {"dynamic": "dynamic seed", "fixed": "fixed seed", "none": "no seed"}
_LOOKS = styles(dict.fromkeys(_POLICIES, ""))


@themed()
def repeats_figure(results: Results) -> Figure:
    """A row per repeated method and dataset, a panel per metric: runs, mean and deviation."""
    title = "Spread over runs under different seeds"
    repeated = [runs for runs in results.runs.values() if runs.done and len(runs.entries) > 1]
    if not repeated:
        return message_figure(
            title,
            "No method was run under more than one seed; a method's key repeats does that.",
            results.footnotes.text(),
        )
    labels = [_label(runs, results) for runs in repeated]
    figure, all_axes = panels(
        len(METRICS),
        columns=2,
        cell=(3.0, 0.3 * len(repeated) + 0.1),
        title=title,
        footnote=results.footnotes.text(
            "bars: mean and one standard deviation to either side; the test set is the same in all "
            "runs"
        ),
        legend=_legend(repeated),
        left=text_width(labels, 7.5) + 0.25,
    )
    for i, (axes, (metric, name)) in enumerate(zip(all_axes, METRICS.items(), strict=True)):
        for row, runs in enumerate(repeated):
            _draw_runs(axes, row, runs, metric)
        axes.set(xlabel=name, ylabel="", ylim=(len(repeated) - 0.5, -0.5))
        axes.set_yticks(range(len(repeated)), [] if i else labels)
    return figure


def _draw_runs(axes: Axes, row: int, runs: Runs, metric: str) -> None:
    values = runs.values(metric)
    look = _LOOKS[_policy(runs)]
    if len(values) > 1:
        center, spread = fmean(values), stdev(values)
        axes.plot(
            [center - spread, center + spread],
            [row, row],
            color="#BBBBBB",
            linewidth=6,
            solid_capstyle="butt",
        )
        axes.plot([center, center], [row - 0.28, row + 0.28], color=INK, linewidth=1.2)
    sns.scatterplot(
        x=values,
        y=[row] * len(values),
        ax=axes,
        s=26,
        marker=look.marker,
        color=look.colour,
        edgecolor="white",
        linewidth=0.4,
        zorder=3,
    )


def _seed(runs: Runs) -> int | str:
    params = next((p for entry in runs.done if (p := method_params(entry.folder))), {})
    seed: int | str = params.get("seed", "dynamic")
    return seed


def _policy(runs: Runs) -> str:
    seed = _seed(runs)
    return seed if isinstance(seed, str) else "fixed"


def _label(runs: Runs, results: Results) -> str:
    seed = _seed(runs)
    policy = f"seed {seed}" if isinstance(seed, int) else _POLICIES[seed]
    where = f"{results.datasets[runs.dataset]}, {results.methods[runs.method]}"
    return f"{where} ({policy}, {len(runs.done)} runs)"


def _legend(repeated: Sequence[Runs]) -> list[Artist]:
    drawn = {_policy(runs) for runs in repeated}
    return [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=_LOOKS[policy].marker,
            color=_LOOKS[policy].colour,
            label=name,
        )
        for policy, name in _POLICIES.items()
        if policy in drawn
    ]
