"""Pixel metrics against their definitions, closed forms and laws of invariance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from sklearn import metrics as sk

from dualad.errors import DualadError
from dualad.evaluation.bootstrap import Resampling
from dualad.evaluation.pixel_metrics import PixelStatistics, sample_pixels


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
    assert statistics.bootstrap(0.3, Resampling(9, 0.9, 0)) == nothing


def test_pixel_bootstrap_resamples_images() -> None:
    maps, masks, labels = make_maps(2, n=8)
    statistics = collect(maps, masks, labels)
    found = statistics.bootstrap(0.3, Resampling(40, 0.9, 6))
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
