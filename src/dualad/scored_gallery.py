"""The gallery of new images that a finished detector has scored."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dualad.deployment.given import GivenImage
from dualad.detector import LoadedDetector
from dualad.figures.heat import HeatScale
from dualad.pages.gallery import Gallery, shown_images, write_gallery
from dualad.pages.pictures import Picture, picture

FILE = "gallery.html"


def write_scored_gallery(
    path: Path,
    detector: LoadedDetector,
    folder: Path,
    scores: pd.DataFrame,
    scale: HeatScale | None,
    notes: Sequence[str],
) -> None:
    """Write a gallery of scored images, whose true classes are not known.

    The images that it shows, at most `dualad.pages.gallery.MOST_PICTURES`, are read and scored once
    more: which ones they are is known only after all have their scores.

    Parameters
    ----------
    path
        The HTML file.
    detector
    folder
        Where the images are.
    scores
        As `LoadedDetector.score` gives it; `image` is a path relative to `folder`.
    scale
        Colours of the heat; None for a gallery without.
    notes
        What limits the result.

    Raises
    ------
    DualadError
        If the file cannot be written.
    """
    rows = scores[["image", "score", "p_value", "uncertainty"]].reset_index(drop=True)
    threshold = float(detector.fitted.threshold["threshold"])
    chosen = shown_images(rows["score"].to_numpy(), threshold)
    names = rows["image"].iloc[chosen]
    pictures = _pictures(detector, [GivenImage(name, folder / name) for name in names], scale)
    n_anomalous = int(np.sum(scores["decision"] == 1))
    gallery = Gallery(
        title=f"{folder.resolve().name}, scored by {detector.fitted.method.name}",
        rows=rows,
        threshold=threshold,
        rule=str(detector.fitted.threshold["rule"]),
        pictures={
            int(position): pictures[name]
            for position, name in zip(chosen, names, strict=True)
            if name in pictures
        },
        facts=[f"{len(rows)} new images, {n_anomalous} of them called anomalous."],
        notes=notes,
    )
    write_gallery(path, gallery)


def _pictures(
    detector: LoadedDetector, images: Sequence[GivenImage], scale: HeatScale | None
) -> dict[str, Picture]:
    """Pictures by the images' names; an image that cannot be read any more has none."""
    pictures = {}
    for batch, pixels, scored in detector.scored_batches(images, problems=[]):
        heat = None if scale is None else scale.heat(scored.maps[detector.fitted.score])
        for i, image in enumerate(batch):
            pictures[image.name] = picture(pixels[i], None if heat is None else heat[i])
    return pictures
