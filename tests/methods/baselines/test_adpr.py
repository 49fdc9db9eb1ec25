"""ADPR: loss and map of errors in closed form."""

import numpy as np
import pytest
import tensorflow as tf

from dualad.methods.baselines.adpr import _error_map, reconstruction_loss


def similarity(a: float, b: float) -> float:
    """Structural similarity of two flat images (Wang et al., 2004): luminance alone counts.

    TensorFlow computes in single precision, so its value differs in the fourth digit.
    """
    stabiliser = 0.01**2
    return (2 * a * b + stabiliser) / (a**2 + b**2 + stabiliser)


def flat(level: float) -> tf.Tensor:
    return tf.fill((2, 32, 32, 3), level)


def test_the_loss_is_squared_error_less_similarity() -> None:
    found = float(reconstruction_loss(flat(0.4), flat(0.7)))
    assert found == pytest.approx(0.3**2 - similarity(0.4, 0.7), rel=2e-3)
    assert float(reconstruction_loss(flat(0.4), flat(0.4))) == pytest.approx(-1, rel=1e-5)


def test_the_map_is_squared_error_plus_half_the_dissimilarity() -> None:
    found = np.asarray(_error_map(flat(0.4), flat(0.7)))
    assert found.shape == (2, 32, 32)
    np.testing.assert_allclose(found, 0.3**2 + (1 - similarity(0.4, 0.7)) / 2, rtol=3e-3)
