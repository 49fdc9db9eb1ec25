"""What the convolutional baselines that reconstruct images have in common."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from dualad.data.plan import Seeds
from dualad.methods.base import Detector, Experiment, FitReport, FloatArray, Indices
from dualad.methods.baselines.features import load_keras
from dualad.runtime import seed_everything

_BATCH = 32


class ConvolutionalDetector(Detector):
    """One convolutional network, saved as `model.keras`, trained from random weights.

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
    def _learn(
        self, experiment: Experiment, train: Indices, seeds: Seeds
    ) -> tuple[keras.Model, list[str]]:
        """The trained network, and notes on the result."""

    def save(self, folder: Path) -> None:
        self.model_.save(folder / "model.keras")

    @classmethod
    def load(cls, folder: Path, params: Any) -> Self:
        detector = cls(params)
        detector.model_ = load_keras(folder / "model.keras")
        return detector

    def _restore(self, images: FloatArray) -> FloatArray:
        """What the network makes of each image; a fixed shape, whatever the number of images."""
        parts = [images[i : i + _BATCH] for i in range(0, len(images), _BATCH)]
        return np.concatenate(
            [
                np.asarray(_predict(self.model_, np.resize(part, (_BATCH, *part.shape[1:]))))[
                    : len(part)
                ]
                for part in parts
            ]
        )


def fixed_batches(
    train: Indices, size: int, epochs: int, rng: np.random.Generator
) -> list[Indices]:
    """Rows of every batch of the training, all of the same size: what is left over waits."""
    size = min(size, len(train))
    batches = []
    for _ in range(epochs):
        order = rng.permutation(train)
        batches += [order[i : i + size] for i in range(0, len(order) - size + 1, size)]
    return batches


@tf.function(reduce_retracing=True, autograph=False)
def _predict(model: keras.Model, images: tf.Tensor) -> tf.Tensor:
    return model(images, training=False)
