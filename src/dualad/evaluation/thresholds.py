"""From validation scores to a decision threshold (section 3.6.2, eqs. 36 and 37).

A decision is `score > threshold`, so an image whose score equals the threshold is normal.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dualad.design.parameters import RULES_ON_NORMALS, ThresholdParams
from dualad.errors import DualadError
from dualad.evaluation.conformal import conformal_threshold

Floats = NDArray[np.float64]
_TIE_DECIMALS = 12
"""Criteria that agree to so many decimals tie: rounding noise never picks the ROC point."""


@dataclass(frozen=True)
class Threshold:
    """A threshold, and what it does to the validation set; a decision is `score > value`."""

    value: float
    rule: str
    tpr: float | None
    """None where validation has no anomalous image."""
    fpr: float
    n_normal: int
    n_anomalous: int


def choose_threshold(scores: ArrayLike, labels: ArrayLike, params: ThresholdParams) -> Threshold:
    """Threshold that `params.rule` picks on the validation set.

    `closest_to_corner` is eq. 36, `youden` maximises TPR - FPR, `f1` maximises F1; where several
    points of the curve tie, the one with the fewest false positives wins. The threshold lies
    halfway between the lowest score that counts as anomalous and the next lower one, so it realises
    the chosen point exactly and leaves both neighbours the same margin. `quantile` is the
    `params.q` quantile of the normal images' scores, `conformal` the one of these scores that
    bounds the false positive rate by `params.alpha`; `fixed` is `params.value` itself. These three
    need no anomalous image.

    Parameters
    ----------
    scores
        (n,) finite; higher is more anomalous.
    labels
        (n,) 0 normal, 1 anomalous.
    params
        Rule and its parameter.

    Raises
    ------
    DualadError
        If a score is not finite, q is outside [0, 1], the rule is `fixed` and there is no value,
        the validation set has no normal image or too few for alpha, or it has no anomalous image
        and the rule needs one.
    """
    values = np.asarray(scores, dtype=np.float64)
    anomalous = np.asarray(labels) == 1
    if not np.all(np.isfinite(values)):
        raise DualadError(
            "validation scores are not all finite, so the model has diverged: lower learning_rate "
            "and train again"
        )
    _require_classes(anomalous, params.rule)
    if params.rule == "quantile":
        if not 0 <= params.q <= 1:
            raise DualadError(f"threshold.q: {params.q} is not between 0 and 1")
        value = float(np.quantile(values[~anomalous], params.q))
    elif params.rule == "fixed":
        if params.value is None:
            raise DualadError("threshold.value: the rule 'fixed' needs it; give a score")
        value = float(params.value)
    elif params.rule == "conformal":
        value = conformal_threshold(values[~anomalous], params)
    else:
        value = _just_below(values, _lowest_anomalous_score(values, anomalous, params.rule))
    decisions = values > value
    return Threshold(
        value=value,
        rule=params.rule,
        tpr=float(np.mean(decisions[anomalous])) if np.any(anomalous) else None,
        fpr=float(np.mean(decisions[~anomalous])),
        n_normal=int(np.sum(~anomalous)),
        n_anomalous=int(np.sum(anomalous)),
    )


def detection_metric(scores: ArrayLike, labels: ArrayLike) -> float:
    """TPR + TNR at the ROC point closest to (0, 1): eq. 26, cheap enough for every epoch.

    Parameters
    ----------
    scores
        (n,) higher is more anomalous.
    labels
        (n,) 0 normal, 1 anomalous.

    Returns
    -------
    float
        In [0, 2]; NaN where it is undefined: a score that is not finite, or a single class.
    """
    values = np.asarray(scores, dtype=np.float64)
    anomalous = np.asarray(labels) == 1
    n_anomalous = int(np.sum(anomalous))
    n_normal = len(values) - n_anomalous
    if not (n_anomalous and n_normal and np.all(np.isfinite(values))):
        return float("nan")
    order = np.argsort(-values, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    true_positives = np.cumsum(anomalous[order])[last_of_ties]
    tpr = np.append(0.0, true_positives / n_anomalous)
    fpr = np.append(0.0, (last_of_ties + 1 - true_positives) / n_normal)
    best = _closest_to_corner(fpr, tpr)
    return float(tpr[best] + (1 - fpr[best]))


def _require_classes(anomalous: NDArray[np.bool_], rule: str) -> None:
    if not np.any(~anomalous):
        raise DualadError(
            f"threshold.rule: {rule!r} needs normal images in the validation set, which has none; "
            "add normal validation images, or choose another protocol"
        )
    if rule not in RULES_ON_NORMALS and not np.any(anomalous):
        raise DualadError(
            f"threshold.rule: {rule!r} needs anomalous images in the validation set, which has "
            "none; set `threshold: {rule: quantile}` or `threshold: {rule: conformal}`, which need "
            "normal images only, or choose a protocol with anomalous validation images"
        )


def _lowest_anomalous_score(values: Floats, anomalous: NDArray[np.bool_], rule: str) -> float:
    """Score from which on images count as anomalous; infinite where none does."""
    # Imported here: loading scikit-learn takes two seconds, which most jobs need not spend.
    from sklearn.metrics import precision_recall_curve, roc_curve

    if rule == "f1":
        precision, recall, thresholds = precision_recall_curve(anomalous, values)
        total = precision + recall
        f1 = 2 * precision * recall / np.where(total > 0, total, 1)
        # The curve runs from low to high thresholds; its last point has none.
        best = len(thresholds) - 1 - np.argmax(np.round(f1[:-1][::-1], _TIE_DECIMALS))
        return float(thresholds[best])
    # Points on a straight stretch of the curve can be the closest to the corner: keep them.
    fpr, tpr, thresholds = roc_curve(anomalous, values, drop_intermediate=False)
    if rule == "youden":
        return float(thresholds[np.argmax(np.round(tpr - fpr, _TIE_DECIMALS))])
    return float(thresholds[_closest_to_corner(fpr, tpr)])


def _closest_to_corner(fpr: Floats, tpr: Floats) -> int:
    return int(np.argmin(np.round(np.hypot(1 - tpr, fpr), _TIE_DECIMALS)))


def _just_below(values: Floats, lowest: float) -> float:
    """Threshold that `lowest` and everything above it exceed, and nothing else does."""
    lower = values[values < lowest]
    if len(lower) == 0:
        return float(np.nextafter(lowest, -np.inf))
    neighbour = float(np.max(lower))
    if np.isinf(lowest):
        return neighbour
    middle = neighbour / 2 + lowest / 2
    # Between adjacent floats there is no middle, and rounding must not reach the upper one.
    return middle if neighbour <= middle < lowest else neighbour
