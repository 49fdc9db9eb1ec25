"""Bootstrap intervals of metrics.

The bootstrap is stratified: normal and anomalous images are resampled separately, so the classes
keep their sizes, and the intervals are percentiles. `scipy.stats.bootstrap` would recompute the
metrics from scratch for each resample; here a resample is a vector of how often each image was
drawn, the images are sorted once, and all resamples share the sorting.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dualad.errors import DualadError
from dualad.evaluation.calibration import probability_bins
from dualad.evaluation.metrics import IMAGE_METRICS, Judgement, rates, ratio

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Interval = tuple[float, float] | None

_BATCH_CELLS = 2_000_000
"""Resamples are taken in batches of so many numbers, which bounds the memory."""


@dataclass(frozen=True)
class Resampling:
    """How many bootstrap samples are drawn, by which seed, and how wide their intervals are."""

    resamples: int = 1000
    """Number of samples; 0 gives no intervals."""
    confidence: float = 0.95
    """Coverage of the intervals, in (0, 1)."""
    seed: int = 0


class ResampledMetrics:
    """The image metrics of many bootstrap samples of one set at once.

    Parameters
    ----------
    judgement
        Scores and decisions for a set of n images, normal and anomalous ones.
    ece_bins
        Bins of the expected calibration error, at least 1.
    """

    def __init__(self, judgement: Judgement, ece_bins: int = 1) -> None:
        self._judgement = judgement
        self._ece_bins = ece_bins
        self._anomalous = judgement.labels == 1
        self._order = np.argsort(-judgement.scores, kind="stable")
        sorted_scores = judgement.scores[self._order]
        self._first_of_ties = np.append(0, np.flatnonzero(np.diff(sorted_scores)) + 1)

    def __call__(self, drawn: Counts) -> dict[str, Floats]:
        """Compute `IMAGE_METRICS` of every sample.

        Parameters
        ----------
        drawn
            (b, n) how often each image is in each sample.

        Returns
        -------
        dict
            (b,) per metric, NaN where it is undefined; (1,) NaN for `ece` without probabilities.
        """
        anomalous, called = self._anomalous, self._judgement.decisions == 1
        in_order = drawn[:, self._order]
        positives = np.add.reduceat(in_order * anomalous[self._order], self._first_of_ties, axis=1)
        negatives = np.add.reduceat(in_order, self._first_of_ties, axis=1) - positives
        probabilities = self._judgement.probabilities
        return {
            "auroc": auroc(positives, negatives),
            "auprc": _average_precision(positives, negatives),
            **rates(
                drawn[:, anomalous & called].sum(axis=1),
                drawn[:, ~anomalous & called].sum(axis=1),
                drawn[:, ~anomalous & ~called].sum(axis=1),
                drawn[:, anomalous & ~called].sum(axis=1),
            ),
            "ece": np.full(1, np.nan)
            if probabilities is None
            else _calibration_errors(drawn, probabilities, anomalous, self._ece_bins),
        }


def bootstrap_image_metrics(
    judgement: Judgement, ece_bins: int, resampling: Resampling
) -> dict[str, Interval]:
    """Stratified percentile bootstrap intervals of `image_metrics`.

    Parameters
    ----------
    judgement
        Scores and decisions for a set with normal and anomalous images.
    ece_bins
        Bins of the expected calibration error, at least 1.
    resampling
        How samples are drawn.

    Returns
    -------
    dict
        (low, high) per metric of `IMAGE_METRICS`; None where it is undefined in all samples.

    Raises
    ------
    DualadError
        If the confidence is not between 0 and 1.
    """
    metrics_of = ResampledMetrics(judgement, ece_bins)
    found = percentile_intervals(judgement.labels == 1, metrics_of, resampling)
    return {key: found.get(key) for key in IMAGE_METRICS}


def percentile_intervals(
    anomalous: NDArray[np.bool_],
    metrics_of: Callable[[Counts], Mapping[str, Floats]],
    resampling: Resampling,
) -> dict[str, Interval]:
    """Stratified percentile bootstrap of any statistic of a set of images.

    Parameters
    ----------
    anomalous
        (n,) class of each image; each class is resampled by itself and keeps its size.
    metrics_of
        Turns (b, n) numbers of draws into (b,) values by name.
    resampling
        How samples are drawn.

    Returns
    -------
    dict
        (low, high) by name. Samples in which a value is not finite do not count; None where none
        is. Empty without resamples.

    Raises
    ------
    DualadError
        If the confidence is not between 0 and 1.
    """
    confidence = resampling.confidence
    if not 0 < confidence < 1:
        raise DualadError(f"evaluation.confidence: {confidence} is not between 0 and 1")
    values: dict[str, list[Floats]] = {}
    for drawn in draws(anomalous, resampling):
        for key, value in metrics_of(drawn).items():
            values.setdefault(key, []).append(value)
    return {key: percentiles(np.concatenate(parts), confidence) for key, parts in values.items()}


def draws(anomalous: NDArray[np.bool_], resampling: Resampling) -> Iterator[Counts]:
    """Batches (b, n) of how often each image is in each sample.

    Parameters
    ----------
    anomalous
        (n,) class of each image; each class is resampled by itself and keeps its size.
    resampling
        How samples are drawn.
    """
    rng = np.random.default_rng(resampling.seed)
    n = len(anomalous)
    classes = [found for c in (False, True) if len(found := np.flatnonzero(anomalous == c))]
    size = max(_BATCH_CELLS // n, 1)
    for done in range(0, resampling.resamples, size):
        batch = min(size, resampling.resamples - done)
        drawn = np.zeros((batch, n), dtype=np.int64)
        for members in classes:
            picks = rng.integers(len(members), size=(batch, len(members)))
            cells = picks + len(members) * np.arange(batch)[:, None]
            counts = np.bincount(cells.ravel(), minlength=batch * len(members))
            drawn[:, members] = counts.reshape(batch, -1)
        yield drawn


def percentiles(values: Floats, confidence: float) -> Interval:
    """Interval between two percentiles of the finite values; None if there are none.

    Parameters
    ----------
    values
        (b,) a value per sample.
    confidence
        Share of the values inside, in (0, 1).
    """
    defined = values[np.isfinite(values)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    return (low, high)


def auroc(positives: NDArray[np.number], negatives: NDArray[np.number]) -> Floats:
    """Area under the ROC curve of b samples.

    Parameters
    ----------
    positives, negatives
        (b, k) counts of anomalous and normal members per distinct score, the highest score first;
        pairs with the same score count half.

    Returns
    -------
    array
        (b,) in [0, 1]; NaN without members of both classes.
    """
    above = np.cumsum(positives, axis=1) - positives / 2
    pairs = positives.sum(axis=1).astype(np.float64) * negatives.sum(axis=1)
    return ratio(np.sum(negatives * above, axis=1), pairs)


def _average_precision(positives: Counts, negatives: Counts) -> Floats:
    """(b,) from (b, k) counts per distinct score, highest score first."""
    found = np.cumsum(positives, axis=1)
    called = found + np.cumsum(negatives, axis=1)
    precision = found / np.maximum(called, 1)
    return ratio(np.sum(positives * precision, axis=1), positives.sum(axis=1))


def _calibration_errors(
    drawn: Counts, probabilities: Floats, anomalous: NDArray[np.bool_], bins: int
) -> Floats:
    bin_of = probability_bins(probabilities, bins)
    order = np.argsort(bin_of, kind="stable")
    first_of_bin = np.append(0, np.flatnonzero(np.diff(bin_of[order])) + 1)
    surplus = (probabilities - anomalous)[order]
    gaps = np.add.reduceat(drawn[:, order] * surplus, first_of_bin, axis=1)
    return np.asarray(np.sum(np.abs(gaps), axis=1) / drawn.sum(axis=1))
