"""Use a finished detector: score a folder of new images."""

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from dualad.data.images import load_image
from dualad.data.readers.image_files import is_visible
from dualad.design.experiments import resolve_methods
from dualad.errors import DualadError, write_error
from dualad.evaluation.evaluator import apply_threshold
from dualad.evaluation.maps import resized_maps
from dualad.figures.evidence import normalised
from dualad.figures.mosaic import overlay
from dualad.files import read_json, reading, replacing, write_text
from dualad.methods.base import FitReport, FloatArray, Scored
from dualad.methods.jobs import detector_class
from dualad.runtime import Runtime

logger = logging.getLogger(__name__)

_OVERLAY_SIDE = 256
"""Smaller pictures are enlarged to at least this: one of 68 pixels is too small to look at."""


def score_folder(
    results: Path, images: Path, out: Path, runtime: Runtime, overlays: bool = True
) -> list[tuple[str, str]]:
    """Score every image below a folder with a method's fitted model and threshold.

    Images are read as the method saw them in training: in gray or colour, at its size, or as depth.

    Parameters
    ----------
    results : Path
        A method's folder in the result tree, such as `results/bottle/dual`.
    images : Path
        Searched with its subfolders; hidden files and what this function wrote are left
        out.
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
        If the results are incomplete or damaged, no image could be read, nothing can be written, or
        `out` is a method's folder.
    """
    report, threshold = _read_results(results)
    if not images.is_dir():
        raise DualadError(f"{images}: no such folder of images")
    if (out / "fit.json").exists():
        raise DualadError(
            f"{out}: holds the results of a fitted method, among them a scores.csv of its own; "
            "choose another folder with --out"
        )
    method = resolve_methods({"model": threshold["method"]})["model"]
    detector = detector_class(method.family, runtime).load(results, method.params)

    names = _image_names(images, out)
    unreadable: list[tuple[str, str]] = []
    rows: list[pd.DataFrame] = []
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(out, error) from error
    for batch_names, batch in _batches(images, names, report, detector.scoring_batch, unreadable):
        scored = detector.score(batch)
        rows.append(_rows(batch_names, scored, threshold))
        if overlays:
            _write_overlays(out / "overlays", batch_names, batch, scored, threshold["score"])
        logger.info("%d of %d images", sum(map(len, rows)) + len(unreadable), len(names))
    listed = pd.DataFrame(unreadable, columns=["image", "reason"])
    write_text(out / "unreadable.csv", listed.to_csv(index=False))
    if not rows:
        why = f", see {out / 'unreadable.csv'}" if unreadable else ""
        raise DualadError(f"{images}: none of {len(names)} files is a readable image{why}")
    write_text(out / "scores.csv", pd.concat(rows).to_csv(index=False))
    return unreadable


def _read_results(results: Path) -> tuple[FitReport, dict[str, Any]]:
    """What fitting and evaluation left: `fit.json` and `threshold.json`."""
    for name in ("fit.json", "threshold.json"):
        if not (results / name).exists():
            raise DualadError(
                f"{results}: no {name}; name the results folder of one method, such as "
                "results/bottle/dual, after its run has finished"
            )
    with reading(results / "fit.json"):
        report = FitReport.read(results / "fit.json")
    return report, read_json(results / "threshold.json")


def _image_names(folder: Path, out: Path) -> list[str]:
    """Visible files below a folder, without what an earlier call wrote there."""
    written = {(out / name).resolve() for name in ("overlays", "scores.csv", "unreadable.csv")}
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
        and all(map(is_visible, path.relative_to(folder).parts))
        and written.isdisjoint((path.resolve(), *path.resolve().parents))
    )


def _batches(
    folder: Path,
    names: Sequence[str],
    report: FitReport,
    size: int,
    unreadable: list[tuple[str, str]],
) -> Iterator[tuple[list[str], FloatArray]]:
    """Readable images in batches, the others appended to `unreadable`."""
    depth_range = None if report.depth_range is None else tuple(report.depth_range)
    value_range = None if report.value_range is None else tuple(report.value_range)
    found: list[tuple[str, FloatArray]] = []
    for name in names:
        try:
            image = load_image(
                folder / name,
                report.image_size,
                color=report.color,
                depth_range=depth_range,  # type: ignore[arg-type]
                value_range=value_range,  # type: ignore[arg-type]
            )
            found.append((name, image))
        except DualadError as error:
            logger.warning("left out: %s", error)
            unreadable.append((name, str(error)))
        if len(found) == size:
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
    side = images.shape[1]
    enlarged = side * math.ceil(_OVERLAY_SIDE / side)
    heat = normalised(resized_maps(maps, (side, side)))
    for name, image, values in zip(names, images, heat, strict=True):
        pixels = np.rint(255 * overlay(image, values)).astype(np.uint8)
        picture = Image.fromarray(pixels).resize((enlarged, enlarged), Image.Resampling.NEAREST)
        with replacing(folder / f"{name}.png") as temporary:
            picture.save(temporary)
