"""Anomaly maps of new images over the images, a picture file each."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dualad.data.formats import Range, decode_picture, read_bytes
from dualad.data.images import DepthFile
from dualad.errors import DualadError
from dualad.evaluation.maps import resized_maps
from dualad.evaluation.predictions import open_predictions
from dualad.figures.heat import HeatScale, normals_scale, overlay
from dualad.results.experiment import read_scores

_LONGEST_SIDE = 1024
"""Larger pictures are reduced to this, in pixels."""
_LEAST_SIDE = 256
"""Pictures whose longer side is smaller are enlarged to at least this: 68 are hard to see."""
_MAX_NORMALS = 200


def validation_scale(results: Path, score: str) -> HeatScale | None:
    """Scale of the colours of a fitted method's maps, from its predictions on validation normals.

    Parameters
    ----------
    results
        The method's folder in the result tree.
    score
        Name of the score and of its maps.

    Returns
    -------
    HeatScale or None
        None if the method has no maps of that score.

    Raises
    ------
    DualadError
        If `predictions.h5` or `scores.csv` is missing, damaged, or of another run than the other.
    """
    for name in ("predictions.h5", "scores.csv"):
        if not (results / name).exists():
            raise DualadError(
                f"{results}: no {name}, by which the colours of overlays are scaled; put it there, "
                "or use --no-overlays"
            )
    scores = read_scores(results)
    labels = scores.loc[scores["split"] == "val", "label"].to_numpy()
    with open_predictions(results / "predictions.h5") as file:
        if score not in file.get("maps", {}):
            return None
        validation = np.flatnonzero(file["split"][:] == b"val")
        # The rows of scores.csv are in the order of the dataset.
        validation = validation[np.argsort(file["index"][:][validation])]
        if len(labels) != len(validation):
            raise DualadError(
                f"{results}: scores.csv and predictions.h5 have other validation images; delete "
                "scores.csv and run the workflow again"
            )
        normals = validation[labels == 0]
        step = math.ceil(len(normals) / _MAX_NORMALS)
        return normals_scale(file[f"maps/{score}"][np.sort(normals[::step])]) if step else None


def overlay_picture(
    path: Path,
    anomaly_map: NDArray[np.float32],
    scale: HeatScale,
    *,
    color: bool,
    depth_range: Range | None = None,
    value_range: Range | None = None,
) -> Image.Image:
    """Draw the heat of an anomaly map over an image, in the image's own proportions.

    Parameters
    ----------
    path
        The image's file.
    anomaly_map
        (h, w), of the whole image; may be of another size and proportion than the file.
    scale
        The scale of its colours.
    color
        Whether the image is shown in colour.
    depth_range, value_range
        As for `dualad.data.images.load_image`.

    Returns
    -------
    PIL.Image.Image
        RGB, of the image's size; its longer side has 256 to 1,024 pixels, or up to 511 if the
        image is enlarged.

    Raises
    ------
    UnreadableImageError
        If the file can no longer be decoded.
    """
    picture, (width, height) = _decoded(path, color, depth_range, value_range)
    longest = max(width, height)
    factor = min(_LONGEST_SIDE / longest, math.ceil(_LEAST_SIDE / longest))
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    # Enlarged pixels stay the squares that they are.
    filtering = Image.Resampling.NEAREST if size[0] > picture.width else Image.Resampling.BILINEAR
    pixels = np.asarray(picture.resize(size, filtering), dtype=np.float32) / 255
    values = scale.heat(resized_maps(anomaly_map[None], (size[1], size[0]))[0])
    return Image.fromarray(np.rint(255 * overlay(pixels, values)).astype(np.uint8))


def _decoded(
    path: Path, color: bool, depth_range: Range | None, value_range: Range | None
) -> tuple[Image.Image, tuple[int, int]]:
    """Decode an image of 8 bits, and the width and height of the file's own image."""
    if depth_range is None:
        return decode_picture(read_bytes(path), color, value_range, side=_LONGEST_SIDE)
    decoded = DepthFile(path, depth_range).decode(_LONGEST_SIDE, color)
    return Image.fromarray(np.rint(255 * decoded.pixels).astype(np.uint8)), decoded.size
