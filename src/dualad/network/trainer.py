"""Losses, the Adam optimiser, and the compiled training of one network (section 3.3.3)."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from dualad.network.model import centre, set_dropout

FloatArray = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

_EVALUATION_BATCH = 256


def msle(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
    """Mean squared logarithmic error of each image (eq. 22); both (n, S, S, 1) in [0, 1]."""
    return tf.reduce_mean(squared_log_error(images, reconstructions), axis=[1, 2, 3])


def squared_log_error(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
    """What eq. 22 averages, for every pixel; both of any one shape, in [0, 1].

    The logarithms are of 1 + x: XLA computes `log1p` one number at a time on a CPU, and the digits
    that it saves lie far below what training resolves.
    """
    return tf.square(tf.math.log(1 + images) - tf.math.log(1 + reconstructions))


def mean_image_loss(images: FloatArray, mean: FloatArray) -> float:
    """MSLE of a model that answers every image (n, S, S) with the training mean (S, S)."""
    difference = np.log1p(images) - np.log1p(mean)
    return float(np.mean(np.square(difference), dtype=np.float64))


class Adam:
    """Adam (Kingma and Ba, 2015) with Keras's defaults, through TensorFlow's fused kernel.

    The kernel updates weights and moments in place in one call per variable. It starts at once,
    where compiling `keras.optimizers.Adam` with XLA takes seconds in every process, and is as fast.
    """

    _BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7

    def __init__(self, weights: Sequence[keras.Variable], learning_rate: float) -> None:
        self._weights = [w.value for w in weights]
        zeros = [tf.zeros(w.shape) for w in self._weights for _ in range(2)]
        self._moments = [tf.Variable(zero, trainable=False) for zero in zeros]
        self._steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.learning_rate = tf.Variable(learning_rate, dtype=tf.float32, trainable=False)

    @property
    def variables(self) -> list[tf.Variable]:
        """All state, the learning rate included."""
        return [*self._moments, self._steps, self.learning_rate]

    def reset(self) -> None:
        """Forget all steps; keep the learning rate."""
        for variable in (*self._moments, self._steps):
            variable.assign(tf.zeros_like(variable))

    @tf.function(autograph=False)
    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """One step."""
        steps = tf.cast(self._steps.assign_add(1), tf.float32)
        powers = tf.pow(self._BETA_1, steps), tf.pow(self._BETA_2, steps)
        moments = zip(self._moments[::2], self._moments[1::2], strict=True)
        for weight, (m, v), gradient in zip(self._weights, moments, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=self.learning_rate,
                beta1=self._BETA_1,
                beta2=self._BETA_2,
                epsilon=self._EPSILON,
                grad=gradient,
            )


class NetworkTrainer:
    """One network, its Adam optimiser and its images, with compiled training and evaluation.

    Parameters
    ----------
    model : keras.Model
        Maps (n, S, S, 1) to reconstructions of the same shape.
    images : float32 array (n, S, S) in [0, 1]
        Everything that training and evaluation index into; it stays on the device.
    batch_size : int
    learning_rate : float
    """

    def __init__(
        self, model: keras.Model, images: FloatArray, batch_size: int, learning_rate: float
    ) -> None:
        self.model = model
        self.batch_size = batch_size
        self.optimizer = Adam(model.trainable_variables, learning_rate)
        self._images = tf.constant(images[..., np.newaxis])
        output_bias = model.get_layer("decoder").get_layer("reconstruction").bias
        self._output_bias = next(
            i for i, v in enumerate(model.trainable_variables) if v is output_bias
        )
        self._initial = [v.value.numpy().copy() for v in model.variables]

    def reset(self, rates: Sequence[float], mean_image: FloatArray | None = None) -> None:
        """Back to the initial weights and random state; set dropout and, if given, centring."""
        self.load_weights(self._initial)
        self.optimizer.reset()
        set_dropout(self.model, rates)
        if mean_image is not None:
            centre(self.model, mean_image)

    def train_epoch(self, order: Indices) -> tuple[float, float]:
        """One pass over the images in `order`; mean loss and largest output-bias gradient.

        The last batch is filled up with images of weight zero, so that one compiled step serves
        all. Every gradient passes through the output layer's bias, so a gradient of exactly zero
        there means that the whole network has stopped learning.
        """
        size = self.batch_size
        n_batches = math.ceil(len(order) / size)
        padded = np.resize(order, n_batches * size).astype(np.int32)
        weights = (np.arange(n_batches * size) < len(order)).astype(np.float32)
        losses, largest = [], []
        for start in range(0, len(padded), size):
            batch = slice(start, start + size)
            loss, peak, gradients = self._gradients(self._images, padded[batch], weights[batch])
            self.optimizer.apply(gradients)
            losses.append(loss)
            largest.append(peak)
        return float(np.sum(losses)) / len(order), float(np.max(largest))

    def evaluate(self, indices: Indices) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """MSLE (eq. 22) and L2 error (eq. 30) of each image, dropout off."""
        size = min(_EVALUATION_BATCH, len(indices))
        padded = np.resize(indices, math.ceil(len(indices) / size) * size).astype(np.int32)
        parts = [
            self._evaluate(self._images, padded[start : start + size])
            for start in range(0, len(padded), size)
        ]
        losses, errors = (np.concatenate(part)[: len(indices)] for part in zip(*parts, strict=True))
        return losses.astype(np.float64), errors.astype(np.float64)

    def state(self) -> list[npt.NDArray[Any]]:
        """Everything that training changes: weights, random state, optimiser; may be views."""
        # Unlike `v.numpy()`, which copies.
        return [np.asarray(v.read_value()) for v in self._variables]

    def load_state(self, arrays: Sequence[npt.NDArray[Any]]) -> None:
        """Inverse of `state`."""
        for variable, array in zip(self._variables, arrays, strict=True):
            variable.assign(array)

    def load_weights(self, arrays: Sequence[npt.NDArray[Any]]) -> None:
        """The network's part of a `state`."""
        for variable, array in zip(self.model.variables, arrays, strict=False):
            variable.assign(array)

    @property
    def _variables(self) -> list[tf.Variable]:
        return [*(v.value for v in self.model.variables), *self.optimizer.variables]

    @tf.function(jit_compile=True, autograph=False)
    def _gradients(
        self, images: tf.Tensor, indices: tf.Tensor, weights: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Summed loss of one weighted batch, largest output-bias gradient, all gradients.

        The gradients are the mean loss's.
        """
        batch = tf.gather(images, indices)
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(weights * msle(batch, self.model(batch, training=True)))
            loss = total / tf.reduce_sum(weights)
        gradients = tape.gradient(loss, self.model.trainable_variables)
        return total, tf.reduce_max(tf.abs(gradients[self._output_bias])), gradients

    @tf.function(jit_compile=True, autograph=False)
    def _evaluate(self, images: tf.Tensor, indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch = tf.gather(images, indices)
        reconstructions = self.model(batch, training=False)
        errors = tf.sqrt(tf.reduce_sum(tf.square(reconstructions - batch), axis=[1, 2, 3]))
        return msle(batch, reconstructions), errors
