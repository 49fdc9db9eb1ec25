"""Which method to use for a dataset, by its validation images alone: `recommended.json`.

The rule is in `RULE`. docs/choices.md says why it is this one, and what it cost where it was tried.
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
from dualad.results.experiment import RECOMMENDATION_FILE, read_threshold

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

RESAMPLES = 1000
"""Bootstrap samples; fixed, so that the choice depends on no setting of the tables' intervals."""
_DECIMALS = 12
"""Values that agree to so many decimals tie: rounding noise chooses nothing."""

RULE = (
    "The contenders are the methods whose AUROC on the validation images is within one standard "
    "error of the highest, the standard error being that of the difference; all methods where "
    "validation has no anomalous image. Of the contenders, the one of highest AUROC on synthetic "
    "defects is recommended; of several, the one of highest validation AUROC, then the first in "
    "the configuration."
)


@dataclass(frozen=True)
class Sample:
    """Scores of normal and of anomalous images."""

    images: Indices
    """(n,) positions in the dataset; a synthetic defect has that of the image it was made of."""
    labels: NDArray[np.int64]
    """(n,) 0 normal, 1 anomalous or with a synthetic defect; both occur."""
    scores: Floats
    """(n,) higher is more anomalous."""

    def auroc(self, drawn: NDArray[np.int64]) -> Floats:
        """AUROC (b,) where row i of `drawn` (b, n) says how often each score counts."""
        order = np.argsort(-self.scores, kind="stable")
        first_of_ties = np.append(0, np.flatnonzero(np.diff(self.scores[order])) + 1)
        in_order = drawn[:, order]
        positives = np.add.reduceat(in_order * self.labels[order], first_of_ties, axis=1)
        negatives = np.add.reduceat(in_order, first_of_ties, axis=1) - positives
        return auroc(positives, negatives)


@dataclass(frozen=True)
class Candidate:
    """What a method says about the images that decide."""

    method: str
    family: str = ""
    score: str = ""
    """Name of the score."""
    notes: tuple[str, ...] = ()
    validation: Sample | None = None
    """None where validation has no anomalous image."""
    synthetic: Sample | None = None
    """Validation normals, and the same with synthetic defects; None if an earlier version scored
    them, which made no defects."""


@dataclass(frozen=True)
class Difference:
    """How far one AUROC lies above another."""

    value: float
    interval: Interval
    standard_error: float


class Comparison:
    """AUROCs of several methods, and their differences.

    Methods may have different validation images, as a network's selected attempt drew its own. So
    the bootstrap resamples all images that any of the methods has, normal and anomalous ones by
    themselves, and each method's AUROC is computed on those that it has: differences are paired
    over the images that two methods have in common, and over no others. An image and its synthetic
    defects are drawn together.

    Parameters
    ----------
    samples
        One per method.
    confidence
        Coverage of the intervals, in (0, 1).
    """

    def __init__(self, samples: Sequence[Sample], confidence: float) -> None:
        self._confidence = confidence
        self.values = [float(s.auroc(np.ones((1, len(s.scores)), np.int64))[0]) for s in samples]
        images = np.unique(np.concatenate([sample.images for sample in samples]))
        normal = np.concatenate([sample.images[sample.labels == 0] for sample in samples])
        positions = [np.searchsorted(images, sample.images) for sample in samples]
        parts = [
            [s.auroc(drawn[:, rows]) for s, rows in zip(samples, positions, strict=True)]
            for drawn in draws(~np.isin(images, normal), Resampling(RESAMPLES))
        ]
        self._resampled = np.concatenate(parts, axis=1)

    def interval(self, method: int) -> Interval:
        """Percentile interval of a method's AUROC."""
        return percentiles(self._resampled[method], self._confidence)

    def difference(self, first: int, second: int) -> Difference:
        """The AUROC of the first method minus that of the second."""
        differences = self._resampled[first] - self._resampled[second]
        return Difference(
            self.values[first] - self.values[second],
            percentiles(differences, self._confidence),
            float(np.nanstd(differences)),
        )


