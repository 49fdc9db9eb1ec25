"""Where a method sees the anomaly (Fig. 11)."""

import textwrap

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dualad.figures.evidence import MASK_QUANTILE, Evidence, normalised
from dualad.figures.mosaic import Tile, grey, heat, mosaic_figure, overlay, tinted
from dualad.figures.style import themed


@themed()
def localisation_figure(evidence: Evidence, title: str, footnote: str = "") -> Figure:
    """A row per image: input, reconstruction, error, overlay, saliency, true and predicted mask.

    Columns that the method or the dataset has nothing for are left out.
    """
    columns = localisation_columns(evidence)
    rows = range(len(evidence.rows))
    note = (
        f"predicted mask: {evidence.map_name} above the {MASK_QUANTILE:.0%} quantile of pixels "
        "of validation normals"
    )
    text = "; ".join(
        part for part in (note if evidence.predicted is not None else "", footnote) if part
    )
    return mosaic_figure(
        [[tiles[row] for tiles in columns.values()] for row in rows],
        title=title,
        row_labels=[_row_label(evidence, row) for row in rows],
        column_titles=list(columns),
        heat_bar="every map is stretched from its own minimum (0) to its maximum (1)",
        footnote=text,
    )


def localisation_columns(evidence: Evidence) -> dict[str, list[Tile]]:
    """RGB tiles per column title, in the order of the figure."""
    columns = {"input": [grey(image) for image in evidence.image]}
    if evidence.reconstruction is not None:
        columns["reconstruction"] = [grey(image) for image in evidence.reconstruction]
    if evidence.error is not None:
        columns["squared error\n(eq. 34)"] = [heat(one) for one in normalised(evidence.error)]
    if evidence.anomaly_map is not None:
        columns[f"overlay\n({evidence.map_name})"] = [
            overlay(image, one)
            for image, one in zip(evidence.image, normalised(evidence.anomaly_map), strict=True)
        ]
    if evidence.saliency is not None:
        columns["saliency\n(eq. 35)"] = [heat(one) for one in normalised(evidence.saliency)]
    if evidence.truth is not None:
        columns["true mask"] = _binary(evidence.truth)
    if evidence.predicted is not None:
        columns["predicted mask"] = _binary(evidence.predicted)
    return columns


def _binary(masks: NDArray[np.bool_]) -> list[Tile]:
    return [tinted(mask) for mask in masks]


def _row_label(evidence: Evidence, row: int) -> str:
    image = evidence.rows.iloc[row]
    verdict = "detected" if image["decision"] == 1 else "missed"
    name = "\n".join(textwrap.wrap(str(image["defect"]).replace("_", " "), 16))
    return f"{name}\nscore {image['score']:.3g}\n{verdict}"
