"""The multi-attempt training loop around a trainer (section 3.3.3, eqs. 26-28).

`train_attempts` is the paper's loop of up to ten attempts, checkpointed after every epoch. Runs are
reproducible to the bit: every random number is a function of the method's seeds, the attempt and
the epoch.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dualad.design.parameters import AdaptiveParams
from dualad.errors import DivergedError, DualadError
from dualad.evaluation.thresholds import detection_metric
from dualad.network.checkpoint import CheckpointStore
from dualad.network.trainer import (
    DevelopmentPool,
    Indices,
    Trainer,
    TrainingDesign,
)
from dualad.progress import progress_bar

logger = logging.getLogger(__name__)

Stopped = Literal["early_stopping", "epochs", "zero_gradient", "nan"]

_MIN_DELTA = 1e-4
"""Smaller gains do not count as improvement: absolute for TPR + TNR, relative for a loss."""


@dataclass
class AttemptRecord:
    """A row of `attempts.csv`. Losses are those of the best epoch; metrics lie in [0, 2]."""

    attempt: int
    epochs: int
    best_epoch: int
    train_loss: float
    val_loss: float
    final_val_loss: float
    detection_metric: float
    smoothed_metric: float
    mean_image_loss: float
    reconstruction_skill: float
    stopped: Stopped
    diverged: bool
    seconds: float
    selected: bool = False


@dataclass
class EpochRecord:
    """A row of `epochs.csv`: loss of training and validation normals, M and S (eqs. 26, 27)."""

    attempt: int
    epoch: int
    loss: float
    val_loss: float
    detection_metric: float
    smoothed_metric: float
    largest_gradient: float
    """Largest absolute gradient at the output bias; exactly zero means a dead network."""
    seconds: float


@dataclass
class _Run:
    """The part of a checkpoint that is not arrays: epochs in its journal, the rest in `state`."""

    attempt: int = 1
    earlier: list[EpochRecord] = field(default_factory=list)
    """Epochs of finished attempts."""
    rows: list[EpochRecord] = field(default_factory=list)
    """Epochs of the attempt under way."""
    attempts: list[AttemptRecord] = field(default_factory=list)
    current_slot: int | None = None
    best_slot: int | None = None
    """Best epoch of the attempt under way."""
    selected_slot: int | None = None
    """Best epoch of the best finished attempt."""

    @classmethod
    def restore(cls, state: dict[str, Any], journal: Sequence[dict[str, Any]]) -> "_Run":
        epochs = [EpochRecord(**row) for row in journal]
        return cls(
            **{**state, "attempts": [AttemptRecord(**row) for row in state["attempts"]]},
            earlier=[row for row in epochs if row.attempt < state["attempt"]],
            rows=[row for row in epochs if row.attempt == state["attempt"]],
        )

    @property
    def state(self) -> dict[str, Any]:
        """Content of a checkpoint's document, which does not grow with the number of epochs."""
        journal = ("earlier", "rows")
        values = {key: value for key, value in vars(self).items() if key not in journal}
        return {**values, "attempts": [asdict(attempt) for attempt in self.attempts]}

    @property
    def epochs(self) -> list[EpochRecord]:
        """All epochs so far."""
        return [*self.earlier, *self.rows]

    @property
    def slots(self) -> set[int]:
        return {s for s in (self.current_slot, self.best_slot, self.selected_slot) if s is not None}


@dataclass(frozen=True)
class TrainingResult:
    """Outcome of `train_attempts`; the selected weights are in the trainer's model."""

    attempts: list[AttemptRecord]
    epochs: list[EpochRecord]
    selected: AttemptRecord
    train: Indices
    """Dataset indices of the selected attempt's training images, ascending."""
    validation: Indices
    """Dataset indices of the selected attempt's validation images, ascending."""


