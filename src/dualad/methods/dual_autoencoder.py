"""The paper's method as a detector: search, attempts, scores, Monte Carlo dropout, saliency."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from dualad.data.plan import Seeds
from dualad.design.parameters import DualAutoencoderParams, Score
from dualad.methods.adaptive import AdaptiveDetector, best_score
from dualad.methods.base import Experiment, FloatArray, Floats, Scored
from dualad.network.batches import filled, slices
from dualad.network.model import (
    build_dual_autoencoder,
    load_model,
    save_model,
)
from dualad.network.monte_carlo import MonteCarloSampler
from dualad.network.saliency import explain
from dualad.network.scores import SCORE_NAMES, ResidualStatistics, anomaly_map, image_score
from dualad.network.trainer import DevelopmentPool, NetworkTrainer

_BATCH = 256


class DualAutoencoder(AdaptiveDetector):
    """Two encoders, one decoder, and the adaptive training-stability pipeline.

    Parameters
    ----------
    params : DualAutoencoderParams

    Attributes
    ----------
    model_ : keras.Model
    statistics_ : ResidualStatistics
    result_ : TrainingResult
        After `fit` only.
    """

    family = "dual_autoencoder"
    params: DualAutoencoderParams

    def __init__(self, params: DualAutoencoderParams) -> None:
        super().__init__(params)
        self._sampler: MonteCarloSampler | None = None

    @property
    def default_score(self) -> Score:
        return self.statistics_.best_score if self.params.score == "auto" else self.params.score

    def score(self, images: FloatArray) -> Scored:
        return self._score_all(images, with_saliency=True)

    def score_new(self, images: FloatArray) -> Scored:
        return self._score_all(images, with_saliency=False)

    def save(self, folder: Path) -> None:
        super().save(folder)
        save_model(self.model_, folder / "model.keras")
        self.statistics_.save(folder / "residuals.npz")

    @classmethod
    def load(cls, folder: Path, params: DualAutoencoderParams) -> Self:
        detector = cls(params)
        detector.model_ = load_model(folder / "model.keras")
        detector.statistics_ = ResidualStatistics.load(folder / "residuals.npz")
        return detector

    def _pool(self, experiment: Experiment, seeds: Seeds) -> DevelopmentPool:
        return DevelopmentPool.read(experiment.dataset, experiment.split)

    def _build_trainer(
        self, pool: DevelopmentPool, seeds: Seeds, batch_size: int, learning_rate: float
    ) -> NetworkTrainer:
        model = build_dual_autoencoder(pool.images.shape[1], self.params, seeds.tensorflow)
        return NetworkTrainer(model, pool.images, batch_size, learning_rate)

    def _learn_scores(self, pool: DevelopmentPool, seeds: Seeds) -> None:
        validation = pool.positions(self.result_.validation)
        labels = pool.labels[validation]
        fitted_on = list(self._pairs(pool.images[pool.positions(self.result_.train)]))
        held_out = list(self._pairs(pool.images[validation]))
        candidates = [ResidualStatistics.fit(fitted_on, sigma) for sigma in self.params.blur_sigmas]
        statistics = candidates[0]
        if len(np.unique(labels)) > 1:
            by_blur = {
                str(i): _scores("blurred_z", held_out, candidate)
                for i, candidate in enumerate(candidates)
            }
            statistics = candidates[int(best_score(by_blur, labels, "0"))]
        by_name = {name: _scores(name, held_out, statistics) for name in SCORE_NAMES}
        best = best_score(by_name, labels, statistics.best_score)
        self.statistics_ = replace(statistics, best_score=best)

    def _pairs(self, images: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Images and their reconstructions, batch by batch."""
        for batch in slices(images, _BATCH):
            reconstructions = _predict(self.model_, tf.constant(filled(batch, _BATCH)))
            yield batch, np.asarray(reconstructions)[: len(batch)]

    def _score_all(self, images: FloatArray, with_saliency: bool) -> Scored:
        return Scored.join(
            [
                self._score_batch(filled(part, _BATCH), len(part), with_saliency)
                for part in slices(images, _BATCH)
            ]
        )

    def _score_batch(self, batch: FloatArray, n: int, with_saliency: bool) -> Scored:
        images = tf.constant(batch)
        if with_saliency:
            reconstructions, saliency = explain(self.model_, images)
        else:
            # The gradient takes longer to compile than a few hundred images take to score.
            reconstructions, saliency = _predict(self.model_, images), None
        maps = {
            name: anomaly_map(name, images, reconstructions, self.statistics_)
            for name in SCORE_NAMES
        }
        scores: dict[str, npt.NDArray[np.float64]] = {
            name: np.asarray(image_score(name, score_maps), np.float64)[:n]
            for name, score_maps in maps.items()
        }
        chosen = self.default_score
        mc: tuple[dict[str, npt.NDArray[np.float64]], ...] = ({}, {})
        if self.params.mc.samples:
            if self._sampler is None:
                self._sampler = MonteCarloSampler(
                    self.model_, chosen, self.statistics_, self.params.mc.samples
                )
            mc = tuple({chosen: part[:n]} for part in self._sampler.mean_and_variance(batch))
        return Scored(
            scores=scores,
            maps={chosen: np.asarray(maps[chosen])[:n]},
            mc_mean=mc[0],
            mc_var=mc[1],
            reconstruction=np.asarray(reconstructions)[:n],
            saliency=None if saliency is None else np.asarray(saliency)[:n],
        )


def _scores(
    name: Score, pairs: list[tuple[FloatArray, FloatArray]], statistics: ResidualStatistics
) -> Floats:
    """The score of a name (n,) from batches of images and their reconstructions."""
    parts = [
        image_score(name, anomaly_map(name, images, outputs, statistics))
        for images, outputs in pairs
    ]
    return np.concatenate(parts).astype(np.float64)


@tf.function(jit_compile=True, autograph=False)
def _predict(model: keras.Model, images: tf.Tensor) -> tf.Tensor:
    return model(images[..., tf.newaxis], training=False)[..., 0]
