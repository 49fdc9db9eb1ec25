"""The axis of scores, in figures and on pages. Nothing that draws is imported here."""

import numpy as np
from numpy.typing import NDArray

_SKEWED = 20.0


def is_skewed(scores: NDArray[np.float64]) -> bool:
    """Whether scores need a logarithmic axis: all are positive, and few much higher than most.

    Parameters
    ----------
    scores
        (n,), n at least 1.
    """
    low, high = np.quantile(scores, [0.01, 0.99])
    return bool(scores.min() > 0 and high / low > _SKEWED)
