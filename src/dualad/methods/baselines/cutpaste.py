"""CutPaste: learns to tell images from images with a pasted part (Li et al., CVPR 2021)."""

from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from scipy.ndimage import rotate

from dualad.design.parameters import CutpasteParams
from dualad.methods.base import (
    Experiment,
    FitReport,
    FloatArray,
    Indices,
    Scored,
    load_arrays,
    save_arrays,
)
from dualad.methods.baselines.convolutional_detector import NetworkDetector
from dualad.methods.baselines.features import BACKBONES, FeatureExtractor
from dualad.network.batches import map_batches
from dualad.runtime import seed_everything

_EMBEDDING_BATCH = 32
_ARRAYS = ("mean_", "precision_")
_PATCH_AREA = (0.02, 0.15)
_PATCH_ASPECT = (0.3, 3.3)
_SCAR_WIDTH = (2, 16)
_SCAR_LENGTH = (10, 25)
_SCAR_REFERENCE = 256
"""Side of the images at which a scar's size is given in pixels."""
_SCAR_ANGLE = 45.0
_JITTER = 0.1


class Cutpaste(NetworkDetector):
    """Three-way classification of normal, patch and scar; a Gaussian on the embedding.

    The publication trains a whole ResNet-18. Here a pretrained backbone is trained from its third
    stage on, batch normalisation in inference mode; below, it stays as it is, which two processor
    cores can afford. The score is the Mahalanobis distance of the pooled embedding under a
    Ledoit-Wolf covariance (section 2.3). The classifier sees whole images, so there is no map.

    Attributes
    ----------
    model_ : keras.Model
        Images (n, S, S, 3) in [0, 1] to embedding (n, c) and logits (n, 3).
    mean_ : float32 array (c,)
    precision_ : float32 array (c, c)
    """

    family = "cutpaste"
    least_training_images = 2  # the covariance of one embedding is zero, and so is every score
    scoring_batch = _EMBEDDING_BATCH
    params: CutpasteParams

    def fit(self, experiment: Experiment) -> FitReport:
        # Imported here: scoring does not need it.
        from sklearn.covariance import LedoitWolf

        seeds = experiment.seeds(self.params)
        train, validation = experiment.split.attempt(1, seeds.numpy)
        seed_everything(seeds)
        extractor = FeatureExtractor(self.params, (4,), seeds.tensorflow)
        seed_everything(seeds)
        self.model_ = _classifier(extractor, self.params)
        rng = np.random.default_rng([seeds.numpy, 1])
        self._train(experiment, train, rng)
        parts = experiment.dataset.batches(train, _EMBEDDING_BATCH)
        embedding = np.concatenate([self._embed(images) for images in parts])
        gaussian = LedoitWolf().fit(embedding.astype(np.float64))
        self.mean_: FloatArray = gaussian.location_.astype(np.float32)
        self.precision_: FloatArray = gaussian.precision_.astype(np.float32)
        return FitReport(
            family=self.family,
            n_parameters=self.model_.count_params() + self.mean_.size + self.precision_.size,
            validation=validation.tolist(),
            notes=list(extractor.notes),
        )

    def score(self, images: FloatArray) -> Scored:
        difference = (self._embed(images) - self.mean_).astype(np.float64)
        squared = np.einsum("nc,cd,nd->n", difference, self.precision_, difference)
        return Scored({self.family: np.sqrt(np.maximum(squared, 0))})

    def save(self, folder: Path) -> None:
        super().save(folder)
        save_arrays(self, _ARRAYS, folder)

    @classmethod
    def load(cls, folder: Path, params: Any) -> Self:
        detector = super().load(folder, params)
        load_arrays(detector, _ARRAYS, folder)
        return detector

    def _train(self, experiment: Experiment, train: Indices, rng: np.random.Generator) -> None:
        params = self.params
        schedule = keras.optimizers.schedules.CosineDecay(params.learning_rate, params.steps)
        optimizer = keras.optimizers.SGD(
            schedule, momentum=params.momentum, weight_decay=params.weight_decay
        )
        variables = self.model_.trainable_variables
        optimizer.build(variables)
        classes = tf.repeat(tf.range(3), params.batch_size)

        @tf.function(autograph=False)
        def step(images: tf.Tensor) -> None:
            with tf.GradientTape() as tape:
                _, logits = self.model_(images, training=False)
                loss = tf.reduce_mean(
                    tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)
                )
            optimizer.apply(tape.gradient(loss, variables), variables)

        for _ in range(params.steps):
            chosen = rng.choice(train, size=params.batch_size)
            normal = experiment.dataset.images(chosen)
            pasted = [
                np.stack([paste(image, rng) for image in normal])
                for paste in (paste_patch, paste_scar)
            ]
            step(tf.constant(np.concatenate([normal, *pasted])))

    def _embed(self, images: FloatArray) -> FloatArray:
        (embedding,) = map_batches(
            lambda batch: [_embedding(self.model_, tf.constant(batch))], images, _EMBEDDING_BATCH
        )
        return embedding


