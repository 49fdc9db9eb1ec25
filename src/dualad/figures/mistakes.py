"""Normal images that were flagged and anomalies that were missed (Figs. 12 and 13)."""

import textwrap
from pathlib import PurePosixPath

import pandas as pd
from matplotlib.figure import Figure

from dualad.figures.evidence import Evidence, normalised
from dualad.figures.mosaic import Tile, grey, heat, mosaic_figure, outlined, overlay
from dualad.figures.style import themed

WORST = 8
"""How many mistakes a figure shows at most."""


def false_positives(test: pd.DataFrame, cutoff: float) -> pd.DataFrame:
    """Flagged normal test images, the furthest above the threshold first."""
    return _by_margin(test[(test["label"] == 0) & (test["decision"] == 1)], cutoff)


def false_negatives(test: pd.DataFrame, cutoff: float) -> pd.DataFrame:
    """Missed anomalous test images, the furthest below the threshold first."""
    return _by_margin(test[(test["label"] == 1) & (test["decision"] == 0)], cutoff)


@themed()
def mistakes_figure(evidence: Evidence, cutoff: float, title: str, footnote: str = "") -> Figure:
    """The images above, what the method saw in them below; true defects outlined.

    Parameters
    ----------
    evidence
        At most `WORST` mistakes, the worst first.
    cutoff
        The threshold on the score.
    """
    inputs: list[Tile] = []
    for i, image in enumerate(evidence.image):
        tile = grey(image)
        inputs.append(tile if evidence.truth is None else outlined(tile, evidence.truth[i]))
    rows = [inputs]
    labels = ["input"]
    if evidence.reconstruction is not None:
        rows.append([grey(one) for one in evidence.reconstruction])
        labels.append("reconstruction")
    if evidence.anomaly_map is not None:
        maps = normalised(evidence.anomaly_map)
        rows.append([overlay(a, b) for a, b in zip(evidence.image, maps, strict=True)])
        labels.append(f"overlay\n({evidence.map_name})")
    elif evidence.error is not None:
        rows.append([heat(one) for one in normalised(evidence.error)])
        labels.append("squared error")
    shown = evidence.rows
    return mosaic_figure(
        rows,
        title=title,
        row_labels=labels,
        column_titles=[_heading(shown.iloc[i], cutoff) for i in range(len(shown))],
        footnote=footnote,
    )


def _by_margin(rows: pd.DataFrame, cutoff: float) -> pd.DataFrame:
    margin = (rows["score"] - cutoff).abs()
    order = margin.sort_values(ascending=False, kind="stable").index
    return rows.loc[order].reset_index(drop=True)


def _heading(image: pd.Series, cutoff: float) -> str:
    what = str(image["defect"]).replace("_", " ")
    stem = PurePosixPath(str(image["image"])).stem
    score = float(image["score"])
    return f"{textwrap.shorten(what, 18)} {stem[-8:]}\n{score:.3g} ({score - cutoff:+.2g})"
