"""The dual encoder on pretrained features as a detector: an extension of the paper's method."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from dualad.data.plan import Seeds
from dualad.design.parameters import DualFeaturesParams, FeatureScore
from dualad.methods.adaptive import AdaptiveDetector, best_score
from dualad.methods.base import Experiment, FloatArray, Floats, Indices, Scored
from dualad.methods.baselines.feature_detector import patch_features
from dualad.methods.baselines.features import MIDDLE, FeatureExtractor, Stage
from dualad.network.batches import filled, slices
from dualad.network.device import compiled_loop
from dualad.network.feature_model import (
    build_feature_autoencoder,
    encoding_part,
    map_summaries,
    position_code,
)
from dualad.network.feature_scores import FEATURE_SCORES, FeatureStatistics, feature_score
from dualad.network.feature_trainer import FeatureTrainer
from dualad.network.model import load_model, save_model
from dualad.network.trainer import DevelopmentPool, development_indices
from dualad.runtime import seed_everything

Inputs = tuple[FloatArray, FloatArray, FloatArray]

_BATCH = 16
_STAGES: tuple[Stage, ...] = (2, MIDDLE, 3)
"""Strides 8, 16 and 16 of the backbone."""
_PATCH = 3
"""Side of the neighbourhood of locations whose mean is a location's vector."""


