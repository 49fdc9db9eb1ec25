"""The galleries of finished methods, from the files of the result tree."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dualad.data.dataset import Dataset
from dualad.figures.evidence import gather
from dualad.figures.inputs import MethodResults
from dualad.files import read_json
from dualad.pages.gallery import Gallery, shown_images, write_gallery
from dualad.pages.pictures import Picture, picture
from dualad.results.experiment import dataset_note, read_scores
from dualad.results.runs import threshold_text
from dualad.tables.cells import cell, fraction

FILE = "gallery.html"
_MOST_BYTES = 3_500_000
"""Of all pictures of a gallery, so that a page stays below 5 MB."""


@dataclass(frozen=True)
class MethodFiles:
    """Where a method's gallery is made from."""

    folder: Path
    """`results/{dataset}/{method}`."""
    images: Path
    """The cached images as the method sees them."""
    entry: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """As in `Gallery`."""


def write_method_gallery(files: MethodFiles, dataset: Dataset) -> None:
    """Write the gallery of a method's test images, `gallery.html`, to the method's folder.

    Decisions and numbers are those of the score with dropout off, as in `metrics.json`.

    Parameters
    ----------
    files
        The method's; beside `images`, its `scores.csv`, `threshold.json`, `metrics.json` and
        `predictions.h5` are read.
    dataset
        The dataset's `dataset.h5`, open.

    Raises
    ------
    DualadError
        If a file is missing or damaged, or of another dataset.
    """
    method = read_method(files.folder)
    test = method.test
    labels = test["label"].to_numpy()
    chosen = shown_images(test["score"].to_numpy(), method.cutoff, labels)
    pictures = method_pictures(files.images, dataset, method, chosen)
    auroc = (method.metrics.get("ci") or {}).get("auroc")
    gallery = Gallery(
        title=f"{method.name} on {files.folder.parent.name}",
        rows=_rows(test),
        threshold=method.cutoff,
        rule=threshold_text(method.metrics) or str(method.threshold["rule"]),
        pictures=_thinned(pictures),
        facts=[
            f"{len(test)} test images, {np.sum(labels == 1)} anomalous and "
            f"{np.sum(labels == 0)} normal.",
            f"AUROC {cell(method.metrics.get('auroc'), fraction, auroc)}.",
        ],
        notes=[*method.notes, *filter(None, [dataset_note(files.folder.parent)])],
        home="../../index.html",
        entry=files.entry,
    )
    write_gallery(files.folder / FILE, gallery)


def read_method(folder: Path) -> MethodResults:
    """Read what the pages show of a method: its metrics, threshold and scores.

    Raises
    ------
    DualadError
        If a file is missing or damaged.
    """
    metrics, threshold = read_json(folder / "metrics.json"), read_json(folder / "threshold.json")
    return MethodResults(
        folder.name,
        str(metrics.get("family", "")),
        folder,
        read_scores(folder),
        threshold,
        metrics,
    )


def method_pictures(
    images: Path, dataset: Dataset, method: MethodResults, chosen: NDArray[np.int64]
) -> dict[int, Picture]:
    """The pictures of some of a method's test images.

    Parameters
    ----------
    images
        The cached images as the method sees them.
    dataset
        The dataset, with masks.
    method
        The method.
    chosen
        Positions in `method.test`.

    Returns
    -------
    dict
        By position.

    Raises
    ------
    DualadError
        If a file is damaged, or of another dataset.
    """
    rows = method.test.iloc[chosen]
    evidence = gather(dataset, method, rows)
    shown = evidence.image
    if images != dataset.path:
        with Dataset(images) as seen:
            order = pd.Index(seen.table["source"]).get_indexer(pd.Index(rows["image"]))
            shown = seen.images(order)
    heat = (
        None
        if evidence.anomaly_map is None or evidence.scale is None
        else evidence.scale.heat(evidence.anomaly_map)
    )
    return {
        int(position): picture(
            shown[i],
            None if heat is None else heat[i],
            None if evidence.truth is None else evidence.truth[i],
        )
        for i, position in enumerate(chosen)
    }


def _rows(test: pd.DataFrame) -> pd.DataFrame:
    """What a gallery shows of the test images' rows of `scores.csv`."""
    columns = ("image", "score", "label", "defect", "p_value")
    rows = test[[name for name in columns if name in test]]
    return rows.assign(uncertainty=np.sqrt(test["mc_var"])) if "mc_var" in test else rows


def _thinned(pictures: dict[int, Picture]) -> dict[int, Picture]:
    """The pictures, or as many at equal distances as fit."""
    size = sum(picture.size for picture in pictures.values())
    if size <= _MOST_BYTES:
        return pictures
    kept = np.linspace(0, len(pictures) - 1, len(pictures) * _MOST_BYTES // size).astype(int)
    positions = list(pictures)
    return {positions[i]: pictures[positions[i]] for i in kept}
