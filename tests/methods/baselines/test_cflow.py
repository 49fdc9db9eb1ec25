"""CFLOW: training raises the likelihood; levels add up to a map as the publication says."""

from types import SimpleNamespace

import numpy as np
import pytest

from dualad.design.parameters import CflowParams
from dualad.methods.baselines.cflow import Cflow, log_likelihood
from dualad.methods.baselines.flows import ConditionalFlow

PARAMS = CflowParams(blocks=2, code=4, steps=300, batch_size=32, learning_rate=1e-2)
CHANNELS = (3, 5)


@pytest.fixture
def features() -> list[np.ndarray]:
    """Two levels whose features depend on the column."""
    rng = np.random.default_rng(0)
    levels = [rng.normal(size=(6, side, side, c)) for side, c in zip((4, 2), CHANNELS, strict=True)]
    levels[0] += 3 * np.arange(4)[np.newaxis, np.newaxis, :, np.newaxis]
    return [level.astype(np.float32) for level in levels]


@pytest.fixture
def detector() -> Cflow:
    """With flows as they are before training, on features from no backbone."""
    detector = Cflow(PARAMS)
    detector.extractor_ = SimpleNamespace(channels=CHANNELS)  # type: ignore[assignment]
    detector.seed_ = np.int64(3)
    detector._flows = detector._build()
    return detector


def per_channel(flow: ConditionalFlow, vector: np.ndarray, code: np.ndarray) -> float:
    z, log_determinant = flow(vector[np.newaxis], code[np.newaxis])
    return float(log_likelihood(z, log_determinant)[0]) / len(vector)


def test_the_map_inverts_the_sum_of_normalities(
    detector: Cflow, features: list[np.ndarray]
) -> None:
    assert detector._flows is not None
    detector.ceilings_ = np.array([-1.0, -1.2], np.float32)
    scores, maps = detector._score_features(features)
    assert scores is None and maps.shape == (6, 4, 4)
    assert maps.min() >= 0 and maps.max() <= 2
    normality = []
    # A corner of the enlarged coarse level takes nothing from its neighbours.
    for flow, level, ceiling in zip(detector._flows, features, detector.ceilings_, strict=True):
        likelihood = per_channel(flow, level[2, 0, 0], detector._codes(level)[0])
        normality.append(np.exp(min(likelihood - ceiling, 0)))
    assert maps[2, 0, 0] == pytest.approx(2 - sum(normality), abs=1e-5)


def test_every_feature_gets_the_code_of_its_own_position(
    detector: Cflow, features: list[np.ndarray]
) -> None:
    assert detector._flows is not None
    level, flow = features[0], detector._flows[0]
    codes = detector._codes(level)
    found = detector._log_likelihood(flow, level.reshape(-1, 3), codes).reshape(6, 4, 4)
    for image, row, column in ((0, 0, 0), (0, 1, 3), (5, 3, 2)):
        expected = per_channel(flow, level[image, row, column], codes[4 * row + column])
        assert found[image, row, column] == pytest.approx(expected, rel=1e-5)


def test_training_raises_the_likelihood_and_uses_the_position(
    detector: Cflow, features: list[np.ndarray]
) -> None:
    assert detector._flows is not None
    flow, vectors = detector._flows[0], features[0].reshape(-1, 3)
    codes = detector._codes(features[0])
    before = detector._log_likelihood(flow, vectors, codes).mean()
    detector._train(flow, vectors, codes, np.random.default_rng(1))
    after = detector._log_likelihood(flow, vectors, codes).mean()
    assert after > before + 1
    assert after > detector._log_likelihood(flow, vectors, codes[::-1]).mean() + 0.5
