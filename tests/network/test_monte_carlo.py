"""How samples share passes, which bounds the memory of Monte Carlo dropout."""

import numpy as np
import pytest
import tensorflow as tf

import dualad.network.device
import dualad.network.monte_carlo
from dualad.design.parameters import DualAutoencoderParams
from dualad.network.device import activation_bytes, batch_rows
from dualad.network.model import build_dual_autoencoder, set_dropout
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
    statistics = ResidualStatistics.fit([(batch, batch[::-1])], [1.0])[0]
    sampler = MonteCarloSampler(model, "l2", statistics, samples)
    drawn = tf.Variable(0.0)

    def sample(images: tf.Tensor, latent: tf.Tensor, times: int) -> tf.Tensor:
        assert times == samples_per_pass
        end = drawn.assign_add(times)
        return tf.repeat(tf.range(end - times, end)[:, None], images.shape[0], axis=1)

    monkeypatch.setattr(sampler, "_sample", sample)
    mean, variance = sampler.mean_and_variance(batch)
    assert drawn.numpy() == samples
    # Every sample counts once, and eq. 32 divides by T.
    np.testing.assert_allclose(mean, np.full(images, (samples - 1) / 2))
    np.testing.assert_allclose(variance, np.full(images, (samples**2 - 1) / 12))


def test_samples_in_one_program_are_those_of_single_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU runs, on the CPU."""
    params = DualAutoencoderParams(encoder_widths=(4, 2), decoder_widths=(3, 3))
    batch = np.random.default_rng(0).random((256, SIZE, SIZE), dtype=np.float32)
    statistics = ResidualStatistics.fit([(batch, batch[::-1])], [1.0])[0]
    found = []
    for memory in (None, 2**30):
        monkeypatch.setattr(dualad.network.device, "_memory_limit", lambda found=memory: found)
        # As many rows in a pass as on a CPU, because the random stream depends on it.
        monkeypatch.setattr(dualad.network.monte_carlo, "_GPU_ROWS", 512)
        model = build_dual_autoencoder(SIZE, params, seed=1)
        set_dropout(model, [0.2] * 4)
        sampler = MonteCarloSampler(model, "blurred_z", statistics, 6)
        found.append(np.stack(sampler.mean_and_variance(batch)))
    assert (found[0] > 0).all()
    np.testing.assert_allclose(*found, rtol=1e-3)


@pytest.mark.parametrize(
    ("memory", "rows"), [(None, 256), (2**30, 1024), (2**22, 32), (1, 1), (2**22 - 2**17, 16)]
)
def test_a_batch_takes_a_part_of_the_gpus_memory(
    monkeypatch: pytest.MonkeyPatch, memory: int | None, rows: int
) -> None:
    monkeypatch.setattr(dualad.network.device, "_memory_limit", lambda: memory)
    # 32 rows take 30 % of 4 MiB to the byte.
    assert batch_rows(int(0.3 * 2**22 / 32), 256, 1024) == rows


def test_the_memory_of_a_pass_is_that_of_all_layers() -> None:
    params = DualAutoencoderParams(encoder_widths=(4, 2), decoder_widths=(3,))
    model = build_dual_autoencoder(SIZE, params, seed=1)
    # Encoders: 36 inputs, two layers with activations, one dropout. Decoder: 4 inputs, a layer with
    # activation and dropout, 36 outputs. Around them: image, flat, codes, and the image again.
    encoder, decoder = 36 + 3 * 4 + 2 * 2, 4 + 3 * 3 + 36
    assert activation_bytes(model) == 4 * (2 * encoder + decoder + 36 + 36 + 4 + 36)