def paste_patch(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A copy of the image (S, S, 3) into which a recoloured rectangle of the image is pasted.

    The rectangle's area is 2 to 15 % of the image's, the ratio of its sides 0.3 to 3.3 (section
    2.2).
    """
    size = image.shape[0]
    area = rng.uniform(*_PATCH_AREA) * size**2
    aspect = np.exp(rng.uniform(*np.log(_PATCH_ASPECT)))
    height, width = (
        int(np.clip(round(side), 1, size))
        for side in (np.sqrt(area / aspect), np.sqrt(area * aspect))
    )
    patch = jitter(_cut(image, height, width, rng), rng)
    return _pasted(image, patch, np.ones((height, width), dtype=np.float32), rng)


def paste_scar(image: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A copy of the image (S, S, 3) into which a thin, recoloured, rotated strip of it is pasted.

    The strip measures 2 to 16 by 10 to 25 pixels of a 256 x 256 image and is rotated by up to 45
    degrees (section 2.2).
    """
    size = image.shape[0]
    scale = size / _SCAR_REFERENCE
    width, length = (
        max(1, round(rng.uniform(*bounds) * scale)) for bounds in (_SCAR_WIDTH, _SCAR_LENGTH)
    )
    strip = jitter(_cut(image, length, width, rng), rng)
    angle = rng.uniform(-_SCAR_ANGLE, _SCAR_ANGLE)
    turned = rotate(strip, angle, order=1, mode="nearest")
    mask = rotate(np.ones((length, width), dtype=np.float32), angle, order=1, mode="constant")
    return _pasted(image, turned, (mask > 0.5).astype(np.float32), rng)


def jitter(patch: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Change brightness, contrast and saturation of (h, w, 3) by up to 10 % each."""
    brightness, contrast, saturation = 1 + rng.uniform(-_JITTER, _JITTER, size=3)
    changed = patch * brightness
    changed = (changed - changed.mean()) * contrast + changed.mean()
    gray = changed.mean(axis=-1, keepdims=True)
    return np.asarray(np.clip(gray + (changed - gray) * saturation, 0, 1), dtype=np.float32)


def _cut(image: FloatArray, height: int, width: int, rng: np.random.Generator) -> FloatArray:
    top, left = _corner(image, height, width, rng)
    return image[top : top + height, left : left + width].copy()


def _pasted(
    image: FloatArray, patch: FloatArray, mask: FloatArray, rng: np.random.Generator
) -> FloatArray:
    height, width = (min(a, b) for a, b in zip(mask.shape, image.shape[:2], strict=True))
    top, left = _corner(image, height, width, rng)
    changed = image.copy()
    place = changed[top : top + height, left : left + width]
    weight = mask[:height, :width, np.newaxis]
    place[:] = weight * patch[:height, :width] + (1 - weight) * place
    return changed


def _corner(
    image: FloatArray, height: int, width: int, rng: np.random.Generator
) -> tuple[int, int]:
    rows, columns = image.shape[0] - height, image.shape[1] - width
    return int(rng.integers(rows + 1)), int(rng.integers(columns + 1))


def _classifier(extractor: FeatureExtractor, params: CutpasteParams) -> keras.Model:
    """Backbone trained from its third stage on, pooling, and a head of one hidden layer."""
    backbone = extractor.model
    unfreeze_after_stage(backbone, params.backbone, 3)
    embedding = layers.GlobalAveragePooling2D(name="embedding")(backbone.outputs[0])
    hidden = layers.Dense(params.head, "relu")(embedding)
    return keras.Model(backbone.input, [embedding, layers.Dense(3)(hidden)], name="cutpaste")


def unfreeze_after_stage(backbone: keras.Model, name: str, stage: int) -> None:
    """Make convolutions after a stage trainable; batch normalisation stays in inference mode."""
    trunk = next(layer for layer in backbone.layers if isinstance(layer, keras.Model))
    backbone.trainable = True
    last = [layer.name for layer in trunk.layers].index(BACKBONES[name].layers[stage - 1])
    for layer in backbone.layers:
        layer.trainable = layer is trunk
    for i, layer in enumerate(trunk.layers):
        layer.trainable = i > last and not isinstance(layer, layers.BatchNormalization)


@tf.function(reduce_retracing=True, autograph=False)
def _embedding(model: keras.Model, images: tf.Tensor) -> tf.Tensor:
    return model(images, training=False)[0]
