"""Use a finished detector: score a folder of new images."""

import csv
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from dualad.data import load_image
from dualad.device import Runtime
from dualad.errors import DualadError
from dualad.evaluation import apply_threshold
from dualad.experiments import resolve_methods
from dualad.figures.evidence import normalised
from dualad.figures.mosaic import overlay
from dualad.methods import detector_class
from dualad.methods.base import FitReport, FloatArray, Scored

logger = logging.getLogger(__name__)

_BATCH = 256
_OVERLAY_SCALE = 4
"""A 68-pixel picture is too small to look at."""


def score_folder(
    results: Path, images: Path, out: Path, runtime: Runtime, overlays: bool = True
) -> list[tuple[str, str]]:
    """Score every image below a folder with a method's fitted model and threshold.

    Parameters
    ----------
    results : Path
        A method's folder in the result tree, such as `results/bottle/dual`.
    images : Path
        Searched with its subfolders; hidden files are left out.
    out : Path
        Gets `scores.csv` (image, score, decision, probability; uncertainty, the standard deviation
        of the score under Monte Carlo dropout, and mc_mean, mc_var, mc_score, mc_probability,
        mc_decision, which are empty for a method without it), `unreadable.csv` (image, reason) and
        `overlays/`, one PNG for every image, if the method has anomaly maps.
    overlays : bool
        Whether to write the overlays.

    Returns
    -------
    list of (image, reason)
        Files that could not be read; all others were scored.

    Raises
    ------
    DualadError
        If the results are incomplete, or no image could be read.
    """
    for name in ("fit.json", "threshold.json"):
        if not (results / name).exists():
            raise DualadError(
                f"{results}: no {name}; name the results folder of one method, such as "
                "results/bottle/dual, after its run has finished"
            )
    if not images.is_dir():
        raise DualadError(f"{images}: no such folder of images")
    threshold = json.loads((results / "threshold.json").read_text())
    report = FitReport.read(results / "fit.json")
    method = resolve_methods({"model": threshold["method"]})["model"]
    detector = detector_class(method.family, runtime).load(results, method.params)

    out.mkdir(parents=True, exist_ok=True)
    names = sorted(
        path.relative_to(images).as_posix()
        for path in images.rglob("*")
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(images).parts)
    )
    unreadable: list[tuple[str, str]] = []
    rows: list[pd.DataFrame] = []
    for batch_names, batch in _batches(images, names, report, unreadable):
        scored = detector.score(batch)
        rows.append(_rows(batch_names, scored, threshold))
        if overlays:
            _write_overlays(out / "overlays", batch_names, batch, scored, threshold["score"])
        logger.info("%d of %d images", sum(map(len, rows)) + len(unreadable), len(names))
    if not rows:
        raise DualadError(f"{images}: none of {len(names)} files is a readable image")
    pd.concat(rows).to_csv(out / "scores.csv", index=False)
    with (out / "unreadable.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "reason"), *unreadable])
    return unreadable


def _batches(
    folder: Path,
    names: Sequence[str],
    report: FitReport,
    unreadable: list[tuple[str, str]],
) -> Iterator[tuple[list[str], FloatArray]]:
    """Readable images in batches, the others appended to `unreadable`."""
    depth_range = None if report.depth_range is None else tuple(report.depth_range)
    found: list[tuple[str, FloatArray]] = []
    for name in names:
        try:
            image = load_image(folder / name, report.image_size, depth_range=depth_range)  # type: ignore[arg-type]
            found.append((name, image))
        except DualadError as error:
            logger.warning("left out: %s", error)
            unreadable.append((name, str(error)))
        if len(found) == _BATCH:
            yield [name for name, _ in found], np.stack([image for _, image in found])
            found = []
    if found:
        yield [name for name, _ in found], np.stack([image for _, image in found])


def _rows(names: Sequence[str], scored: Scored, threshold: dict[str, object]) -> pd.DataFrame:
    score = str(threshold["score"])
    decided = apply_threshold(
        threshold, scored.scores[score], scored.mc_mean.get(score), scored.mc_var.get(score)
    )
    decided.insert(0, "image", list(names))
    decided.insert(4, "uncertainty", np.sqrt(decided["mc_var"]))
    return decided


def _write_overlays(
    folder: Path, names: Sequence[str], images: FloatArray, scored: Scored, score: str
) -> None:
    maps = scored.maps.get(score)
    if maps is None:
        return
    for name, image, heat in zip(names, images, normalised(maps), strict=True):
        picture = Image.fromarray(np.rint(255 * overlay(image, heat)).astype(np.uint8))
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (picture.width * _OVERLAY_SCALE, picture.height * _OVERLAY_SCALE)
        picture.resize(size, Image.Resampling.NEAREST).save(path)
