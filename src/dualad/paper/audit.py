"""Audit of the paper's Table 6: whether its columns agree, and which counts of images give them.

Every column follows from TPR, TNR and precision, the share of anomalies among the test images
included, so each can be recomputed. And every column is a ratio of whole numbers of images, so
few confusion matrices give them all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dualad.evaluation.metrics import rates
from dualad.paper.numbers import paper_numbers

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

RECOMPUTED = ("f1", "f2", "fpr", "g_mean", "mcc", "kappa")
"""Columns of Table 6 that follow from `INPUTS`. AUROC does not; it is held against
`balanced_accuracy`."""
INPUTS = ("tpr", "tnr", "precision")
SINGLE_ENCODERS = ("image_only", "pixel_only")
TEST_FRACTION = 0.8
"""The share of the labelled images that the protocol `paper` tests on."""

_HALF = 0.005 + 1e-9
"""Half of the last printed digit, in per cent; either way of rounding a tie is accepted."""
_GRID = 11


@dataclass(frozen=True)
class Labelled:
    """Labelled images that a dataset ships."""

    n_images: int
    """Images of the release in all."""
    n_test: int
    n_validation: int
    test: tuple[int, int] | None
    """Anomalous and normal images of the test set; None where annotations decide frame by frame."""
    validation: tuple[int, int]

    @property
    def pool(self) -> tuple[int, int] | None:
        """Anomalous and normal images of validation and test set together."""
        if self.test is None:
            return None
        return self.test[0] + self.validation[0], self.test[1] + self.validation[1]


# Sizes of the releases as their authors publish them: BMAD (BraTS2021, OCT2017), MedMNIST v2,
# the UCSD anomaly detection dataset (Ped1), MVTec AD, MVTec 3D-AD. OCT2017 is BMAD's selection,
# which section 4.1 takes for the normal images alone.
LABELLED: Mapping[str, Labelled] = {
    "brats2021": Labelled(11_298, 3715, 83, (3075, 640), (44, 39)),
    "oct2017": Labelled(27_315, 968, 32, (726, 242), (24, 8)),
    "pneumoniamnist": Labelled(5856, 624, 524, (390, 234), (389, 135)),
    "ucsd_ped1": Labelled(14_000, 7200, 0, None, (0, 0)),
    "zipper": Labelled(391, 151, 0, (119, 32), (0, 0)),
    "hazelnut": Labelled(501, 110, 0, (70, 40), (0, 0)),
    "metal_nut": Labelled(335, 115, 0, (93, 22), (0, 0)),
    "rope": Labelled(432, 101, 33, (69, 32), (0, 33)),
}


@dataclass(frozen=True)
class Check:
    """A printed column and what it should be, in per cent."""

    metric: str
    printed: float
    recomputed: float
    """From the printed TPR, TNR and precision as they stand."""
    low: float
    high: float
    """What it can be, given that those three are rounded."""

    @property
    def difference(self) -> float:
        """Printed minus recomputed."""
        return self.printed - self.recomputed

    @property
    def consistent(self) -> bool:
        """Whether rounding explains the difference."""
        return self.low - _HALF <= self.printed <= self.high + _HALF


@dataclass(frozen=True)
class RowAudit:
    """The audit of one row of Table 6."""

    dataset: str
    printed: Mapping[str, float]
    """Per cent."""
    checks: Mapping[str, Check]
    """Per metric of `RECOMPUTED`, and `auroc` against the balanced accuracy."""
    prevalence: float
    """Share of anomalous test images that TPR, TNR and precision imply, in per cent."""
    matrices: Counts
    """(n, 4) all fitting matrices, columns tp, fn, tn, fp, smallest first."""

    @property
    def labelled(self) -> Labelled:
        """What the dataset ships."""
        return LABELLED[self.dataset]

    @property
    def sizes(self) -> Counts:
        """(n, 2) anomalous and normal images of each matrix."""
        return np.stack([self.matrices[:, :2].sum(1), self.matrices[:, 2:].sum(1)], axis=1)

    @property
    def official(self) -> Counts | None:
        """(4,) a matrix of the official test set; None if none is."""
        return self._of(self.labelled.n_test, self.labelled.test, 1.0)

    @property
    def pool(self) -> Counts | None:
        """(4,) a matrix of `TEST_FRACTION` of the labelled images, rounded either way, or None."""
        total = self.labelled.n_test + self.labelled.n_validation
        return self._of(total, self.labelled.pool, TEST_FRACTION)

    def _of(self, total: int, classes: tuple[int, int] | None, fraction: float) -> Counts | None:
        """Find a matrix of the given classes, or of the given total where they are unknown."""
        sizes = self.sizes if classes is not None else self.sizes.sum(1, keepdims=True)
        wanted = fraction * np.array(classes if classes is not None else (total,))
        fitting = np.flatnonzero(np.all(np.abs(sizes - wanted) < 1 - 1e-9, axis=1))
        return np.asarray(self.matrices[fitting[0]]) if len(fitting) else None

    @property
    def closest_to_official(self) -> Counts | None:
        """(4,) the matrix whose classes are closest to the official test set's, if they are known.

        Closest is the smallest sum of both differences.
        """
        if self.labelled.test is None or len(self.matrices) == 0:
            return None
        distance = np.abs(self.sizes - np.array(self.labelled.test)).sum(1)
        return np.asarray(self.matrices[int(np.argmin(distance))])

    @property
    def auroc_matches(self) -> NDArray[np.bool_]:
        """(n,) whether a matrix's balanced accuracy is the number printed as AUROC."""
        balanced = percentages(self.matrices)["balanced_accuracy"]
        return np.asarray(np.abs(balanced - self.printed["auroc"]) <= _HALF)

    @cached_property
    def fits_table_8(self) -> NDArray[np.bool_]:
        """(n,) whether a matrix's classes also give both single encoders' columns of Table 8.

        Table 8 prints AUROC, F1 and TPR; its AUROC is taken for the balanced accuracy as well.
        """
        variants: dict[str, dict[str, float]] = {}
        for number in paper_numbers("Table 8"):
            if number.dataset == self.dataset and number.value is not None:
                variants.setdefault(number.method, {})[number.metric] = number.value
        fits = [classes_fit(variants[method], self.sizes) for method in SINGLE_ENCODERS]
        return np.asarray(np.logical_and.reduce(fits))

    @property
    def with_table_8(self) -> Counts:
        """(m, 4) the matrices that `fits_table_8` marks."""
        return np.asarray(self.matrices[self.fits_table_8])


