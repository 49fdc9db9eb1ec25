"""The dual encoder on feature maps: what it is given, what it is trained for, what it scores."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import gaussian_filter

from dualad.design.parameters import DualFeaturesParams
from dualad.network.feature_model import (
    build_feature_autoencoder,
    encoding_part,
    map_summaries,
    position_code,
)
from dualad.network.feature_scores import FeatureStatistics, feature_score, highest_mean
from dualad.network.feature_trainer import FeatureTrainer
from dualad.network.model import count_trainable, dropout_layers, load_model, save_model

GRID, CHANNELS = 6, 5
PARAMS = DualFeaturesParams(
    image_encoder_widths=(8, 4), pixel_encoder_widths=(8, 3), decoder_widths=(8, 8)
)
RNG = np.random.default_rng(0)
FEATURES = (RNG.normal(3, 2, (10, GRID, GRID, CHANNELS)) * [1, 1, 1, 1, 40]).astype(np.float16)


def build_trainer(batch_size: int = 4, locations: int = 7, **changes: object) -> FeatureTrainer:
    params = DualFeaturesParams(**{**vars(PARAMS), **changes})  # type: ignore[arg-type]
    model = build_feature_autoencoder(CHANNELS, params, seed=1)
    return FeatureTrainer(model, FEATURES, batch_size, 1e-2, locations)


def outputs(model: object, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reconstructions and targets (n, p, c) of feature maps."""
    n = len(maps)
    vectors = maps.reshape(n, -1, CHANNELS).astype(np.float32)
    position = np.broadcast_to(position_code(GRID, GRID), (n, GRID**2, 16))
    found = model([vectors, map_summaries(vectors), position])  # type: ignore[operator]
    return tuple(np.asarray(part).reshape(n, -1, CHANNELS) for part in found)  # type: ignore


def test_the_targets_are_the_standardised_vectors() -> None:
    trainer = build_trainer()
    train = np.arange(6)
    trainer.reset([0.0] * 4, train)
    _, targets = outputs(trainer.model, FEATURES)
    single = FEATURES.astype(np.float64)
    mean, deviation = single[:6].mean(axis=(0, 1, 2)), single[:6].std(axis=(0, 1, 2))
    expected = ((single - mean) / deviation).reshape(10, -1, CHANNELS)
    np.testing.assert_allclose(targets, expected, rtol=1e-3, atol=1e-3)


def test_rates_and_layers_are_named_alike() -> None:
    model = build_feature_autoencoder(CHANNELS, PARAMS, seed=1)
    names = [layer.name for layer in dropout_layers(model)]
    expected = [name.replace("_", "_dropout_") for name in PARAMS.dropout_names]
    assert names == expected and len(names) == 4


def test_the_image_encoder_sees_the_image_and_the_pixel_encoder_one_location() -> None:
    """A change at one location reaches another only through the image's code."""
    changed = FEATURES[:1].copy()
    changed[0, 0, 0] += 5
    for encoders, reaches in ((("image", "pixel"), True), (("pixel",), False)):
        trainer = build_trainer(encoders=encoders)
        trainer.reset([0.0] * (2 + len(encoders)), np.arange(6))
        before, _ = outputs(trainer.model, FEATURES[:1])
        after, _ = outputs(trainer.model, changed)
        assert not np.allclose(before[0, 0], after[0, 0])
        assert np.allclose(before[0, -1], after[0, -1], atol=1e-6) != reaches


def test_positions_have_codes_of_their_own() -> None:
    code = position_code(4, 5)
    assert code.shape == (20, 16) and np.abs(code).max() <= 1
    assert len(np.unique(code.round(5), axis=0)) == 20


def test_an_epoch_sees_every_location_of_every_image_once(monkeypatch) -> None:
    trainer = build_trainer(batch_size=5, locations=9)
    trainer.reset([0.0] * 4, np.arange(10))
    seen = []

    def recorded(batches):
        for images, _, locations in zip(*batches, strict=True):
            seen.extend(
                (int(image), int(location))
                for image, row in zip(images, locations, strict=True)
                for location in row
            )
        return [0.0], [1.0], [1.0]

    monkeypatch.setattr(trainer, "_steps", recorded)
    trainer.train_epoch(np.arange(10), np.random.default_rng(0))
    expected = [(image, location) for image in range(10) for location in range(GRID**2)]
    assert sorted(seen) == expected


def test_an_incomplete_batch_counts_only_its_images() -> None:
    trainer = build_trainer(batch_size=4, locations=9)
    trainer.reset([0.0] * 4, np.arange(10))
    trainer.optimizer.learning_rate.assign(0.0)
    loss, gradient = trainer.train_epoch(np.arange(10), np.random.default_rng(0))
    assert loss == pytest.approx(trainer.evaluate(np.arange(10))[0].mean(), rel=1e-4)
    assert gradient > 0


def test_evaluation_is_the_mean_square_and_the_highest_percent() -> None:
    trainer = build_trainer()
    trainer.reset([0.0] * 4, np.arange(10))
    losses, errors = trainer.evaluate(np.array([7, 2]))
    reconstructions, targets = outputs(trainer.model, FEATURES[[7, 2]])
    squares = np.square(targets - reconstructions).mean(axis=-1)
    np.testing.assert_allclose(losses, squares.mean(axis=1), rtol=1e-4)
    np.testing.assert_allclose(errors, np.sqrt(squares).max(axis=1), rtol=1e-4)


