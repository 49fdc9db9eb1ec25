"""Metrics against published values, scikit-learn, exhaustive counting and laws of invariance."""

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from sklearn import metrics as sk

from dualad.errors import DualadError
from dualad.evaluation.calibration import expected_calibration_error
from dualad.evaluation.metrics import (
    IMAGE_METRICS,
    Interval,
    Judgement,
    PixelStatistics,
    bootstrap_image_metrics,
    confusion_counts,
    count_metrics,
    image_metrics,
    sample_pixels,
)

# Table 6, in percent; its column AUROC is the balanced accuracy of hard decisions.
COLUMNS = ("balanced_accuracy", "f1", "f2", "tpr", "tnr", "fpr", "precision", "g_mean", "mcc")
TABLE_6 = {
    "zipper": (96, 25, (92.96, 97.41, 97.71, 97.92, 88.00, 12.00, 96.91, 92.83, 87.24), 87.21),
    "hazelnut": (56, 32, (91.74, 93.69, 93.19, 92.86, 90.63, 9.38, 94.55, 91.73, 82.95), 82.93),
    "metal_nut": (75, 17, (96.39, 98.67, 98.67, 98.67, 94.12, 5.88, 98.67, 96.37, 92.78), 92.78),
    "rope": (55, 52, (94.23, 94.83, 97.86, 100.00, 88.46, 11.54, 90.16, 94.05, 89.31), 88.74),
}
MATRICES = {
    "zipper": {"tp": 94, "fp": 3, "tn": 22, "fn": 2},
    "hazelnut": {"tp": 52, "fp": 3, "tn": 29, "fn": 4},
    "metal_nut": {"tp": 74, "fp": 1, "tn": 16, "fn": 1},
    "rope": {"tp": 55, "fp": 6, "tn": 46, "fn": 0},
}


@pytest.mark.parametrize("row", TABLE_6)
def test_one_integer_matrix_reproduces_the_papers_row(row: str) -> None:
    anomalous, normal, printed, kappa = TABLE_6[row]

    def fits(counts: dict[str, int]) -> bool:
        values = count_metrics(counts)
        return all(
            value is not None and abs(100 * value - expected) < 0.0051
            for value, expected in zip(
                (*(values[key] for key in COLUMNS), values["kappa"]),
                (*printed, kappa),
                strict=True,
            )
        )

    matrices = (
        {"tp": tp, "fp": normal - tn, "tn": tn, "fn": anomalous - tp}
        for tp in range(anomalous + 1)
        for tn in range(normal + 1)
    )
    assert [matrix for matrix in matrices if fits(matrix)] == [MATRICES[row]]


@st.composite
def judgements(draw: st.DrawFn, n: int | None = None) -> Judgement:
    """Sets with both classes, tied scores, any decisions, with or without probabilities."""
    size = draw(st.integers(2, 60)) if n is None else n
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    labels = rng.permutation(np.arange(size) % draw(st.integers(2, min(size, 9))) == 0)
    return Judgement(
        labels=labels.astype(np.int64),
        scores=np.round(rng.normal(size=size) + labels, draw(st.integers(0, 3))),
        decisions=(rng.random(size) < draw(st.sampled_from([0, 0.1, 0.5, 1]))).astype(np.int64),
        probabilities=rng.random(size) if draw(st.booleans()) else None,
    )


@settings(deadline=None, max_examples=25)
@given(judgements())
def test_values_are_scikit_learns_and_undefined_ones_are_none(judgement: Judgement) -> None:
    y, d = judgement.labels, judgement.decisions
    values = image_metrics(judgement, 10)
    assert tuple(values) == IMAGE_METRICS
    tn, fp, fn, tp = sk.confusion_matrix(y, d, labels=[0, 1]).ravel()
    expected = {
        "auroc": sk.roc_auc_score(y, judgement.scores),
        "auprc": sk.average_precision_score(y, judgement.scores),
        "balanced_accuracy": sk.balanced_accuracy_score(y, d),
        "f1": sk.f1_score(y, d),
        "f2": sk.fbeta_score(y, d, beta=2),
        "tpr": sk.recall_score(y, d),
        "tnr": sk.recall_score(y, d, pos_label=0),
        "fpr": fp / (fp + tn),
        "precision": sk.precision_score(y, d, zero_division=0) if tp + fp else None,
        "g_mean": np.sqrt(tp / (tp + fn) * tn / (tn + fp)),
        "mcc": sk.matthews_corrcoef(y, d) if len(np.unique(d)) == 2 else None,
        "kappa": sk.cohen_kappa_score(y, d),
        "ece": None
        if judgement.probabilities is None
        else expected_calibration_error(judgement.probabilities, y, 10),
    }
    assert values == pytest.approx(expected)
    from_counts = count_metrics(confusion_counts(y, d))
    assert from_counts == pytest.approx({key: values[key] for key in from_counts})


