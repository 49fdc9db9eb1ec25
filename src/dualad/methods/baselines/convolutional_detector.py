"""What the baselines have in common that train one network to reconstruct images."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import keras
import numpy as np
import tensorflow as tf

from dualad.data.plan import Seeds
from dualad.methods.base import Detector, Experiment, FitReport, FloatArray, Indices
from dualad.network.batches import map_batches
from dualad.network.model import load_model, save_model
from dualad.runtime import seed_everything

TrainedNetwork = tuple[keras.Model, list[str]]
"""A network, and notes on the result for a reader of a table."""

_BATCH = 32
_MODEL_FILE = "model.keras"


class NetworkDetector(Detector):
    """One network, saved as `model.keras`.

    Attributes
    ----------
    model_ : keras.Model
    """

    model_: keras.Model

    def save(self, folder: Path) -> None:
        save_model(self.model_, folder / _MODEL_FILE)

    @classmethod
    def load(cls, folder: Path, params: Any) -> Self:
        detector = cls(params)
        detector.model_ = load_model(folder / _MODEL_FILE)
        return detector


class ConvolutionalDetector(NetworkDetector):
    """A convolutional network that is trained from random weights.

    Attributes
    ----------
    model_ : keras.Model
        Images (n, S, S, 3) in [0, 1] to images of the same shape and range.
    """

    scoring_batch = _BATCH

    def fit(self, experiment: Experiment) -> FitReport:
        seeds = experiment.seeds(self.params)
        train, validation = experiment.split.attempt(1, seeds.numpy)
        seed_everything(seeds)
        self.model_, notes = self._learn(experiment, train, seeds)
        return FitReport(
            family=self.family,
            n_parameters=self.model_.count_params(),
            validation=validation.tolist(),
            notes=notes,
        )

    @abstractmethod
    def _learn(self, experiment: Experiment, train: Indices, seeds: Seeds) -> TrainedNetwork:
        """Train a network on some images of the experiment."""

    def _reconstruct(self, images: FloatArray) -> FloatArray:
        """The network's outputs for images (n, S, S, 3), of the same shape."""
        (outputs,) = map_batches(lambda batch: [_predict(self.model_, batch)], images, _BATCH)
        return outputs


class _Training(Protocol):
    """The keys of a family that say how its network is trained."""

    @property
    def learning_rate(self) -> float:
        """Adam's, at least 0."""
        ...

    @property
    def batch_size(self) -> int:
        """Images per batch."""
        ...

    @property
    def epochs(self) -> int:
        """Passes over the training images."""
        ...


def fit_network(
    model: keras.Model,
    training: _Training,
    rows: Indices,
    batch_of: Callable[[Indices], Sequence[FloatArray]],
    loss: Callable[..., tf.Tensor],
    rng: np.random.Generator,
) -> None:
    """Train a network by Adam on batches of equal size, drawn anew in every epoch.

    Parameters
    ----------
    model : keras.Model
    training
        Learning rate, batch size and number of epochs.
    rows : int64 array (n,)
        Indices of what the network is trained on.
    batch_of : callable
        Takes some of the indices and returns the arrays that `loss` takes.
    loss : callable
        Takes the tensors of a batch and returns the scalar that is to fall.
    rng : numpy.random.Generator
        Draws the order of every epoch, before the first batch is made.
    """
    step = _adam_step(model, training.learning_rate, loss)
    for batch in _fixed_batches(rows, training.batch_size, training.epochs, rng):
        step(*map(tf.constant, batch_of(batch)))


def _fixed_batches(
    train: Indices, size: int, epochs: int, rng: np.random.Generator
) -> list[Indices]:
    """Dataset indices of every batch of a training, all batches of the same size.

    Parameters
    ----------
    train : int64 array
        Dataset indices of the training images.
    size : int
        Images per batch; all of them if there are fewer. What is left over at the end of an epoch
        is not used in this epoch.
    epochs : int
    rng : numpy.random.Generator
        Draws a new order for every epoch.
    """
    size = min(size, len(train))
    batches = []
    for _ in range(epochs):
        order = rng.permutation(train)
        batches += [order[i : i + size] for i in range(0, len(order) - size + 1, size)]
    return batches


def _adam_step(
    model: keras.Model, learning_rate: float, loss: Callable[..., tf.Tensor]
) -> Callable[..., None]:
    """A compiled step of Adam on a model's weights.

    Parameters
    ----------
    model : keras.Model
    learning_rate : float
    loss : callable
        Takes the tensors of a batch and returns the scalar that is to fall.

    Returns
    -------
    callable
        Takes the same tensors.
    """
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(model.trainable_variables)

    def step(*batch: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            value = loss(*batch)
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    compiled: Callable[..., None] = tf.function(step, autograph=False)
    return compiled


@tf.function(reduce_retracing=True, autograph=False)
def _predict(model: keras.Model, images: tf.Tensor) -> tf.Tensor:
    return model(images, training=False)
