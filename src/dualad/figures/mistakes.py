"""Normal images that were flagged and anomalies that were missed (Figs. 12 and 13)."""

from pathlib import PurePosixPath

import pandas as pd
from matplotlib.figure import Figure

from dualad.figures.evidence import Evidence
from dualad.figures.heat import MASK_QUANTILE, Tile, grey, overlay
from dualad.figures.mosaic import mosaic_figure, outlined
from dualad.figures.style import shortened, themed

WORST = 8
"""How many mistakes a figure shows at most."""
OVERLAY_NOTE = (
    "overlay: one scale for all images of a dataset, no heat up to the median and the middle "
    f"colour at the {MASK_QUANTILE:.0%} quantile of pixels of validation normals"
)
_HEADING_COLUMNS = 17
"""Width of a line above an image."""
KINDS = ("false positives", "false negatives")
"""By the label of the images that they are made on."""


def select_mistakes(test: pd.DataFrame, cutoff: float, label: int) -> pd.DataFrame:
    """Wrongly decided test images of one label (0 normal, 1 anomalous), the worst first."""
    return (false_positives, false_negatives)[label](test, cutoff)


def count_text(test: pd.DataFrame, label: int) -> str:
    """How many test images of a label were decided wrongly."""
    own = test[test["label"] == label]
    wrong = int((own["decision"] != label).sum())
    if not wrong:
        return f"no {KINDS[label]} among {len(own)}"
    return f"{wrong} of {len(own)} {('normals flagged', 'anomalies missed')[label]}"


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
    rows = [input_tiles(evidence)]
    labels = ["input"]
    if evidence.reconstruction is not None:
        rows.append([grey(image) for image in evidence.reconstruction])
        labels.append("reconstruction")
    if (overlays := overlay_tiles(evidence)) is not None:
        rows.append(overlays)
        labels.append(f"overlay\n({evidence.map_name})")
        footnote = "; ".join(filter(None, (footnote, OVERLAY_NOTE)))
    shown = evidence.rows
    return mosaic_figure(
        rows,
        title=title,
        row_labels=labels,
        column_titles=[_heading(shown.iloc[i], cutoff) for i in range(len(shown))],
        footnote=footnote,
    )


def input_tiles(evidence: Evidence) -> list[Tile]:
    """The images, true defects outlined where a mask tells them."""
    tiles = [grey(image) for image in evidence.image]
    if evidence.truth is None:
        return tiles
    return [
        tile if mask is None else outlined(tile, mask)
        for tile, mask in zip(tiles, evidence.truth, strict=True)
    ]


def overlay_tiles(evidence: Evidence) -> list[Tile] | None:
    """The anomaly maps over the images, on one scale of colours; None without maps."""
    if evidence.anomaly_map is None or evidence.scale is None:
        return None
    maps = evidence.scale.heat(evidence.anomaly_map)
    return [overlay(image, values) for image, values in zip(evidence.image, maps, strict=True)]


def _by_margin(rows: pd.DataFrame, cutoff: float) -> pd.DataFrame:
    margin = (rows["score"] - cutoff).abs()
    order = margin.sort_values(ascending=False, kind="stable").index
    return rows.loc[order].reset_index(drop=True)


def _heading(image: pd.Series, cutoff: float) -> str:
    """Kind, file and score of an image, a line each."""
    kind = shortened(str(image["defect"]), _HEADING_COLUMNS)
    stem = shortened(PurePosixPath(str(image["image"])).stem, _HEADING_COLUMNS)
    score = float(image["score"])
    return f"{kind}\n{stem}\n{score:.3g} ({score - cutoff:+.2g})"
