"""Which method to use for a dataset, by its validation images alone: `recommended.json`.

The rule is in `RULE`. docs/choices.md says why it is this one, and how often it was right.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualad.data.split import Split
from dualad.errors import DualadError
from dualad.evaluation.bootstrap import Interval, Resampling, auroc, draws, percentiles
from dualad.evaluation.predictions import read_predictions
from dualad.files import read_json, reading, write_json
from dualad.results.experiment import read_threshold

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

FILE = "recommended.json"
RESAMPLES = 1000
"""Bootstrap samples; fixed, so that the choice depends on no setting of the tables' intervals."""
_DECIMALS = 12
"""Values that agree to so many decimals tie: rounding noise chooses nothing."""

RULE = (
    "The method of highest validation AUROC leads. Methods within one standard error of it, the "
    "standard error being that of their difference by a bootstrap of the validation images, are "
    "not told apart; of these and the leading one, the one with the fewest parameters is "
    "recommended, and of several the one of highest validation AUROC, then the first in the "
    "configuration."
)


@dataclass(frozen=True)
class Candidate:
    """What a method says about the images that decide."""

    method: str
    family: str
    score: str
    """Name of the score."""
    n_parameters: int
    notes: tuple[str, ...]
    images: Indices
    """(n,) positions in the dataset; a synthetic defect has that of the image it was made of."""
    labels: NDArray[np.int64]
    """(n,) 0 normal, 1 anomalous or with a synthetic defect; both occur."""
    scores: Floats
    """(n,) higher is more anomalous."""


