"""Bootstrap intervals of metrics.

The bootstrap is stratified: normal and anomalous images are resampled separately, so the classes
keep their sizes, and the intervals are percentiles. `scipy.stats.bootstrap` would recompute the
metrics from scratch for each resample; here a resample is a vector of how often each image was
drawn, the images are sorted once, and all resamples share the sorting.
"""

from collections.abc import Callable, Mapping

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


def bootstrap_image_metrics(
    judgement: Judgement, ece_bins: int, *, resamples: int, confidence: float, seed: int
) -> dict[str, Interval]:
    """Stratified percentile bootstrap intervals of `image_metrics`.

    Parameters
    ----------
    judgement
        Scores and decisions for a set with normal and anomalous images.
    ece_bins
        Bins of the expected calibration error.
    resamples
        Number of resamples; 0 gives no intervals.
    confidence
        Coverage, such as 0.95.
    seed
        Seed of the resampling.

    Returns
    -------
    dict
        (low, high) per metric. Resamples in which a metric is undefined do not count; None where
        it is undefined in all.
    """
    anomalous = judgement.labels == 1
    order = np.argsort(-judgement.scores, kind="stable")
    sorted_scores = judgement.scores[order]
    first_of_ties = np.append(0, np.flatnonzero(np.diff(sorted_scores)) + 1)
    called = judgement.decisions == 1
    undefined = np.full(1, np.nan)

    def metrics_of(drawn: Counts) -> dict[str, Floats]:
        tp, fp = drawn[:, anomalous & called].sum(axis=1), drawn[:, ~anomalous & called].sum(axis=1)
        fn = drawn[:, anomalous & ~called].sum(axis=1)
        tn = drawn[:, ~anomalous & ~called].sum(axis=1)
        in_order = drawn[:, order]
        positives = np.add.reduceat(in_order * anomalous[order], first_of_ties, axis=1)
        negatives = np.add.reduceat(in_order, first_of_ties, axis=1) - positives
        probabilities = judgement.probabilities
        return {
            "auroc": auroc(positives, negatives),
            "auprc": _average_precision(positives, negatives),
            **rates(tp, fp, tn, fn),
            "ece": undefined
            if probabilities is None
            else _calibration_errors(drawn, probabilities, anomalous, ece_bins),
        }

    found = percentile_intervals(
        anomalous, metrics_of, resamples, confidence, np.random.default_rng(seed)
    )
    return {key: found.get(key) for key in IMAGE_METRICS}


def percentile_intervals(
    anomalous: NDArray[np.bool_],
    metrics_of: Callable[[Counts], Mapping[str, Floats]],
    resamples: int,
    confidence: float,
    rng: np.random.Generator,
) -> dict[str, Interval]:
    """Percentile intervals; `metrics_of` maps (b, n) numbers of draws to (b,) per metric."""
    if not 0 < confidence < 1:
        raise DualadError(f"evaluation.confidence: {confidence} is not between 0 and 1")
    n = len(anomalous)
    classes = [found for c in (False, True) if len(found := np.flatnonzero(anomalous == c))]
    size = max(_BATCH_CELLS // n, 1)
    values: dict[str, list[Floats]] = {}
    for done in range(0, resamples, size):
        batch = min(size, resamples - done)
        drawn = np.zeros((batch, n), dtype=np.int64)
        for members in classes:
            picks = rng.integers(len(members), size=(batch, len(members)))
            cells = picks + len(members) * np.arange(batch)[:, None]
            drawn[:, members] = np.bincount(cells.ravel(), minlength=batch * len(members)).reshape(
                batch, -1
            )
        for key, value in metrics_of(drawn).items():
            values.setdefault(key, []).append(value)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    intervals: dict[str, Interval] = {}
    for key, parts in values.items():
        defined = np.concatenate(parts)
        defined = defined[np.isfinite(defined)]
        intervals[key] = None
        if len(defined):
            low, high = np.quantile(defined, tails).tolist()
            intervals[key] = (low, high)
    return intervals


def auroc(positives: NDArray[np.number], negatives: NDArray[np.number]) -> Floats:
    """(b,) from (b, k) counts per distinct score, highest score first; ties count half."""
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
