"""Fig. 2: the batch size of highest AUROC against the number of images, and laws for it."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from matplotlib.transforms import Bbox

from dualad.data.plan import REGIME_BOUNDARY
from dualad.figures.style import (
    HATCH,
    MUTED,
    draw_points,
    panels,
    set_log_x,
    shortened_names,
    styles,
    text_width,
    themed,
)
from dualad.paper.batch_law import (
    REGIMES,
    BatchLaw,
    paper_law,
    paper_optima,
    regime_of,
)
from dualad.results.batch_search import Optimum

_LOOKS = styles({"ours": "", "paper": ""})
_SMALLEST, _LARGEST = 10, 150_000
"""The axis shows at least this range of N: it holds both places where eq. 25 turns negative."""
_LABEL_SIZE = 7.0
_LABEL_COLUMNS = 20
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
"""Where a point's label may stand, the most readable places first."""


@themed()
def batch_law_figure(optima: Sequence[Optimum], refit: BatchLaw) -> Figure:
    """Fig. 2: datasets as points, eq. 25 and the refitted law as lines.

    The hatched ranges of N are those in which eq. 25 asks for less than one image. The refitted law
    is drawn between the datasets that it was fitted to, for it says nothing beyond them.

    Parameters
    ----------
    optima
        What Algorithm 1 found here.
    refit
        The law fitted to it.
    """
    law, examples = paper_law(), paper_optima()
    low = min([_SMALLEST, *(optimum.n_images / 2 for optimum in optima)])
    high = max([_LARGEST, *(optimum.n_images * 2 for optimum in optima)])
    n = np.geomspace(low, high, 2000)
    notes = "; ".join(
        f"N {sign} {REGIME_BOUNDARY}, {refit.notes[regime]}"
        for sign, regime in zip(("up to", "above"), REGIMES, strict=True)
    )
    figure, (axes,) = panels(
        1,
        columns=1,
        cell=(5.9, 3.5),
        title="Batch size of highest AUROC against the number of images",
        footnote=f"Ours: Algorithm 1 by the AUROC of validation images. Refit: {notes}",
        legend=_legend(bool(optima), bool(refit.branches)),
        left=0.55,
        above=0.1,
    )
    top = 1.2 * max(
        float(np.max(law(n))), *(optimum.batch_size for optimum in (*optima, *examples))
    )
    set_log_x(axes)
    axes.set(
        xlim=(low, high),
        # What the laws ask for below zero has no meaning, only that they do.
        ylim=(-0.06 * top, top),
        xlabel="number of images N",
        ylabel="batch size",
    )
    _draw_unusable(axes, law, low, high)
    axes.axvline(REGIME_BOUNDARY, color=MUTED, linestyle=":", linewidth=1.2)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.plot(n, law(n), color=_LOOKS["paper"].colour, linestyle=(0, (5, 1.5)), linewidth=1.5)
    _draw_refit(axes, refit, optima)
    for found, look, face in (
        (examples, _LOOKS["paper"], "white"),
        (optima, _LOOKS["ours"], _LOOKS["ours"].colour),
    ):
        sizes = [optimum.n_images for optimum in found]
        draw_points(axes, sizes, [optimum.batch_size for optimum in found], look, face, layer=4)
    _label_points(axes, [*optima, *examples])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    return figure


def _draw_unusable(axes: Axes, law: BatchLaw, low: float, high: float) -> None:
    for intervals in law.below(1.0).values():
        for start, stop in intervals:
            # The law goes on beyond its first and last image, to the edges of the picture.
            edges = (low if start <= 1 else start, min(stop, high))
            axes.axvspan(*edges, facecolor="#F0F0F0", edgecolor="#A0A0A0", hatch=HATCH, zorder=0.5)


def _draw_refit(axes: Axes, refit: BatchLaw, optima: Sequence[Optimum]) -> None:
    for regime, branch in refit.branches.items():
        sizes = [optimum.n_images for optimum in optima if regime_of(optimum.n_images) == regime]
        n = np.geomspace(min(sizes), max(sizes), 500)
        axes.plot(n, branch(n), color=_LOOKS["ours"].colour, linewidth=1.8)


def _label_points(axes: Axes, optima: Sequence[Optimum]) -> None:
    """Write each dataset's name beside its point, where it hides no other name or point."""
    to_points = axes.transData + axes.figure.dpi_scale_trans.inverted()
    points = [(optimum.n_images, optimum.batch_size) for optimum in optima]
    places = [72 * to_points.transform(point) for point in points]
    taken = [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in places]
    names = shortened_names((optimum.dataset for optimum in optima), _LABEL_COLUMNS)
    for optimum, point, (x, y) in zip(optima, points, places, strict=True):
        width = 72 * text_width([names[optimum.dataset]], _LABEL_SIZE)
        boxes = [_label_box(x, y, width, side) for side in _SIDES]
        free = [i for i, box in enumerate(boxes) if box.count_overlaps(taken) == 0]
        chosen = free[0] if free else 0
        taken.append(boxes[chosen])
        across, up = _SIDES[chosen]
        axes.annotate(
            names[optimum.dataset],
            point,
            xytext=(6 * across, 6 * up),
            textcoords="offset points",
            ha={1: "left", -1: "right", 0: "center"}[across],
            va={1: "bottom", -1: "top", 0: "center"}[up],
            fontsize=_LABEL_SIZE,
            path_effects=[withStroke(linewidth=2, foreground="white")],
            zorder=5,
        )


def _label_box(x: float, y: float, width: float, side: tuple[int, int]) -> Bbox:
    """Where a label of some width lies beside a point, all in points (1/72 inch)."""
    across, up = side
    left = x + 6 * across - width * (1 - across) / 2
    bottom = y + 6 * up - _LABEL_SIZE * (1 - up) / 2
    return Bbox.from_bounds(left, bottom, width, _LABEL_SIZE)


def _legend(with_points: bool, with_refit: bool) -> list[Artist]:
    ours, paper = _LOOKS["ours"], _LOOKS["paper"]
    found = Line2D(
        [], [], color=ours.colour, marker=ours.marker, linestyle="none", label="ours, Algorithm 1"
    )
    refit = Line2D([], [], color=ours.colour, linewidth=1.8, label="ours, refit")
    return [
        *([found] if with_points else []),
        *([refit] if with_refit else []),
        Line2D(
            [],
            [],
            marker=paper.marker,
            markerfacecolor="white",
            markeredgecolor=paper.colour,
            linestyle="none",
            label="paper, Examples 1 and 2",
        ),
        Line2D([], [], color=paper.colour, linestyle=(0, (5, 1.5)), label="paper, eq. 25"),
        Line2D([], [], color=MUTED, linestyle=":", label=f"N = {REGIME_BOUNDARY}"),
        Patch(
            facecolor="#F0F0F0", edgecolor="#A0A0A0", hatch=HATCH, label="eq. 25 below one image"
        ),
    ]
