"""Metrics of images: detection, and the decisions and probabilities that come with it.

Values come from scikit-learn; a metric that is undefined is None, never 0. `auprc` is the average
precision.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as sk

from dualad.evaluation.calibration import expected_calibration_error

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

IMAGE_METRICS = (
    "auroc",
    "auprc",
    "balanced_accuracy",
    "f1",
    "f2",
    "tpr",
    "tnr",
    "fpr",
    "precision",
    "g_mean",
    "mcc",
    "kappa",
    "ece",
)


@dataclass(frozen=True)
class Judgement:
    """What a method says about the images of one set."""

    labels: NDArray[np.int64]
    """(n,) 0 normal, 1 anomalous."""
    scores: Floats
    """(n,) higher is more anomalous."""
    decisions: NDArray[np.int64]
    """(n,) 0 normal, 1 anomalous."""
    probabilities: Floats | None
    """(n,) of being anomalous; None where no calibrator could be fitted."""


def confusion_counts(labels: ArrayLike, decisions: ArrayLike) -> dict[str, int]:
    """Numbers of images `tp`, `fp`, `tn`, `fn`; anomalous is positive."""
    matrix = sk.confusion_matrix(labels, decisions, labels=[0, 1])
    (tn, fp), (fn, tp) = matrix.tolist()
    return {"tp": tp, "fp": fp, "tn": tn, "fn": fn}


def rates(
    tp: Counts | Floats, fp: Counts | Floats, tn: Counts | Floats, fn: Counts | Floats
) -> dict[str, Floats]:
    """Metrics of confusion matrices.

    Parameters
    ----------
    tp, fp, tn, fn
        (n,) counts, or shares of any common total.

    Returns
    -------
    dict
        (n,) each, in [-1, 1]: `balanced_accuracy f1 f2 tpr tnr fpr precision g_mean mcc kappa`; NaN
        where a denominator is zero.
    """
    tpr, tnr = ratio(tp, tp + fn), ratio(tn, tn + fp)
    margins = [m.astype(np.float64) for m in (tp + fp, tp + fn, tn + fp, tn + fn)]
    agreement = margins[0] * margins[1] + margins[2] * margins[3]
    # A product of four counts exceeds 64 bits, and integers would wrap around silently.
    determinant = tp.astype(np.float64) * tn - fp.astype(np.float64) * fn
    total = tp + fp + tn + fn
    return {
        "balanced_accuracy": (tpr + tnr) / 2,
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
        "f2": ratio(5 * tp, 5 * tp + fp + 4 * fn),
        "tpr": tpr,
        "tnr": tnr,
        "fpr": ratio(fp, tn + fp),
        "precision": ratio(tp, tp + fp),
        "g_mean": np.sqrt(tpr * tnr),
        "mcc": ratio(determinant, np.sqrt(np.prod(margins, axis=0))),
        "kappa": ratio(
            total * (tp + tn).astype(np.float64) - agreement,
            total.astype(np.float64) * total - agreement,
        ),
    }


def image_metrics(judgement: Judgement, ece_bins: int) -> dict[str, float | None]:
    """Metrics of detection, `IMAGE_METRICS` in order.

    Parameters
    ----------
    judgement
        Scores and decisions for a set of images.
    ece_bins
        Bins of the expected calibration error.

    Returns
    -------
    dict
        Fractions in [0, 1], MCC and kappa in [-1, 1], None where undefined.
    """
    labels, decisions = judgement.labels, judgement.decisions
    counts = confusion_counts(labels, decisions)
    both_classes = len(np.unique(labels)) == 2
    positives, negatives = counts["tp"] + counts["fn"], counts["tn"] + counts["fp"]
    called_positive, called_negative = counts["tp"] + counts["fp"], counts["tn"] + counts["fn"]

    def when(defined: bool, metric: Callable[[], float]) -> float | None:
        return float(metric()) if defined else None

    def recall(label: int) -> float:
        return float(sk.recall_score(labels, decisions, pos_label=label))

    values = {
        "auroc": when(both_classes, lambda: sk.roc_auc_score(labels, judgement.scores)),
        "auprc": when(both_classes, lambda: sk.average_precision_score(labels, judgement.scores)),
        "balanced_accuracy": when(
            both_classes, lambda: sk.balanced_accuracy_score(labels, decisions)
        ),
        "f1": when(positives + called_positive > 0, lambda: sk.f1_score(labels, decisions)),
        "f2": when(
            positives + called_positive > 0, lambda: sk.fbeta_score(labels, decisions, beta=2)
        ),
        "tpr": when(positives > 0, lambda: recall(1)),
        "tnr": when(negatives > 0, lambda: recall(0)),
        "fpr": when(negatives > 0, lambda: counts["fp"] / negatives),
        "precision": when(called_positive > 0, lambda: sk.precision_score(labels, decisions)),
        "g_mean": when(both_classes, lambda: np.sqrt(recall(1) * recall(0))),
        "mcc": when(
            both_classes and called_positive > 0 and called_negative > 0,
            lambda: sk.matthews_corrcoef(labels, decisions),
        ),
        "kappa": when(
            both_classes or len(np.unique(decisions)) == 2,
            lambda: sk.cohen_kappa_score(labels, decisions),
        ),
        "ece": None,
    }
    if judgement.probabilities is not None and len(labels):
        values["ece"] = expected_calibration_error(judgement.probabilities, labels, ece_bins)
    return values


def ratio(numerator: NDArray[np.number], denominator: NDArray[np.number]) -> Floats:
    """Elementwise quotient, NaN where the denominator is zero."""
    top = np.asarray(numerator, dtype=np.float64)
    bottom = np.asarray(denominator, dtype=np.float64)
    quotient = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=quotient, where=bottom != 0)
    return quotient
