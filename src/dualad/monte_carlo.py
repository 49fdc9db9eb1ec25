"""Monte Carlo dropout: how sure is the model of its error (section 3.3.4, eqs. 29-32)."""

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from dualad.model import encode
from dualad.params import Score
from dualad.scores import ResidualStatistics, anomaly_map, image_score

FloatArray = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


class MonteCarloSampler:
    """Samples a score under dropout in the decoder.

    The encoders run once per image and only the decoder `samples` times (eq. 29), which saves two
    thirds of the work of full passes.

    Parameters
    ----------
    model : keras.Model
        A `dualad.model.build_dual_autoencoder` network; its dropout layers' random streams advance.
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
        total = np.zeros(len(images))
        squares = np.zeros(len(images))
        origin = np.asarray(self._sample(batch, latent), dtype=np.float64)
        for _ in range(self._samples):
            # Differences from one draw keep the sum of squares free of cancellation.
            difference = np.asarray(self._sample(batch, latent), dtype=np.float64) - origin
            total += difference
            squares += difference**2
        mean = total / self._samples
        return origin + mean, np.maximum(squares / self._samples - mean**2, 0)

    @tf.function(jit_compile=True)
    def _encode(self, images: tf.Tensor) -> tf.Tensor:
        return encode(self._model, images[..., tf.newaxis])

    @tf.function(jit_compile=True)
    def _sample(self, images: tf.Tensor, latent: tf.Tensor) -> tf.Tensor:
        pixels = self._model.get_layer("decoder")(latent, training=True)
        reconstructions = tf.reshape(pixels, tf.shape(images))
        maps = anomaly_map(self._score, images, reconstructions, self._statistics)
        return image_score(self._score, maps)
