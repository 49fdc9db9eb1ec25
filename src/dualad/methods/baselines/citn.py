"""CITN: a convolutional network undoes known transformations (Bhushan et al., PARC 2024).

An interpretation: only the title, "convolutional image transformation networks", is public. Normal
images are erased in places, blurred or made noisy; the network learns to restore them, and an image
that it restores badly is anomalous.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from scipy.ndimage import gaussian_filter

from dualad.data.plan import Seeds
from dualad.design.parameters import CitnParams
from dualad.methods.base import Experiment, FloatArray, Indices, Scored
from dualad.methods.baselines.convolutional_detector import (
    ConvolutionalDetector,
    TrainedNetwork,
    fit_network,
)

_CELLS = 8
"""Cells along a side of the grid that is erased in parts."""
_ERASED = 0.25
_FILL = 0.5
_BLUR = 0.02
"""Width of the blur as a fraction of the image's side."""
_NOISE = 0.1


class Citn(ConvolutionalDetector):
    """Restoration error, averaged over fixed instances of all transformations."""

    family = "citn"
    params: CitnParams

    def _learn(self, experiment: Experiment, train: Indices, seeds: Seeds) -> TrainedNetwork:
        keras.utils.set_random_seed(seeds.tensorflow)
        model = restoration_network(self.params)
        rng = np.random.default_rng([seeds.numpy, 1])
        transformations = list(TRANSFORMATIONS.values())

        def pairs(rows: Indices) -> tuple[FloatArray, FloatArray]:
            images = experiment.dataset.images(rows)
            transform = transformations[rng.integers(len(transformations))]
            return transform(images, rng), images

        def loss(transformed: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
            return tf.reduce_mean(tf.square(model(transformed, training=True) - images))

        fit_network(model, self.params, train, pairs, loss, rng)
        return model, []

    def score(self, images: FloatArray) -> Scored:
        errors = []
        for transform in TRANSFORMATIONS.values():
            for instance in range(self.params.instances):
                # Each image is transformed by itself, so that its score depends on no other image.
                transformed = np.concatenate(
                    [
                        transform(image[np.newaxis], np.random.default_rng(instance))
                        for image in images
                    ]
                )
                errors.append(np.square(self._reconstruct(transformed) - images).mean(axis=-1))
        maps = np.mean(errors, axis=0)
        return Scored({self.family: maps.mean(axis=(1, 2), dtype=np.float64)}, {self.family: maps})


def erase(images: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Fill a quarter of the cells of an 8 x 8 grid with grey, the same cells in all images."""
    size = images.shape[1]
    cells = np.zeros(_CELLS**2, dtype=bool)
    cells[rng.choice(_CELLS**2, size=round(_ERASED * _CELLS**2), replace=False)] = True
    rows = np.arange(size) * _CELLS // size
    erased = cells.reshape(_CELLS, _CELLS)[np.ix_(rows, rows)]
    return np.where(erased[..., np.newaxis], np.float32(_FILL), images)


def blur(images: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Blur by a Gaussian of up to 2 % of the image's side."""
    sigma = rng.uniform(0.25, 1.0) * _BLUR * images.shape[1]
    return np.asarray(gaussian_filter(images, sigma=(0, sigma, sigma, 0)))


def add_noise(images: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Add Gaussian noise of deviation 0.1; the result stays in [0, 1]."""
    noise = rng.standard_normal(images.shape, dtype=np.float32)
    return np.clip(images + np.float32(_NOISE) * noise, 0, 1)


TRANSFORMATIONS: dict[str, Callable[[FloatArray, np.random.Generator], FloatArray]] = {
    "erase": erase,
    "blur": blur,
    "noise": add_noise,
}
"""What the network learns to undo."""


def restoration_network(params: CitnParams) -> keras.Model:
    """Halvings and doublings with connections across, as in a U-Net (Ronneberger et al., 2015)."""
    size = params.input_size
    images = keras.Input((size, size, 3), name="image")
    hidden, across = images, []
    for width in params.widths:
        hidden = _convolution(hidden, width)
        across.append(hidden)
        hidden = layers.MaxPooling2D(padding="same")(hidden)
    hidden = _convolution(hidden, params.widths[-1])
    for width, level in zip(reversed(params.widths), reversed(across), strict=True):
        hidden = layers.Resizing(*level.shape[1:3])(hidden)
        hidden = _convolution(layers.Concatenate()([hidden, level]), width)
    outputs = layers.Conv2D(3, 1, activation="sigmoid")(hidden)
    return keras.Model(images, outputs, name="citn")


def _convolution(inputs: keras.KerasTensor, width: int) -> keras.KerasTensor:
    hidden = layers.Conv2D(width, 3, padding="same")(inputs)
    return layers.LeakyReLU(0.2)(layers.BatchNormalization()(hidden))