def test_the_mean_maps_loss_is_that_of_answering_with_it() -> None:
    trainer = build_trainer()
    train, held_out = np.arange(6), np.arange(6, 10)
    trainer.reset([0.0] * 4, train)
    _, targets = outputs(trainer.model, FEATURES)
    expected = np.square(targets[held_out] - targets[train].mean(axis=0)).mean()
    assert trainer.mean_image_loss(train, held_out) == pytest.approx(expected, rel=1e-3)


def test_training_lowers_the_loss() -> None:
    trainer = build_trainer()
    trainer.reset([0.0] * 4, np.arange(10))
    before = trainer.evaluate(np.arange(10))[0].mean()
    for epoch in range(20):
        trainer.train_epoch(np.arange(10), np.random.default_rng(epoch))
    assert trainer.evaluate(np.arange(10))[0].mean() < 0.9 * before


def test_the_mahalanobis_distance_is_that_of_residuals_and_codes() -> None:
    """With the covariance of each location, by NumPy and SciPy."""
    residuals = RNG.normal(size=(40, GRID**2, CHANNELS)).astype(np.float32)
    codes = RNG.normal(size=(40, GRID**2, 2)).astype(np.float32)
    channels = np.array([0, 2, 3])
    batches = [(residuals[:25], codes[:25]), (residuals[25:], codes[25:])]
    statistics = FeatureStatistics.fit(lambda: batches, channels, shrinkage=0.0)
    joint = np.concatenate([residuals[..., channels], codes], axis=-1).astype(np.float64)
    expected = np.empty(joint.shape[:2])
    for location in range(GRID**2):
        vectors = joint[:, location]
        difference = vectors - vectors.mean(axis=0)
        inverse = np.linalg.inv(np.cov(vectors.T, bias=True))
        expected[:, location] = np.sqrt(
            np.einsum("nc,cd,nd->n", difference, inverse, difference) / joint.shape[-1]
        )
    blurred = gaussian_filter(
        expected.reshape(-1, GRID, GRID), sigma=(0, 2.4 * GRID / 68, 2.4 * GRID / 68)
    )
    found = statistics.distances("mahalanobis", residuals, codes)
    np.testing.assert_allclose(found, blurred, rtol=1e-2)
    maps = np.asarray(statistics.maps("mahalanobis", residuals, codes))
    np.testing.assert_allclose(maps.mean(axis=0), 0, atol=1e-3)
    # Where a deviation is below a tenth of the mean one it is raised, which no location is here.
    np.testing.assert_allclose(maps.std(axis=0), 1, rtol=1e-3)


def test_shrinkage_gives_every_location_the_covariance_of_all() -> None:
    residuals = RNG.normal(size=(30, 4, CHANNELS)).astype(np.float32)
    codes = np.zeros((30, 4, 0), np.float32)
    statistics = FeatureStatistics.fit(
        lambda: [(residuals, codes)], np.arange(CHANNELS), shrinkage=1.0
    )
    np.testing.assert_array_equal(statistics.precision, statistics.precision[:1].repeat(4, axis=0))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_and_equal_images_give_finite_scores(n: int) -> None:
    """As many images as that have no covariance of their own."""
    residuals = np.ones((n, 4, CHANNELS), np.float32)
    codes = np.ones((n, 4, 2), np.float32)
    statistics = FeatureStatistics.fit(lambda: [(residuals, codes)], np.arange(3), shrinkage=0.1)
    for name in ("standardised", "mahalanobis", "standardised_mean", "mahalanobis_mean"):
        assert np.isfinite(feature_score(name, statistics.maps(name, residuals + 1, codes))).all()


def test_scores_average_the_top_of_the_map_or_all_of_it() -> None:
    maps = RNG.normal(size=(3, 20, 20)).astype(np.float32)
    flat = np.sort(maps.reshape(3, -1), axis=1)
    np.testing.assert_allclose(
        feature_score("mahalanobis", maps), flat[:, -4:].mean(axis=1), rtol=1e-5
    )
    np.testing.assert_allclose(
        feature_score("standardised_mean", maps), flat.mean(axis=1), atol=1e-5
    )
    np.testing.assert_allclose(highest_mean(tf.constant(flat[:, :50])), flat[:, 49], rtol=1e-6)


def test_network_and_statistics_survive_saving(tmp_path: Path) -> None:
    trainer = build_trainer()
    trainer.reset([0.1] * 4, np.arange(10))
    assert count_trainable(trainer.model) > 0
    save_model(trainer.model, tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    for ours, theirs in zip(
        outputs(trainer.model, FEATURES), outputs(loaded, FEATURES), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    latent, _ = encoding_part(loaded)(
        [FEATURES[:1].reshape(1, -1, CHANNELS), np.ones((1, 10)), np.ones((1, 36, 16))]
    )
    assert latent.shape == (36, 4 + 3 + 16)
    residuals, codes = np.ones((3, 4, CHANNELS), np.float32), np.ones((3, 4, 2), np.float32)
    statistics = FeatureStatistics.fit(lambda: [(residuals, codes)], np.arange(2), 0.1)
    statistics.save(tmp_path / "residuals.npz")
    again = FeatureStatistics.load(tmp_path / "residuals.npz")
    assert again.best_score == statistics.best_score == "mahalanobis"
    np.testing.assert_array_equal(again.precision, statistics.precision)
