"""How samples share passes, which bounds the memory of Monte Carlo dropout."""

import numpy as np
import pytest
import tensorflow as tf

from dualad.design.parameters import DualAutoencoderParams
from dualad.network.model import build_dual_autoencoder
from dualad.network.monte_carlo import MonteCarloSampler
from dualad.network.scores import ResidualStatistics

SIZE = 6


@pytest.mark.parametrize(
    ("images", "samples", "samples_per_pass"),
    [
        (256, 4, 2),  # Exactly 512 rows.
        (257, 4, 1),
        (100, 12, 4),  # Five would fit; four divides the number of samples.
        (600, 3, 1),  # A batch is never cut.
        (1, 7, 7),
    ],
)
def test_a_pass_has_at_most_512_rows_and_all_passes_have_one_shape(
    monkeypatch: pytest.MonkeyPatch, images: int, samples: int, samples_per_pass: int
) -> None:
    params = DualAutoencoderParams(encoder_widths=(4, 2), decoder_widths=(3, 3))
    model = build_dual_autoencoder(SIZE, params, seed=1)
    batch = np.random.default_rng(0).random((images, SIZE, SIZE), dtype=np.float32)
    statistics = ResidualStatistics.fit([(batch, batch[::-1])], 1.0)
    sampler = MonteCarloSampler(model, "l2", statistics, samples)
    passes: list[int] = []

    def sample(images: tf.Tensor, latent: tf.Tensor, times: int) -> tf.Tensor:
        first = sum(passes)
        passes.append(times)
        return tf.repeat(tf.range(first, first + times)[:, None], len(images), axis=1)

    monkeypatch.setattr(sampler, "_sample", sample)
    mean, variance = sampler.mean_and_variance(batch)
    assert passes == [samples_per_pass] * (samples // samples_per_pass)
    # Every sample counts once, and eq. 32 divides by T.
    np.testing.assert_allclose(mean, np.full(images, (samples - 1) / 2))
    np.testing.assert_allclose(variance, np.full(images, (samples**2 - 1) / 12))
