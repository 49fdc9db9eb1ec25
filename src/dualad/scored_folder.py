"""Use a finished detector: score a folder of new images."""

import errno
import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from dualad.data.formats import UnreadableImageError
from dualad.data.walk import files_below
from dualad.deployment.fitted import FittedMethod
from dualad.deployment.given import GivenImage
from dualad.detector import LoadedDetector
from dualad.errors import DualadError, write_error
from dualad.evaluation.agreement import threshold_probability, validation_base_rate
from dualad.figures.heat import HeatScale
from dualad.figures.overlays import overlay_picture
from dualad.files import replacing, write_json, write_text
from dualad.methods.base import FloatArray, Floats
from dualad.pages.gallery import MOST_PICTURES
from dualad.pages.pictures import Picture
from dualad.progress import progress_bar
from dualad.runtime import Runtime
from dualad.scored_gallery import FILE as _GALLERY
from dualad.scored_gallery import batch_pictures, write_scored_gallery

logger = logging.getLogger(__name__)

_SCORES = "scores.csv"
_UNREADABLE = "unreadable.csv"
_DRIFT = "drift.json"
_OVERLAYS = "overlays"
_MANIFEST = ".dualad-score.json"
"""Lists the files that a run writes, so that the next one removes those and no others."""

_CAUSES = (
    "unless most of these images are anomalous, look for another camera, light, position or "
    "product, and train on images of it"
)

_NAME_ERRORS = frozenset(
    {
        errno.ENAMETOOLONG,
        errno.EINVAL,
        errno.EILSEQ,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.EEXIST,
    }
)
"""What a file system answers to a name that it does not take; other files can still be written."""

_FIRST_COLUMNS = ["image", "score", "decision", "probability", "uncertainty"]
"""By these a table of version 0.1 is known."""
_UNREADABLE_COLUMNS = ["image", "reason"]
_ADDED_BYTES = 32
"""By how much the name of an unfinished file may be longer than its own."""
_KEPT_BYTES = 80
"""How much of a name that is too long is kept."""


def score_folder(
    results: Path,
    images: Path,
    out: Path,
    runtime: Runtime,
    overlays: bool = True,
    base_rate: float | None = None,
) -> list[tuple[str, str]]:
    """Score every image below a folder with a method's fitted model and threshold.

    Images are read as the method saw them in training: in gray or colour, at its size, or as depth.
    What an earlier call wrote to `out` is removed first, and nothing else.

    Parameters
    ----------
    results : Path
        A method's folder in the result tree, such as `results/bottle/dual`; or a dataset's, such
        as `results/bottle`, for the method that its `recommended.json` names; or a file that
        `dualad export` wrote. Overlays of results in the tree need the method's `predictions.h5`
        and `scores.csv`, beside what fitting and evaluation left.
    images : Path
        Searched with its subfolders, also linked ones; hidden files and what this function wrote
        are left out.
    out : Path
        Gets `scores.csv` (image, score, decision, probability; uncertainty, the standard deviation
        of the score under Monte Carlo dropout; threshold_probability, that of an image at the
        threshold; remark, where decision and probability seem to differ; p_value, the share of
        normal images that score as high; and mc_mean, mc_var, mc_score, mc_probability, mc_p_value,
        mc_decision, which are empty for a method without it), `unreadable.csv` (image, reason),
        `drift.json` (`dualad.evaluation.drift.measure_drift`), `gallery.html`, a page to look at
        the images by their scores, and `overlays/`, one PNG for every image, if the method has
        anomaly maps. All heat has one scale of colours, see `dualad.figures.heat.HeatScale`.
    overlays : bool
        Whether to write the overlays, and heat in the gallery.
    base_rate : float, optional
        Share of anomalies among the images, in (0, 1), at which the probabilities hold; by default
        that of the method's validation images. Decisions do not depend on it.

    Returns
    -------
    list of (image, reason)
        Files that could not be read, or whose overlay could not be written; all others were scored.

    Raises
    ------
    DualadError
        If the results are incomplete or damaged, `images` is no folder, no image could be read,
        nothing can be written, `out` is a method's folder or holds files of the same names that no
        call wrote, or `base_rate` is no share or the method has no probabilities.
    """
    if (out / "fit.json").exists():
        raise DualadError(
            f"{out}: holds the results of a fitted method, among them a scores.csv of its own; "
            "choose another folder with --out"
        )
    _remove_earlier(out)
    if not images.is_dir():
        is_file = images.exists()
        what = "a file; name the folder that it is in" if is_file else "no such folder of images"
        raise DualadError(f"{images}: {what}")
    detector = LoadedDetector.read(results, runtime)
    detector.check_base_rate(base_rate)
    scale = detector.heat_scale if overlays else None

    found, problems = files_below(images)
    names = _without_earlier(images, found)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(out, error) from error
    overlay_paths = {} if scale is None else _overlay_paths(out, names)
    _begin(out, [_SCORES, _UNREADABLE, _DRIFT, _GALLERY, *overlay_paths.values()])

    rows: list[pd.DataFrame] = []
    measured: list[dict[str, Floats]] = []
    pictures: dict[str, Picture] = {}
    given = [GivenImage(name, images / name) for name in names]
    with progress_bar("scoring", len(given), "image") as bar:
        for batch, pixels, scored in detector.scored_batches(given, problems):
            rows.append(detector.rows(batch, scored, base_rate))
            measured.append(detector.measured(pixels, scored))
            if scale is not None:
                paths = {image.name: out / overlay_paths[image.name] for image in batch}
                maps = scored.maps[detector.fitted.score]
                problems += _write_overlays(images, paths, maps, scale, detector.fitted)
            first = batch[: MOST_PICTURES - len(pictures)]
            pictures |= batch_pictures(detector, first, pixels, scored, scale)
            bar.update(len(batch))
    listed = pd.DataFrame(sorted(problems), columns=_UNREADABLE_COLUMNS)
    write_text(out / _UNREADABLE, listed.to_csv(index=False))
    if not rows:
        why = f", see {out / _UNREADABLE}" if problems else ""
        raise DualadError(f"{images}: none of {len(names)} files is a readable image{why}")
    scores = pd.concat(rows)
    _log_decisions(scores, detector.fitted.threshold, base_rate)
    drift = detector.compared(measured)
    if drift["warning"]:
        logger.warning("%s: %s", drift["warning"], _CAUSES)
    write_json(out / _DRIFT, drift)
    left_out = f"{len(problems)} files have a problem, see {_UNREADABLE}" if problems else ""
    notes = [*filter(None, [drift["warning"], left_out]), *detector.fitted.report.notes]
    write_scored_gallery(out / _GALLERY, detector, images, scores, scale, notes, pictures)
    write_text(out / _SCORES, scores.to_csv(index=False))
    return sorted(problems)