def test_undefined_metrics_of_a_single_class() -> None:
    ones = np.ones(4, dtype=np.int64)
    normal_only = image_metrics(Judgement(0 * ones, np.arange(4.0), 0 * ones, None), 10)
    assert {key for key, value in normal_only.items() if value is not None} == {"tnr", "fpr"}
    anomalous_only = image_metrics(Judgement(ones, np.arange(4.0), ones, None), 10)
    assert {key for key, value in anomalous_only.items() if value is not None} == {
        *("f1", "f2", "tpr", "precision")
    }


@settings(deadline=None, max_examples=10)
@given(judgements(), st.floats(0.5, 3), st.floats(-10, 10))
def test_ranking_metrics_see_the_order_only(
    judgement: Judgement, factor: float, shift: float
) -> None:
    ranks = np.unique(judgement.scores, return_inverse=True)[1]
    moved = np.sinh(factor * ranks / 20) + shift
    for key in ("auroc", "auprc"):
        other = Judgement(judgement.labels, moved, judgement.decisions, None)
        assert image_metrics(other, 10)[key] == pytest.approx(image_metrics(judgement, 10)[key])


@settings(deadline=None, max_examples=10)
@given(judgements())
def test_a_resample_that_draws_everything_once_gives_the_metrics_themselves(
    judgement: Judgement,
) -> None:
    # With one image per distinct class a resample can only repeat the set.
    first = [np.flatnonzero(judgement.labels == label)[0] for label in (0, 1)]
    pair = Judgement(
        judgement.labels[first],
        judgement.scores[first],
        judgement.decisions[first],
        None if judgement.probabilities is None else judgement.probabilities[first],
    )
    values = image_metrics(pair, 10)
    intervals = bootstrap_image_metrics(pair, 10, resamples=3, confidence=0.9, seed=0)
    for key, interval in intervals.items():
        expected = None if values[key] is None else pytest.approx((values[key], values[key]))
        assert interval == expected


