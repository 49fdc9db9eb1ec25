"""From scores to decisions, probabilities and p-values, by what was fitted on validation images.

The same for the images of a dataset and for new ones, and quick to import for the latter's sake.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dualad.evaluation.agreement import probabilities
from dualad.evaluation.conformal import conformal_p_values

Floats = NDArray[np.float64]


def apply_threshold(
    threshold_json: Mapping[str, Any],
    scores: ArrayLike,
    mc_mean: ArrayLike | None = None,
    mc_var: ArrayLike | None = None,
    reference: ArrayLike | None = None,
    base_rate: float | None = None,
) -> pd.DataFrame:
    """Decide on images, whether of the dataset or new.

    Parameters
    ----------
    threshold_json
        Content of `threshold.json`.
    scores, mc_mean, mc_var
        (n,) of the score that `threshold_json["score"]` names; the latter two may be None.
    reference
        (n,) whether an image is one of the validation normals that the threshold was fitted on; in
        its own p-value it does not count among them. None if no image is.
    base_rate
        Share of anomalies at which the probabilities hold, in (0, 1); None for that of the
        validation images. Decisions do not depend on it.

    Returns
    -------
    pandas.DataFrame
        Rows as in `scores`; columns score, decision (1 anomalous: score above the threshold,
        eq. 37), probability, p_value (see `conformal_p_values`), mc_mean, mc_var, mc_score,
        mc_probability, mc_p_value, mc_decision. What cannot be had (no calibrator, no Monte Carlo
        samples, results of version 0.2 or earlier, which kept no scores of validation normals) is
        missing.
    """
    values = np.asarray(scores, dtype=np.float64)
    decided = pd.DataFrame({"score": values})
    decided["decision"], decided["probability"], decided["p_value"] = _decide(
        threshold_json, values, reference, base_rate
    )
    mc = threshold_json["mc"]
    if mc is None or mc_mean is None or mc_var is None:
        columns = ("mc_mean", "mc_var", "mc_score", "mc_probability", "mc_p_value")
        decided[list(columns)] = np.nan
        decided["mc_decision"] = pd.array([pd.NA] * len(values), dtype="Int64")
        return decided
    decided["mc_mean"] = np.asarray(mc_mean, dtype=np.float64)
    decided["mc_var"] = np.asarray(mc_var, dtype=np.float64)
    combined = combined_score(
        mc["error"],
        mc["lambda"],
        values,
        decided["mc_mean"].to_numpy(),
        decided["mc_var"].to_numpy(),
    )
    decision, probability, p_value = _decide(mc, combined, reference, base_rate)
    decided["mc_score"] = combined
    decided["mc_probability"] = probability
    decided["mc_p_value"] = p_value
    decided["mc_decision"] = pd.array(decision, dtype="Int64")
    return decided


def combined_score(
    error: str, candidate: float, scores: Floats, mc_mean: Floats, mc_var: Floats
) -> Floats:
    """Error + lambda * sigma, sigma the standard deviation of eq. 32.

    Parameters
    ----------
    error
        `mean` for the mean over Monte Carlo samples (eq. 31), else the score with dropout off.
    candidate
        Lambda, at least 0.
    scores, mc_mean, mc_var
        (n,) the score with dropout off, and its mean and variance over the samples.
    """
    return (mc_mean if error == "mean" else scores) + candidate * np.sqrt(mc_var)


def _decide(
    fitted: Mapping[str, Any],
    scores: Floats,
    reference: ArrayLike | None,
    base_rate: float | None,
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Decisions, probabilities and p-values; NaN for what cannot be had."""
    normals = fitted.get("normal_scores")
    return (
        (scores > fitted["threshold"]).astype(np.int64),
        probabilities(fitted, scores, base_rate),
        np.full(len(scores), np.nan)
        if normals is None
        else conformal_p_values(scores, normals, reference),
    )