def percentages(matrices: Counts | Floats) -> dict[str, Floats]:
    """Table 6's metrics from confusion matrices, in per cent.

    Parameters
    ----------
    matrices
        (n, 4) true positives, false negatives, true negatives, false positives: counts, or shares
        of any common total.

    Returns
    -------
    dict
        (n,) each, under the names of `dualad.evaluation.metrics.rates`.
    """
    tp, fn, tn, fp = matrices.T
    return {key: 100 * value for key, value in rates(tp, fp, tn, fn).items()}


def rates_of_printed(tpr: Floats, tnr: Floats, precision: Floats) -> dict[str, Floats]:
    """All metrics that TPR, TNR and precision imply, with the `prevalence` of anomalies.

    Precision fixes how many normal images there are per anomalous one: fp = tp (1 - p) / p.

    Parameters
    ----------
    tpr, tnr, precision
        (n,) per cent; TNR below 100 and precision in (0, 100).
    """
    tp = tpr / 100
    fp = tp * (100 - precision) / precision
    normal = fp / (1 - tnr / 100)
    found = percentages(np.stack([tp, 1 - tp, normal - fp, fp], axis=-1))
    return found | {"prevalence": 100 / (1 + normal)}


def check_row(printed: Mapping[str, float]) -> dict[str, Check]:
    """Hold each column of a row against what TPR, TNR and precision imply.

    The range of what they can imply is taken over a grid of unrounded values that includes the
    corners.

    Parameters
    ----------
    printed
        The row of Table 6, in per cent, by metric.
    """
    exact = rates_of_printed(*(np.array([printed[key]]) for key in INPUTS))
    # Not quite to the ends 0 and 100, where a class or a decision would be missing.
    axes = [
        np.clip(np.linspace(printed[key] - _HALF, printed[key] + _HALF, _GRID), 1e-6, 100 - 1e-6)
        for key in INPUTS
    ]
    ranges = rates_of_printed(*(axis.ravel() for axis in np.meshgrid(*axes)))

    def check(metric: str, source: str) -> Check:
        values = exact[source][0], np.min(ranges[source]), np.max(ranges[source])
        return Check(metric, printed[metric], *map(float, values))

    return {
        "auroc": check("auroc", "balanced_accuracy"),
        **{metric: check(metric, metric) for metric in RECOMPUTED},
    }


