"""The paper's method as a detector: search, attempts, scores, Monte Carlo dropout, saliency."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Self

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf

from dualad.data.plan import Seeds
from dualad.design.parameters import DualAutoencoderParams
from dualad.errors import DualadError
from dualad.fingerprints import source_fingerprint
from dualad.methods.base import Detector, Experiment, FitReport, FloatArray, Indices, Scored
from dualad.network.attempts import TrainingResult, train_attempts
from dualad.network.model import build_dual_autoencoder, dropout_names
from dualad.network.monte_carlo import MonteCarloSampler
from dualad.network.saliency import explain
from dualad.network.scores import SCORE_NAMES, ResidualStatistics, anomaly_map, image_score
from dualad.network.trainer import NetworkTrainer
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

    def search(self, experiment: Experiment, trials_csv: Path, best_json: Path) -> None:
        """Search the dropout rates on attempt 0's sets; write all trials and the best one."""
        # Imported here: Keras Tuner loads scikit-learn, which takes a second or two.
        from dualad.network.search import search_dropout

        seeds = experiment.seeds(self.params)
        pool = _Pool.read(experiment)
        trainer = self._trainer(experiment, pool, seeds)
        train, validation = (
            np.searchsorted(pool.indices, part) for part in experiment.split.attempt(0, seeds.numpy)
        )
        validation = validation[pool.labels[validation] == 0]
        mean = pool.images[train].mean(axis=0, dtype=np.float64).astype(np.float32)
        records = search_dropout(
            trainer,
            train,
            validation,
            mean if self.params.centering else None,
            seeds,
            self.params,
            experiment.work_dir,
            _fingerprint(experiment, pool.images),
        )
        rows = [
            {"trial": r.trial, "status": r.status, "val_loss": r.val_loss, "seconds": r.seconds}
            | r.values
            for r in records
        ]
        pd.DataFrame(rows).to_csv(trials_csv, index=False)
        best = min(records, key=lambda record: record.val_loss)
        document = {
            "dropout": [best.values[name] for name in dropout_names(self.params)],
            "learning_rate": best.values.get("learning_rate", self.params.learning_rate),
            "val_loss": best.val_loss,
        }
        best_json.write_text(json.dumps(document, indent=2) + "\n")

    def fit(self, experiment: Experiment) -> FitReport:
        seeds = experiment.seeds(self.params)
        pool = _Pool.read(experiment)
        trainer = self._trainer(experiment, pool, seeds)
        self.result_: TrainingResult = train_attempts(
            trainer,
            pool.images,
            pool.labels,
            pool.indices,
            experiment.split,
            seeds,
            self._rates(experiment),
            self.params,
            experiment.work_dir,
            _fingerprint(experiment, pool.images),
        )
        self.model_ = trainer.model
        self.statistics_ = self._choose_blur(pool)
        return FitReport(
            family=self.family,
            n_parameters=sum(int(np.prod(v.shape)) for v in self.model_.trainable_variables),
            validation=self.result_.validation.tolist(),
            reconstruction_skill=self.result_.selected.reconstruction_skill,
            selected_attempt=self.result_.selected.attempt,
        )

    def score(self, images: FloatArray) -> Scored:
        return Scored.join([self._score_batch(_filled(b), len(b)) for b in _batches(images)])

    def save(self, folder: Path) -> None:
        self.model_.save(folder / "model.keras")
        self.statistics_.save(folder / "residuals.npz")
        pd.DataFrame(self.result_.attempts).to_csv(folder / "attempts.csv", index=False)
        pd.DataFrame(self.result_.epochs).to_csv(folder / "epochs.csv", index=False)

    @classmethod
    def load(cls, folder: Path, params: DualAutoencoderParams) -> Self:
        detector = cls(params)
        path = folder / "model.keras"
        try:
            detector.model_ = keras.saving.load_model(path, compile=False)
        except (OSError, ValueError, KeyError) as error:
            raise DualadError(f"{path}: damaged ({error}); delete it and run again") from error
        detector.statistics_ = ResidualStatistics.load(folder / "residuals.npz")
        return detector

    def _trainer(self, experiment: Experiment, pool: "_Pool", seeds: Seeds) -> NetworkTrainer:
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
        n_layers = len(dropout_names(self.params))
        if dropout == "tuned":
            if experiment.best is None:
                raise DualadError("dropout: tuned needs the search's best.json; run the search")
            rates: list[float] = experiment.best["dropout"]
            return rates
        if isinstance(dropout, float | int):
            return [float(dropout)] * n_layers
        if len(dropout) != n_layers:
            raise DualadError(
                f"dropout: {len(dropout)} rates for {n_layers} dropout layers "
                f"({', '.join(dropout_names(self.params))})"
            )
        return dropout

    def _choose_blur(self, pool: "_Pool") -> ResidualStatistics:
        """Residual statistics with the blur that separates the validation images best."""
        train, validation = (
            np.searchsorted(pool.indices, part)
            for part in (self.result_.train, self.result_.validation)
        )
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
        return ((batch, self._reconstruct(batch)) for batch in _batches(images))

    def _reconstruct(self, images: FloatArray) -> FloatArray:
        return np.asarray(_predict(self.model_, tf.constant(_filled(images))))[: len(images)]

    def _score_batch(self, batch: FloatArray, n: int) -> Scored:
        images = tf.constant(batch)
        reconstructions, saliency = explain(self.model_, images)
        maps = {
            name: anomaly_map(name, images, reconstructions, self.statistics_)
            for name in SCORE_NAMES
        }
        scores: dict[str, npt.NDArray[np.float64]] = {
            name: np.asarray(image_score(name, one), np.float64)[:n] for name, one in maps.items()
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


def _fingerprint(experiment: Experiment, images: FloatArray) -> str:
    """What besides the parameters decides about the outcome: a kept checkpoint must match it."""
    inputs = [
        experiment.split.to_json(),
        experiment.best,
        hashlib.sha256(np.ascontiguousarray(images).data).hexdigest(),
        len(tf.config.list_logical_devices("GPU")),
        tf.config.threading.get_intra_op_parallelism_threads(),
        [version(package) for package in ("tensorflow", "keras", "keras-tuner")],
        source_fingerprint("dualad.network.search", "dualad.network.attempts"),
    ]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


class _Pool:
    """The development images: all that search and training may see."""

    def __init__(self, indices: Indices, images: FloatArray, labels: npt.NDArray[np.int8]) -> None:
        self.indices, self.images, self.labels = indices, images, labels

    @classmethod
    def read(cls, experiment: Experiment) -> "_Pool":
        split = experiment.split
        indices = np.array(
            sorted((*split.train, *split.validation_normal, *split.validation_anomalous)),
            dtype=np.int64,
        )
        labels = experiment.dataset.table["label"].to_numpy()[indices]
        return cls(indices, experiment.dataset.images(indices), labels)


def _batches(images: FloatArray) -> Iterator[FloatArray]:
    return (images[start : start + _BATCH] for start in range(0, len(images), _BATCH))


def _filled(batch: FloatArray) -> FloatArray:
    """The batch, filled up by repeating images: one compiled shape serves all."""
    return np.resize(batch, (_BATCH, *batch.shape[1:]))


@tf.function(jit_compile=True, autograph=False)
def _predict(model: keras.Model, images: tf.Tensor) -> tf.Tensor:
    return model(images[..., tf.newaxis], training=False)[..., 0]
