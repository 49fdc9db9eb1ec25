"""Keras Tuner's search over dropout rates, and optionally the learning rate (section 3.3).

Keras Tuner proposes the rates; training is the trainer's, one compiled step for all trials. A
killed search is repeated from its journal: the tuner starts anew with the same seed and finished
trials answer from the journal, so that every tuner gives what an uninterrupted search gives. The
trial under way goes on from its last checkpoint.
"""

import json
import logging
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np

from dualad.design.parameters import AdaptiveParams
from dualad.errors import DivergedError, DualadError
from dualad.files import write_json
from dualad.network.checkpoint import CheckpointStore, Pace
from dualad.network.trainer import DevelopmentPool, Trainer, TrainingDesign
from dualad.ownership import require_ownership
from dualad.progress import progress_bar

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrialRecord:
    """A row of `trials.csv`; `val_loss` is the lowest loss on validation normals of any epoch."""

    trial: str
    status: str
    val_loss: float
    epochs: int
    seconds: float
    values: dict[str, float]


def search_dropout(
    trainer: Trainer,
    pool: DevelopmentPool,
    design: TrainingDesign,
    work_dir: Path,
    fingerprint: str,
) -> list[TrialRecord]:
    """Try dropout rates in [0, `search.max_dropout`], independent for every layer.

    Every trial trains on attempt 0's training images and is validated on the normal ones of its
    validation images.

    Parameters
    ----------
    trainer : Trainer
        Built over the pool's images; reset before every trial, so that trials differ in their
        hyperparameters alone.
    pool : DevelopmentPool
    design : TrainingDesign
    work_dir : Path
        Journal and checkpoint of a search that was killed.
    fingerprint : str
        Identifies data, split and code; with the parameters it decides whether the journal fits.

    Returns
    -------
    list of TrialRecord
        In the order of the trials.

    Raises
    ------
    DivergedError
        If the loss of every trial stopped being finite.
    DualadError
        If the journal or a checkpoint cannot be written.
    """
    tuner = _Tuner(trainer, pool, design, work_dir, design.key(fingerprint, trainer.batch_size))
    try:
        tuner.search(verbose=0)
    except keras_tuner.errors.FatalError as error:
        if isinstance(error.__cause__, DualadError):
            raise error.__cause__ from None
        raise
    tuner.bar.close()
    if all(record.status == "FAILED" for record in tuner.records):
        raise DivergedError(
            f"all {len(tuner.records)} trials of the search diverged (their loss is not finite): "
            f"lower learning_rate (now {design.params.learning_rate:.2g})"
            + ("" if trainer.centred else ", or set centering: true")
        )
    return tuner.records


