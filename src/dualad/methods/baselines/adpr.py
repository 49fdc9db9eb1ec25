"""ADPR: reconstruction from an aggregated pyramid of features (Mishra et al., ICPR 2021).

An interpretation: only the abstract is public. Four levels and a loss of squared error, structural
similarity and a perceptual term follow the authors' other work.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from dualad.data.plan import Seeds
from dualad.design.parameters import AdprParams
from dualad.methods.base import Experiment, FloatArray, Indices, Scored
from dualad.methods.baselines.convolutional_detector import (
    ConvolutionalDetector,
    TrainedNetwork,
    fit_network,
)
from dualad.methods.baselines.features import FeatureExtractor

_PERCEPTUAL_STAGE = 2


class Adpr(ConvolutionalDetector):
    """A convolutional autoencoder whose decoder sees narrow codes of all pyramid levels."""

    family = "adpr"
    params: AdprParams

    def _learn(self, experiment: Experiment, train: Indices, seeds: Seeds) -> TrainedNetwork:
        params = self.params
        extractor = FeatureExtractor(params, (_PERCEPTUAL_STAGE,), seeds.tensorflow)
        keras.utils.set_random_seed(seeds.tensorflow)
        model = pyramid_autoencoder(params)

        def loss(images: tf.Tensor) -> tf.Tensor:
            outputs = model(images, training=True)
            pixel_loss = reconstruction_loss(images, outputs)
            wanted = extractor.tensors(images)[0]
            found = extractor.tensors(outputs)[0]
            return pixel_loss + params.perceptual * tf.reduce_mean(tf.square(wanted - found))

        rng = np.random.default_rng([seeds.numpy, 1])
        fit_network(model, params, train, lambda rows: [experiment.dataset.images(rows)], loss, rng)
        return model, [f"perceptual loss on {extractor.notes[0]}"]

    def score(self, images: FloatArray) -> Scored:
        maps = np.asarray(_error_map(images, self._reconstruct(images)))
        return Scored({self.family: maps.mean(axis=(1, 2), dtype=np.float64)}, {self.family: maps})


def pyramid_autoencoder(params: AdprParams) -> keras.Model:
    """A halving per width; the codes of all levels meet at the size of the coarsest.

    At a finer size the decoder would see enough to copy a defect.
    """
    size = params.input_size
    images = keras.Input((size, size, 3), name="image")
    hidden, levels = images, []
    for width in params.widths:
        hidden = layers.Conv2D(width, 3, strides=2, padding="same")(hidden)
        hidden = layers.LeakyReLU(0.2)(layers.BatchNormalization()(hidden))
        levels.append(hidden)
    codes = [
        layers.AveragePooling2D(2**above, padding="same")(layers.Conv2D(params.code, 1)(level))
        for above, level in enumerate(reversed(levels))
    ]
    hidden = layers.Concatenate()(codes)
    for width in reversed(params.widths):
        hidden = layers.Conv2DTranspose(width, 3, strides=2, padding="same")(hidden)
        hidden = layers.LeakyReLU(0.2)(layers.BatchNormalization()(hidden))
    outputs = layers.Conv2D(3, 3, padding="same", activation="sigmoid")(hidden)
    return keras.Model(images, layers.Resizing(size, size)(outputs), name="adpr")


def reconstruction_loss(images: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Mean squared error less structural similarity."""
    return tf.reduce_mean(tf.square(images - outputs)) - tf.reduce_mean(
        tf.image.ssim(images, outputs, max_val=1.0)
    )


@tf.function(reduce_retracing=True, autograph=False)
def _error_map(images: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Squared error plus structural dissimilarity at every pixel (n, S, S)."""
    size = tf.shape(images)[1:3]
    similarity = tf.image.ssim(images, outputs, max_val=1.0, return_index_map=True)
    dissimilarity = tf.image.resize((1 - similarity[..., tf.newaxis]) / 2, size)[..., 0]
    return tf.reduce_mean(tf.square(images - outputs), axis=-1) + tf.maximum(dissimilarity, 0.0)
