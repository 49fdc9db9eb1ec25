"""SimpleNet: what the score and the map are of given weights."""

import numpy as np
import pytest

from dualad.design.parameters import SimplenetParams
from dualad.methods.baselines.simplenet import Simplenet


def test_score_and_map_come_from_the_negated_normality() -> None:
    rng = np.random.default_rng(0)
    params = SimplenetParams(hidden=4, patch=1)
    detector = Simplenet(params)
    detector.scale_ = np.float32(0.5)
    detector._network_ = detector._network(3)
    adaptor, discriminator = detector._network_
    for model in detector._network_:
        model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    features = rng.normal(size=(2, 3, 4, 3)).astype(np.float32)
    scores, maps = detector._score_features([features])
    kernel, bias = adaptor.get_weights()
    dense, offset, gamma, beta, mean, variance, last = discriminator.get_weights()
    hidden = (0.5 * features @ kernel + bias) @ dense + offset
    hidden = gamma * (hidden - mean) / np.sqrt(variance + 1e-5) + beta
    normality = (np.where(hidden > 0, hidden, 0.2 * hidden) @ last)[..., 0]
    assert scores == pytest.approx((-normality).max(axis=(1, 2)), rel=1e-4)
    np.testing.assert_allclose(maps, np.log1p(np.exp(-normality)), rtol=1e-3, atol=1e-5)