def slow_bootstrap(judgement: Judgement, resamples: int, seed: int) -> dict[str, Interval]:
    """The same resamples, each judged from scratch by scikit-learn."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(judgement.labels == label) for label in (0, 1)]
    picks = [rng.integers(len(of), size=(resamples, len(of))) for of in members]
    rows = []
    for number in range(resamples):
        chosen = np.concatenate([of[pick[number]] for of, pick in zip(members, picks, strict=True)])
        resample = Judgement(
            judgement.labels[chosen],
            judgement.scores[chosen],
            judgement.decisions[chosen],
            None if judgement.probabilities is None else judgement.probabilities[chosen],
        )
        rows.append(image_metrics(resample, 10))
    intervals: dict[str, Interval] = {}
    for key in IMAGE_METRICS:
        values = [row[key] for row in rows if row[key] is not None]
        low, high = np.quantile(values, [0.025, 0.975]) if values else (None, None)
        intervals[key] = None if low is None else (float(low), float(high))
    return intervals


@settings(deadline=None, max_examples=4)
@given(judgements(n=40), st.integers(0, 100))
def test_bootstrap_equals_one_through_scikit_learn(judgement: Judgement, seed: int) -> None:
    intervals = bootstrap_image_metrics(judgement, 10, resamples=12, confidence=0.95, seed=seed)
    expected = slow_bootstrap(judgement, 12, seed)
    assert tuple(intervals) == IMAGE_METRICS
    for key, interval in expected.items():
        assert intervals[key] == (None if interval is None else pytest.approx(interval))


def test_intervals_cover_the_value_and_shrink_with_the_set() -> None:
    rng = np.random.default_rng(1)

    def width(n: int) -> float:
        labels = np.arange(n) % 2
        scores = rng.normal(size=n) + labels
        judgement = Judgement(labels, scores, (scores > 0.5).astype(np.int64), None)
        interval = bootstrap_image_metrics(judgement, 10, resamples=500, confidence=0.95, seed=0)[
            "auroc"
        ]
        value = image_metrics(judgement, 10)["auroc"]
        assert interval is not None and value is not None
        assert interval[0] < value < interval[1]
        return interval[1] - interval[0]

    # Half the width of a normal interval: 1.96 sd, the sd by Hanley and McNeil about 0.0345.
    assert width(200) == pytest.approx(2 * 1.96 * 0.0335, rel=0.25)
    assert width(3200) == pytest.approx(width(200) / 4, rel=0.3)


def test_bootstrap_settings() -> None:
    judgement = Judgement(np.array([0, 1]), np.array([0.0, 1.0]), np.array([0, 1]), None)
    none = bootstrap_image_metrics(judgement, 10, resamples=0, confidence=0.95, seed=0)
    assert none == dict.fromkeys(IMAGE_METRICS)
    with pytest.raises(DualadError, match=r"evaluation\.confidence"):
        bootstrap_image_metrics(judgement, 10, resamples=1, confidence=95, seed=0)


def test_a_thousand_resamples_of_a_thousand_images_are_quick_and_small() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(1000) % 2
    scores = rng.normal(size=1000) + labels
    judgement = Judgement(labels, scores, (scores > 0.5).astype(np.int64), rng.random(1000))
    started = time.process_time()
    bootstrap_image_metrics(judgement, 10, resamples=1000, confidence=0.95, seed=0)
    assert time.process_time() - started < 2
    tracemalloc.start()
    bootstrap_image_metrics(judgement, 10, resamples=3000, confidence=0.95, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300e6


def make_maps(seed: int, n: int = 12, size: int = 24) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maps (n, size, size), masks and image labels; half the images have one to three regions."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    masks = np.zeros((n, size, size), dtype=bool)
    for number in np.flatnonzero(labels):
        for _ in range(rng.integers(1, 4)):
            row, column = rng.integers(0, size - 6, 2)
            height, width = rng.integers(1, 7, 2)
            masks[number, row : row + height, column : column + width] = True
    maps = rng.normal(size=masks.shape) + 1.5 * masks * rng.random((n, 1, 1))
    return maps.astype(np.float32), masks, labels


def collect(maps: np.ndarray, masks: np.ndarray, labels: np.ndarray) -> PixelStatistics:
    statistics = PixelStatistics(sample_pixels([maps[:5], maps[5:]], maps.size))
    for anomaly_map, mask, label in zip(maps, masks, labels, strict=True):
        statistics.add(anomaly_map, mask, anomalous=bool(label))
    return statistics


def slow_aupro(maps: np.ndarray, masks: np.ndarray, limit: float) -> float:
    """AUPRO from its definition, a threshold at a time."""
    regions = []
    for anomaly_map, mask in zip(maps, masks, strict=True):
        numbered, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [anomaly_map[numbered == number] for number in range(1, count + 1)]
    normal = maps[~masks]
    thresholds = np.sort(np.unique(maps))[::-1]
    fpr = [0.0] + [float(np.mean(normal >= t)) for t in thresholds]
    pro = [0.0] + [float(np.mean([np.mean(r >= t) for r in regions])) for t in thresholds]
    inside = [number for number, rate in enumerate(fpr) if rate < limit]
    crossing = inside[-1] + 1
    share = (limit - fpr[crossing - 1]) / (fpr[crossing] - fpr[crossing - 1])
    at_limit = pro[crossing - 1] + share * (pro[crossing] - pro[crossing - 1])
    rates, overlaps = [*fpr[:crossing], limit], [*pro[:crossing], at_limit]
    return float(np.trapezoid(overlaps, rates)) / limit


@pytest.mark.parametrize("seed", range(3))
def test_pixel_metrics_equal_their_definitions(seed: int) -> None:
    maps, masks, labels = make_maps(seed, n=6, size=12)
    statistics = collect(maps, masks, labels)
    for limit in (0.05, 0.3, 1.0):
        values = statistics.metrics(limit)
        expected = sk.roc_auc_score(masks.ravel(), maps.ravel())
        assert values["pixel_auroc"] == pytest.approx(expected, abs=1e-6)
        assert values["aupro"] == pytest.approx(slow_aupro(maps, masks, limit), abs=1e-6)


def test_pixel_metrics_of_closed_form_cases() -> None:
    masks = np.zeros((2, 10, 10), dtype=bool)
    masks[1, :2, :5] = True
    masks[1, 6:, 6:9] = True
    labels = np.array([0, 1])
    assert collect(masks.astype(np.float32), masks, labels).metrics(0.3) == {
        "pixel_auroc": pytest.approx(1),
        "aupro": pytest.approx(1),
    }
    # A constant map is the diagonal: mean overlap equals the false positive rate.
    assert collect(np.ones((2, 10, 10)), masks, labels).metrics(0.3) == {
        "pixel_auroc": pytest.approx(0.5),
        "aupro": pytest.approx(0.15),
    }
    # One of two regions found, of whatever size: half the overlap at no false positive.
    one = np.zeros((2, 10, 10))
    one[1, :2, :5] = 1
    values = collect(one, masks, labels).metrics(0.3)
    assert values["aupro"] == pytest.approx(0.5 + 0.5 * 0.15)
    assert values["pixel_auroc"] == pytest.approx((10 + 12 / 2) / 22)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.floats(0.2, 3), st.floats(-5, 5))
def test_pixel_metrics_see_the_order_only(seed: int, factor: float, shift: float) -> None:
    maps, masks, labels = make_maps(seed, n=4, size=12)
    ranks = np.unique(maps, return_inverse=True)[1].reshape(maps.shape)
    moved = np.sinh(factor * ranks / ranks.max()) + shift
    expected = collect(ranks, masks, labels).metrics(0.3)
    assert collect(moved, masks, labels).metrics(0.3) == pytest.approx(expected, abs=1e-3)


def test_regions_touching_at_a_corner_are_one() -> None:
    masks = np.zeros((2, 6, 6), dtype=bool)
    masks[1, 1, 1] = masks[1, 2, 2] = True
    maps = np.zeros((2, 6, 6))
    maps[1, 1, 1] = 1
    statistics = collect(maps, masks, np.array([0, 1]))
    assert statistics.metrics(0.3)["aupro"] == pytest.approx(0.5 + 0.5 * 0.15)
    assert statistics._regions == [0, 1]


def test_anomalous_images_without_a_mask_do_not_count() -> None:
    maps, masks, labels = make_maps(5)
    expected = collect(maps, masks, labels).metrics(0.3)
    statistics = PixelStatistics(maps)
    for anomaly_map, mask, label in zip(maps, masks, labels, strict=True):
        statistics.add(anomaly_map, mask, anomalous=bool(label))
        statistics.add(10 + 0 * anomaly_map, 0 * mask, anomalous=True)
    assert statistics.metrics(0.3) == expected


def test_without_masks_pixel_metrics_are_none() -> None:
    maps, masks, labels = make_maps(5)
    statistics = collect(maps, 0 * masks, labels)
    nothing = {"pixel_auroc": None, "aupro": None}
    assert statistics.metrics(0.3) == nothing
    assert statistics.bootstrap(0.3, resamples=9, confidence=0.9, seed=0) == nothing


def test_pixel_bootstrap_resamples_images() -> None:
    maps, masks, labels = make_maps(2, n=8)
    statistics = collect(maps, masks, labels)
    found = statistics.bootstrap(0.3, resamples=40, confidence=0.9, seed=6)
    rng = np.random.default_rng(6)
    members = [np.flatnonzero(labels == label) for label in (0, 1)]
    picks = [rng.integers(4, size=(40, 4)) for _ in members]
    chosen = [
        np.concatenate([of[pick[number]] for of, pick in zip(members, picks, strict=True)])
        for number in range(40)
    ]
    auroc = [sk.roc_auc_score(masks[c].ravel(), maps[c].ravel()) for c in chosen]
    assert found["pixel_auroc"] == pytest.approx(np.quantile(auroc, [0.05, 0.95]), abs=2e-3)
    aupro = [collect(maps[c], masks[c], labels[c]).metrics(0.3)["aupro"] for c in chosen]
    assert found["aupro"] == pytest.approx(
        np.quantile(np.array(aupro, dtype=float), [0.05, 0.95]), abs=2e-3
    )


def test_pixel_settings_and_shapes_are_checked() -> None:
    maps, masks, labels = make_maps(2)
    statistics = collect(maps, masks, labels)
    with pytest.raises(DualadError, match=r"evaluation\.fpr_limit"):
        statistics.metrics(0)
    with pytest.raises(DualadError, match=r"\(3, 3\).*\(24, 24\)"):
        statistics.add(np.zeros((3, 3)), masks[1], anomalous=True)


def test_pixel_samples_are_spread_and_bounded() -> None:
    maps = np.arange(40 * 300 * 300, dtype=np.float32).reshape(40, 300, 300)
    sample = sample_pixels(np.split(maps, 8), maps.size)
    assert len(sample) <= 2**20
    assert len(np.unique(sample.astype(np.int64) % 300)) == 300
    steps = np.diff(sample)
    assert np.all(steps == steps[0])