class DualFeatures(AdaptiveDetector):
    """The dual encoder on the features of a frozen pretrained network.

    A location's vector is the mean of its neighbourhood in three stages of the backbone. The pixel
    encoder codes the vector, the image encoder the statistics of the whole map, and the decoder
    reconstructs the vector from both codes and the position. The pipeline around them is the
    paper's.

    Attributes
    ----------
    extractor_ : FeatureExtractor
    model_ : keras.Model
    statistics_ : FeatureStatistics
    """

    family = "dual_features"
    scoring_batch = 32
    params: DualFeaturesParams

    @property
    def default_score(self) -> FeatureScore:
        return self.statistics_.best_score if self.params.score == "auto" else self.params.score

    def score(self, images: FloatArray) -> Scored:
        return Scored.join(
            [
                self._score_batch(filled(part, _BATCH), len(part), images.shape[1])
                for part in slices(images, _BATCH)
            ]
        )

    def scores(self, images: FloatArray) -> Mapping[str, Floats]:
        """Without maps and Monte Carlo samples."""
        parts = [
            self._scores(
                self._maps(*self._explained(self._inputs(filled(part, _BATCH)))), len(part)
            )
            for part in slices(images, _BATCH)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in FEATURE_SCORES}

    def saliency(self, images: FloatArray) -> FloatArray:
        maps = _saliency(self._encoder, self.model_.get_layer("decoder"), self._inputs(images))
        return _enlarged(maps, images.shape[1])

    def save(self, folder: Path) -> None:
        super().save(folder)
        self.extractor_.save(folder)
        save_model(self.model_, folder / "model.keras")
        self.statistics_.save(folder / "residuals.npz")

    @cached_property
    def _encoder(self) -> keras.Model:
        return encoding_part(self.model_)

    @classmethod
    def load(cls, folder: Path, params: DualFeaturesParams) -> Self:
        detector = cls(params)
        detector.extractor_ = FeatureExtractor.load(folder)
        detector.model_ = load_model(folder / "model.keras")
        detector.statistics_ = FeatureStatistics.load(folder / "residuals.npz")
        return detector

    def _pool(self, experiment: Experiment, seeds: Seeds) -> "_FeaturePool":
        seed_everything(seeds)
        self.extractor_ = FeatureExtractor(self.params, _STAGES, seeds.tensorflow)
        indices = development_indices(experiment.split)
        rng = np.random.default_rng([seeds.numpy, 1])
        chosen = np.sort(rng.permutation(indices)[: self.params.max_images])
        self._left_out = len(indices) - len(chosen)
        labels = experiment.dataset.table["label"].to_numpy()[chosen]
        parts = [
            patch_features(features, _PATCH).astype(np.float16)
            for features in self.extractor_.batches(experiment.dataset, chosen)
        ]
        return _FeaturePool(chosen, np.concatenate(parts), labels)

    def _build_trainer(
        self, pool: DevelopmentPool, seeds: Seeds, batch_size: int, learning_rate: float
    ) -> FeatureTrainer:
        model = build_feature_autoencoder(pool.images.shape[-1], self.params, seeds.tensorflow)
        features = pool.images.astype(np.float16, copy=False)
        return FeatureTrainer(model, features, batch_size, learning_rate, self.params.locations)

    def _learn_scores(self, pool: DevelopmentPool, seeds: Seeds) -> None:
        train = pool.positions(self.result_.train)
        validation = pool.positions(self.result_.validation)
        width = pool.images.shape[-1]
        rng = np.random.default_rng([seeds.numpy, 2])
        channels = np.sort(rng.permutation(width)[: self.params.channels])
        statistics = FeatureStatistics.fit(
            lambda: self._explanations(pool.images[train]), channels, self.params.shrinkage
        )
        parts = [
            [feature_score(name, statistics.maps(name, *part)) for name in FEATURE_SCORES]
            for part in self._explanations(pool.images[validation])
        ]
        by_name = {
            name: np.concatenate(found).astype(np.float64)
            for name, found in zip(FEATURE_SCORES, zip(*parts, strict=True), strict=True)
        }
        best = best_score(by_name, pool.labels[validation], statistics.best_score)
        self.statistics_ = replace(statistics, best_score=best)

    @property
    def _notes(self) -> list[str]:
        left_out = f"{self._left_out} development images left out of training"
        return [*self.extractor_.notes, *([left_out] if self._left_out else [])]

    def _explanations(self, features: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Residuals (n, p, c) and codes (n, p, z) of feature maps (n, h, w, c), by batches."""
        for part in slices(features, _BATCH):
            residuals, codes = self._explained(_inputs(filled(part, _BATCH)))
            yield np.asarray(residuals)[: len(part)], np.asarray(codes)[: len(part)]

    def _inputs(self, images: FloatArray) -> Inputs:
        """The network's inputs at all locations of images (n, S, S, 3)."""
        return _inputs(patch_features(self.extractor_(images), _PATCH))

    def _maps(self, residuals: tf.Tensor, codes: tf.Tensor) -> dict[FeatureScore, tf.Tensor]:
        return {name: self.statistics_.maps(name, residuals, codes) for name in FEATURE_SCORES}

    def _scores(self, maps: Mapping[FeatureScore, tf.Tensor], n: int) -> dict[str, Floats]:
        """The scores of the first n images."""
        return {
            name: np.asarray(feature_score(name, found), np.float64)[:n]
            for name, found in maps.items()
        }

    def _score_batch(self, images: FloatArray, n: int, size: int) -> Scored:
        inputs = self._inputs(images)
        maps = self._maps(*self._explained(inputs))
        chosen = self.default_score
        mc: tuple[dict[str, Floats], ...] = ({}, {})
        if self.params.mc.samples:
            draws = self._sampled(inputs)
            mc = ({chosen: draws.mean(axis=0)[:n]}, {chosen: draws.var(axis=0)[:n]})
        return Scored(
            scores=self._scores(maps, n),
            maps={chosen: _enlarged(maps[chosen], size)[:n]},
            mc_mean=mc[0],
            mc_var=mc[1],
        )

    def _sampled(self, inputs: Inputs) -> Floats:
        """The score that decides, (samples, n), with fresh dropout in the decoder (eq. 29)."""
        latent, targets = self._encoder(inputs, training=False)
        draws = self._draws(latent, targets, self._codes(latent, len(inputs[0])))
        return np.asarray(draws, np.float64)

    @cached_property
    def _draws(self) -> Any:
        """All samples of a batch in one program, from latent codes, targets and pixel codes."""
        score, samples = self.default_score, self.params.mc.samples
        decoder = self.model_.get_layer("decoder")
        # As a tensor, what is large is no part of the program.
        statistics = replace(self.statistics_, precision=tf.constant(self.statistics_.precision))

        def draw_all(latent: tf.Tensor, targets: tf.Tensor, codes: tf.Tensor) -> tf.Tensor:
            def draw(i: tf.Tensor, draws: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
                residuals = _sample(decoder, latent, targets, codes.shape[0])
                maps = statistics.maps(score, residuals, codes)
                return i + 1, draws.write(i, feature_score(score, maps))

            _, draws = tf.while_loop(
                lambda i, _: i < samples,
                draw,
                (0, tf.TensorArray(tf.float32, samples)),
                parallel_iterations=1,
            )
            return draws.stack()

        return compiled_loop(draw_all)

    def _explained(self, inputs: Inputs) -> tuple[tf.Tensor, tf.Tensor]:
        """Residuals (n, p, c) and codes (n, p, z) of all locations."""
        residuals, latent = _residuals(self._encoder, self.model_.get_layer("decoder"), inputs)
        return residuals, self._codes(latent, len(inputs[0]))

    def _codes(self, latent: tf.Tensor, n: int) -> tf.Tensor:
        """The pixel encoder's codes (n, p, z) among the rows of latent codes; z may be 0."""
        params = self.params
        start = params.image_encoder_widths[-1] if "image" in params.encoders else 0
        width = params.pixel_encoder_widths[-1] if "pixel" in params.encoders else 0
        return tf.reshape(latent[:, start : start + width], [n, -1, width])


class _FeaturePool(DevelopmentPool):
    """Feature maps (n, h, w, c) in float16 of some of the development images."""

    def positions(self, indices: Indices) -> Indices:
        """Positions of those of the dataset indices that are in the pool."""
        return super().positions(indices[np.isin(indices, self.indices)])


def _inputs(features: FloatArray) -> Inputs:
    """The network's inputs at all locations of feature maps (n, h, w, c)."""
    n, h, w, c = features.shape
    vectors = features.reshape(n, h * w, c).astype(np.float32)
    positions = np.broadcast_to(position_code(h, w), (n, h * w, 16))
    return vectors, map_summaries(vectors), positions


def _enlarged(maps: tf.Tensor, size: int) -> FloatArray:
    """Maps (n, g, g) enlarged bilinearly to (n, size, size)."""
    return np.asarray(tf.image.resize(maps[..., tf.newaxis], (size, size))[..., 0])


@tf.function(jit_compile=True, autograph=False)
def _residuals(
    encoder: keras.Model, decoder: keras.Model, inputs: Inputs
) -> tuple[tf.Tensor, tf.Tensor]:
    """Residuals (n, p, c) of all locations, and their latent codes by rows."""
    latent, targets = encoder(inputs, training=False)
    residuals = targets - decoder(latent, training=False)
    return tf.reshape(residuals, tf.shape(inputs[0])), latent


# Not compiled with XLA, which would take longer than the few images that are drawn.
@tf.function(autograph=False)
def _saliency(encoder: keras.Model, decoder: keras.Model, inputs: Inputs) -> tf.Tensor:
    """Saliency (n, g, g) of all locations: eq. 35 at the network's own input.

    It is the norm of the gradient of the loss with respect to a location's vector.
    """
    vectors, *others = (tf.convert_to_tensor(part) for part in inputs)
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        latent, targets = encoder([vectors, *others], training=False)
        squares = tf.square(targets - decoder(latent, training=False))
        losses = tf.reduce_mean(tf.reshape(squares, tf.shape(vectors)), axis=[1, 2])
        loss = tf.reduce_sum(losses)
    saliency = tf.norm(tape.gradient(loss, vectors), axis=-1)
    side = round(vectors.shape[1] ** 0.5)
    return tf.reshape(saliency, [-1, side, side])


@tf.function(jit_compile=True, autograph=False)
def _sample(decoder: keras.Model, latent: tf.Tensor, targets: tf.Tensor, n: int) -> tf.Tensor:
    """Residuals (n, p, c) of one Monte Carlo sample."""
    residuals = targets - decoder(latent, training=True)
    return tf.reshape(residuals, [n, -1, targets.shape[-1]])
