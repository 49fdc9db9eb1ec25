"""Scores and maps against their definitions, and Monte Carlo dropout's statistics."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter

from dualad.design.parameters import DualAutoencoderParams
from dualad.errors import DualadError
from dualad.network.model import build_dual_autoencoder, set_dropout
from dualad.network.monte_carlo import MonteCarloSampler
from dualad.network.saliency import saliency
from dualad.network.scores import SCORE_NAMES, ResidualStatistics, anomaly_map, blur, image_score
from dualad.network.trainer import msle

SIZE = 10
RNG = np.random.default_rng(0)
TRAIN = RNG.random((30, SIZE, SIZE), dtype=np.float32)
OUTPUT = RNG.random((30, SIZE, SIZE), dtype=np.float32)
(STATISTICS,) = ResidualStatistics.fit(
    [(TRAIN[:12], OUTPUT[:12]), (TRAIN[12:], OUTPUT[12:])], [2.0]
)


def small_model() -> object:
    params = DualAutoencoderParams(encoder_widths=(8, 4), decoder_widths=(6, 6))
    model = build_dual_autoencoder(SIZE, params, seed=1)
    set_dropout(model, [0.3] * 4)
    return model


def test_blur_is_scipys_with_reflecting_borders() -> None:
    images = RNG.random((3, 68, 68), dtype=np.float32)
    expected = [gaussian_filter(image, 2.0, mode="reflect") for image in images]
    np.testing.assert_allclose(blur(images, 2.0), expected, atol=1e-5)


def test_statistics_do_not_depend_on_the_batches() -> None:
    residual = (OUTPUT - TRAIN).astype(np.float64)
    np.testing.assert_allclose(STATISTICS.mean, residual.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(STATISTICS.std, residual.std(axis=0), rtol=1e-5)


def test_a_pixel_that_never_varies_keeps_a_tenth_of_the_mean_deviation() -> None:
    output = OUTPUT.copy()
    output[:, 0, 0] = TRAIN[:, 0, 0] + np.float32(0.25)
    statistics = ResidualStatistics.fit([(TRAIN, output)], [1.0])[0]
    raw = (output - TRAIN).std(axis=0)
    assert statistics.std[0, 0] == pytest.approx(0.1 * raw.mean(), rel=1e-4)


def test_l2_is_the_norm_of_the_residual() -> None:
    maps = anomaly_map("l2", TRAIN, OUTPUT, STATISTICS)
    expected = np.linalg.norm((OUTPUT - TRAIN).reshape(30, -1), axis=1)
    np.testing.assert_allclose(image_score("l2", maps), expected, rtol=1e-5)


def test_msle_is_the_training_loss() -> None:
    maps = anomaly_map("msle", TRAIN, OUTPUT, STATISTICS)
    expected = msle(TRAIN[..., np.newaxis], OUTPUT[..., np.newaxis])
    np.testing.assert_allclose(image_score("msle", maps), expected, rtol=1e-5)


def test_standardised_residuals_of_the_training_images_average_to_one() -> None:
    maps = anomaly_map("standardised", TRAIN, OUTPUT, STATISTICS)
    assert np.mean(maps) == pytest.approx(1, rel=1e-4)


def test_blurred_z_averages_the_highest_percent() -> None:
    maps = np.asarray(anomaly_map("blurred_z", TRAIN, OUTPUT, STATISTICS))
    np.testing.assert_allclose(
        image_score("blurred_z", maps), maps.reshape(30, -1).max(axis=1), rtol=1e-6
    )
    large = RNG.random((2, 68, 68), dtype=np.float32)
    expected = np.sort(large.reshape(2, -1), axis=1)[:, -46:].mean(axis=1)
    np.testing.assert_allclose(image_score("blurred_z", large), expected, rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(arrays(np.float32, (2, SIZE, SIZE), elements=st.floats(0, 1, width=32)))
def test_scores_are_finite_and_a_perfect_reconstruction_has_no_error(images: np.ndarray) -> None:
    for name in SCORE_NAMES:
        maps = anomaly_map(name, images, OUTPUT[:2], STATISTICS)
        assert np.isfinite(image_score(name, maps)).all() and np.min(maps) >= 0
    for name in ("l2", "msle"):
        maps = anomaly_map(name, images, images, STATISTICS)
        assert np.max(image_score(name, maps)) == 0


def test_statistics_survive_saving(tmp_path: Path) -> None:
    STATISTICS.save(tmp_path / "residuals.npz")
    loaded = ResidualStatistics.load(tmp_path / "residuals.npz")
    np.testing.assert_array_equal(loaded.blurred_std, STATISTICS.blurred_std)
    assert loaded.blur_sigma == STATISTICS.blur_sigma
    (tmp_path / "residuals.npz").write_bytes((tmp_path / "residuals.npz").read_bytes()[:100])
    with pytest.raises(DualadError, match=r"residuals\.npz: cannot be read .* delete it"):
        ResidualStatistics.load(tmp_path / "residuals.npz")


@pytest.mark.parametrize("score", SCORE_NAMES)
def test_monte_carlo_matches_full_passes(score: str) -> None:
    """Same statistics as sampling the whole model with dropout in its decoder alone."""
    model = small_model()
    images = TRAIN[:5]
    mean, variance = MonteCarloSampler(model, score, STATISTICS, 400).mean_and_variance(images)  # type: ignore[arg-type]
    full = small_model()
    for layer in full.layers:  # type: ignore[attr-defined]
        if layer.name.endswith("_encoder"):
            for dropout in layer.layers:
                if "dropout" in dropout.name:
                    dropout.rate.assign(0.0)
    repeated = np.repeat(images, 400, axis=0)
    outputs = np.asarray(full(repeated[..., np.newaxis], training=True))[..., 0]  # type: ignore[operator]
    draws = np.asarray(image_score(score, anomaly_map(score, repeated, outputs, STATISTICS)))  # type: ignore[arg-type]
    draws = draws.reshape(5, 400).T
    standard_error = draws.std(axis=0) * np.sqrt(2 / 400)
    assert np.all(np.abs(mean - draws.mean(axis=0)) < 5 * standard_error)
    np.testing.assert_allclose(variance, draws.var(axis=0), rtol=0.5)
    assert (variance > 0).all()


def test_without_dropout_there_is_no_variance() -> None:
    model = small_model()
    set_dropout(model, [0.0] * 4)
    images = TRAIN[:5]
    mean, variance = MonteCarloSampler(model, "l2", STATISTICS, 5).mean_and_variance(images)
    outputs = np.asarray(model(images[..., np.newaxis]))[..., 0]  # type: ignore[operator]
    expected = image_score("l2", anomaly_map("l2", images, outputs, STATISTICS))
    np.testing.assert_allclose(mean, expected, rtol=1e-5)
    assert (variance == 0).all()


def test_saliency_is_the_losss_slope() -> None:
    model = small_model()
    images = TRAIN[:2]
    found = np.asarray(saliency(model, tf.constant(images)))
    assert found.shape == images.shape and (found >= 0).all()

    def loss(x: np.ndarray) -> float:
        batch = x[np.newaxis, ..., np.newaxis]
        return float(msle(batch, model(batch))[0])  # type: ignore[operator]

    step = 1e-2
    for row, column in ((0, 0), (4, 7)):
        up, down = images[0].copy(), images[0].copy()
        up[row, column] += step
        down[row, column] -= step
        slope = (loss(up) - loss(down)) / (2 * step)
        assert found[0, row, column] == pytest.approx(abs(slope), rel=0.05, abs=1e-6)
