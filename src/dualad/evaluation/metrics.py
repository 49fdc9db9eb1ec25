"""Every metric of the evaluator, and bootstrap intervals for them.

Values come from scikit-learn; a metric that is undefined is None, never 0. `auprc` is the average
precision. AUPRO follows the definition of MVTec AD (Bergmann et al., 2021).

The bootstrap is stratified: normal and anomalous images are resampled separately, so the classes
keep their sizes, and the intervals are percentiles. `scipy.stats.bootstrap` would recompute the
metrics from scratch for each resample; here a resample is a vector of how often each image was
drawn, the images are sorted once, and all resamples share the sorting.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from sklearn import metrics as sk

from dualad.errors import DualadError
from dualad.evaluation.calibration import expected_calibration_error, probability_bins

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Interval = tuple[float, float] | None

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
PIXEL_METRICS = ("pixel_auroc", "aupro")

_BATCH_CELLS = 2_000_000
"""Resamples are taken in batches of so many numbers, which bounds the memory."""
_FINE_BINS = 65_536
_COARSE_BINS = 1_000
_SAMPLED_PIXELS = 2**20
_UNIT = 2.0**32
"""Overlaps are counted in whole multiples of 1 / _UNIT: sums of integers do not depend on the order
in which threads add them, so results stay identical to the bit."""


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


def count_metrics(counts: Mapping[str, int]) -> dict[str, float | None]:
    """Metrics that follow from a confusion matrix (section 5.2, eqs. 38 and 39).

    Parameters
    ----------
    counts
        `tp`, `fp`, `tn`, `fn`.

    Returns
    -------
    dict
        `balanced_accuracy f1 f2 tpr tnr fpr precision g_mean mcc kappa`; None where a denominator
        is zero.
    """
    tp, fp, tn, fn = (np.array([counts[key]]) for key in ("tp", "fp", "tn", "fn"))
    values = rates(tp, fp, tn, fn)
    return {key: _defined(value[0]) for key, value in values.items()}


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
    tpr, tnr = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    margins = [m.astype(np.float64) for m in (tp + fp, tp + fn, tn + fp, tn + fn)]
    agreement = margins[0] * margins[1] + margins[2] * margins[3]
    # A product of four counts exceeds 64 bits, and integers would wrap around silently.
    determinant = tp.astype(np.float64) * tn - fp.astype(np.float64) * fn
    total = tp + fp + tn + fn
    return {
        "balanced_accuracy": (tpr + tnr) / 2,
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "f2": _ratio(5 * tp, 5 * tp + fp + 4 * fn),
        "tpr": tpr,
        "tnr": tnr,
        "fpr": _ratio(fp, tn + fp),
        "precision": _ratio(tp, tp + fp),
        "g_mean": np.sqrt(tpr * tnr),
        "mcc": _ratio(determinant, np.sqrt(np.prod(margins, axis=0))),
        "kappa": _ratio(
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

    def recall(of: int) -> float:
        return float(sk.recall_score(labels, decisions, pos_label=of))

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
            "auroc": _auroc(positives, negatives),
            "auprc": _average_precision(positives, negatives),
            **rates(tp, fp, tn, fn),
            "ece": undefined
            if probabilities is None
            else _calibration_errors(drawn, probabilities, anomalous, ece_bins),
        }

    found = _bootstrap(anomalous, metrics_of, resamples, confidence, np.random.default_rng(seed))
    return {key: found.get(key) for key in IMAGE_METRICS}


class PixelStatistics:
    """Histograms of anomaly maps, image by image, from which pixel metrics follow.

    Pixels are binned at quantiles of all maps, some 65,000 bins for the metrics themselves and
    1,000 for the bootstrap, so memory depends on neither the size nor the number of pixels.

    Parameters
    ----------
    sample
        (m,) some pixels' values, spread over all images; they fix the bins.
    """

    def __init__(self, sample: ArrayLike) -> None:
        quantiles = np.linspace(0, 1, _FINE_BINS + 1)[1:-1]
        values = np.asarray(sample, dtype=np.float32).ravel()
        edges = np.unique(np.quantile(values, quantiles, method="inverted_cdf"))
        self._edges = edges.astype(np.float32)
        n_bins = len(edges) + 1
        self._coarse_of = (np.arange(n_bins) * min(_COARSE_BINS, n_bins)) // n_bins
        self._negative = np.zeros(n_bins)
        self._positive = np.zeros(n_bins)
        self._overlap = np.zeros(n_bins)
        self._anomalous: list[bool] = []
        self._regions: list[int] = []
        self._images: dict[str, list[NDArray[np.number]]] = {
            "negative": [],
            "positive": [],
            "overlap": [],
        }

    def add(self, anomaly_map: ArrayLike, mask: ArrayLike, *, anomalous: bool) -> None:
        """Take in one image.

        Parameters
        ----------
        anomaly_map
            (h, w) higher is more anomalous.
        mask
            (h, w) whether a pixel is anomalous.
        anomalous
            Whether the image is. Its mask is all False then where it has none or lost its last
            pixel in resizing; such an image is left out, its pixels' labels being unknown.
        """
        truth = np.asarray(mask, dtype=bool)
        if anomalous and not np.any(truth):
            return
        values = np.asarray(anomaly_map, dtype=np.float32)
        if values.shape != truth.shape:
            raise DualadError(f"an anomaly map is {values.shape}, its mask {truth.shape}")
        bins = np.searchsorted(self._edges, values, side="left")
        regions, n_regions = ndimage.label(truth, structure=np.ones((3, 3)))
        sizes = np.bincount(regions.ravel())
        weights = np.round(_UNIT / sizes[regions[truth]])
        n_coarse = int(self._coarse_of[-1]) + 1
        for key, total, where, weight in (
            ("negative", self._negative, bins[~truth], None),
            ("positive", self._positive, bins[truth], None),
            ("overlap", self._overlap, bins[truth], weights),
        ):
            if len(where):
                total += np.bincount(where, weights=weight, minlength=len(total))
            coarse = np.bincount(self._coarse_of[where], weights=weight, minlength=n_coarse)
            self._images[key].append(coarse.astype(np.uint32 if weight is None else np.float64))
        self._anomalous.append(anomalous)
        self._regions.append(n_regions)

    def metrics(self, fpr_limit: float) -> dict[str, float | None]:
        """`pixel_auroc`, and `aupro` up to a false positive rate of `fpr_limit`.

        AUPRO is the area under the mean, over all 8-connected anomalous regions of all images, of
        the share of a region that exceeds the threshold, as a function of the false positive rate
        over all normal pixels, up to `fpr_limit` and divided by it. Both are None without masks.
        """
        if not np.any(self._positive) or not np.any(self._negative):
            return dict.fromkeys(PIXEL_METRICS)
        n_bins = len(self._negative)
        bins = np.tile(np.arange(n_bins), 2)
        truth = np.repeat([0, 1], n_bins)
        counts = np.concatenate([self._negative, self._positive])
        auroc = sk.roc_auc_score(truth, bins, sample_weight=counts)
        aupro = _aupro(
            self._negative[None], self._overlap[None], np.array([sum(self._regions)]), fpr_limit
        )
        return {"pixel_auroc": float(auroc), "aupro": float(aupro[0])}

    def bootstrap(
        self, fpr_limit: float, *, resamples: int, confidence: float, seed: int
    ) -> dict[str, Interval]:
        """Stratified percentile bootstrap intervals over images; None without masks."""
        anomalous = np.array(self._anomalous, dtype=bool)
        if not np.any(anomalous) or np.all(anomalous):
            return dict.fromkeys(PIXEL_METRICS)
        negative, positive, overlap = (
            np.array(self._images[key], dtype=np.float64)
            for key in ("negative", "positive", "overlap")
        )
        regions = np.array(self._regions, dtype=np.float64)

        def metrics_of(drawn: Counts) -> dict[str, Floats]:
            times = drawn.astype(np.float64)
            normal_pixels = (times @ negative)[:, ::-1]
            anomalous_pixels = (times[:, anomalous] @ positive[anomalous])[:, ::-1]
            overlaps = times[:, anomalous] @ overlap[anomalous]
            return {
                "pixel_auroc": _auroc(anomalous_pixels, normal_pixels),
                "aupro": _aupro(normal_pixels[:, ::-1], overlaps, times @ regions, fpr_limit),
            }

        found = _bootstrap(
            anomalous, metrics_of, resamples, confidence, np.random.default_rng(seed)
        )
        return {key: found.get(key) for key in PIXEL_METRICS}


def sample_pixels(maps: Iterable[NDArray[np.float32]], n_pixels: int) -> NDArray[np.float32]:
    """About a million values, evenly spread over batches of maps with `n_pixels` pixels in all."""
    step = max(-(-n_pixels // _SAMPLED_PIXELS), 1)
    # A step that divides a row would visit a few columns only.
    while math.gcd(step, n_pixels) > 1:
        step += 1
    taken, offset = [], 0
    for batch in maps:
        values = batch.ravel()
        taken.append(values[-offset % step :: step])
        offset += len(values)
    return np.concatenate(taken)


def _defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _ratio(numerator: NDArray[np.number], denominator: NDArray[np.number]) -> Floats:
    """Elementwise quotient, NaN where the denominator is zero."""
    top = np.asarray(numerator, dtype=np.float64)
    bottom = np.asarray(denominator, dtype=np.float64)
    quotient = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=quotient, where=bottom != 0)
    return quotient


def _auroc(positives: NDArray[np.number], negatives: NDArray[np.number]) -> Floats:
    """(b,) from (b, k) counts per distinct score, highest score first; ties count half."""
    above = np.cumsum(positives, axis=1) - positives / 2
    pairs = positives.sum(axis=1).astype(np.float64) * negatives.sum(axis=1)
    return _ratio(np.sum(negatives * above, axis=1), pairs)


def _average_precision(positives: Counts, negatives: Counts) -> Floats:
    """(b,) from (b, k) counts per distinct score, highest score first."""
    found = np.cumsum(positives, axis=1)
    called = found + np.cumsum(negatives, axis=1)
    precision = found / np.maximum(called, 1)
    return _ratio(np.sum(positives * precision, axis=1), positives.sum(axis=1))


def _calibration_errors(
    drawn: Counts, probabilities: Floats, anomalous: NDArray[np.bool_], bins: int
) -> Floats:
    bin_of = probability_bins(probabilities, bins)
    order = np.argsort(bin_of, kind="stable")
    first_of_bin = np.append(0, np.flatnonzero(np.diff(bin_of[order])) + 1)
    surplus = (probabilities - anomalous)[order]
    gaps = np.add.reduceat(drawn[:, order] * surplus, first_of_bin, axis=1)
    return np.asarray(np.sum(np.abs(gaps), axis=1) / drawn.sum(axis=1))


def _aupro(negative: Floats, overlap: Floats, regions: Floats | Counts, limit: float) -> Floats:
    """(b,) from (b, k) counts of normal pixels and overlaps per bin, lowest bin first."""
    if not 0 < limit <= 1:
        raise DualadError(f"evaluation.fpr_limit: {limit} is not in (0, 1]")
    start = np.zeros((len(negative), 1))
    fpr = np.cumsum(negative[:, ::-1], axis=1) / negative.sum(axis=1, keepdims=True)
    pro = np.cumsum(overlap[:, ::-1], axis=1) / (_UNIT * np.asarray(regions)[:, None])
    x, y = np.hstack([start, fpr]), np.hstack([start, pro])
    width = np.diff(x, axis=1)
    covered = np.clip(limit - x[:, :-1], 0, width)
    rise = np.diff(y, axis=1) * np.divide(covered, width, out=np.zeros_like(width), where=width > 0)
    return np.asarray(np.sum(covered * (y[:, :-1] + rise / 2), axis=1) / limit)


def _bootstrap(
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
