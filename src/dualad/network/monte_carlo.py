"""Monte Carlo dropout: mean and variance of a score under dropout (section 3.3.4, eqs. 29-32)."""

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from dualad.design.parameters import Score
from dualad.network.device import activation_bytes, batch_rows, compiled_loop
from dualad.network.model import encode
from dualad.network.scores import ResidualStatistics, anomaly_map, image_score

FloatArray = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

_ROWS, _GPU_ROWS = 512, 8192
"""Most rows in a pass on a CPU and on a GPU, unless the batch has more."""


class MonteCarloSampler:
    """Samples a score under dropout in the decoder.

    The encoders run once per image and only the decoder `samples` times (eq. 29), which saves two
    thirds of the work of full passes. Several samples of a small batch share one pass, because
    products of long matrices are faster.

    Parameters
    ----------
    model : keras.Model
        A network of `dualad.network.model.build_dual_autoencoder`; its dropout layers' random
        streams advance.
    score : str
        Name of the score to sample.
    statistics : ResidualStatistics
    samples : int
        T, at least 1.
    """

    def __init__(
        self, model: keras.Model, score: Score, statistics: ResidualStatistics, samples: int
    ) -> None:
        self._model, self._score, self._statistics = model, score, statistics
        self._samples = samples
        # An image and its map beside what the decoder gives.
        row_bytes = activation_bytes(model.get_layer("decoder")) + 8 * statistics.mean.nbytes
        self._rows = batch_rows(row_bytes, _ROWS, _GPU_ROWS)
        self._draws = compiled_loop(self._draw_all)

    def mean_and_variance(self, images: FloatArray) -> tuple[Floats, Floats]:
        """Mean (eq. 31) and variance (eq. 32) over the samples for images (n, S, S); both (n,)."""
        batch = tf.constant(images)
        draws = np.asarray(self._draws(batch, self._encode(batch)), dtype=np.float64)
        return draws.mean(axis=0), draws.var(axis=0)

    def _draw_all(self, images: tf.Tensor, latent: tf.Tensor) -> tf.Tensor:
        """Scores (samples, n)."""
        # A divisor of T, so that one compiled shape serves all passes.
        most = max(1, self._rows // images.shape[0])
        per_pass = max(n for n in range(1, most + 1) if self._samples % n == 0)
        n_passes = self._samples // per_pass

        def one_pass(i: tf.Tensor, draws: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            return i + 1, draws.write(i, self._sample(images, latent, per_pass))

        _, draws = tf.while_loop(
            lambda i, _: i < n_passes,
            one_pass,
            (0, tf.TensorArray(tf.float32, n_passes)),
            parallel_iterations=1,
        )
        return tf.reshape(draws.stack(), (self._samples, -1))

    @tf.function(jit_compile=True, autograph=False)
    def _encode(self, images: tf.Tensor) -> tf.Tensor:
        return encode(self._model, images[..., tf.newaxis])

    @tf.function(jit_compile=True, autograph=False)
    def _sample(self, images: tf.Tensor, latent: tf.Tensor, times: int) -> tf.Tensor:
        """Scores (times, n)."""
        images = tf.tile(images, (times, 1, 1))
        pixels = self._model.get_layer("decoder")(tf.tile(latent, (times, 1)), training=True)
        maps = anomaly_map(
            self._score, images, tf.reshape(pixels, tf.shape(images)), self._statistics
        )
        return tf.reshape(image_score(self._score, maps), (times, -1))
