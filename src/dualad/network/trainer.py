"""Losses, the Adam optimiser, and the compiled training of one network (section 3.3.3)."""

import hashlib
import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from dualad.data.dataset import Dataset
from dualad.data.plan import Seeds
from dualad.data.split import Split
from dualad.design.parameters import AdaptiveParams
from dualad.errors import DualadError
from dualad.network.batches import filled, map_batches
from dualad.network.device import activation_bytes, batch_rows, compiled_loop, require_room
from dualad.network.model import centre, set_dropout

FloatArray = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Positions = npt.NDArray[np.int32]
Weights = Sequence[tf.Tensor | npt.NDArray[Any]]
"""Values of all of a network's variables, in their order."""

_EVALUATION_BATCH, _GPU_EVALUATION_BATCH = 256, 2048


def msle(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
    """Mean squared logarithmic error of each image (eq. 22); both (n, S, S, 1) in [0, 1]."""
    return tf.reduce_mean(squared_log_error(images, reconstructions), axis=[1, 2, 3])


def squared_log_error(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
    """The summands of eq. 22, one per pixel; both arguments of the same shape, in [0, 1].

    The logarithm is taken of 1 + x, because XLA computes `log1p` one number at a time on a CPU, and
    the digits that `log1p` would save are far below what training resolves.
    """
    return tf.square(tf.math.log(1 + images) - tf.math.log(1 + reconstructions))


def mean_image_loss(images: FloatArray, mean: FloatArray) -> float:
    """MSLE of a model that answers every image (n, S, S) with the training mean (S, S)."""
    difference = np.log1p(images) - np.log1p(mean)
    return float(np.mean(np.square(difference), dtype=np.float64))


def development_indices(split: Split) -> Indices:
    """Dataset indices (n,) of all images but the test images, ascending."""
    members = (*split.train, *split.validation_normal, *split.validation_anomalous)
    return np.array(sorted(members), dtype=np.int64)


@dataclass(frozen=True)
class DevelopmentPool:
    """The images that a search and a training may see: all but the test images.

    A position is an image's place in these arrays.
    """

    indices: Indices
    """(n,) dataset indices, ascending."""
    images: FloatArray
    """(n, S, S) in [0, 1]."""
    labels: npt.NDArray[np.int8]
    """(n,) 0 for a normal image, 1 for an anomalous one."""

    @classmethod
    def read(cls, dataset: Dataset, split: Split) -> Self:
        """Load the split's training and validation images.

        Raises
        ------
        DualadError
            If the machine has not enough memory for them.
        """
        indices = development_indices(split)
        # In single precision, once here and once where they are trained on.
        n_bytes = 2 * 4 * len(indices) * dataset.image_size**2
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if n_bytes > memory:
            raise DualadError(
                f"{dataset.name}: training on {len(indices)} images of {dataset.image_size} pixels "
                f"square needs {n_bytes / 2**30:.0f} GiB of memory, and this machine has "
                f"{memory / 2**30:.0f}: lower image_size, use fewer images, or a larger machine"
            )
        labels = dataset.table["label"].to_numpy()[indices]
        return cls(indices, dataset.images(indices), labels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the images."""
        return hashlib.sha256(np.ascontiguousarray(self.images).data).hexdigest()

    def positions(self, indices: Indices) -> Indices:
        """Positions of dataset indices that are all in the pool."""
        return np.searchsorted(self.indices, indices)


@dataclass(frozen=True)
class TrainingDesign:
    """How a network is trained: its images' roles, its random numbers and its hyperparameters."""

    split: Split
    """Draws each attempt's training and validation images."""
    seeds: Seeds
    params: AdaptiveParams

    def key(self, *others: object) -> str:
        """Hash of seeds, hyperparameters and other plain values: the same for the same run."""
        values = [*others, asdict(self.params), asdict(self.seeds)]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


class Adam:
    """Adam (Kingma and Ba, 2015) with Keras's defaults, through TensorFlow's fused kernel.

    The kernel updates weights and moments in place in one call per variable and starts at once. In
    a compiled function XLA takes its own operations for the same arithmetic.
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
        """Moments, number of steps and learning rate."""
        return [*self._moments, self._steps, self.learning_rate]

    def reset(self) -> None:
        """Forget all steps; keep the learning rate."""
        for variable in (*self._moments, self._steps):
            variable.assign(tf.zeros_like(variable))

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Take one step along the gradients, one per weight and of its shape."""
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


class Trainer(ABC):
    """One network, its Adam optimiser, and the images or features that it is trained on.

    Parameters
    ----------
    model : keras.Model
        Its layer `decoder` ends in a dense layer `reconstruction`.
    batch_size : int
        Images of a training step.
    learning_rate : float
    """

    worst_loss: ClassVar[float]
    """What a trial of a search scores whose loss is not finite."""

    def __init__(self, model: keras.Model, batch_size: int, learning_rate: float) -> None:
        self.model = model
        self.batch_size = batch_size
        self.optimizer = Adam(model.trainable_variables, learning_rate)
        output_bias = model.get_layer("decoder").get_layer("reconstruction").bias
        self._output_bias = next(
            i for i, v in enumerate(model.trainable_variables) if v is output_bias
        )
        self._initial = [v.value.numpy().copy() for v in model.variables]
        self._steps = compiled_loop(self._take_steps)

    @property
    @abstractmethod
    def centred(self) -> bool:
        """Whether the network starts at the mean of its training images."""

    @abstractmethod
    def mean_image_loss(self, train: Indices, held_out: Indices) -> float:
        """Loss at some positions of a model that answers with the mean of the training images."""

    def train_epoch(self, train: Indices, rng: np.random.Generator) -> tuple[float, float]:
        """One pass over some images, in an order that is drawn.

        Every gradient passes through the output layer's bias, so a gradient of exactly zero there
        means that the whole network has stopped learning.

        Parameters
        ----------
        train : int array (n,)
            Positions in the trainer's images.
        rng : numpy.random.Generator
            Decides the order.

        Returns
        -------
        loss, gradient : float
            Mean loss of the images, and the largest absolute gradient at the output layer's bias.
        """
        # The last batch is filled up with images of weight zero, so that one compiled step serves
        # all.
        padded = filled(rng.permutation(train), self.batch_size).astype(np.int32)
        weights = (np.arange(len(padded)) < len(train)).astype(np.float32)
        shape = (-1, self.batch_size)
        batches = self._batches(padded.reshape(shape), weights.reshape(shape), rng)
        totals, counts, peaks = self._steps(batches)
        return float(np.sum(totals)) / float(np.sum(counts)), float(np.max(peaks))

    @abstractmethod
    def evaluate(self, indices: Indices) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Loss and error, each (n,), of the images at n positions; a high error is anomalous."""

    def _batches(
        self, images: Positions, weights: FloatArray, rng: np.random.Generator
    ) -> list[npt.NDArray[Any]]:
        """What the steps of an epoch take: arrays (steps, ...), a row of each for every step.

        Parameters
        ----------
        images : int32 array (batches, b)
            Positions of every batch.
        weights : float32 array (batches, b)
            1 for an image, 0 for one that fills a batch up.
        rng : numpy.random.Generator
        """
        return [images, weights]

    @abstractmethod
    def _loss(
        self, images: tf.Tensor, weights: tf.Tensor, *others: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Weighted sum of the losses in training, and of the weights, for a row of `_batches`."""

    @abstractmethod
    def _adapt(self, train: Indices) -> None:
        """Set what the network takes from its training images before the first step."""

    def reset(self, rates: Sequence[float], train: Indices | None = None) -> None:
        """Restore the initial weights and random state, then set dropout and centring.

        Parameters
        ----------
        rates : sequence of float
            Dropout rates in the order of `dualad.network.model.dropout_layers`.
        train : int array (n,), optional
            Positions of the training images, for a network that takes statistics from them.
        """
        self.load_weights(self._initial)
        self.optimizer.reset()
        set_dropout(self.model, rates)
        if train is not None:
            self._adapt(train)

    def state(self) -> list[npt.NDArray[Any]]:
        """Weights, random state and optimiser: all that training changes; possibly views."""
        # Unlike `v.numpy()`, which copies.
        return [np.asarray(v.read_value()) for v in self._variables]

    def load_state(self, arrays: Sequence[npt.NDArray[Any]]) -> None:
        """Inverse of `state`."""
        for variable, array in zip(self._variables, arrays, strict=True):
            variable.assign(array)

    def weights(self) -> Weights:
        """The network's part of a `state`, on the device; later training does not change it.

        TensorFlow copies a variable that is written to while a value that was read from it is in
        use, so this costs memory only once training goes on.
        """
        return [v.value.read_value() for v in self.model.variables]

    def load_weights(self, weights: Weights) -> None:
        """Inverse of `weights`; arrays will do as well."""
        for variable, value in zip(self.model.variables, weights, strict=True):
            variable.assign(value)

    def _take_steps(self, batches: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """A step of the optimiser for every row of `_batches`.

        Returns
        -------
        totals, counts, peaks : float32 tensors (steps,)
            The two sums of `_loss`, and the largest absolute gradient at the output layer's bias.
        """
        n_steps = tf.shape(batches[0])[0]

        def step(i: tf.Tensor, *found: tf.TensorArray) -> tuple[Any, ...]:
            *numbers, gradients = self._gradients(*(rows[i] for rows in batches))
            self.optimizer.apply(gradients)
            return i + 1, *(a.write(i, number) for a, number in zip(found, numbers, strict=True))

        arrays = [tf.TensorArray(tf.float32, n_steps) for _ in range(3)]
        _, *found = tf.while_loop(
            lambda i, *_: i < n_steps, step, (0, *arrays), parallel_iterations=1
        )
        totals, counts, peaks = (array.stack() for array in found)
        return totals, counts, peaks

    @tf.function(jit_compile=True, autograph=False)
    def _gradients(
        self, *batch: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """What a step gives, and the gradients of the mean loss at all weights."""
        with tf.GradientTape() as tape:
            total, count = self._loss(*batch)
            loss = total / count
        gradients = tape.gradient(loss, self.model.trainable_variables)
        return total, count, tf.reduce_max(tf.abs(gradients[self._output_bias])), gradients

    @property
    def _variables(self) -> list[tf.Variable]:
        return [*(v.value for v in self.model.variables), *self.optimizer.variables]


class NetworkTrainer(Trainer):
    """Compiled training and evaluation of the dual autoencoder of images.

    Parameters
    ----------
    model : keras.Model
        Maps (n, S, S, 1) to reconstructions of the same shape.
    images : float32 array (n, S, S) in [0, 1]
        Everything that training and evaluation index into; it stays on the device.
    batch_size : int
    learning_rate : float
    """

    worst_loss = math.log(2) ** 2
    """The largest MSLE that images in [0, 1] can have."""

    def __init__(
        self, model: keras.Model, images: FloatArray, batch_size: int, learning_rate: float
    ) -> None:
        # Weights, two moments, gradients, and the weights of two epochs that are kept.
        n_bytes = images.nbytes + 6 * sum(4 * int(np.prod(v.shape)) for v in model.variables)
        activations = activation_bytes(model)
        require_room(n_bytes + 2 * batch_size * activations, f"training on {len(images)} images")
        super().__init__(model, batch_size, learning_rate)
        self._pool = images
        self._evaluation_batch = batch_rows(activations, _EVALUATION_BATCH, _GPU_EVALUATION_BATCH)
        self._images = tf.constant(images[..., np.newaxis])

    @property
    def centred(self) -> bool:
        return any(layer.name == "centering" for layer in self.model.layers)

    def mean_image_loss(self, train: Indices, held_out: Indices) -> float:
        return mean_image_loss(self._pool[held_out], self._mean_image(train))

    def evaluate(self, indices: Indices) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """MSLE (eq. 22) and L2 error (eq. 30), each (n,), of the images at n positions."""
        losses, errors = map_batches(
            lambda batch: self._evaluate(self._images, batch),
            indices.astype(np.int32),
            min(self._evaluation_batch, len(indices)),
        )
        return losses.astype(np.float64), errors.astype(np.float64)

    def _adapt(self, train: Indices) -> None:
        if self.centred:
            centre(self.model, self._mean_image(train))

    def _mean_image(self, positions: Indices) -> FloatArray:
        """Mean (S, S) of the images at some positions."""
        mean = self._pool[positions].mean(axis=0, dtype=np.float64)
        return np.asarray(mean, dtype=np.float32)

    def _loss(
        self, images: tf.Tensor, weights: tf.Tensor, *_: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        batch = tf.gather(self._images, images)
        losses = msle(batch, self.model(batch, training=True))
        return tf.reduce_sum(weights * losses), tf.reduce_sum(weights)

    @tf.function(jit_compile=True, autograph=False)
    def _evaluate(self, images: tf.Tensor, indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch = tf.gather(images, indices)
        reconstructions = self.model(batch, training=False)
        errors = tf.sqrt(tf.reduce_sum(tf.square(reconstructions - batch), axis=[1, 2, 3]))
        return msle(batch, reconstructions), errors
