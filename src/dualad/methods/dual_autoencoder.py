"""The paper's method as a detector: search, attempts, scores, Monte Carlo dropout, saliency."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import keras
import numpy as np
import tensorflow as tf

from dualad.data.plan import Seeds
from dualad.design.parameters import DualAutoencoderParams, Score
from dualad.methods.adaptive import AdaptiveDetector, best_score
from dualad.methods.base import Experiment, FloatArray, Floats, Indices, Scored
from dualad.network.batches import filled, slices
from dualad.network.device import activation_bytes, batch_rows
from dualad.network.model import build_dual_autoencoder, load_model, save_model
from dualad.network.monte_carlo import MonteCarloSampler
from dualad.network.saliency import saliency
from dualad.network.scores import SCORE_NAMES, ResidualStatistics, anomaly_map, image_score
from dualad.network.trainer import DevelopmentPool, NetworkTrainer

_BATCH, _GPU_BATCH = 256, 1024
"""Most images of a batch on a CPU and on a GPU."""


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
    scoring_batch = _GPU_BATCH
    params: DualAutoencoderParams

    def __init__(self, params: DualAutoencoderParams) -> None:
        super().__init__(params)
        self._sampler: MonteCarloSampler | None = None

    @property
    def default_score(self) -> Score:
        return self.statistics_.best_score if self.params.score == "auto" else self.params.score

    def score(self, images: FloatArray) -> Scored:
        return Scored.join([self._score_batch(*batch) for batch in self._batches(images)])

    def scores(self, images: FloatArray) -> Mapping[str, Floats]:
        """Without maps and Monte Carlo samples."""
        parts = []
        for batch, n in self._batches(images):
            inputs = tf.constant(batch)
            parts.append(_image_scores(self._maps(inputs, _predict(self.model_, inputs)), n))
        return {name: np.concatenate([part[name] for part in parts]) for name in SCORE_NAMES}

    def saliency(self, images: FloatArray) -> FloatArray:
        return np.asarray(saliency(self.model_, tf.constant(images)))

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
        train, validation = map(pool.positions, (self.result_.train, self.result_.validation))
        labels = pool.labels[validation]
        candidates = ResidualStatistics.fit(
            self._pairs(pool.images, train), self.params.blur_sigmas
        )
        by_blur, by_name = _held_out_scores(self._pairs(pool.images, validation), candidates)
        chosen = 0
        if len(np.unique(labels)) > 1:
            chosen = int(best_score({str(i): s for i, s in enumerate(by_blur)}, labels, "0"))
        statistics = candidates[chosen]
        by_name["blurred_z"] = by_blur[chosen]
        best = best_score(by_name, labels, statistics.best_score)
        self.statistics_ = replace(statistics, best_score=best)

    def _batches(
        self, images: FloatArray, rows: Indices | None = None
    ) -> Iterator[tuple[FloatArray, int]]:
        """All images, or those of some rows, by batches of one size; how many of each count."""
        size = self._batch_size()
        for part in slices(np.arange(len(images)) if rows is None else rows, size):
            yield filled(images[part], size), len(part)

    def _pairs(self, images: FloatArray, rows: Indices) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Some of the images and their reconstructions, batch by batch."""
        for batch, n in self._batches(images, rows):
            yield batch[:n], np.asarray(_predict(self.model_, tf.constant(batch)))[:n]

    def _batch_size(self) -> int:
        return batch_rows(2 * activation_bytes(self.model_), _BATCH, _GPU_BATCH)

    def _maps(self, images: tf.Tensor, reconstructions: tf.Tensor) -> dict[Score, tf.Tensor]:
        return {
            name: anomaly_map(name, images, reconstructions, self.statistics_)
            for name in SCORE_NAMES
        }

    def _score_batch(self, batch: FloatArray, n: int) -> Scored:
        images = tf.constant(batch)
        reconstructions = _predict(self.model_, images)
        maps = self._maps(images, reconstructions)
        chosen = self.default_score
        mc: tuple[dict[str, Floats], ...] = ({}, {})
        if self.params.mc.samples:
            if self._sampler is None:
                self._sampler = MonteCarloSampler(
                    self.model_, chosen, self.statistics_, self.params.mc.samples
                )
            mc = tuple({chosen: part[:n]} for part in self._sampler.mean_and_variance(batch))
        return Scored(
            scores=_image_scores(maps, n),
            maps={chosen: np.asarray(maps[chosen])[:n]},
            mc_mean=mc[0],
            mc_var=mc[1],
            reconstruction=np.asarray(reconstructions)[:n],
        )


def _image_scores(maps: Mapping[Score, tf.Tensor], n: int) -> dict[str, Floats]:
    """The scores of the first n images of a batch, from its maps."""
    return {
        name: np.asarray(image_score(name, found), np.float64)[:n] for name, found in maps.items()
    }


def _held_out_scores(
    pairs: Iterable[tuple[FloatArray, FloatArray]], candidates: Sequence[ResidualStatistics]
) -> tuple[list[Floats], dict[Score, Floats]]:
    """The scores (n,) of images from batches of these and their reconstructions, in one pass.

    Returns
    -------
    list of numpy.ndarray
        `blurred_z` by the statistics of every candidate.
    dict of numpy.ndarray
        All scores by the first one. Only in `blurred_z` the candidates differ.
    """
    by_blur: list[list[FloatArray]] = [[] for _ in candidates]
    by_name: dict[Score, list[FloatArray]] = {name: [] for name in SCORE_NAMES}
    for pair in pairs:
        for found, candidate in zip(by_blur, candidates, strict=True):
            found.append(image_score("blurred_z", anomaly_map("blurred_z", *pair, candidate)))
        for name, parts in by_name.items():
            parts.append(image_score(name, anomaly_map(name, *pair, candidates[0])))
    return (
        [np.concatenate(parts).astype(np.float64) for parts in by_blur],
        {name: np.concatenate(parts).astype(np.float64) for name, parts in by_name.items()},
    )


@tf.function(jit_compile=True, autograph=False)
def _predict(model: keras.Model, images: tf.Tensor) -> tf.Tensor:
    return model(images[..., tf.newaxis], training=False)[..., 0]
