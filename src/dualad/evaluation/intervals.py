"""Intervals of the metrics of images: exact for rates, by the bootstrap for all others."""

from collections.abc import Mapping

from scipy.stats import binomtest

from dualad.evaluation.bootstrap import Interval, Resampling, bootstrap_image_metrics
from dualad.evaluation.metrics import Judgement, confusion_counts

RATES: Mapping[str, tuple[str, str]] = {
    "tpr": ("tp", "fn"),
    "tnr": ("tn", "fp"),
    "fpr": ("fp", "tn"),
    "precision": ("tp", "fp"),
}
"""Metrics that are a share of images, by the counts of those in it and of the others."""


def clopper_pearson(successes: int, trials: int, confidence: float) -> Interval:
    """Exact interval of a binomial proportion.

    It holds the true proportion with at least the stated probability, whatever that proportion is
    (Clopper and Pearson, Biometrika 26, 1934). The shorter interval of Wilson (1927) reaches the
    stated probability on average only: for a proportion 0.18 / n away from 0 or 1, where the rates
    of a good detector lie, a 95 % interval holds it in 84 % of samples (Brown, Cai and DasGupta,
    "Interval estimation for a binomial proportion", Statistical Science 16, 2001).

    Parameters
    ----------
    successes, trials
        Number of images in the share, and of all.
    confidence
        In (0, 1).

    Returns
    -------
    (low, high) or None
        In [0, 1]; it holds successes / trials, and has a width even at 0 and at 1. None without a
        trial.
    """
    if trials == 0:
        return None
    interval = binomtest(successes, trials).proportion_ci(confidence, method="exact")
    return (float(interval.low), float(interval.high))


def image_intervals(
    judgement: Judgement, ece_bins: int, resampling: Resampling
) -> dict[str, Interval]:
    """Intervals of `image_metrics`, exact ones of `RATES` and bootstrap ones of the others.

    A precision is binomial if the numbers of normal and anomalous images are chance as well; its
    interval is for the share of anomalies that the set has.

    Parameters
    ----------
    judgement
        Scores and decisions for a set with normal and anomalous images.
    ece_bins
        Bins of the expected calibration error, at least 1.
    resampling
        How samples are drawn, and the confidence of all intervals. Without resamples only rates
        have one.

    Returns
    -------
    dict
        (low, high) per metric of `IMAGE_METRICS`; None where it is undefined.

    Raises
    ------
    DualadError
        If the confidence is not between 0 and 1.
    """
    intervals = bootstrap_image_metrics(judgement, ece_bins, resampling)
    counts = confusion_counts(judgement.labels, judgement.decisions)
    for metric, (inside, others) in RATES.items():
        total = counts[inside] + counts[others]
        intervals[metric] = clopper_pearson(counts[inside], total, resampling.confidence)
    return intervals
