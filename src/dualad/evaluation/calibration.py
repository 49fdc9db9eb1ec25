"""From scores to probabilities, and how far to trust them (section 5.5, table 10).

The paper reports an expected calibration error and does not say how a score becomes a probability.
Here a calibrator fitted on the validation set maps the score to the probability that an image is
anomalous; its base rate is that of the validation set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from dualad.errors import DualadError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LogisticCalibrator:
    """Platt scaling: a logistic function of the score standardised on validation.

    It falls with the score where validation says that higher scores are less anomalous.
    """

    mean: float
    scale: float
    coefficient: float
    intercept: float

    def probabilities(self, scores: ArrayLike) -> Floats:
        """Probability of being anomalous, (n,) in [0, 1]."""
        standardised = (np.asarray(scores, dtype=np.float64) - self.mean) / self.scale
        return np.asarray(expit(self.coefficient * standardised + self.intercept))

    def to_json(self) -> dict[str, Any]:
        """Plain values that `calibrator_from_json` reads."""
        return {
            "kind": "logistic",
            "mean": self.mean,
            "scale": self.scale,
            "coefficient": self.coefficient,
            "intercept": self.intercept,
        }


@dataclass(frozen=True)
class IsotonicCalibrator:
    """Best non-decreasing function on validation: linear between knots, constant outside."""

    scores: tuple[float, ...]
    values: tuple[float, ...]

    def probabilities(self, scores: ArrayLike) -> Floats:
        """Probability of being anomalous, (n,) in [0, 1]."""
        return np.interp(np.asarray(scores, dtype=np.float64), self.scores, self.values)

    def to_json(self) -> dict[str, Any]:
        """Plain values that `calibrator_from_json` reads."""
        return {"kind": "isotonic", "scores": list(self.scores), "values": list(self.values)}


Calibrator = LogisticCalibrator | IsotonicCalibrator


def fit_calibrator(
    kind: Literal["logistic", "isotonic"], scores: ArrayLike, labels: ArrayLike
) -> Calibrator | None:
    """Fit a calibrator on validation scores.

    Parameters
    ----------
    kind
        `logistic` (scikit-learn's `LogisticRegression` with its defaults) or `isotonic`.
    scores
        (n,) finite.
    labels
        (n,) 0 normal, 1 anomalous.

    Returns
    -------
    Calibrator or None
        None where validation has one class only: then no probability can be had.

    Raises
    ------
    DualadError
        On an unknown kind.
    """
    if kind not in ("logistic", "isotonic"):
        raise DualadError(f"calibrator: {kind!r} is unknown; choose logistic or isotonic")
    values = np.asarray(scores, dtype=np.float64)
    anomalous = np.asarray(labels) == 1
    if np.all(anomalous) or not np.any(anomalous):
        return None
    # Imported here: scikit-learn takes a second, which applying a calibrator need not spend.
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression

    if kind == "isotonic":
        isotonic = IsotonicRegression(y_min=0, y_max=1).fit(values, anomalous)
        return IsotonicCalibrator(
            tuple(isotonic.X_thresholds_.tolist()), tuple(isotonic.y_thresholds_.tolist())
        )
    mean = float(np.mean(values))
    scale = float(np.std(values)) or 1.0
    logistic = LogisticRegression().fit(((values - mean) / scale)[:, None], anomalous)
    return LogisticCalibrator(
        mean, scale, float(logistic.coef_[0, 0]), float(logistic.intercept_[0])
    )


def calibrator_from_json(values: Mapping[str, Any] | None) -> Calibrator | None:
    """Inverse of a calibrator's `to_json`; None stays None.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the values are no calibrator's.
    """
    if values is None:
        return None
    if values["kind"] == "isotonic":
        return IsotonicCalibrator(tuple(values["scores"]), tuple(values["values"]))
    if values["kind"] != "logistic":
        raise ValueError(f"unknown calibrator {values['kind']!r}")
    return LogisticCalibrator(**{key: value for key, value in values.items() if key != "kind"})


def at_base_rate(probabilities: Floats, fitted: float, wanted: float) -> Floats:
    """Probabilities for another share of anomalies than the one they were fitted at.

    If only the share changes, and each class keeps its distribution of scores, the odds change by
    the ratio of the odds of the two shares (Saerens, Latinne and Decaestecker, "Adjusting the
    outputs of a classifier to new a priori probabilities", Neural Computation 14, 2002).

    Parameters
    ----------
    probabilities
        (n,) in [0, 1].
    fitted, wanted
        Shares of anomalies, in (0, 1).

    Returns
    -------
    array
        (n,) in [0, 1], in the same order.
    """
    anomalous = probabilities * wanted / fitted
    normal = (1 - probabilities) * (1 - wanted) / (1 - fitted)
    return np.asarray(anomalous / (anomalous + normal))


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike, bins: int) -> float:
    """Mean gap between predicted and observed frequency of anomalies.

    The probability of being anomalous (not that of the predicted class) is cut into `bins` bins of
    equal width; the result is the mean over bins, weighted by their number of images, of the
    absolute difference between the mean probability and the share of anomalous images.

    Parameters
    ----------
    probabilities
        (n,) in [0, 1], n at least 1.
    labels
        (n,) 0 normal, 1 anomalous.
    bins
        Number of bins, at least 1.

    Returns
    -------
    float
        In [0, 1].
    """
    predicted = np.asarray(probabilities, dtype=np.float64)
    surplus = predicted - (np.asarray(labels) == 1)
    gaps = np.bincount(probability_bins(predicted, bins), weights=surplus, minlength=bins)
    return float(np.sum(np.abs(gaps)) / len(predicted))


def probability_bins(probabilities: Floats, bins: int) -> NDArray[np.int64]:
    """Number in [0, bins) of the equal-width bin of each probability; 1 is in the last."""
    return np.minimum(np.floor(probabilities * bins), bins - 1).astype(np.int64)
