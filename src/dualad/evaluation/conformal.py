"""Conformal thresholds and p-values from the scores of normal images that training did not see.

The split (inductive) variant of conformal anomaly detection: Vovk, Gammerman and Shafer,
*Algorithmic Learning in a Random World* (2005); for p-values of outliers see Bates, Candès, Lei,
Romano and Sesia, "Testing for outliers with conformal p-values", Annals of Statistics 51(1), 2023.
"""

from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dualad.design.parameters import ThresholdParams
from dualad.errors import DualadError

Floats = NDArray[np.float64]


def conformal_threshold(normals: ArrayLike, params: ThresholdParams) -> float:
    """Score that a new normal image exceeds with a probability of at most `params.alpha`.

    It is the ceil((n + 1)(1 - alpha))-th smallest of n scores. If these n and the new normal
    image's are exchangeable, its rank among the n + 1 is uniform, so it lies above the threshold
    with a probability of at most alpha, and above alpha - 1 / (n + 1) if no two scores are equal.
    Equal scores only lower it. The probability is over new images and over the n drawn: with one
    set of n, the rate is above alpha about half of the time, and spreads around it as a beta
    distribution.

    Parameters
    ----------
    normals
        (n,) finite scores of validation normals.
    params
        The wanted false positive rate is its `alpha`.

    Raises
    ------
    DualadError
        If n is below 1 / alpha - 1; the message says how many images are needed.
    """
    scores = np.sort(np.asarray(normals, dtype=np.float64))
    n = len(scores)
    if n < params.normals_needed:
        raise DualadError(
            f"threshold.alpha: a false positive rate of {params.alpha:g} needs at least "
            f"{params.normals_needed} normal images in the validation set, which has {n}; add "
            f"normal images, raise validation_fraction, or raise alpha to at least 1 / {n + 1}"
        )
    rank = ceil((n + 1) * (1 - params.exact_alpha))
    return float(scores[rank - 1])


def conformal_p_values(
    scores: ArrayLike, normals: ArrayLike, members: ArrayLike | None = None
) -> Floats:
    """Share of normal images that score at least as high, the scored image counted among them.

    For an image that is normal, and exchangeable with the reference, P(p <= a) <= a for every a.
    A conformal threshold flags the images with p <= alpha, and no others.

    Parameters
    ----------
    scores
        (m,) finite.
    normals
        (n,) finite scores of the reference, validation normals; n may be 0.
    members
        (m,) whether a score is itself one of `normals`; it is then left out of its own reference,
        which has n - 1 images. None if no score is.

    Returns
    -------
    array
        (m,) in (0, 1]: (1 + k) / (1 + n), k of n images of the reference having at least the score.
    """
    values = np.asarray(scores, dtype=np.float64)
    reference = np.sort(np.asarray(normals, dtype=np.float64))
    own = np.zeros(len(values), bool) if members is None else np.asarray(members, dtype=bool)
    at_least = len(reference) - np.searchsorted(reference, values, side="left")
    return np.asarray((1 + at_least - own) / (1 + len(reference) - own))
