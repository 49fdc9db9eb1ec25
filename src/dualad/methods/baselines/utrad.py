"""UTRAD: a U-shaped transformer reconstructs features (Chen et al., Neural Networks 147, 2022)."""

from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from dualad.data.plan import Seeds
from dualad.design.parameters import UtradParams
from dualad.methods.base import Experiment, FitReport, FloatArray, Scored
from dualad.methods.baselines.convolutional_detector import (
    NetworkDetector,
    fit_network,
)
from dualad.methods.baselines.feature_detector import sample_images, smooth_maps
from dualad.methods.baselines.features import FeatureExtractor
from dualad.network.batches import map_batches
from dualad.runtime import seed_everything

_STAGES = (1, 2, 3)
_PATCH = 4
_POOLS = (1, 4, 16, 64)
_GRID_REFERENCE = 64
"""Side of the feature grid at which the pools' sides are given."""
_SCALE_FLOOR = 1e-3


class Utrad(NetworkDetector):
    """Reconstruction error of pretrained features, divided by the error that is expected.

    Features of three stages at `grid` x `grid` positions, standardised per channel, cut into 4 x 4
    patches. A transformer at three resolutions, whose connections across pass a bottleneck so that
    nothing can be copied, reconstructs every patch and predicts the size of its own error. The map
    is |error| / sigma, averaged over pools with a side of 1, 4, 16 and 64 positions (of a grid of
    64); its largest value is the score.

    Attributes
    ----------
    extractor_ : FeatureExtractor
    model_ : keras.Model
        Features (n, g, g, c) to features and log sigma (n, g, g, 1); standardisation included.
    """

    family = "utrad"
    scoring_batch = 16
    params: UtradParams

    def fit(self, experiment: Experiment) -> FitReport:
        params = self.params
        seeds = experiment.seeds(params)
        train, validation = experiment.split.attempt(1, seeds.numpy)
        seed_everything(seeds)
        self.extractor_ = FeatureExtractor(params, _STAGES, seeds.tensorflow)
        rng = np.random.default_rng([seeds.numpy, 1])
        chosen, notes = sample_images(train, params.max_images, rng)
        parts = [
            self._joined(f) for f in self.extractor_.batches(experiment.dataset, chosen, size=16)
        ]
        keras.utils.set_random_seed(seeds.tensorflow)
        self._train(np.concatenate(parts), seeds)
        return FitReport(
            family=self.family,
            n_parameters=self.extractor_.n_parameters + self.model_.count_params(),
            validation=validation.tolist(),
            notes=[*self.extractor_.notes, *notes],
        )

    def score(self, images: FloatArray) -> Scored:
        (relative,) = map_batches(
            lambda batch: [_relative_error(self.model_, tf.constant(batch))],
            self._joined(self.extractor_(images)),
            self.scoring_batch,
        )
        raw = pooled(relative)
        scores = raw.max(axis=(1, 2)).astype(np.float64)
        return Scored({self.family: scores}, {self.family: smooth_maps(raw, images.shape[1])})

    def save(self, folder: Path) -> None:
        self.extractor_.save(folder)
        super().save(folder)

    @classmethod
    def load(cls, folder: Path, params: Any) -> Self:
        detector = super().load(folder, params)
        detector.extractor_ = FeatureExtractor.load(folder)
        return detector

    def _joined(self, features: list[FloatArray]) -> FloatArray:
        """All stages at the size of the grid (n, g, g, c)."""
        size = (self.params.grid, self.params.grid)
        return np.asarray(tf.concat([tf.image.resize(f, size) for f in features], axis=-1))

    def _train(self, features: FloatArray, seeds: Seeds) -> None:
        params = self.params
        standardise = layers.Normalization(axis=-1, name="standardise")
        standardise.adapt(features)
        self.model_ = u_transformer(params, features.shape[-1], standardise)
        fit_network(
            self.model_,
            params,
            np.arange(len(features)),
            lambda rows: [features[rows]],
            lambda batch: error_likelihood_loss(*self.model_(batch, training=True)),
            np.random.default_rng([seeds.numpy, 2]),
        )


