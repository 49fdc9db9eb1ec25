"""The paper's adaptive pipeline as a detector, around any network that a trainer can train."""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf

from dualad.data.plan import Seeds
from dualad.design.parameters import AdaptiveParams
from dualad.errors import DualadError
from dualad.files import replacing, write_json
from dualad.fingerprints import source_fingerprint
from dualad.methods.base import Detector, Experiment, FitReport, Floats
from dualad.network.attempts import TrainingResult, train_attempts
from dualad.network.model import count_trainable, restart_dropout
from dualad.network.trainer import DevelopmentPool, Trainer, TrainingDesign
from dualad.runtime import seed_everything

Name = TypeVar("Name", bound=str)


class AdaptiveDetector(Detector):
    """Search of the dropout rates, attempts, and their records (section 3.3).

    A subclass says which images or features are trained on and which network trains, and adds what
    its scores need after training.

    Attributes
    ----------
    model_ : keras.Model
    result_ : TrainingResult
        After `fit` only.
    """

    params: AdaptiveParams

    @abstractmethod
    def _pool(self, experiment: Experiment, seeds: Seeds) -> DevelopmentPool:
        """What a search and a training may see of the dataset."""

    @abstractmethod
    def _build_trainer(
        self, pool: DevelopmentPool, seeds: Seeds, batch_size: int, learning_rate: float
    ) -> Trainer:
        """The network, new, with its optimiser."""

    @abstractmethod
    def _learn_scores(self, pool: DevelopmentPool, seeds: Seeds) -> None:
        """Learn what scoring needs from the images of the selected attempt."""

    @property
    def _notes(self) -> Sequence[str]:
        """What a reader of a result has to know."""
        return ()

    def search(self, experiment: Experiment, folder: Path) -> None:
        """Search the dropout rates; write all trials to `trials.csv`, the best to `best.json`."""
        # Imported here: Keras Tuner loads scikit-learn, which takes a second or two.
        from dualad.network.search import search_dropout

        design = self._design(experiment)
        pool = self._pool(experiment, design.seeds)
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
        pool = self._pool(experiment, design.seeds)
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
        self._learn_scores(pool, design.seeds)
        return FitReport(
            family=self.family,
            n_parameters=count_trainable(self.model_),
            validation=self.result_.validation.tolist(),
            reconstruction_skill=self.result_.selected.reconstruction_skill,
            selected_attempt=self.result_.selected.attempt,
            notes=list(self._notes),
        )

    def restart_draws(self) -> None:
        restart_dropout(self.model_)

    def save(self, folder: Path) -> None:
        _write_table(folder / "attempts.csv", self.result_.attempts)
        _write_table(folder / "epochs.csv", self.result_.epochs)

    def _design(self, experiment: Experiment) -> TrainingDesign:
        return TrainingDesign(experiment.split, experiment.seeds(self.params), self.params)

    def _trainer(self, experiment: Experiment, pool: DevelopmentPool, seeds: Seeds) -> Trainer:
        seed_everything(seeds)
        params = self.params
        learning_rate = params.learning_rate
        # A rate that was not searched is the method's own, which a sweep may change.
        if experiment.best is not None and params.search.learning_rates:
            learning_rate = experiment.best["learning_rate"]
        batch_size = experiment.plan.batch_size
        if params.batch_size != "adaptive":
            batch_size = min(params.batch_size, len(experiment.split.train))
        return self._build_trainer(pool, seeds, batch_size, learning_rate)

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


def best_score(
    scores: Mapping[Name, Floats], labels: npt.NDArray[np.integer[Any]], default: Name
) -> Name:
    """Name of the score with the highest AUROC on validation images, for one.

    Parameters
    ----------
    scores
        (n,) of the validation images by name.
    labels
        (n,) 0 for a normal image, 1 for an anomalous one.
    default
        What is returned where the images are of one class, or no other has a higher AUROC.
    """
    if len(np.unique(labels)) < 2:
        return default
    # Imported here: loading scikit-learn takes two seconds, which most jobs need not spend.
    from sklearn.metrics import roc_auc_score

    # Rounded, so that the last digits of a sum do not decide.
    areas = {name: round(float(roc_auc_score(labels, s)), 12) for name, s in scores.items()}
    return max(areas, key=lambda name: (areas[name], name == default))


def _fingerprint(experiment: Experiment, pool: DevelopmentPool) -> str:
    """Hash of what decides about the outcome besides the parameters: data, machine and code."""
    inputs = [
        experiment.split.to_json(),
        experiment.best,
        pool.digest,
        len(tf.config.list_logical_devices("GPU")),
        tf.config.threading.get_intra_op_parallelism_threads(),
        tf.config.experimental.tensor_float_32_execution_enabled(),
        [version(package) for package in ("tensorflow", "keras", "keras-tuner")],
        source_fingerprint("dualad.network.search", "dualad.network.attempts"),
    ]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _write_table(path: Path, rows: Sequence[Any]) -> None:
    with replacing(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)
