"""The multi-attempt training loop around a trainer (section 3.3.3, eqs. 26-28).

`train_attempts` is the paper's loop of up to ten attempts, with checkpoints from time to time. Runs
are reproducible to the bit: every random number is a function of the method's seeds, the attempt
and the epoch, so epochs that a killed run repeats come out as they did.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dualad.design.parameters import AdaptiveParams
from dualad.errors import DivergedError, DualadError
from dualad.evaluation.thresholds import detection_metric
from dualad.network.checkpoint import CheckpointStore, Pace
from dualad.network.trainer import (
    DevelopmentPool,
    Indices,
    Trainer,
    TrainingDesign,
    Weights,
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
    """How far a training is: what a checkpoint holds besides the trainer's state."""

    attempt: int = 1
    earlier: list[EpochRecord] = field(default_factory=list)
    """Epochs of finished attempts."""
    rows: list[EpochRecord] = field(default_factory=list)
    """Epochs of the attempt under way."""
    attempts: list[AttemptRecord] = field(default_factory=list)
    best: Weights = ()
    """After the best epoch of the attempt under way."""
    selected: Weights = ()
    """After the best epoch of the best finished attempt; empty as long as there is none."""

    @property
    def epochs(self) -> list[EpochRecord]:
        """All epochs so far."""
        return [*self.earlier, *self.rows]


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
        Folder of the checkpoints; a killed run that left one there continues from it.
    fingerprint : str
        Identifies data, split and code; with the parameters it decides whether a checkpoint fits.

    Raises
    ------
    DivergedError
        If every attempt diverged.
    DualadError
        If all normal images are identical, or a checkpoint cannot be written.
    """
    checkpoints = _Checkpoints(
        trainer, work_dir, design.key(fingerprint, list(rates), trainer.batch_size)
    )
    run = checkpoints.restored_run()
    params = design.params
    loop = _AttemptLoop(trainer, pool, design, rates)
    ahead = (params.attempts - len(run.attempts)) * params.epochs - len(run.rows)
    bar = progress_bar("training", len(run.epochs) + ahead, initial=len(run.epochs))
    while not _finished(run, params):
        bar.set_postfix_str(f"attempt {run.attempt} of {params.attempts}", refresh=False)
        loop.start(run.attempt, fresh=not run.rows)
        while not (stopped := loop.stop_reason(run.rows)):
            checkpoints.write_if_due(run)
            run.rows.append(loop.epoch(run.attempt, len(run.rows) + 1))
            checkpoints.note(run.rows[-1])
            if _best_epoch(run.rows, params) == run.rows[-1].epoch:
                run.best = trainer.weights()
            bar.update()
        _close_attempt(run, loop.finish(run.rows, stopped), params)
        bar.total = len(run.epochs) + (params.attempts - len(run.attempts)) * params.epochs
    bar.close()
    selected = _select(run.attempts, params)
    if selected is None:
        raise _all_diverged(run.attempts, params, trainer)
    selected.selected = True
    trainer.load_weights(run.selected)
    train, validation = design.split.attempt(selected.attempt, design.seeds.numpy)
    return TrainingResult(run.attempts, run.epochs, selected, train, validation)


class _Checkpoints:
    """Checkpoints of a run: the trainer's state and the weights worth keeping, in one slot.

    Parameters
    ----------
    trainer : Trainer
    folder : Path
    key : str
        The same for the same run.
    """

    def __init__(self, trainer: Trainer, folder: Path, key: str) -> None:
        self._trainer = trainer
        arrays = self._arrays(_Run())
        self._n_weights = len(trainer.weights())
        self._n_state = len(arrays) - 2 * self._n_weights
        self._store = CheckpointStore(folder, key, arrays)
        self._pace = Pace(self._store.n_bytes)

    def restored_run(self) -> _Run:
        """The run that was killed, with the trainer in its state; otherwise a new run."""
        saved = self._store.restore()
        if saved is None:
            return _Run()
        epochs = [EpochRecord(**row) for row in self._store.rows()]
        attempt = saved["attempt"]
        logger.info("resuming at attempt %d, epoch %d", attempt, epochs[-1].epoch + 1)
        arrays = self._store.read(saved["slot"])
        best = self._n_state + self._n_weights
        self._trainer.load_state(arrays[: self._n_state])
        return _Run(
            attempt=attempt,
            earlier=[row for row in epochs if row.attempt < attempt],
            rows=[row for row in epochs if row.attempt == attempt],
            attempts=[AttemptRecord(**row) for row in saved["attempts"]],
            best=arrays[self._n_state : best],
            selected=arrays[best:] if saved["has_selected"] else (),
        )

    def note(self, row: EpochRecord) -> None:
        """Add an epoch to the journal; it counts from the next checkpoint on."""
        self._store.append(asdict(row))

    def write_if_due(self, run: _Run) -> None:
        """Write a checkpoint if the last one is long enough ago and the attempt has begun.

        To be called before an epoch: after the last one there is nothing to save.
        """
        if not run.rows or not self._pace.due:
            return
        with self._pace.writing():
            slot = self._store.write(self._arrays(run))
            state = {
                "attempt": run.attempt,
                "attempts": [asdict(attempt) for attempt in run.attempts],
                "has_selected": bool(run.selected),
                "slot": slot,
            }
            self._store.commit(state, {slot})

    def _arrays(self, run: _Run) -> list[npt.NDArray[Any]]:
        """The trainer's state, the best weights and the selected ones.

        Weights that there are not yet are left as the trainer's.
        """
        weights = self._trainer.weights()
        kept = [*(run.best or weights), *(run.selected or weights)]
        return [*self._trainer.state(), *map(np.asarray, kept)]


def _close_attempt(run: _Run, record: AttemptRecord, params: AdaptiveParams) -> None:
    """Close the attempt under way; its best weights may be the ones to keep."""
    run.attempts.append(record)
    if _select(run.attempts, params) is record:
        run.selected = run.best
    run.attempt += 1
    run.earlier += run.rows
    run.rows = []
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