class _Tuner(keras_tuner.engine.base_tuner.BaseTuner):
    """Asks the oracle for hyperparameters and answers with the validation loss."""

    def __init__(
        self,
        trainer: Trainer,
        pool: DevelopmentPool,
        design: TrainingDesign,
        work_dir: Path,
        key: str,
    ) -> None:
        self._trainer, self._seeds, self._params = trainer, design.seeds, design.params
        oracle = _oracle(self._params, self._seeds.python)
        super().__init__(oracle, directory=str(work_dir), project_name="oracle", overwrite=True)
        train, validation = map(pool.positions, design.split.attempt(0, self._seeds.numpy))
        self._train, self._validation = train, validation[pool.labels[validation] == 0]
        self._journal = _Journal(work_dir / "journal.json", key)
        self._store = CheckpointStore(work_dir / "trial", key, trainer.state())
        self._pace = Pace(self._store.n_bytes)
        self.records: list[TrialRecord] = []
        self.bar = progress_bar("search", _most_epochs(self._params, oracle))

    def run_trial(self, trial: Any, **_: Any) -> float:
        values = {name: float(trial.hyperparameters.values[name]) for name in self._names()}
        epochs = trial.hyperparameters.values.get("tuner/epochs", self._params.search.epochs)
        try:
            record = self._journal.find(trial.trial_id, values)
            if record is None:
                record = self._train_trial(trial.trial_id, values, epochs)
                self._journal.append(record)
        except Exception as error:
            # Keras Tuner would note any other exception as a failed trial and go on.
            raise keras_tuner.errors.FatalError(str(error)) from error
        self.records.append(record)
        return record.val_loss

    def _names(self) -> list[str]:
        tuned = ["learning_rate"] if self._params.search.learning_rates else []
        return [*self._params.dropout_names, *tuned]

    def _train_trial(self, trial: str, values: dict[str, float], epochs: int) -> TrialRecord:
        """Train from the initial weights for `epochs` epochs.

        Hyperband's later rounds repeat the epochs of their earlier ones: with the same seeds that
        gives the state that continuing would have given.
        """
        started = time.perf_counter()
        trainer = self._trainer
        rates = [values[name] for name in self._params.dropout_names]
        trainer.reset(rates, self._train)
        trainer.optimizer.learning_rate.assign(
            values.get("learning_rate", self._params.learning_rate)
        )
        losses: list[float] = []
        saved = self._store.restore()
        if saved and saved["trial"] == trial and saved["values"] == values:
            losses = saved["losses"]
            trainer.load_state(self._store.read(saved["slot"]))
            logger.info("resuming trial %s at epoch %d", trial, len(losses) + 1)
        self.bar.set_postfix_str(f"trial {len(self.records) + 1}", refresh=False)
        for epoch in range(len(losses) + 1, epochs + 1):
            if losses and self._pace.due:
                self._write_checkpoint({"trial": trial, "values": values, "losses": losses})
            rng = np.random.default_rng([self._seeds.numpy, 0, epoch])
            trainer.train_epoch(self._train, rng)
            losses.append(float(trainer.evaluate(self._validation)[0].mean()))
            self.bar.update()
            if not math.isfinite(losses[-1]):
                break
        finite = [loss for loss in losses if math.isfinite(loss)]
        failed = len(finite) < len(losses)
        return TrialRecord(
            trial=trial,
            status="FAILED" if failed else "COMPLETED",
            val_loss=trainer.worst_loss if failed else min(finite),
            epochs=len(losses),
            seconds=time.perf_counter() - started,
            values=values,
        )

    def _write_checkpoint(self, state: dict[str, Any]) -> None:
        with self._pace.writing():
            slot = self._store.write(self._trainer.state())
            self._store.commit({**state, "slot": slot}, {slot})


class _Journal:
    """Finished trials of a search, on disk."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._records: dict[str, TrialRecord] = {}
        try:
            document = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            return
        if document["key"] == key:
            self._records = {row["trial"]: TrialRecord(**row) for row in document["trials"]}
            logger.info("resuming a search with %d finished trials", len(self._records))

    def find(self, trial: str, values: dict[str, float]) -> TrialRecord | None:
        record = self._records.get(trial)
        return record if record is not None and record.values == values else None

    def append(self, record: TrialRecord) -> None:
        self._records[record.trial] = record
        rows = [asdict(record) for record in self._records.values()]
        require_ownership(self._path)
        write_json(self._path, {"key": self._key, "trials": rows})


def _most_epochs(params: AdaptiveParams, oracle: Any) -> int:
    """Epochs of all trials together."""
    if params.search.tuner != "hyperband":
        return params.search.trials * params.search.epochs
    # Keras Tuner has no public way to ask for Hyperband's schedule.
    return sum(
        oracle._get_size(bracket, turn) * oracle._get_epochs(bracket, turn)
        for bracket in range(oracle._get_num_brackets())
        for turn in range(oracle._get_num_rounds(bracket))
    )


def _oracle(params: AdaptiveParams, seed: int) -> keras_tuner.Oracle:
    space = keras_tuner.HyperParameters()
    for name in params.dropout_names:
        space.Float(name, 0.0, params.search.max_dropout)
    if params.search.learning_rates:
        space.Choice("learning_rate", list(params.search.learning_rates))
    common = {
        "objective": keras_tuner.Objective("val_loss", "min"),
        "hyperparameters": space,
        "seed": seed,
    }
    search = params.search
    if search.tuner == "hyperband":
        return keras_tuner.oracles.HyperbandOracle(
            max_epochs=search.epochs, hyperband_iterations=1, **common
        )
    oracles = {
        "random": keras_tuner.oracles.RandomSearchOracle,
        "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
    }
    return oracles[search.tuner](max_trials=search.trials, **common)