@dataclass(frozen=True)
class Judged:
    """A candidate's validation AUROC, and how far it is from the highest."""

    candidate: Candidate
    auroc: float
    interval: Interval
    difference: float
    """The highest validation AUROC minus this one, at least 0."""
    difference_interval: Interval
    standard_error: float
    """Of the difference."""

    @property
    def is_contender(self) -> bool:
        """Whether the candidate is not told apart from the leading one."""
        return round(self.difference - self.standard_error, _DECIMALS) <= 0

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `recommended.json` holds them."""
        candidate = self.candidate
        return {
            "method": candidate.method,
            "family": candidate.family,
            "score": candidate.score,
            "auroc": self.auroc,
            "ci": self.interval,
            "difference": self.difference,
            "difference_ci": self.difference_interval,
            "standard_error": self.standard_error,
            "contender": self.is_contender,
            "n_parameters": candidate.n_parameters,
            "n_normal": int(np.sum(candidate.labels == 0)),
            "n_anomalous": int(np.sum(candidate.labels == 1)),
            "notes": list(candidate.notes),
        }


def judge(candidates: Sequence[Candidate], confidence: float = 0.95) -> list[Judged]:
    """Compare the candidates' AUROCs on the images that decide, the best first.

    Methods may have different validation images, as a network's selected attempt drew its own. So
    the bootstrap resamples all images that any candidate has, normal and anomalous ones by
    themselves, and every candidate's AUROC is computed on those of them that it has: differences
    are paired over the images that two methods have in common, and over no others.

    Parameters
    ----------
    candidates
        At least one, with both classes each.
    confidence
        Coverage of the intervals, in (0, 1).

    Returns
    -------
    list
        In the order in which the rule prefers them.
    """
    values = np.array([_auroc_of(candidate, _once(candidate))[0] for candidate in candidates])
    resampled = _resampled(candidates)
    leading = int(np.argmax(np.round(values, _DECIMALS)))
    judged = []
    for candidate, value, samples in zip(candidates, values, resampled, strict=True):
        differences = resampled[leading] - samples
        judged.append(
            Judged(
                candidate,
                float(value),
                percentiles(samples, confidence),
                float(values[leading] - value),
                percentiles(differences, confidence),
                float(np.nanstd(differences)),
            )
        )
    return sorted(judged, key=_preference)


def _preference(judged: Judged) -> tuple[Any, ...]:
    rank = -round(judged.auroc, _DECIMALS)
    if not judged.is_contender:
        return (1, rank)
    return (0, judged.candidate.n_parameters, rank)


def _resampled(candidates: Sequence[Candidate]) -> Floats:
    """AUROC (k, b) of each candidate on the same b samples of all images."""
    images = np.unique(np.concatenate([candidate.images for candidate in candidates]))
    normal = np.concatenate([c.images[c.labels == 0] for c in candidates])
    # An image with synthetic defects is drawn together with them.
    anomalous = ~np.isin(images, normal)
    parts = []
    for drawn in draws(anomalous, Resampling(RESAMPLES)):
        parts.append(
            [
                _auroc_of(candidate, drawn[:, np.searchsorted(images, candidate.images)])
                for candidate in candidates
            ]
        )
    return np.concatenate(parts, axis=1)


def _once(candidate: Candidate) -> NDArray[np.int64]:
    return np.ones((1, len(candidate.scores)), dtype=np.int64)


def _auroc_of(candidate: Candidate, drawn: NDArray[np.int64]) -> Floats:
    """AUROC (b,) where row i says how often each image of the candidate is drawn."""
    order = np.argsort(-candidate.scores, kind="stable")
    first_of_ties = np.append(0, np.flatnonzero(np.diff(candidate.scores[order])) + 1)
    in_order = drawn[:, order]
    positives = np.add.reduceat(in_order * candidate.labels[order], first_of_ties, axis=1)
    negatives = np.add.reduceat(in_order, first_of_ties, axis=1) - positives
    return auroc(positives, negatives)


def read_candidate(folder: Path, split: Split) -> Candidate:
    """What a scored method says about the images that decide.

    They are the validation images, and where the split has no anomalous ones, the normal ones and
    their synthetic defects. Scores of test images are not looked at.

    Parameters
    ----------
    folder
        `results/{dataset}/{method}`.
    split
        The dataset's.

    Raises
    ------
    DualadError
        If a file is missing or damaged, or holds no scores of both classes.
    """
    path = folder / "predictions.h5"
    predictions = read_predictions(path, "scores", "synthetic")
    threshold = read_threshold(folder) or {}
    with reading(folder / "threshold.json"):
        score = str(threshold["score"])
    validation = predictions.split == "val"
    images, scores = predictions.index[validation], predictions.scores[score][validation]
    labels = np.isin(images, split.validation_anomalous).astype(np.int64)
    if not split.validation_anomalous and predictions.synthetic is not None:
        synthetic = predictions.synthetic
        images = np.append(images, synthetic.index)
        scores = np.append(scores, synthetic.scores[score])
        labels = np.append(labels, np.ones(len(synthetic.index), dtype=np.int64))
    if len(np.unique(labels)) < 2:
        raise DualadError(
            f"{path}: no scores of {'normal' if np.all(labels) else 'anomalous'} validation "
            "images, nor of synthetic defects; delete the file and run the workflow again"
        )
    return Candidate(
        folder.name,
        predictions.family,
        score,
        predictions.n_parameters,
        predictions.notes,
        images,
        labels,
        scores,
    )


def write_recommendation(
    folder: Path, methods: Sequence[str], confidence: float = 0.95
) -> None:
    """Write `recommended.json` of a dataset.

    Parameters
    ----------
    folder
        `results/{dataset}`.
    methods
        Names of the methods to choose among, in the order of the configuration.
    confidence
        Coverage of the intervals, in (0, 1).

    Raises
    ------
    DualadError
        If a method's files are missing or damaged.
    """
    split_json = folder / "split.json"
    values = read_json(split_json)
    with reading(split_json):
        split = Split.from_json(values)
    judged = judge([read_candidate(folder / name, split) for name in methods], confidence)
    write_json(folder / FILE, recommendation(folder.name, judged, bool(split.validation_anomalous)))


def recommendation(dataset: str, judged: Sequence[Judged], has_anomalies: bool) -> dict[str, Any]:
    """The content of `recommended.json`.

    Parameters
    ----------
    dataset
        Its name.
    judged
        What `judge` returned.
    has_anomalies
        Whether validation has anomalous images; if not, synthetic defects stood in for them.
    """
    chosen, *others = judged
    evidence = "anomalous validation images" if has_anomalies else "synthetic defects"
    return {
        "dataset": dataset,
        "method": chosen.candidate.method,
        "reason": _reason(judged, evidence),
        "rule": RULE,
        "evidence": evidence,
        "auroc": chosen.auroc,
        "ci": chosen.interval,
        "next": others[0].candidate.method if others else None,
        "candidates": [item.to_json() for item in judged],
    }


def _reason(judged: Sequence[Judged], evidence: str) -> str:
    """Why the first one is recommended, and how close the next is, in words."""
    chosen, *others = judged
    leading = max(judged, key=lambda item: round(item.auroc, _DECIMALS))
    rivals = [item.candidate.method for item in others if item.is_contender]
    n_anomalous = int(np.sum(chosen.candidate.labels))
    text = (
        f"{chosen.candidate.method} has a validation AUROC of {chosen.auroc:.3f} against "
        f"{n_anomalous} {evidence}"
    )
    if chosen.difference > 0:
        text += (
            f"; it has fewer parameters than {leading.candidate.method} ({leading.auroc:.3f}), and "
            "the images do not tell the two apart"
        )
    if rivals:
        return f"{text}; not told apart from it: {', '.join(rivals)}"
    if others:
        text += f"; the next is {others[0].candidate.method} ({others[0].auroc:.3f})"
    return text


def method_folder(folder: Path) -> Path:
    """The folder of a method, where that of a dataset may stand for its recommended method.

    Parameters
    ----------
    folder
        `results/{dataset}/{method}`, or `results/{dataset}`; which method the latter stands for is
        logged.

    Raises
    ------
    DualadError
        If it is a dataset's folder without `recommended.json`, or the method that this names has no
        folder there.
    """
    path = folder / FILE
    if (folder / "fit.json").exists():
        return folder
    if not path.exists():
        if (folder / "split.json").exists():
            raise DualadError(
                f"{folder}: no {FILE}; make it with `snakemake results/{folder.name}/{FILE}`, or "
                "name the folder of one of its methods"
            )
        return folder
    values = read_json(path)
    with reading(path):
        method, reason = str(values["method"]), str(values["reason"])
    if not (folder / method).is_dir():
        raise DualadError(
            f"{path}: it recommends {method!r}, whose folder {folder / method} is gone; run the "
            "workflow again, or name the folder of another method"
        )
    logger.info("%s: the recommended method is %s: %s", folder, method, reason)
    return folder / method


def read_recommendation(path: Path) -> Mapping[str, Any] | None:
    """Read `recommended.json`; None without the file.

    Raises
    ------
    DualadError
        If the file cannot be read; the message names it.
    """
    return read_json(path) if path.exists() else None