def fitting_matrices(printed: Mapping[str, float], max_images: int) -> Counts:
    """All confusion matrices that give every printed column but AUROC.

    TPR leaves about one number of detected anomalies per 10,000 / N sizes of the anomalous class,
    precision and FPR a short range of false alarms and of normal images for each. So only those
    are made, and tested against all columns.

    Parameters
    ----------
    printed
        A row of Table 6, in per cent, by metric: `INPUTS` and `RECOMPUTED`.
    max_images
        Largest number of test images.

    Returns
    -------
    array
        (n, 4) columns tp, fn, tn, fp; fewest images first, then fewest anomalies, then most
        detected.
    """
    tpr, fpr, precision = (printed[key] for key in ("tpr", "fpr", "precision"))
    anomalous = np.arange(1, max_images)
    i, tp = _integers(
        anomalous * (tpr - _HALF) / 100,
        np.minimum(anomalous * (tpr + _HALF) / 100, anomalous),
    )
    anomalous = anomalous[i]
    i, fp = _integers(
        tp * max(100 - precision - _HALF, 0) / (precision + _HALF),
        np.minimum(tp * (100 - precision + _HALF) / (precision - _HALF), max_images - anomalous),
    )
    tp, anomalous = tp[i], anomalous[i]
    room = max_images - anomalous
    i, normal = _integers(
        np.maximum(fp * 100 / (fpr + _HALF), 1),
        np.minimum(fp * 100 / (fpr - _HALF), room) if fpr > _HALF else room,
    )
    tp, anomalous, fp = tp[i], anomalous[i], fp[i]
    found = np.stack([tp, anomalous - tp, normal - fp, fp], axis=1)
    # Without anomalies, normals or either decision some column would be undefined.
    found = found[(found.min(1) >= 0) & (tp > 0) & (found[:, 1] + found[:, 2] > 0)]
    values = percentages(found)
    fits = np.logical_and.reduce(
        [np.abs(values[key] - printed[key]) <= _HALF for key in (*INPUTS, *RECOMPUTED)]
    )
    found = found[fits]
    order = np.lexsort((-found[:, 0], found[:, :2].sum(1), found.sum(1)))
    return np.asarray(found[order])


def classes_fit(printed: Mapping[str, float], sizes: Counts) -> NDArray[np.bool_]:
    """Whether test sets of given classes can give a row of Table 8.

    Parameters
    ----------
    printed
        `tpr`, `f1` and `auroc`, the last taken for the balanced accuracy, in per cent.
    sizes
        (n, 2) numbers of anomalous and normal test images.

    Returns
    -------
    array
        (n,)
    """
    tpr, tnr = printed["tpr"], 2 * printed["auroc"] - printed["tpr"]
    i, tp = _integers(sizes[:, 0] * (tpr - _HALF) / 100, sizes[:, 0] * (tpr + _HALF) / 100)
    # TNR is known from two rounded numbers, one of them twice over.
    normal = sizes[i, 1]
    j, tn = _integers(normal * (tnr - 3 * _HALF) / 100, normal * (tnr + 3 * _HALF) / 100)
    row, tp = i[j], tp[j]
    found = np.stack([tp, sizes[row, 0] - tp, tn, sizes[row, 1] - tn], axis=1)
    usable = (found.min(1) >= 0) & (tp > 0) & (found[:, 1] + found[:, 2] > 0)
    found, row = found[usable], row[usable]
    values = percentages(found)
    fits = (
        (np.abs(values["tpr"] - tpr) <= _HALF)
        & (np.abs(values["balanced_accuracy"] - printed["auroc"]) <= _HALF)
        & (np.abs(values["f1"] - printed["f1"]) <= _HALF)
    )
    return np.isin(np.arange(len(sizes)), row[fits])


def _integers(low: NDArray[Any], high: NDArray[Any]) -> tuple[Counts, Counts]:
    """All whole numbers in each of n ranges, and which range each is from."""
    # The slack covers rounding errors; whoever asks tests the numbers exactly.
    first = np.ceil(low - 1e-6).astype(np.int64)
    counts = np.maximum(np.floor(high + 1e-6).astype(np.int64) - first + 1, 0)
    index = np.repeat(np.arange(len(first)), counts)
    within = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
    return index, first[index] + within


def audit_table_6() -> list[RowAudit]:
    """Audit every row of Table 6, in its order; takes about a second.

    Matrices are searched up to the number of images of the dataset.
    """
    rows: dict[str, dict[str, float]] = {}
    for number in paper_numbers("Table 6"):
        if number.value is not None:
            rows.setdefault(number.dataset, {})[number.metric] = number.value
    return [
        RowAudit(
            dataset,
            printed,
            check_row(printed),
            float(rates_of_printed(*(np.array([printed[k]]) for k in INPUTS))["prevalence"][0]),
            fitting_matrices(printed, LABELLED[dataset].n_images),
        )
        for dataset, printed in rows.items()
    ]
