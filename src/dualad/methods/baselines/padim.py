"""PaDiM: a Gaussian of pretrained features for every position (Defard et al., ICPR 2021)."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from dualad.data.plan import Seeds
from dualad.design.parameters import PadimParams
from dualad.methods.base import Experiment, FloatArray, Indices
from dualad.methods.baselines.feature_detector import FeatureDetector, stacked_stages


class Padim(FeatureDetector):
    """Mahalanobis distance of every position's features to those of normal images.

    Three early stages, brought to the size of the first and concatenated; a random subset of the
    channels; mean and covariance per position, plus `regularization` times the identity (section
    III-B). The map is enlarged and blurred; its maximum is the score (section III-C).

    Attributes
    ----------
    channels_ : int64 array (d,)
        Which of the concatenated channels are used.
    mean_ : float32 array (h * w, d)
    precision_ : float32 array (h * w, d, d)
        Inverse covariances: what bounds the memory is the grid and `channels`, not the data.
    """

    family = "padim"
    stages = (1, 2, 3)
    arrays = ("channels_", "mean_", "precision_")
    params: PadimParams

    def _learn(self, experiment: Experiment, train: Indices, seeds: Seeds) -> list[str]:
        total = sum(self.extractor_.channels)
        rng = np.random.default_rng([seeds.numpy, 1])
        self.channels_ = np.sort(
            rng.choice(total, size=min(self.params.channels, total), replace=False)
        )
        first = experiment.dataset.images(train[:1])
        origin = self._embed(self.extractor_(first))[0]
        batches = map(self._embed, self.extractor_.batches(experiment.dataset, train))
        self.mean_, self.precision_ = position_gaussians(
            batches, origin, self.params.regularization
        )
        return []

    def _score_features(self, features: list[FloatArray]) -> tuple[None, FloatArray]:
        squared = _mahalanobis(self._embed(features), self.mean_, self.precision_)
        h, w = features[0].shape[1:3]
        return None, np.sqrt(np.maximum(np.asarray(squared), 0)).reshape(-1, h, w)

    def _embed(self, features: list[FloatArray]) -> FloatArray:
        """The chosen channels of all stages at the first one's positions (n, h * w, d)."""
        chosen = np.asarray(tf.gather(stacked_stages(features), self.channels_, axis=-1))
        return chosen.reshape(len(chosen), -1, chosen.shape[-1])


def position_gaussians(
    batches: Iterable[FloatArray], origin: FloatArray, regularization: float
) -> tuple[FloatArray, FloatArray]:
    """Mean and inverse covariance of the features at every position (section III-A, eq. 1).

    Parameters
    ----------
    batches : iterable of float32 array (n, p, d)
        Features of n images at p positions.
    origin : float32 array (p, d)
        Features of any one image. Sums of differences from it stay small enough for single
        precision.
    regularization : float
        Added to the diagonal of every covariance, which has the divisor n - 1.

    Returns
    -------
    mean : float32 array (p, d)
    precision : float32 array (p, d, d)
    """
    p, d = origin.shape
    n, sums, products = 0, np.zeros((p, d), np.float64), tf.zeros((p, d, d))
    for embedded in batches:
        difference = embedded - origin
        sums += difference.sum(axis=0, dtype=np.float64)
        products += _outer_products(difference)
        n += len(embedded)
    shift = sums / n
    covariance = (products.numpy() - n * np.einsum("pc,pd->pcd", shift, shift)) / max(1, n - 1)
    covariance += regularization * np.eye(d)
    return (origin + shift).astype(np.float32), np.linalg.inv(covariance).astype(np.float32)


@tf.function(reduce_retracing=True, autograph=False)
def _outer_products(difference: tf.Tensor) -> tf.Tensor:
    by_position = tf.transpose(difference, [1, 0, 2])
    return tf.matmul(by_position, by_position, transpose_a=True)


@tf.function(reduce_retracing=True, autograph=False)
def _mahalanobis(embedded: tf.Tensor, mean: tf.Tensor, precision: tf.Tensor) -> tf.Tensor:
    """Squared distances (n, p)."""
    difference = tf.transpose(embedded - mean, [1, 0, 2])
    squared = tf.reduce_sum(tf.matmul(difference, precision) * difference, axis=-1)
    return tf.transpose(squared)
