"""Where a decision and a probability seem to say different things, and why.

A threshold is chosen by its error rates in the two classes, or on normal images alone, however
common anomalies are. A probability depends on that: it holds at a base rate, the share of anomalies
among the images. So a threshold rarely lies at a probability of 1/2, and an image can be called
anomalous although it is more probably normal. Flagging above a probability t is the decision of
least cost where one missed anomaly costs as much as (1 - t) / t false alarms (Elkan, "The
foundations of cost-sensitive learning", IJCAI 2001).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dualad.evaluation.calibration import at_base_rate, calibrator_from_json

Floats = NDArray[np.float64]


def validation_base_rate(fitted: Mapping[str, Any]) -> float | None:
    """Share of anomalies among the validation images, at which a calibrator's probabilities hold.

    Parameters
    ----------
    fitted
        Content of `threshold.json`, or its `mc`.

    Returns
    -------
    float or None
        In (0, 1); None without a calibrator.
    """
    if fitted["calibrator"] is None:
        return None
    counts = fitted["validation"]
    return float(counts["n_anomalous"] / (counts["n_normal"] + counts["n_anomalous"]))


def probabilities(
    fitted: Mapping[str, Any], scores: Floats, base_rate: float | None = None
) -> Floats:
    """Probability of being anomalous of every score.

    Parameters
    ----------
    fitted
        Content of `threshold.json`, or its `mc`.
    scores
        (n,) finite.
    base_rate
        Share of anomalies at which the probabilities are to hold, in (0, 1); None for that of the
        validation images.

    Returns
    -------
    array
        (n,) in [0, 1]; NaN without a calibrator.
    """
    calibrator, own = calibrator_from_json(fitted["calibrator"]), validation_base_rate(fitted)
    if calibrator is None or own is None:
        return np.full(len(scores), np.nan)
    found = calibrator.probabilities(scores)
    return found if base_rate is None else at_base_rate(found, own, base_rate)


def threshold_probability(
    fitted: Mapping[str, Any], base_rate: float | None = None
) -> float | None:
    """Probability of an image whose score is the threshold; None without a calibrator.

    Where the probability rises with the score, an image is called anomalous if its own is higher.

    Parameters
    ----------
    fitted, base_rate
        As for `probabilities`.
    """
    (found,) = probabilities(fitted, np.array([fitted["threshold"]], dtype=np.float64), base_rate)
    return None if np.isnan(found) else float(found)


def agreement(fitted: Mapping[str, Any], decided: pd.DataFrame, prefix: str) -> dict[str, Any]:
    """How often decision and probability differ, for `metrics.json`.

    Parameters
    ----------
    fitted
        Content of `threshold.json`, or its `mc`.
    decided
        A row per image, with the columns of `apply_threshold`.
    prefix
        Empty, or `mc_`: which decision and probability are meant.

    Returns
    -------
    dict
        `base_rate` and `threshold_probability`, in (0, 1), and the numbers of images
        `flagged_below_half` (called anomalous at a probability below 1/2) and `passed_above_half`
        (called normal at one above it); all None without a calibrator.
    """
    base_rate = validation_base_rate(fitted)
    decision, probability = decided[f"{prefix}decision"], decided[f"{prefix}probability"]
    counts: dict[str, int | None] = {"flagged_below_half": None, "passed_above_half": None}
    if base_rate is not None:
        counts["flagged_below_half"] = int(np.sum((decision == 1) & (probability < 0.5)))
        counts["passed_above_half"] = int(np.sum((decision == 0) & (probability > 0.5)))
    return {
        "base_rate": base_rate,
        "threshold_probability": threshold_probability(fitted),
        **counts,
    }


def remarks(
    threshold_json: Mapping[str, Any], decided: pd.DataFrame, base_rate: float | None = None
) -> list[str]:
    """Why decision and probability differ, for every image on which they do, else an empty text.

    Parameters
    ----------
    threshold_json
        Content of `threshold.json`.
    decided
        A row per image, with the columns of `apply_threshold`.
    base_rate
        The one at which the probabilities hold, as for `probabilities`.

    Returns
    -------
    list of str
        (n,) in the order of the rows. Those on the score with Monte Carlo dropout say so.
    """
    found = _remarks(threshold_json, decided["decision"], decided["probability"], base_rate)
    if threshold_json["mc"] is None or decided["mc_decision"].isna().any():
        return found
    sampled = _remarks(
        threshold_json["mc"], decided["mc_decision"], decided["mc_probability"], base_rate
    )
    return [
        "; ".join(filter(None, (remark, mc and f"by the score with Monte Carlo dropout {mc}")))
        for remark, mc in zip(found, sampled, strict=True)
    ]


def _remarks(
    fitted: Mapping[str, Any],
    decisions: Iterable[int],
    calibrated: Iterable[float],
    base_rate: float | None,
) -> list[str]:
    at_threshold = threshold_probability(fitted, base_rate)
    return [
        "" if at_threshold is None else _remark(decision == 1, probability, at_threshold)
        for decision, probability in zip(decisions, calibrated, strict=True)
    ]


def _remark(flagged: bool, probability: float, at_threshold: float) -> str:
    differs = probability < 0.5 if flagged else probability > 0.5
    if not differs:
        return ""
    called, likelier = ("anomalous", "normal") if flagged else ("normal", "anomalous")
    # Only where the probability falls with the score is it on the wrong side of the threshold's.
    if probability < at_threshold if flagged else probability > at_threshold:
        return (
            f"called {called}, against the probability: on the validation images, anomalies had "
            "lower scores"
        )
    return (
        f"called {called}, though more probably {likelier}: the threshold lies at a probability of "
        f"{at_threshold:.2g}"
    )
