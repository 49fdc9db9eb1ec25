"""CS-Flow: training lowers its loss within the bound of gradients; score and map come from z."""

import numpy as np
import pytest

from dualad.design.parameters import CsFlowParams
from dualad.methods.baselines.cs_flow import CsFlow, negative_log_likelihood


@pytest.fixture
def maps() -> list[np.ndarray]:
    """Two scales of 4 channels, whose deviations differ between channels."""
    rng = np.random.default_rng(0)
    deviations = np.array([0.2, 0.5, 1.0, 2.0])
    found = [rng.normal(size=(8, side, side, 4)) * deviations for side in (8, 4)]
    return [scale.astype(np.float32) for scale in found]


def fresh(maps: list[np.ndarray], max_gradient: float = 1.0) -> CsFlow:
    """A flow on these maps, before training."""
    params = CsFlowParams(
        hidden=8,
        kernels=(3,),
        epochs=20,
        batch_size=4,
        learning_rate=1e-2,
        max_gradient=max_gradient,
    )
    detector = CsFlow(params)
    detector.seed_, detector.scale_ = np.int64(3), np.float32(0.5)
    detector._flow = detector._build([scale[:1] for scale in maps])
    return detector


def losses(detector: CsFlow, maps: list[np.ndarray]) -> np.ndarray:
    assert detector._flow is not None
    return np.asarray(negative_log_likelihood(*detector._flow(maps)))


def test_before_training_score_and_map_are_half_the_mean_square(maps: list[np.ndarray]) -> None:
    scores, found = fresh(maps)._score_features(maps)
    flat = np.concatenate([(0.5 * scale).reshape(8, -1) for scale in maps], axis=1)
    np.testing.assert_allclose(scores, (flat**2 / 2).mean(axis=1), rtol=1e-5)
    assert found.shape == (8, 8, 8) and found.min() >= 0
    # A corner of an enlarged scale takes nothing from its neighbours.
    corner = np.mean([((0.5 * scale[:, 0, 0]) ** 2 / 2).mean(axis=-1) for scale in maps], axis=0)
    np.testing.assert_allclose(found[:, 0, 0], corner, rtol=1e-5)


def test_training_lowers_the_loss(maps: list[np.ndarray]) -> None:
    detector = fresh(maps)
    assert detector._flow is not None
    before = losses(detector, maps).mean()
    detector._train(detector._flow, maps, np.random.default_rng(1))
    assert losses(detector, maps).mean() < before - 0.1
    other = [scale[::-1] * 3 for scale in maps]
    assert losses(detector, other).min() > losses(detector, maps).max()


def test_gradients_are_shortened_to_the_bound(maps: list[np.ndarray]) -> None:
    detector = fresh(maps, max_gradient=1e-8)
    assert detector._flow is not None
    before = losses(detector, maps)
    # So short that Adam's epsilon outweighs them: nothing can be learnt.
    detector._train(detector._flow, maps, np.random.default_rng(1))
    np.testing.assert_allclose(losses(detector, maps), before, atol=1e-2)
