"""The paper's method as a detector: search, attempts, scores, Monte Carlo dropout, saliency."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf

from dualad.data.plan import Seeds
from dualad.design.parameters import DualAutoencoderParams
from dualad.errors import DualadError
from dualad.files import replacing, write_json
from dualad.fingerprints import source_fingerprint
from dualad.methods.base import Detector, Experiment, FitReport, FloatArray, Scored
from dualad.network.attempts import TrainingResult, train_attempts
from dualad.network.batches import filled, slices
from dualad.network.model import (
    build_dual_autoencoder,
    count_trainable,
    load_model,
    save_model,
)
from dualad.network.monte_carlo import MonteCarloSampler
from dualad.network.saliency import explain
from dualad.network.scores import SCORE_NAMES, ResidualStatistics, anomaly_map, image_score
from dualad.network.trainer import DevelopmentPool, NetworkTrainer, TrainingDesign
from dualad.runtime import seed_everything

_BATCH = 256


class DualAutoencoder(Detector):
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
    def default_score(self) -> str:
        return self.params.score

    def search(self, experiment: Experiment, folder: Path) -> None:
        """Search the dropout rates; write all trials to `trials.csv`, the best to `best.json`."""
        # Imported here: Keras Tuner loads scikit-learn, which takes a second or two.
        from dualad.network.search import search_dropout

        design = self._design(experiment)
        pool = DevelopmentPool.read(experiment.dataset, experiment.split)
        trainer = self._trainer(experiment, pool, design.seeds)
        records = search_dropout(
            trainer, pool, design, experiment.work_dir, _fingerprint(experiment, pool)
        )
        rows = [
            {
                "trial": record.trial,
                "status": record.status,
                "val_loss": record.val_loss,
                "seconds": record.seconds,
                **record.values,
            }
            for record in records
        ]
        _write_table(folder / "trials.csv", rows)
        best = min(records, key=lambda record: record.val_loss)
        document = {
            "dropout": [best.values[name] for name in self.params.dropout_names],
            "learning_rate": best.values.get("learning_rate", self.params.learning_rate),
            "val_loss": best.val_loss,
        }
        write_json(folder / "best.json", document)

    def fit(self, experiment: Experiment) -> FitReport:
        design = self._design(experiment)
        pool = DevelopmentPool.read(experiment.dataset, experiment.split)
        trainer = self._trainer(experiment, pool, design.seeds)
        self.result_: TrainingResult = train_attempts(
            trainer,
            pool,
            design,
            self._rates(experiment),
            experiment.work_dir,
            _fingerprint(experiment, pool),
        )
        self.model_ = trainer.model
        self.statistics_ = self._choose_blur(pool)
        return FitReport(
            family=self.family,
            n_parameters=count_trainable(self.model_),
            validation=self.result_.validation.tolist(),
            reconstruction_skill=self.result_.selected.reconstruction_skill,
            selected_attempt=self.result_.selected.attempt,
        )

    def score(self, images: FloatArray) -> Scored:
        return Scored.join(
            [self._score_batch(filled(part, _BATCH), len(part)) for part in slices(images, _BATCH)]
        )

    def save(self, folder: Path) -> None:
        save_model(self.model_, folder / "model.keras")
        self.statistics_.save(folder / "residuals.npz")
        _write_table(folder / "attempts.csv", self.result_.attempts)
        _write_table(folder / "epochs.csv", self.result_.epochs)

    @classmethod
    def load(cls, folder: Path, params: DualAutoencoderParams) -> Self:
        detector = cls(params)
        detector.model_ = load_model(folder / "model.keras")
        detector.statistics_ = ResidualStatistics.load(folder / "residuals.npz")
        return detector

    def _design(self, experiment: Experiment) -> TrainingDesign:
        return TrainingDesign(experiment.split, experiment.seeds(self.params), self.params)

    def _trainer(
        self, experiment: Experiment, pool: DevelopmentPool, seeds: Seeds
    ) -> NetworkTrainer:
        seed_everything(seeds)
        params = self.params
        learning_rate = params.learning_rate
        # A rate that was not searched is the method's own, which a sweep may change.
        if experiment.best is not None and params.search.learning_rates:
            learning_rate = experiment.best["learning_rate"]
        batch_size = experiment.plan.batch_size
        if params.batch_size != "adaptive":
            batch_size = min(params.batch_size, len(experiment.split.train))
        model = build_dual_autoencoder(experiment.dataset.image_size, params, seeds.tensorflow)
        return NetworkTrainer(model, pool.images, batch_size, learning_rate)

    def _rates(self, experiment: Experiment) -> Sequence[float]:
        dropout = self.params.dropout
        n_layers = len(self.params.dropout_names)
        if dropout == "tuned":
            if experiment.best is None:
                raise DualadError("dropout: tuned needs the search's best.json; run the search")
            rates: list[float] = experiment.best["dropout"]
            return rates
        if isinstance(dropout, float | int):
            return [float(dropout)] * n_layers
        return dropout

    def _choose_blur(self, pool: DevelopmentPool) -> ResidualStatistics:
        """Residual statistics with the blur that separates the validation images best."""
        train = pool.positions(self.result_.train)
        validation = pool.positions(self.result_.validation)
        labels = pool.labels[validation]
        fitted_on = list(self._pairs(pool.images[train]))
        candidates = [ResidualStatistics.fit(fitted_on, sigma) for sigma in self.params.blur_sigmas]
        if len(np.unique(labels)) == 1:
            return candidates[0]
        # Imported here: loading scikit-learn takes two seconds, which most jobs need not spend.
        from sklearn.metrics import roc_auc_score

        held_out = list(self._pairs(pool.images[validation]))

        def separation(statistics: ResidualStatistics) -> float:
            scores = [
                image_score("blurred_z", anomaly_map("blurred_z", images, outputs, statistics))
                for images, outputs in held_out
            ]
            return round(float(roc_auc_score(labels, np.concatenate(scores))), 12)

        return max(candidates, key=separation)

    def _pairs(self, images: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Images and their reconstructions, batch by batch."""
        for batch in slices(images, _BATCH):
            reconstructions = _predict(self.model_, tf.constant(filled(batch, _BATCH)))
            yield batch, np.asarray(reconstructions)[: len(batch)]

    def _score_batch(self, batch: FloatArray, n: int) -> Scored:
        images = tf.constant(batch)
        reconstructions, saliency = explain(self.model_, images)
        maps = {
            name: anomaly_map(name, images, reconstructions, self.statistics_)
            for name in SCORE_NAMES
        }
        scores: dict[str, npt.NDArray[np.float64]] = {
            name: np.asarray(image_score(name, score_maps), np.float64)[:n]
            for name, score_maps in maps.items()
        }
        chosen = self.params.score
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
            saliency=np.asarray(saliency)[:n],
        )


def _fingerprint(experiment: Experiment, pool: DevelopmentPool) -> str:
    """Hash of what decides about the outcome besides the parameters: data, machine and code."""
    inputs = [
        experiment.split.to_json(),
        experiment.best,
        pool.digest,
        len(tf.config.list_logical_devices("GPU")),
        tf.config.threading.get_intra_op_parallelism_threads(),
        [version(package) for package in ("tensorflow", "keras", "keras-tuner")],
        source_fingerprint("dualad.network.search", "dualad.network.attempts"),
    ]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _write_table(path: Path, rows: Sequence[Any]) -> None:
    with replacing(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


@tf.function(jit_compile=True, autograph=False)
def _predict(model: keras.Model, images: tf.Tensor) -> tf.Tensor:
    return model(images[..., tf.newaxis], training=False)[..., 0]
