"""The gallery of new images that a finished detector has scored."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dualad.deployment.given import GivenImage
from dualad.detector import LoadedDetector
from dualad.figures.heat import HeatScale
from dualad.methods.base import FloatArray, Scored
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
    pictures: Mapping[str, Picture],
) -> None:
    """Write a gallery of scored images, whose true classes are not known.

    Which images it shows, at most `dualad.pages.gallery.MOST_PICTURES`, is known only after all
    have their scores. Those of which there is no picture then are read and scored once more.

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
    pictures
        What `batch_pictures` made of the first images.

    Raises
    ------
    DualadError
        If the file cannot be written, or what is scored once more cannot be scored.
    """
    rows = scores[["image", "score", "p_value", "uncertainty"]].reset_index(drop=True)
    threshold = float(detector.fitted.threshold["threshold"])
    chosen = shown_images(rows["score"].to_numpy(), threshold)
    names = rows["image"].iloc[chosen]
    missing = [GivenImage(name, folder / name) for name in names if name not in pictures]
    made = dict(pictures)
    # An image that cannot be read any more has no picture.
    for batch, pixels, scored in detector.scored_batches(missing, problems=[]):
        made |= batch_pictures(detector, batch, pixels, scored, scale)
    n_anomalous = int(np.sum(scores["decision"] == 1))
    gallery = Gallery(
        title=f"{folder.resolve().name}, scored by {detector.fitted.method.name}",
        rows=rows,
        threshold=threshold,
        rule=str(detector.fitted.threshold["rule"]),
        pictures={
            int(position): made[name]
            for position, name in zip(chosen, names, strict=True)
            if name in made
        },
        facts=[f"{len(rows)} new images, {n_anomalous} of them called anomalous."],
        notes=notes,
    )
    write_gallery(path, gallery)


def batch_pictures(
    detector: LoadedDetector,
    images: Sequence[GivenImage],
    pixels: FloatArray,
    scored: Scored,
    scale: HeatScale | None,
) -> dict[str, Picture]:
    """Pictures of some images by their names.

    Parameters
    ----------
    detector
    images
        The first images of a batch, or all of them.
    pixels, scored
        The batch, as `LoadedDetector.scored_batches` yields it.
    scale
        Colours of the heat; None for pictures without.
    """
    heat = None if scale is None else scale.heat(scored.maps[detector.fitted.score][: len(images)])
    return {
        image.name: picture(pixels[i], None if heat is None else heat[i])
        for i, image in enumerate(images)
    }
