"""Tables of small pictures, drawn as one image: a figure with fifty axes would take seconds."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from dualad.figures.heat import COLOURS, Tile
from dualad.figures.style import (
    footnote_height,
    new_figure,
    place_axes,
    text_width,
    title_height,
)

_TILE_INCHES = 1.15
_BAR_INCHES = 1.55
"""The colour bar and what is left and right of it."""
_CONTOUR = (0.0, 1.0, 1.0)
_MASK = (0.9, 0.62, 0.0)


def tinted(mask: NDArray[np.bool_]) -> Tile:
    """A mask as an orange region on black: white would run into the gaps between tiles."""
    return np.where(mask[..., None], _MASK, 0.0).astype(np.float32)


def blank(size: int) -> Tile:
    """A white tile, where there is nothing to show."""
    return np.ones((size, size, 3), dtype=np.float32)


def unknown(size: int) -> Tile:
    """A grey tile, where there is something that nobody knows."""
    return np.full((size, size, 3), 0.8, dtype=np.float32)


def outlined(tile: Tile, mask: NDArray[np.bool_]) -> Tile:
    """The tile with a cyan line around the mask."""
    edge = binary_dilation(mask) & ~mask
    result = tile.copy()
    result[edge] = _CONTOUR
    return result


def mosaic_figure(
    tiles: Sequence[Sequence[Tile]],
    *,
    title: str,
    row_labels: Sequence[str],
    column_titles: Sequence[str],
    captions: Mapping[tuple[int, int], str] | None = None,
    heat_bar: str = "",
    footnote: str = "",
) -> Figure:
    """Lay tiles out in rows and columns.

    Parameters
    ----------
    tiles
        Rows of RGB tiles, all of one square size.
    row_labels, column_titles
        Text left of each row and above each column.
    captions
        Small text in a tile's lower left corner, by row and column.
    heat_bar
        Label of a colour bar for the heat maps; none if empty.
    footnote
        Small text at the bottom.
    """
    rows, columns = len(tiles), len(tiles[0])
    left = 0.2 + text_width((line for label in row_labels for line in label.split("\n")), 7.5)
    bar = left + _BAR_INCHES + text_width([heat_bar], 7) if heat_bar else 0.0
    width = max(left + columns * _TILE_INCHES + 0.1, bar, 5.0)
    lines = max((text.count("\n") + 1 for text in column_titles), default=0)
    above = title_height(title, width) + 0.04 + 0.15 * lines
    below = footnote_height(footnote, width) + (0.34 if heat_bar else 0.08)
    height = above + rows * _TILE_INCHES + below
    figure = new_figure(width, height, title, footnote)
    axes = place_axes(figure, left, below, columns * _TILE_INCHES, rows * _TILE_INCHES)
    # "none" keeps the pixels as they are in the PDF.
    axes.imshow(_joined(tiles), extent=(0, columns, rows, 0), interpolation="none", aspect="auto")
    axes.set_axis_off()
    for r, label in enumerate(row_labels):
        axes.text(-0.06, r + 0.5, label, ha="right", va="center", fontsize=7.5, linespacing=1.35)
    for c, text in enumerate(column_titles):
        axes.text(c + 0.49, -0.03, text, ha="center", va="bottom", fontsize=7.5)
    for (r, c), text in (captions or {}).items():
        axes.text(
            c + 0.03,
            r + 0.93,
            text,
            va="bottom",
            fontsize=6,
            color="white",
            path_effects=[withStroke(linewidth=1.5, foreground="black")],
        )
    if heat_bar:
        scale = place_axes(figure, left + 0.1, below - 0.17, _BAR_INCHES - 0.25, 0.09)
        scale.imshow(np.linspace(0, 1, 128)[None], cmap=COLOURS, aspect="auto", extent=(0, 1, 0, 1))
        scale.set(xticks=[0, 1], yticks=[])
        scale.tick_params(length=0, pad=1, labelsize=6.5)
        scale.grid(visible=False)
        where = (_BAR_INCHES / _TILE_INCHES, rows + 0.12 / _TILE_INCHES)
        axes.text(*where, heat_bar, va="center", fontsize=7)
    return figure


def _joined(tiles: Sequence[Sequence[Tile]]) -> NDArray[np.uint8]:
    """One picture of all tiles, white gaps of 4 % between them."""
    size = tiles[0][0].shape[0]
    gap = max(1, round(0.04 * size))
    step = size + gap
    joined = np.full((len(tiles) * step, len(tiles[0]) * step, 3), 255, dtype=np.uint8)
    for r, row in enumerate(tiles):
        for c, tile in enumerate(row):
            place = np.s_[r * step : r * step + size, c * step : c * step + size]
            joined[place] = np.round(tile * 255)
    return joined