def train_attempts(
    trainer: Trainer,
    pool: DevelopmentPool,
    design: TrainingDesign,
    rates: Sequence[float],
    work_dir: Path,
    fingerprint: str,
) -> TrainingResult:
    """Train up to `attempts` times and keep the best weights (section 3.3.3, eqs. 26-28).

    Parameters
    ----------
    trainer : Trainer
        Built over the pool's images.
    pool : DevelopmentPool
    design : TrainingDesign
    rates : sequence of float
        Dropout rates in the order of `dualad.network.model.dropout_layers`.
    work_dir : Path
        Folder of the checkpoints; a killed run that left some there continues after its last
        complete epoch.
    fingerprint : str
        Identifies data, split and code; with the parameters it decides whether a checkpoint fits.

    Raises
    ------
    DivergedError
        If every attempt diverged.
    DualadError
        If all normal images are identical, or a checkpoint cannot be written.
    """
    key = design.key(fingerprint, list(rates), trainer.batch_size)
    store = CheckpointStore(work_dir, key, trainer.state())
    run = _restored_run(store, trainer)
    params = design.params
    loop = _AttemptLoop(trainer, pool, design, rates)
    ahead = (params.attempts - len(run.attempts)) * params.epochs - len(run.rows)
    bar = progress_bar("training", len(run.epochs) + ahead, initial=len(run.epochs))
    while not _finished(run, params):
        bar.set_postfix_str(f"attempt {run.attempt} of {params.attempts}", refresh=False)
        loop.start(run.attempt, fresh=not run.rows)
        while not (stopped := loop.stop_reason(run.rows)):
            run.rows.append(loop.epoch(run.attempt, len(run.rows) + 1))
            _commit_epoch(store, run, trainer, params)
            bar.update()
        record = loop.finish(run.rows, stopped)
        _commit_attempt(store, run, record, params)
        bar.total = len(run.epochs) + (params.attempts - len(run.attempts)) * params.epochs
    bar.close()
    selected = _select(run.attempts, params)
    if selected is None or run.selected_slot is None:
        raise _all_diverged(run.attempts, params, trainer)
    selected.selected = True
    trainer.load_weights(store.read(run.selected_slot))
    train, validation = design.split.attempt(selected.attempt, design.seeds.numpy)
    return TrainingResult(run.attempts, run.epochs, selected, train, validation)


def _restored_run(store: CheckpointStore, trainer: Trainer) -> _Run:
    """The run that a checkpoint holds, with the trainer in its state; otherwise a new run."""
    saved = store.restore()
    if saved is None:
        return _Run()
    run = _Run.restore(saved, store.rows())
    logger.info("resuming at attempt %d, epoch %d", run.attempt, len(run.rows) + 1)
    if run.current_slot is not None:
        trainer.load_state(store.read(run.current_slot))
    return run


def _commit_epoch(
    store: CheckpointStore, run: _Run, trainer: Trainer, params: AdaptiveParams
) -> None:
    """Write the last epoch and the trainer's state to the checkpoint."""
    store.append(asdict(run.rows[-1]))
    run.current_slot = store.write(trainer.state())
    if run.best_slot is None or _best_epoch(run.rows, params) == run.rows[-1].epoch:
        run.best_slot = run.current_slot
    store.commit(run.state, run.slots)


def _commit_attempt(
    store: CheckpointStore, run: _Run, record: AttemptRecord, params: AdaptiveParams
) -> None:
    """Close the attempt under way, in the run and in the checkpoint."""
    run.attempts.append(record)
    if _select(run.attempts, params) is record:
        run.selected_slot = run.best_slot
    run.attempt += 1
    run.earlier += run.rows
    run.rows = []
    run.current_slot = run.best_slot = None
    store.commit(run.state, run.slots)
    logger.info(
        "attempt %d: %s after %d epochs, validation loss %.5f (mean image %.5f)%s",
        record.attempt,
        record.stopped,
        record.epochs,
        record.val_loss,
        record.mean_image_loss,
        ", diverged" if record.diverged else "",
    )


def _all_diverged(
    attempts: Sequence[AttemptRecord], params: AdaptiveParams, trainer: Trainer
) -> DivergedError:
    """The error of a training without a usable attempt, with the keys that may help."""
    # An attempt that had no time to come down to the mean image's loss counts as diverged too.
    too_short = any(attempt.stopped == "epochs" for attempt in attempts)
    return DivergedError(
        f"all {len(attempts)} training attempts diverged (validation loss not finite, zero "
        f"gradients, or above {params.divergence_factor} times the mean image's): "
        + (f"raise epochs (now {params.epochs}), " if too_short else "")
        + f"lower learning_rate (now {trainer.optimizer.learning_rate.numpy():.2g})"
        + ("" if trainer.centred else ", or set centering: true")
    )