def _remove_earlier(out: Path) -> None:
    """Remove what an earlier run wrote, the scores first and the list of it all last."""
    for name in _written_earlier(out):
        path = out / name
        try:
            # A folder of that name is none of ours.
            with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                path.unlink()
        except OSError as error:
            raise write_error(path, error) from error
        for parent in path.relative_to(out).parents[:-1]:
            with suppress(OSError):
                (out / parent).rmdir()


def _written_earlier(out: Path) -> list[str]:
    """Names of the files that an earlier run wrote or was to write."""
    manifest = out / _MANIFEST
    if manifest.exists():
        return [*_read_manifest(manifest), _MANIFEST]
    # Version 0.1 kept no list, but its tables tell.
    names: list[str] = []
    with suppress(OSError, ValueError):
        scores = pd.read_csv(
            out / _SCORES, dtype=str, keep_default_na=False, encoding_errors="surrogateescape"
        )
        if list(scores.columns[: len(_FIRST_COLUMNS)]) == _FIRST_COLUMNS:
            names += [_SCORES, *(f"{_OVERLAYS}/{name}.png" for name in scores["image"])]
    with suppress(OSError, ValueError):
        columns = pd.read_csv(out / _UNREADABLE, nrows=0, encoding_errors="surrogateescape").columns
        if list(columns) == _UNREADABLE_COLUMNS:
            names.append(_UNREADABLE)
    return [name for name in names if ".." not in PurePosixPath(name).parts]


def _read_manifest(manifest: Path) -> list[str]:
    """Names in the list of an earlier run, none of which leads out of its folder."""
    try:
        names = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        paths = [PurePosixPath(name) for name in names]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(manifest) from error
    for path in paths:
        files = (_SCORES, _UNREADABLE, _DRIFT, _GALLERY)
        known = str(path) in files or path.parts[:1] == (_OVERLAYS,)
        if not known or ".." in path.parts:
            raise _damaged(manifest)
    return list(map(str, paths))


def _damaged(manifest: Path) -> DualadError:
    return DualadError(
        f"{manifest}: the list of what an earlier run wrote is damaged; remove the folder "
        f"{manifest.parent}, or choose another with --out"
    )


