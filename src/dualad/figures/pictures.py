"""Localisation and mistakes of one method on every dataset (Figs. 11 to 13)."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from dualad.data.dataset import Dataset
from dualad.evaluation.examples import LOCALISED_ACROSS, spread_over_defects
from dualad.figures.evidence import Evidence, gather
from dualad.figures.heat import Tile
from dualad.figures.inputs import Experiment, MethodResults, remarks
from dualad.figures.localisation import (
    COLUMNS,
    MASK_NOTE,
    TRUE_MASK,
    heat_bar,
    localisation_columns,
    mask_caption,
    row_label,
)
from dualad.figures.mistakes import (
    KINDS,
    OVERLAY_NOTE,
    count_text,
    input_tiles,
    overlay_tiles,
    select_mistakes,
)
from dualad.figures.mosaic import blank, mosaic_figure
from dualad.figures.style import Footnotes, message_figure, shortened, themed

WORST = 3
"""Mistakes of a dataset in Figs. 12 and 13."""

_NOTHING = "No dataset has results of the method."


@themed()
def localisation_across_figure(experiments: Sequence[Experiment]) -> Figure:
    """A few anomalies per dataset, chosen over the kinds of defect and not by score.

    A column that a dataset has nothing for, true masks say, is blank there.
    """
    title = f"Localisation by {_name(experiments)}"
    footnotes = Footnotes(experiment.dataset for experiment in experiments)
    labels: list[str] = []
    drawn: list[tuple[dict[str, list[Tile]], int]] = []
    notices: list[str] = []
    for experiment in experiments:
        if experiment.method is None:
            continue
        rows = spread_over_defects(experiment.method.test, LOCALISED_ACROSS)
        evidence = _gather(experiment, experiment.method, rows)
        columns = localisation_columns(evidence)
        for row in range(len(rows)):
            labels.append(f"{_label(experiment, footnotes)}\n{row_label(evidence, row)}")
            drawn.append((columns, row))
            notices.append(mask_caption(evidence, row))
    noted = remarks(experiments)
    found = dict.fromkeys(column for columns, _ in drawn for column in columns)
    titles = sorted(found, key=lambda column: COLUMNS.index(column.partition("\n")[0]))
    if not any(column.startswith("overlay") for column in titles):
        reason = f"{_name(experiments)} has no anomaly maps." if drawn else _NOTHING
        return message_figure(title, reason, footnotes.text(*noted))
    maskless = TRUE_MASK in titles and any(TRUE_MASK not in columns for columns, _ in drawn)
    nothing = blank(len(drawn[0][0]["input"][0]))
    return mosaic_figure(
        [
            [columns[column][row] if column in columns else nothing for column in titles]
            for columns, row in drawn
        ],
        title=title,
        row_labels=labels,
        column_titles=titles,
        captions={
            (row, titles.index(TRUE_MASK)): notice for row, notice in enumerate(notices) if notice
        },
        heat_bar=heat_bar(titles),
        footnote=footnotes.text(MASK_NOTE, "white: no masks there" if maskless else "", *noted),
    )


@themed()
def mistakes_across_figure(experiments: Sequence[Experiment], *, label: int) -> Figure:
    """A row per dataset: the worst mistakes, each as the image and what the method saw in it.

    Parameters
    ----------
    experiments
        One method on every dataset.
    label
        0 for false positives, 1 for false negatives.
    """
    title = f"Worst {KINDS[label]} of {_name(experiments)}"
    footnotes = Footnotes(experiment.dataset for experiment in experiments)
    rows: list[list[Tile]] = []
    labels: list[str] = []
    captions: dict[tuple[int, int], str] = {}
    has_maps = False
    for experiment in experiments:
        if experiment.method is None:
            continue
        mistakes = select_mistakes(experiment.method.test, experiment.method.cutoff, label)
        labels.append(
            f"{_label(experiment, footnotes)}\n{count_text(experiment.method.test, label)}"
        )
        rows.append([])
        if mistakes.empty:
            continue
        evidence = _gather(experiment, experiment.method, mistakes.head(WORST))
        inputs, seen = input_tiles(evidence), overlay_tiles(evidence)
        for i, tile in enumerate(inputs):
            captions[len(rows) - 1, len(rows[-1])] = _caption(
                mistakes.iloc[i], experiment.method.cutoff
            )
            rows[-1] += [tile] if seen is None else [tile, seen[i]]
        has_maps = seen is not None
    noted = remarks(experiments)
    if not captions:
        reason = f"There are no {KINDS[label]} on any dataset." if rows else _NOTHING
        return message_figure(title, reason, footnotes.text(*noted))
    widest = max(map(len, rows))
    nothing = blank(next(len(tiles[0]) for tiles in rows if tiles))
    return mosaic_figure(
        [[*tiles, *[nothing] * (widest - len(tiles))] for tiles in rows],
        title=title,
        row_labels=labels,
        column_titles=["image", "overlay"] * (widest // 2) if has_maps else [],
        captions=captions,
        footnote=footnotes.text(
            "in each image: its kind, score and distance from the threshold; cyan: true defect, "
            "where a mask is given",
            OVERLAY_NOTE if has_maps else "",
            *noted,
        ),
    )


def _name(experiments: Sequence[Experiment]) -> str:
    return next(
        (experiment.method.name for experiment in experiments if experiment.method), "the method"
    )


def _label(experiment: Experiment, footnotes: Footnotes) -> str:
    return footnotes.label(experiment.dataset, [experiment.note] if experiment.note else [])


def _gather(experiment: Experiment, method: MethodResults, rows: pd.DataFrame) -> Evidence:
    with Dataset(experiment.dataset_h5) as dataset:
        return gather(dataset, method, rows)


def _caption(image: pd.Series, cutoff: float) -> str:
    kind = shortened(str(image["defect"]), 16)
    return f"{kind}\n{image['score']:.3g} ({image['score'] - cutoff:+.2g})"
