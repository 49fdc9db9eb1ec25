"""Where a method sees the anomaly (Fig. 11)."""

import textwrap
from collections.abc import Iterable

from matplotlib.figure import Figure

from dualad.figures.evidence import Evidence, normalised
from dualad.figures.heat import Tile, grey, heat
from dualad.figures.mistakes import OVERLAY_NOTE, overlay_tiles
from dualad.figures.mosaic import mosaic_figure, tinted, unknown
from dualad.figures.style import shortened, text_columns, themed

TRUE_MASK = "true mask"
COLUMNS = (
    "input",
    "reconstruction",
    "squared error",
    "overlay",
    "saliency",
    TRUE_MASK,
    "predicted mask",
)
"""What the columns' titles begin with, in the figure's order."""
_STRETCHED = ("squared error", "saliency")
"""Columns whose maps have a scale each."""
MASK_NOTE = f"{OVERLAY_NOTE}; predicted mask: the overlay's map above that quantile"
_LABEL_COLUMNS = 16
"""Width of a line beside a row of images."""


@themed()
def localisation_figure(evidence: Evidence, title: str, footnote: str = "") -> Figure:
    """A row per image: input, reconstruction, error, overlay, saliency, true and predicted mask.

    Columns that the method or the dataset has nothing for are left out.
    """
    columns = localisation_columns(evidence)
    rows = range(len(evidence.rows))
    captions = {
        (row, list(columns).index(TRUE_MASK)): caption
        for row in rows
        if (caption := mask_caption(evidence, row))
    }
    text = "; ".join(filter(None, (MASK_NOTE if evidence.predicted is not None else "", footnote)))
    return mosaic_figure(
        [[tiles[row] for tiles in columns.values()] for row in rows],
        title=title,
        row_labels=[row_label(evidence, row) for row in rows],
        column_titles=list(columns),
        captions=captions,
        heat_bar=heat_bar(columns),
        footnote=text,
    )


def heat_bar(titles: Iterable[str]) -> str:
    """What explains the colours of columns whose maps have a scale each; empty without such."""
    stretched = any(title.startswith(_STRETCHED) for title in titles)
    text = "error and saliency: each map from its own minimum (0) to its maximum (1)"
    return text if stretched else ""


def localisation_columns(evidence: Evidence) -> dict[str, list[Tile]]:
    """RGB tiles per column title, in the order of the figure."""
    columns = {"input": [grey(image) for image in evidence.image]}
    if evidence.reconstruction is not None:
        columns["reconstruction"] = [grey(image) for image in evidence.reconstruction]
    if evidence.error is not None:
        columns["squared error\n(eq. 34)"] = [heat(values) for values in normalised(evidence.error)]
    if (overlays := overlay_tiles(evidence)) is not None:
        columns[f"overlay\n({evidence.map_name})"] = overlays
    if evidence.saliency is not None:
        columns["saliency\n(eq. 35)"] = [heat(values) for values in normalised(evidence.saliency)]
    if evidence.truth is not None:
        size = evidence.image.shape[1]
        columns[TRUE_MASK] = [
            unknown(size) if mask is None else tinted(mask) for mask in evidence.truth
        ]
    if evidence.predicted is not None:
        columns["predicted mask"] = [tinted(mask) for mask in evidence.predicted]
    return columns


def mask_caption(evidence: Evidence, row: int) -> str:
    """What is written into the true mask of an image; empty where the mask speaks for itself."""
    if evidence.truth is None:
        return ""
    mask = evidence.truth[row]
    if mask is None:
        return "no mask given"
    # Black all over, or a defect smaller than a pixel of the size that methods see.
    return "" if mask.any() or evidence.rows["label"].iloc[row] == 0 else "mask is empty"


def row_label(evidence: Evidence, row: int) -> str:
    """Kind of defect, score and verdict of an image, a line each."""
    image = evidence.rows.iloc[row]
    verdict = "detected" if image["decision"] == 1 else "missed"
    name = shortened(str(image["defect"]), 3 * _LABEL_COLUMNS)
    # Characters of wide scripts take two columns.
    width = max(1, _LABEL_COLUMNS * len(name) // max(1, text_columns(name)))
    name = "\n".join(textwrap.wrap(name, width))
    return f"{name}\nscore {image['score']:.3g}\n{verdict}"
