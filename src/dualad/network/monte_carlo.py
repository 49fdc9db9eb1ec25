"""Monte Carlo dropout: mean and variance of a score under dropout (section 3.3.4, eqs. 29-32)."""

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from dualad.design.parameters import Score
from dualad.network.model import encode
from dualad.network.scores import ResidualStatistics, anomaly_map, image_score

FloatArray = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

_ROWS = 512
"""Most rows in a pass, unless the batch has more."""


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

    def mean_and_variance(self, images: FloatArray) -> tuple[Floats, Floats]:
        """Mean (eq. 31) and variance (eq. 32) over the samples for images (n, S, S); both (n,)."""
        batch = tf.constant(images)
        latent = self._encode(batch)
        # A divisor of T, so that one compiled shape serves all passes.
        most = max(1, _ROWS // len(images))
        per_pass = max(n for n in range(1, most + 1) if self._samples % n == 0)
        draws = np.concatenate(
            [self._sample(batch, latent, per_pass) for _ in range(self._samples // per_pass)],
            dtype=np.float64,
        )
        return draws.mean(axis=0), draws.var(axis=0)

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