class Choice:
    """The candidates, and the one that `RULE` recommends.

    Parameters
    ----------
    candidates
        At least one, in the order of the configuration. Either all or none have a sample of
        validation images.
    confidence
        Coverage of the intervals, in (0, 1).

    Attributes
    ----------
    order : list of int
        Positions of the candidates: the recommended one, the other contenders as the rule prefers
        them, and the rest by validation AUROC.
    """

    def __init__(self, candidates: Sequence[Candidate], confidence: float = 0.95) -> None:
        self.candidates = candidates
        self.validation = _comparison([c.validation for c in candidates], confidence)
        self.synthetic = _comparison([c.synthetic for c in candidates], confidence)
        self.order = sorted(range(len(candidates)), key=self._preference)

    @property
    def leading(self) -> int:
        """Position of the candidate of highest validation AUROC, or else on synthetic defects."""
        comparison = self.validation or self.synthetic
        return int(np.argmax(np.round(comparison.values, _DECIMALS))) if comparison else 0

    def is_contender(self, candidate: int) -> bool:
        """Whether the validation images do not tell a candidate from the leading one."""
        if self.validation is None:
            return True
        difference = self.validation.difference(self.leading, candidate)
        return round(difference.value - difference.standard_error, _DECIMALS) <= 0

    def _preference(self, candidate: int) -> tuple[bool, float, float]:
        def rank(comparison: Comparison | None) -> float:
            return -round(comparison.values[candidate], _DECIMALS) if comparison else 0.0

        contender = self.is_contender(candidate)
        by_defects = rank(self.synthetic) if contender else 0.0
        return not contender, by_defects, rank(self.validation)

    def to_json(self) -> dict[str, Any]:
        """The content of `recommended.json`, but for the dataset's name."""
        chosen, *others = self.order
        return {
            "method": self.candidates[chosen].method,
            "reason": self._reason(),
            "rule": RULE,
            "next": self._next(chosen, others[0]) if others else None,
            "candidates": [self._entry(candidate) for candidate in self.order],
        }

    def _entry(self, candidate: int) -> dict[str, Any]:
        about = self.candidates[candidate]
        labels = about.validation.labels if about.validation else np.zeros(0)
        to_leading = self.validation and self.validation.difference(self.leading, candidate)
        return {
            "method": about.method,
            "family": about.family,
            "score": about.score,
            "contender": self.is_contender(candidate),
            **_values("validation", self.validation, candidate),
            "below_highest": to_leading.value if to_leading else None,
            "standard_error": to_leading.standard_error if to_leading else None,
            "n_normal": int(np.sum(labels == 0)),
            "n_anomalous": int(np.sum(labels == 1)),
            **_values("synthetic", self.synthetic, candidate),
            "n_defects": int(np.sum(about.synthetic.labels)) if about.synthetic else 0,
            "notes": list(about.notes),
        }

    def _next(self, chosen: int, other: int) -> dict[str, Any]:
        """How close the next one is: the chosen one's AUROC minus its, on both kinds of image."""
        entry: dict[str, Any] = {"method": self.candidates[other].method}
        for name, comparison in (("validation", self.validation), ("synthetic", self.synthetic)):
            difference = comparison and comparison.difference(chosen, other)
            entry[f"{name}_difference"] = difference.value if difference else None
            entry[f"{name}_difference_ci"] = difference.interval if difference else None
        return entry

    def _reason(self) -> str:
        """Why the first one is recommended, in words."""
        chosen = self.order[0]
        rivals = sum(map(self.is_contender, self.order)) - 1
        name, leading = self.candidates[chosen].method, self.candidates[self.leading].method
        by_defects = ""
        if self.synthetic:
            by_defects = f"highest AUROC on synthetic defects ({self.synthetic.values[chosen]:.3f})"
        if self.validation is None:
            return f"{name}: {by_defects}; validation has no anomalous image"
        value, highest = (self.validation.values[i] for i in (chosen, self.leading))
        if not rivals:
            return f"{name}: highest validation AUROC ({value:.3f}), by more than a standard error"
        among = f"{rivals + 1} methods are within a standard error of the highest"
        if not self.synthetic:
            return (
                f"{name}: highest validation AUROC ({value:.3f}); {among}, and without scores of "
                "synthetic defects nothing else decides among them"
            )
        if chosen == self.leading:
            return f"{name}: highest validation AUROC ({value:.3f}); {among}, and it has the {by_defects}"
        return (
            f"{name}: validation AUROC {value:.3f}; {among}, {highest:.3f} ({leading}), and of "
            f"these it has the {by_defects}"
        )


def _comparison(samples: Sequence[Sample | None], confidence: float) -> Comparison | None:
    """Of all methods or of none: where one has no sample, nothing can be compared."""
    present = [sample for sample in samples if sample is not None]
    return Comparison(present, confidence) if len(present) == len(samples) else None


def _values(name: str, comparison: Comparison | None, candidate: int) -> dict[str, Any]:
    return {
        f"{name}_auroc": comparison.values[candidate] if comparison else None,
        f"{name}_auroc_ci": comparison.interval(candidate) if comparison else None,
    }


def read_candidate(folder: Path, split: Split) -> Candidate:
    """What a scored method says about the images that decide; test images are not looked at.

    Parameters
    ----------
    folder
        `results/{dataset}/{method}`.
    split
        The dataset's.

    Raises
    ------
    DualadError
        If a file is missing or damaged, or validation has no anomalous images and no synthetic
        defects either.
    """
    path = folder / "predictions.h5"
    predictions = read_predictions(path, "scores", "synthetic")
    threshold = read_threshold(folder) or {}
    with reading(folder / "threshold.json"):
        score = str(threshold["score"])
        scores = predictions.scores[score]
    is_validation = predictions.split == "val"
    images, scores = predictions.index[is_validation], scores[is_validation]
    anomalous = np.isin(images, split.validation_anomalous)
    synthetic = None
    if (defects := predictions.synthetic) is not None:
        synthetic = _sample(
            images[~anomalous], scores[~anomalous], defects.index, defects.scores[score]
        )
    validation = None
    if np.any(anomalous):
        validation = _sample(
            images[~anomalous], scores[~anomalous], images[anomalous], scores[anomalous]
        )
    elif synthetic is None:
        raise DualadError(
            f"{path}: validation has no anomalous image, and no synthetic defects were scored; "
            "delete the file and run the workflow again"
        )
    about = predictions.family, score, predictions.notes
    return Candidate(folder.name, *about, validation, synthetic)


def _sample(
    normal: Indices, normal_scores: Floats, anomalous: Indices, anomalous_scores: Floats
) -> Sample:
    return Sample(
        np.append(normal, anomalous),
        np.repeat([0, 1], [len(normal), len(anomalous)]),
        np.append(normal_scores, anomalous_scores),
    )


def write_recommendation(folder: Path, methods: Sequence[str], confidence: float = 0.95) -> None:
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
    split = Split.read(folder / "split.json")
    choice = Choice([read_candidate(folder / name, split) for name in methods], confidence)
    write_json(folder / RECOMMENDATION_FILE, {"dataset": folder.name, **choice.to_json()})


def read_recommendation(path: Path) -> Mapping[str, Any] | None:
    """Read `recommended.json`; None without the file.

    Raises
    ------
    DualadError
        If the file cannot be read; the message names it.
    """
    return read_json(path) if path.exists() else None
