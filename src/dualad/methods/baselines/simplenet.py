"""SimpleNet: tells adapted features from the same with noise (Liu et al., CVPR 2023)."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from dualad.data.plan import Seeds
from dualad.design.parameters import SimplenetParams
from dualad.methods.base import Experiment, FloatArray, Floats, Indices
from dualad.methods.baselines.feature_detector import (
    FeatureDetector,
    flat_weights,
    patch_features,
    sample_patches,
    set_flat_weights,
)


class Simplenet(FeatureDetector):
    """A linear adaptor and a discriminator on patch features.

    Features as in PatchCore (section 3.1); the adaptor maps them linearly (3.2); anomalous features
    are normal ones plus Gaussian noise (3.3); the discriminator is one hidden layer with batch
    normalisation and leaky ReLU (3.4), trained with a hinge at the margin (3.5). The score is the
    largest negated output (3.6). The published code keeps the epoch that is best on the test set;
    here the last one is kept. The features are divided by their mean deviation first, so that the
    noise has the same meaning on every backbone.

    Attributes
    ----------
    scale_ : float32 array ()
    weights_ : float32 array
        Weights of adaptor and discriminator, one after another.
    """

    family = "simplenet"
    stages = (2, 3)
    arrays = ("scale_", "weights_")
    params: SimplenetParams

    def __init__(self, params: SimplenetParams) -> None:
        super().__init__(params)
        self._network_: tuple[keras.Model, keras.Model] | None = None

    def _learn(self, experiment: Experiment, train: Indices, seeds: Seeds) -> list[str]:
        rng = np.random.default_rng([seeds.numpy, 1])
        params = self.params
        patches, notes = sample_patches(
            self.extractor_, experiment, train, params.patch, params.max_patches, rng
        )
        self.scale_ = np.float32(1 / patches.std(axis=0, dtype=np.float64).mean())
        patches *= self.scale_
        network = self._network(patches.shape[1])
        adaptor, discriminator = network
        optimizers = (
            keras.optimizers.Adam(params.adaptor_learning_rate),
            keras.optimizers.Adam(params.learning_rate, weight_decay=params.weight_decay),
        )
        for model, optimizer in zip(network, optimizers, strict=True):
            optimizer.build(model.trainable_variables)

        @tf.function(jit_compile=True, autograph=False)
        def step(batch: tf.Tensor, noise: tf.Tensor) -> None:
            with tf.GradientTape(persistent=True) as tape:
                normal = adaptor(batch)
                both = tf.concat([normal, normal + noise], axis=0)
                outputs = discriminator(both, training=True)[:, 0]
                normal_outputs, anomalous_outputs = tf.split(outputs, 2)
                loss = hinge(normal_outputs, anomalous_outputs, params.margin)
            for model, optimizer in zip(network, optimizers, strict=True):
                variables = model.trainable_variables
                optimizer.apply(tape.gradient(loss, variables), variables)

        size = min(params.batch_size, len(patches))
        for _ in range(params.steps):
            batch = patches[rng.integers(len(patches), size=size)]
            noise = rng.standard_normal(batch.shape, dtype=np.float32) * np.float32(params.noise)
            step(tf.constant(batch), tf.constant(noise))
        self.weights_ = flat_weights(network)
        self._network_ = network
        return notes

    def _score_features(self, features: list[FloatArray]) -> tuple[Floats, FloatArray]:
        embedded = patch_features(features, self.params.patch) * self.scale_
        n, h, w, c = embedded.shape
        if self._network_ is None:
            self._network_ = self._network(c)
            set_flat_weights(self._network_, self.weights_)
        adaptor, discriminator = self._network_
        normality = np.asarray(_discriminate(adaptor, discriminator, embedded.reshape(-1, c)))
        abnormality = -normality.reshape(n, h, w)
        # A map is at least 0: the softplus keeps the order.
        return abnormality.max(axis=(1, 2)).astype(np.float64), np.logaddexp(0, abnormality)

    def _network(self, channels: int) -> tuple[keras.Model, keras.Model]:
        adaptor = keras.Sequential([keras.Input((channels,)), layers.Dense(channels)])
        discriminator = keras.Sequential(
            [
                keras.Input((channels,)),
                layers.Dense(self.params.hidden),
                layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
                layers.LeakyReLU(0.2),
                layers.Dense(1, use_bias=False),
            ]
        )
        return adaptor, discriminator


def hinge(normal: tf.Tensor, anomalous: tf.Tensor, margin: float) -> tf.Tensor:
    """Loss of eq. 6: normal outputs above the margin, anomalous ones below its negative, cost 0."""
    return tf.reduce_mean(tf.maximum(0.0, margin - normal)) + tf.reduce_mean(
        tf.maximum(0.0, margin + anomalous)
    )


@tf.function(reduce_retracing=True, autograph=False)
def _discriminate(
    adaptor: keras.Model, discriminator: keras.Model, features: tf.Tensor
) -> tf.Tensor:
    return discriminator(adaptor(features), training=False)[:, 0]