class _AttemptLoop:
    """One attempt after another: its images, its epochs, and when it stops.

    Parameters
    ----------
    trainer, pool, design, rates
        As for `train_attempts`.
    """

    def __init__(
        self,
        trainer: Trainer,
        pool: DevelopmentPool,
        design: TrainingDesign,
        rates: Sequence[float],
    ) -> None:
        self._trainer, self._pool, self._rates = trainer, pool, rates
        self._split, self._seeds, self._params = design.split, design.seeds, design.params
        self._smoothed = math.nan

    def start(self, attempt: int, fresh: bool) -> None:
        """Draw the attempt's images; unless its training is resumed, reset the network."""
        train, validation = self._split.attempt(attempt, self._seeds.numpy)
        self._train = self._pool.positions(train)
        self._validation = self._pool.positions(validation)
        self._labels = self._pool.labels[self._validation]
        self._normal = self._labels == 0
        held_out = self._validation[self._normal]
        self._mean_image_loss = self._trainer.mean_image_loss(self._train, held_out)
        if self._mean_image_loss == 0:
            raise DualadError(
                "all normal images are identical, so there is nothing to learn: check the dataset"
            )
        if fresh:
            self._trainer.reset(self._rates, self._train)

    def epoch(self, attempt: int, epoch: int) -> EpochRecord:
        """Train one epoch, validate, and report."""
        started = time.perf_counter()
        rng = np.random.default_rng([self._seeds.numpy, attempt, epoch])
        loss, gradient = self._trainer.train_epoch(self._train, rng)
        losses, errors = self._trainer.evaluate(self._validation)
        metric = math.nan
        if not self._normal.all() and np.isfinite(errors).all():
            metric = detection_metric(errors, self._labels)
        alpha = self._params.ema_alpha
        self._smoothed = metric if epoch == 1 else alpha * metric + (1 - alpha) * self._smoothed
        return EpochRecord(
            attempt=attempt,
            epoch=epoch,
            loss=loss,
            val_loss=float(losses[self._normal].mean()),
            detection_metric=metric,
            smoothed_metric=self._smoothed,
            largest_gradient=gradient,
            seconds=time.perf_counter() - started,
        )

    def stop_reason(self, rows: Sequence[EpochRecord]) -> Stopped | None:
        """Why the attempt with these epochs is over, or None."""
        if not rows:
            return None
        self._smoothed = rows[-1].smoothed_metric
        if not math.isfinite(rows[-1].val_loss):
            return "nan"
        if rows[-1].largest_gradient == 0:
            return "zero_gradient"
        if len(rows) >= self._params.epochs:
            return "epochs"
        if self._params.early_stopping and self._stale_epochs(rows) >= self._params.patience:
            return "early_stopping"
        return None

    def finish(self, rows: Sequence[EpochRecord], stopped: Stopped) -> AttemptRecord:
        """Summarise the attempt with these epochs."""
        best = rows[_best_epoch(rows, self._params) - 1]
        limit = self._params.divergence_factor * self._mean_image_loss
        diverged = stopped in ("nan", "zero_gradient") or not rows[-1].val_loss <= limit
        return AttemptRecord(
            attempt=best.attempt,
            epochs=len(rows),
            best_epoch=best.epoch,
            train_loss=best.loss,
            val_loss=best.val_loss,
            final_val_loss=rows[-1].val_loss,
            detection_metric=best.detection_metric,
            smoothed_metric=best.smoothed_metric,
            mean_image_loss=self._mean_image_loss,
            reconstruction_skill=1 - best.val_loss / self._mean_image_loss,
            stopped=stopped,
            diverged=diverged,
            seconds=sum(row.seconds for row in rows),
        )

    def _stale_epochs(self, rows: Sequence[EpochRecord]) -> int:
        """Epochs since the stopping criterion last improved."""
        by_metric = self._params.stop_on == "detection_metric" and not self._normal.all()
        best, best_row = -math.inf, 0
        for i, row in enumerate(rows):
            if by_metric:
                value, margin = row.smoothed_metric, _MIN_DELTA
            else:
                value, margin = -row.val_loss, _MIN_DELTA * row.val_loss
            if value > best + margin:
                best, best_row = value, i
        return len(rows) - 1 - best_row


def _finished(run: _Run, params: AdaptiveParams) -> bool:
    """Whether no further attempt is due (the pseudocode's rule, section 3.6.3)."""
    if len(run.attempts) >= params.attempts:
        return True
    metrics = [a.detection_metric for a in run.attempts if not a.diverged]
    if params.attempt_rule == "all" or len(metrics) < 3 or run.attempts[-1].diverged:
        return False
    return metrics[-1] <= metrics[-2] and metrics[-2] >= metrics[-3]


def _key(record: EpochRecord | AttemptRecord, params: AdaptiveParams) -> tuple[float, float]:
    """Sorting key, smaller for better; the validation loss breaks ties of the detection metric."""
    loss = record.val_loss if math.isfinite(record.val_loss) else math.inf
    if params.select_by == "detection_metric" and math.isfinite(record.detection_metric):
        return -record.detection_metric, loss
    return loss, 0.0


def _best_epoch(rows: Sequence[EpochRecord], params: AdaptiveParams) -> int:
    return min(rows, key=lambda row: _key(row, params)).epoch


def _select(attempts: Sequence[AttemptRecord], params: AdaptiveParams) -> AttemptRecord | None:
    """The attempt whose weights are kept (eq. 28); None if all diverged."""
    usable = [attempt for attempt in attempts if not attempt.diverged]
    return min(usable, key=lambda attempt: _key(attempt, params), default=None)
