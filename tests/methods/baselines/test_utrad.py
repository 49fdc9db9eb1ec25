"""UTRAD: the transformer's shape, what it learns, and the map of its errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dualad.data.plan import Seeds
from dualad.design.parameters import UtradParams
from dualad.methods.baselines.utrad import (
    Utrad,
    _relative_error,
    error_likelihood_loss,
    pooled,
    u_transformer,
)

PARAMS = UtradParams(
    grid=16, width=16, bottleneck=4, heads=2, epochs=40, batch_size=8, learning_rate=1e-2
)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    """Waves of one shape and random strength on 6 channels of unlike size (24, 16, 16, 6)."""
    rng = np.random.default_rng(0)
    wave = np.sin(np.arange(16) / 2)[:, np.newaxis, np.newaxis] * np.array([1, 2, 3, 4, 5, 60])
    strength = rng.uniform(0.5, 1.5, (24, 1, 1, 1))
    noise = 0.05 * rng.normal(size=(24, 16, 16, 6)) * np.array([1, 2, 3, 4, 5, 60])
    return np.asarray(strength * wave + noise + 7, dtype=np.float32)


def untrained(features: np.ndarray) -> keras.Model:
    keras.utils.set_random_seed(0)
    standardise = keras.layers.Normalization()
    standardise.adapt(features)
    return u_transformer(PARAMS, features.shape[-1], standardise)


def loss(model: keras.Model, features: np.ndarray) -> float:
    return float(error_likelihood_loss(*model(features, training=False)))


def test_targets_are_standardised_and_outputs_shaped_like_them(features: np.ndarray) -> None:
    target, output, log_sigma = untrained(features)(features)
    assert target.shape == output.shape == features.shape
    assert log_sigma.shape == (24, 16, 16, 1)
    np.testing.assert_allclose(np.mean(target, axis=(0, 1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(np.std(target, axis=(0, 1, 2)), 1, atol=1e-3)


def test_every_connection_across_passes_a_bottleneck(features: np.ndarray) -> None:
    model = untrained(features)
    narrow = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Dense) and layer.units == PARAMS.bottleneck
    ]
    # Two across, and the lowest level itself; 4 x 4 patches, then halved twice.
    assert sorted(int(layer.output.shape[1]) for layer in narrow) == [1, 4, 16]
    attentions = [x for x in model.layers if isinstance(x, keras.layers.MultiHeadAttention)]
    assert [int(x.output.shape[1]) for x in attentions] == [16, 4, 1, 4, 16]


def test_training_lowers_the_loss_and_a_defect_stands_out(features: np.ndarray) -> None:
    keras.utils.set_random_seed(0)
    detector = Utrad(PARAMS)
    detector._train(features[:16], Seeds.fixed(0))
    model = detector.model_
    assert loss(model, features[16:]) < loss(untrained(features[:16]), features[16:]) - 0.5
    spoilt = features[16:].copy()
    spoilt[:, 8:12, 4:8] = 14 - spoilt[:, 8:12, 4:8]  # the wave upside down
    found = pooled(np.asarray(_relative_error(model, tf.constant(spoilt))))
    clean = pooled(np.asarray(_relative_error(model, tf.constant(features[16:]))))
    assert found.max(axis=(1, 2)).min() > clean.max(axis=(1, 2)).max()
    rows, columns = np.unravel_index(found.reshape(8, -1).argmax(axis=1), (16, 16))
    assert np.all((rows >= 7) & (rows <= 12) & (columns >= 3) & (columns <= 8))


def test_the_map_is_the_mean_over_pools_of_the_published_shares() -> None:
    spike = np.zeros((1, 64, 64), np.float32)
    spike[0, 32, 32] = 1
    found = pooled(spike)
    # At the spike all four pools hold it; 64 x 64 is cut off by the border.
    reach = np.count_nonzero(found[0, 32] > 0)
    assert reach == 64
    row = found[0, 32]
    assert row[32] == pytest.approx((1 + 1 / 4**2 + 1 / 16**2 + 1 / 64**2) / 4, rel=0.01)
    assert row[20] < row[26] < row[33] < row[32]