def u_transformer(params: UtradParams, channels: int, standardise: layers.Layer) -> keras.Model:
    """Features to (standardised features, their reconstruction, log sigma per position)."""
    grid, width = params.grid, params.width
    side = grid // _PATCH
    features = keras.Input((grid, grid, channels), name="features")
    target = standardise(features)
    tokens = layers.Conv2D(width, _PATCH, strides=_PATCH, name="patches")(target)
    tokens = layers.Reshape((side * side, width))(tokens)
    tokens = _PositionEmbedding()(tokens)
    sides, across = [], []
    for _ in range(2):
        tokens = _block(tokens, params.heads)
        sides.append(side)
        across.append(_bottleneck(tokens, width, params.bottleneck))
        tokens, side = _resampled(tokens, side, side // 2, width), side // 2
    tokens = _bottleneck(_block(tokens, params.heads), width, params.bottleneck)
    for above, narrow in zip(reversed(sides), reversed(across), strict=True):
        tokens, side = _resampled(tokens, side, above, width), above
        tokens = _block(layers.Add()([tokens, narrow]), params.heads)
    tokens = layers.Reshape((side, side, width))(tokens)
    outputs = layers.Conv2DTranspose(channels + 1, _PATCH, strides=_PATCH)(tokens)
    return keras.Model(
        features, [target, outputs[..., :channels], outputs[..., channels:]], name="utrad"
    )


def error_likelihood_loss(target: tf.Tensor, output: tf.Tensor, log_sigma: tf.Tensor) -> tf.Tensor:
    """Negative log-likelihood of the mean absolute error per position under a Laplace law."""
    error = tf.reduce_mean(tf.abs(target - output), axis=-1, keepdims=True)
    return tf.reduce_mean(error * tf.exp(-log_sigma) + log_sigma)


def pooled(maps: FloatArray) -> FloatArray:
    """Mean of the map (n, g, g) over neighbourhoods of several sizes, of at most the whole map."""
    grid = maps.shape[1]
    sizes = [min(grid, max(1, pool * grid // _GRID_REFERENCE)) for pool in _POOLS]
    stacked = [tf.nn.avg_pool2d(maps[..., np.newaxis], s, strides=1, padding="SAME") for s in sizes]
    return np.asarray(tf.add_n(stacked) / len(sizes))[..., 0]


@keras.saving.register_keras_serializable("dualad")
class _PositionEmbedding(layers.Layer):
    """Adds a learned vector to every token."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.vectors = self.add_weight(
            name="vectors", shape=input_shape[1:], initializer=keras.initializers.RandomNormal(0.02)
        )
        self.built = True

    def call(self, tokens: keras.KerasTensor) -> keras.KerasTensor:
        return tokens + self.vectors


def _block(tokens: keras.KerasTensor, heads: int) -> keras.KerasTensor:
    """Self-attention and a two-layer network, each around a connection across."""
    width = tokens.shape[-1]
    normal = layers.LayerNormalization()(tokens)
    attended = layers.MultiHeadAttention(heads, width // heads)(normal, normal)
    tokens = layers.Add()([tokens, attended])
    hidden = layers.Dense(2 * width, "gelu")(layers.LayerNormalization()(tokens))
    return layers.Add()([tokens, layers.Dense(width)(hidden)])


def _bottleneck(tokens: keras.KerasTensor, width: int, narrow: int) -> keras.KerasTensor:
    return layers.Dense(width)(layers.Dense(narrow, "gelu")(tokens))


def _resampled(tokens: keras.KerasTensor, side: int, wanted: int, width: int) -> keras.KerasTensor:
    grid = layers.Reshape((side, side, width))(tokens)
    return layers.Reshape((wanted * wanted, width))(layers.Resizing(wanted, wanted)(grid))


@tf.function(reduce_retracing=True, autograph=False)
def _relative_error(model: keras.Model, features: tf.Tensor) -> tf.Tensor:
    target, output, log_sigma = model(features, training=False)
    error = tf.reduce_mean(tf.abs(target - output), axis=-1)
    return error / tf.maximum(tf.exp(log_sigma[..., 0]), _SCALE_FLOOR)