def _begin(out: Path, names: Sequence[str]) -> None:
    """Write down which files a run is going to write; refuse to overwrite any that is there."""
    for name in names:
        if os.path.lexists(out / name):
            raise DualadError(
                f"{out / name}: no earlier `dualad score` wrote this file; move it away, or choose "
                "another folder with --out"
            )
    write_json(out / _MANIFEST, {"files": list(names)})


def _without_earlier(images: Path, names: Sequence[str]) -> list[str]:
    """The names without files that runs wrote to folders among the images."""
    written: set[str] = set()
    for folder in {parent for name in names for parent in PurePosixPath(name).parents}:
        manifest = images / folder / _MANIFEST
        if manifest.exists():
            written |= {str(folder / name) for name in _read_manifest(manifest)}
    return [name for name in names if name not in written]


def _overlay_paths(out: Path, names: Sequence[str]) -> dict[str, str]:
    """Path of each image's overlay, relative to `out`.

    It is the image's name with `.png` at its end. Where the file system does not allow it, or
    another overlay or folder has it, it is the beginning of the name with a hash of it all.
    """
    longest_name = os.pathconf(out, "PC_NAME_MAX")
    longest_path = os.pathconf(out, "PC_PATH_MAX") - _ADDED_BYTES - len(os.fsencode(out))
    paths = {name: f"{_OVERLAYS}/{name}.png" for name in names}
    # Some file systems take names for the same that differ in case only.
    folders = {parent for path in paths.values() for parent in PurePosixPath(path).parents}
    taken = {str(folder).casefold() for folder in folders}
    for name, path in paths.items():
        too_long = len(os.fsencode(path)) > longest_path or any(
            len(os.fsencode(part)) > longest_name for part in PurePosixPath(path).parts
        )
        if too_long or path.casefold() in taken:
            paths[name] = f"{_OVERLAYS}/{_hashed(name)}.png"
            logger.info("%s: its overlay is %s", name, paths[name])
        taken.add(paths[name].casefold())
    return paths


def _hashed(name: str) -> str:
    """The beginning of a file's name, and a hash of its path."""
    start = os.fsencode(PurePosixPath(name).name)[:_KEPT_BYTES].decode("utf-8", "ignore")
    return f"{start}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"


def _log_decisions(
    scores: pd.DataFrame, threshold: Mapping[str, Any], base_rate: float | None
) -> None:
    """Say what the decisions and the probabilities of a finished run mean."""
    logger.info(
        "%d of %d images called anomalous: score above %.4g, the threshold by the rule %s",
        int(np.sum(scores["decision"] == 1)),
        len(scores),
        threshold["threshold"],
        threshold["rule"],
    )
    validation = validation_base_rate(threshold)
    if validation is None:
        logger.info("no probabilities: the validation images were of one class")
        return
    logger.info(
        "probabilities hold where %.3g %% of the images are anomalous%s; the threshold lies at a "
        "probability of %.2g",
        100 * (base_rate or validation),
        "" if base_rate else ", as in validation (another share: --base-rate)",
        threshold_probability(threshold, base_rate),
    )
    for remark, images in Counter(filter(None, scores["remark"])).items():
        logger.info("%d image%s %s", images, "" if images == 1 else "s", remark)


def _write_overlays(
    folder: Path,
    paths: Mapping[str, Path],
    maps: FloatArray,
    scale: HeatScale,
    fitted: FittedMethod,
) -> list[tuple[str, str]]:
    """Write the overlays of a batch, by image; return the images without one, and the reasons."""

    def write(name: str, anomaly_map: FloatArray) -> str | None:
        return _write_overlay(folder / name, paths[name], anomaly_map, scale, fitted)

    # Decoding, resizing and compressing need no lock of Python's.
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        reasons = list(pool.map(write, paths, maps))
    return [(name, reason) for name, reason in zip(paths, reasons, strict=True) if reason]


def _write_overlay(
    image: Path, path: Path, anomaly_map: FloatArray, scale: HeatScale, fitted: FittedMethod
) -> str | None:
    """Write one image's overlay; return why that is impossible for this image, if it is."""
    try:
        picture = overlay_picture(
            image, anomaly_map, scale, color=fitted.report.color, **fitted.ranges
        )
        with replacing(path) as temporary:
            picture.save(temporary, compress_level=3)
    except UnreadableImageError as error:
        return f"scored, but the overlay could not be drawn: {error}"
    except DualadError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno not in _NAME_ERRORS:
            raise
        logger.warning("no overlay: %s", error)
        return f"scored, but the overlay could not be written: {error}"
    return None
