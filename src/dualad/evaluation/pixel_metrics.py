"""Metrics of pixels, from anomaly maps and masks.

AUPRO follows the definition of MVTec AD (Bergmann et al., 2021).
"""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from sklearn import metrics as sk

from dualad.errors import DualadError
from dualad.evaluation.bootstrap import (
    Counts,
    Floats,
    Interval,
    Resampling,
    auroc,
    percentile_intervals,
)

PIXEL_METRICS = ("pixel_auroc", "aupro")

_FINE_BINS = 65_536
_COARSE_BINS = 1_000
_SAMPLED_PIXELS = 2**20
_UNIT = 2.0**32
"""Overlaps are counted in whole multiples of 1 / _UNIT: sums of integers do not depend on the order
in which threads add them, so results stay identical to the bit."""


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

    def bootstrap(self, fpr_limit: float, resampling: Resampling) -> dict[str, Interval]:
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
                "pixel_auroc": auroc(anomalous_pixels, normal_pixels),
                "aupro": _aupro(normal_pixels[:, ::-1], overlaps, times @ regions, fpr_limit),
            }

        found = percentile_intervals(anomalous, metrics_of, resampling)
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
