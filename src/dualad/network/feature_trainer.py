"""Compiled training of the dual encoder on feature maps; the paper's loop is around it."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from dualad.network.batches import map_batches, slices
from dualad.network.feature_model import Standardisation, map_summaries, position_code
from dualad.network.feature_scores import highest_mean
from dualad.network.trainer import FloatArray, Indices, Positions, Trainer

Features = npt.NDArray[np.float16]
Floats = npt.NDArray[np.float64]

_EVALUATION_BATCH = 16
_STATISTICS_BATCH = 64


class FeatureTrainer(Trainer):
    """One network, its Adam optimiser and its feature maps.

    The loss of a location is the mean squared error of its standardised vector. A step takes some
    locations of each image of a batch, and an epoch every location of every image once.

    Parameters
    ----------
    model : keras.Model
        From `dualad.network.feature_model.build_feature_autoencoder`.
    features : float16 array (n, h, w, c)
        Feature maps that training and evaluation index into.
    batch_size : int
        Images of a training step.
    learning_rate : float
    locations : int
        Locations of each image in a step.
    """

    # Standardised vectors have no largest error.
    worst_loss = 1e9

    def __init__(
        self,
        model: keras.Model,
        features: Features,
        batch_size: int,
        learning_rate: float,
        locations: int,
    ) -> None:
        super().__init__(model, batch_size, learning_rate)
        n, h, w, c = features.shape
        self._pool = features.reshape(n, h * w, c)
        self._n_locations = h * w
        self._locations = min(locations, h * w)
        self._vectors = tf.constant(self._pool.reshape(n * h * w, c))
        self._summaries = map_summaries(self._pool)
        self._summary_table = tf.constant(self._summaries)
        self._positions = tf.constant(position_code(h, w))

    @property
    def centred(self) -> bool:
        return True

    def mean_image_loss(self, train: Indices, held_out: Indices) -> float:
        """Loss of a model that answers with the mean training vector of every location."""
        mean_map, mean, deviation = self._statistics(train)
        reference = Standardisation()
        reference.build((None, len(mean)))
        reference.adapt(mean, deviation)
        scale = np.asarray(reference.deviation)
        losses = [
            np.square((part - mean_map) / scale).mean(axis=(1, 2))
            for part in slices(self._pool[held_out], _STATISTICS_BATCH)
        ]
        return float(np.concatenate(losses).mean())

    def evaluate(self, indices: Indices) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Loss, and mean of the highest 1 % of the locations' residual norms, each (n,)."""
        losses, errors = map_batches(
            self._evaluate, indices.astype(np.int32), min(_EVALUATION_BATCH, len(indices))
        )
        return losses.astype(np.float64), errors.astype(np.float64)

    def _adapt(self, train: Indices) -> None:
        _, mean, deviation = self._statistics(train)
        layers = {layer.name: layer for layer in self.model.layers}
        layers["pixel_standardisation"].adapt(mean, deviation)
        if "image_standardisation" in layers:
            summaries = self._summaries[train].astype(np.float64)
            layers["image_standardisation"].adapt(summaries.mean(axis=0), summaries.std(axis=0))

    def _statistics(self, train: Indices) -> tuple[Floats, Floats, Floats]:
        """Mean vector of every location (p, c) and, over all, mean and deviation (c,)."""
        sums, squares = np.zeros(self._pool.shape[1:]), np.zeros(self._pool.shape[1:])
        for part in slices(train, _STATISTICS_BATCH):
            features = self._pool[part].astype(np.float64)
            sums += features.sum(axis=0)
            squares += np.square(features).sum(axis=0)
        mean_map = sums / len(train)
        mean = mean_map.mean(axis=0)
        variance = squares.mean(axis=0) / len(train) - mean**2
        return mean_map, mean, np.sqrt(np.maximum(variance, 0))

    def _batches(
        self, images: Positions, weights: FloatArray, rng: np.random.Generator
    ) -> list[npt.NDArray[Any]]:
        """Images, weights and locations (steps, b, l): several steps for every batch of images."""
        locations = [self._blocks(len(batch), rng) for batch in images]
        n_blocks = len(locations[0])
        return [
            np.repeat(images, n_blocks, axis=0),
            np.repeat(weights, n_blocks, axis=0),
            np.concatenate(locations),
        ]

    def _blocks(self, n_images: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
        """All locations of each image in an order of its own, `l` at a time: (blocks, n, l)."""
        order = np.argsort(rng.random((n_images, self._n_locations)), axis=1).astype(np.int32)
        starts = range(0, self._n_locations, self._locations)
        return np.stack(
            [
                np.resize(
                    order[:, start : start + self._locations].T, (self._locations, n_images)
                ).T
                for start in starts
            ]
        )

    def _loss(
        self, images: tf.Tensor, weights: tf.Tensor, *others: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        (locations,) = others
        losses = tf.reduce_mean(tf.square(self._residuals(images, locations, True)), axis=-1)
        total = tf.reduce_sum(weights[:, tf.newaxis] * losses)
        return total, tf.reduce_sum(weights) * self._locations

    @tf.function(jit_compile=True, autograph=False)
    def _evaluate(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        everywhere = tf.range(self._n_locations)[tf.newaxis]
        locations = tf.repeat(everywhere, images.shape[0], axis=0)
        squares = tf.reduce_mean(tf.square(self._residuals(images, locations, False)), axis=-1)
        return tf.reduce_mean(squares, axis=1), highest_mean(tf.sqrt(squares))

    def _residuals(self, images: tf.Tensor, locations: tf.Tensor, training: bool) -> tf.Tensor:
        """Residuals (n, l, c) of n images at l locations of each."""
        rows = images[:, tf.newaxis] * self._n_locations + locations
        vectors = tf.cast(tf.gather(self._vectors, rows), tf.float32)
        summaries = tf.gather(self._summary_table, images)
        position = tf.gather(self._positions, locations)
        reconstructions, targets = self.model([vectors, summaries, position], training=training)
        return tf.reshape(targets - reconstructions, tf.shape(vectors))
