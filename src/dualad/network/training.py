"""Training of one network, and the multi-attempt loop around it (section 3.3.3).

`NetworkTrainer` holds the compiled training step; `train_attempts` is the paper's loop of up to ten
attempts, checkpointed after every epoch. Runs are reproducible to the bit: every random number is a
function of the method's seeds, the attempt and the epoch.
"""

import hashlib
import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from dualad.data.plan import Seeds
from dualad.data.split import Split
from dualad.design.parameters import DualAutoencoderParams
from dualad.errors import DivergedError, DualadError
from dualad.evaluation.thresholds import detection_metric
from dualad.network.checkpoint import CheckpointStore
from dualad.network.model import centre, set_dropout
from dualad.progress import progress_bar

logger = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Stopped = Literal["early_stopping", "epochs", "zero_gradient", "nan"]

_EVALUATION_BATCH = 256
_MIN_DELTA = 1e-4
"""Smaller gains do not count as improvement: absolute for TPR + TNR, relative for a loss."""


def msle(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
    """Mean squared logarithmic error of each image (eq. 22); both (n, S, S, 1) in [0, 1]."""
    return tf.reduce_mean(squared_log_error(images, reconstructions), axis=[1, 2, 3])


def squared_log_error(images: tf.Tensor, reconstructions: tf.Tensor) -> tf.Tensor:
    """What eq. 22 averages, for every pixel; both of any one shape, in [0, 1].

    The logarithms are of 1 + x: XLA computes `log1p` one number at a time on a CPU, and the digits
    that it saves lie far below what training resolves.
    """
    return tf.square(tf.math.log(1 + images) - tf.math.log(1 + reconstructions))


def mean_image_loss(images: FloatArray, mean: FloatArray) -> float:
    """MSLE of a model that answers every image (n, S, S) with the training mean (S, S)."""
    difference = np.log1p(images) - np.log1p(mean)
    return float(np.mean(np.square(difference), dtype=np.float64))


class Adam:
    """Adam (Kingma and Ba, 2015) with Keras's defaults, through TensorFlow's fused kernel.

    The kernel updates weights and moments in place in one call per variable. It starts at once,
    where compiling `keras.optimizers.Adam` with XLA takes seconds in every process, and is as fast.
    """

    _BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7

    def __init__(self, weights: Sequence[keras.Variable], learning_rate: float) -> None:
        self._weights = [w.value for w in weights]
        zeros = [tf.zeros(w.shape) for w in self._weights for _ in range(2)]
        self._moments = [tf.Variable(zero, trainable=False) for zero in zeros]
        self._steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.learning_rate = tf.Variable(learning_rate, dtype=tf.float32, trainable=False)

    @property
    def variables(self) -> list[tf.Variable]:
        """All state, the learning rate included."""
        return [*self._moments, self._steps, self.learning_rate]

    def reset(self) -> None:
        """Forget all steps; keep the learning rate."""
        for variable in (*self._moments, self._steps):
            variable.assign(tf.zeros_like(variable))

    @tf.function(autograph=False)
    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """One step."""
        steps = tf.cast(self._steps.assign_add(1), tf.float32)
        powers = tf.pow(self._BETA_1, steps), tf.pow(self._BETA_2, steps)
        moments = zip(self._moments[::2], self._moments[1::2], strict=True)
        for weight, (m, v), gradient in zip(self._weights, moments, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=self.learning_rate,
                beta1=self._BETA_1,
                beta2=self._BETA_2,
                epsilon=self._EPSILON,
                grad=gradient,
            )


class NetworkTrainer:
    """One network, its Adam optimiser and its images, with compiled training and evaluation.

    Parameters
    ----------
    model : keras.Model
        Maps (n, S, S, 1) to reconstructions of the same shape.
    images : float32 array (n, S, S) in [0, 1]
        Everything that training and evaluation index into; it stays on the device.
    batch_size : int
    learning_rate : float
    """

    def __init__(
        self, model: keras.Model, images: FloatArray, batch_size: int, learning_rate: float
    ) -> None:
        self.model = model
        self.batch_size = batch_size
        self.optimizer = Adam(model.trainable_variables, learning_rate)
        self._images = tf.constant(images[..., np.newaxis])
        output_bias = model.get_layer("decoder").get_layer("reconstruction").bias
        self._output_bias = next(
            i for i, v in enumerate(model.trainable_variables) if v is output_bias
        )
        self._initial = [v.value.numpy().copy() for v in model.variables]

    def reset(self, rates: Sequence[float], mean_image: FloatArray | None = None) -> None:
        """Back to the initial weights and random state; set dropout and, if given, centring."""
        self.load_weights(self._initial)
        self.optimizer.reset()
        set_dropout(self.model, rates)
        if mean_image is not None:
            centre(self.model, mean_image)

    def train_epoch(self, order: Indices) -> tuple[float, float]:
        """One pass over the images in `order`; mean loss and largest output-bias gradient.

        The last batch is filled up with images of weight zero, so that one compiled step serves
        all. Every gradient passes through the output layer's bias, so a gradient of exactly zero
        there means that the whole network has stopped learning.
        """
        size = self.batch_size
        n_batches = math.ceil(len(order) / size)
        padded = np.resize(order, n_batches * size).astype(np.int32)
        weights = (np.arange(n_batches * size) < len(order)).astype(np.float32)
        losses, largest = [], []
        for start in range(0, len(padded), size):
            batch = slice(start, start + size)
            loss, peak, gradients = self._gradients(self._images, padded[batch], weights[batch])
            self.optimizer.apply(gradients)
            losses.append(loss)
            largest.append(peak)
        return float(np.sum(losses)) / len(order), float(np.max(largest))

    def evaluate(self, indices: Indices) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """MSLE (eq. 22) and L2 error (eq. 30) of each image, dropout off."""
        size = min(_EVALUATION_BATCH, len(indices))
        padded = np.resize(indices, math.ceil(len(indices) / size) * size).astype(np.int32)
        parts = [
            self._evaluate(self._images, padded[start : start + size])
            for start in range(0, len(padded), size)
        ]
        losses, errors = (np.concatenate(part)[: len(indices)] for part in zip(*parts, strict=True))
        return losses.astype(np.float64), errors.astype(np.float64)

    def state(self) -> list[npt.NDArray[Any]]:
        """Everything that training changes: weights, random state, optimiser; may be views."""
        # Unlike `v.numpy()`, which copies.
        return [np.asarray(v.read_value()) for v in self._variables]

    def load_state(self, arrays: Sequence[npt.NDArray[Any]]) -> None:
        """Inverse of `state`."""
        for variable, array in zip(self._variables, arrays, strict=True):
            variable.assign(array)

    def load_weights(self, arrays: Sequence[npt.NDArray[Any]]) -> None:
        """The network's part of a `state`."""
        for variable, array in zip(self.model.variables, arrays, strict=False):
            variable.assign(array)

    @property
    def _variables(self) -> list[tf.Variable]:
        return [*(v.value for v in self.model.variables), *self.optimizer.variables]

    @tf.function(jit_compile=True, autograph=False)
    def _gradients(
        self, images: tf.Tensor, indices: tf.Tensor, weights: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Summed loss of one weighted batch, largest output-bias gradient, all gradients.

        The gradients are the mean loss's.
        """
        batch = tf.gather(images, indices)
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(weights * msle(batch, self.model(batch, training=True)))
            loss = total / tf.reduce_sum(weights)
        gradients = tape.gradient(loss, self.model.trainable_variables)
        return total, tf.reduce_max(tf.abs(gradients[self._output_bias])), gradients

    @tf.function(jit_compile=True, autograph=False)
    def _evaluate(self, images: tf.Tensor, indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        batch = tf.gather(images, indices)
        reconstructions = self.model(batch, training=False)
        errors = tf.sqrt(tf.reduce_sum(tf.square(reconstructions - batch), axis=[1, 2, 3]))
        return msle(batch, reconstructions), errors


@dataclass
class AttemptRecord:
    """A row of `attempts.csv`. Losses are MSLE of the best epoch; metrics lie in [0, 2]."""

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
    """A row of `epochs.csv`: MSLE of training and of validation normals, M and S (eqs. 26, 27)."""

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
    """The half of a checkpoint that is not arrays; epochs are in its journal, the rest is state."""

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
        """What a checkpoint's document holds: as much after many epochs as after one."""
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
    """All rows, and the selected attempt's data; the trainer's model holds the selected weights."""

    attempts: list[AttemptRecord]
    epochs: list[EpochRecord]
    selected: AttemptRecord
    train: Indices
    validation: Indices


def train_attempts(
    trainer: NetworkTrainer,
    images: FloatArray,
    labels: npt.NDArray[np.int8],
    development: Indices,
    split: Split,
    seeds: Seeds,
    rates: Sequence[float],
    params: DualAutoencoderParams,
    work_dir: Path,
    fingerprint: str,
) -> TrainingResult:
    """Train up to `params.attempts` times and keep the best weights (section 3.3.3, eqs. 26-28).

    Parameters
    ----------
    trainer : NetworkTrainer
        Built over `images`.
    images, labels, development : arrays over the development pool
        Images (n, S, S), labels (0 normal, 1 anomalous) and dataset indices, ascending.
    split : Split
        Draws each attempt's training and validation images.
    rates : sequence of float
        Dropout rates in the order of `dualad.network.model.dropout_layers`.
    work_dir : Path
        Checkpoints; a killed run that left some there goes on after its last complete epoch.
    fingerprint : str
        Identifies data, split and code; with the parameters it decides whether a checkpoint fits.

    Raises
    ------
    DivergedError
        If every attempt diverged.
    """
    inputs = [fingerprint, asdict(params), asdict(seeds), list(rates), trainer.batch_size]
    key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    store = CheckpointStore(work_dir, key, trainer.state())
    saved = store.restore()
    run = _Run.restore(saved, store.rows()) if saved else _Run()
    if saved:
        logger.info("resuming at attempt %d, epoch %d", run.attempt, len(run.rows) + 1)
    if run.current_slot is not None:
        trainer.load_state(store.read(run.current_slot))

    loop = _AttemptLoop(trainer, images, labels, development, split, seeds, rates, params)
    ahead = (params.attempts - len(run.attempts)) * params.epochs - len(run.rows)
    bar = progress_bar("training", len(run.epochs) + ahead, initial=len(run.epochs))
    while not _finished(run, params):
        loop.start(run.attempt, fresh=not run.rows)
        while True:
            stopped = loop.stop_reason(run.rows)
            bar.set_postfix_str(f"attempt {run.attempt} of {params.attempts}", refresh=False)
            if stopped:
                break
            run.rows.append(loop.epoch(run.attempt, len(run.rows) + 1))
            store.append(asdict(run.rows[-1]))
            slot = store.write(trainer.state())
            run.current_slot = slot
            if _best_epoch(run.rows, params) == run.rows[-1].epoch or run.best_slot is None:
                run.best_slot = slot
            store.commit(run.state, run.slots)
            bar.update()
        record = loop.finish(run.rows, stopped)
        run.attempts.append(record)
        bar.total = len(run.epochs) + (params.attempts - len(run.attempts)) * params.epochs
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
    bar.close()
    selected = _select(run.attempts, params)
    if selected is None or run.selected_slot is None:
        # Far above the mean image's loss are also attempts that had no time to come down to it.
        too_short = any(attempt.stopped == "epochs" for attempt in run.attempts)
        raise DivergedError(
            f"all {len(run.attempts)} training attempts diverged (validation loss not finite, zero "
            f"gradients, or above {params.divergence_factor} times the mean image's): "
            + (f"raise epochs (now {params.epochs}), " if too_short else "")
            + f"lower learning_rate (now {trainer.optimizer.learning_rate.numpy():.2g}), or set "
            "centering: true"
        )
    selected.selected = True
    trainer.load_weights(store.read(run.selected_slot))
    train, validation = split.attempt(selected.attempt, seeds.numpy)
    return TrainingResult(run.attempts, run.epochs, selected, train, validation)


class _AttemptLoop:
    """The data of one attempt after another, and what happens in an epoch."""

    def __init__(
        self,
        trainer: NetworkTrainer,
        images: FloatArray,
        labels: npt.NDArray[np.int8],
        development: Indices,
        split: Split,
        seeds: Seeds,
        rates: Sequence[float],
        params: DualAutoencoderParams,
    ) -> None:
        self._trainer, self._images, self._labels = trainer, images, labels
        self._development, self._split, self._seeds = development, split, seeds
        self._rates, self._params = rates, params
        self._smoothed = math.nan

    def start(self, attempt: int, fresh: bool) -> None:
        """Draw the attempt's sets; unless its training goes on, reset the network."""
        train, validation = self._split.attempt(attempt, self._seeds.numpy)
        self._train = np.searchsorted(self._development, train)
        self._validation = np.searchsorted(self._development, validation)
        self._normal = self._labels[self._validation] == 0
        mean = self._images[self._train].mean(axis=0, dtype=np.float64).astype(np.float32)
        held_out = self._images[self._validation[self._normal]]
        self._mean_image_loss = mean_image_loss(held_out, mean)
        if self._mean_image_loss == 0:
            raise DualadError(
                "all normal images are identical, so there is nothing to learn: check the dataset"
            )
        if fresh:
            self._trainer.reset(self._rates, mean if self._params.centering else None)

    def epoch(self, attempt: int, epoch: int) -> EpochRecord:
        """Train one epoch, validate, and report."""
        started = time.perf_counter()
        rng = np.random.default_rng([self._seeds.numpy, attempt, epoch])
        loss, gradient = self._trainer.train_epoch(rng.permutation(self._train))
        losses, errors = self._trainer.evaluate(self._validation)
        metric = math.nan
        if not self._normal.all() and np.isfinite(errors).all():
            metric = detection_metric(errors, self._labels[self._validation])
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
        """Sum the attempt up."""
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
        best, at = -math.inf, 0
        for i, row in enumerate(rows):
            if by_metric:
                value, margin = row.smoothed_metric, _MIN_DELTA
            else:
                value, margin = -row.val_loss, _MIN_DELTA * row.val_loss
            if value > best + margin:
                best, at = value, i
        return len(rows) - 1 - at


def _finished(run: _Run, params: DualAutoencoderParams) -> bool:
    """Whether no further attempt is due (the pseudocode's rule, section 3.6.3)."""
    if len(run.attempts) >= params.attempts:
        return True
    metrics = [a.detection_metric for a in run.attempts if not a.diverged]
    if params.attempt_rule == "all" or len(metrics) < 3 or run.attempts[-1].diverged:
        return False
    return metrics[-1] <= metrics[-2] and metrics[-2] >= metrics[-3]


def _key(record: EpochRecord | AttemptRecord, params: DualAutoencoderParams) -> tuple[float, float]:
    """Smaller is better; ties of the detection metric are broken by validation loss."""
    loss = record.val_loss if math.isfinite(record.val_loss) else math.inf
    if params.select_by == "detection_metric" and math.isfinite(record.detection_metric):
        return -record.detection_metric, loss
    return loss, 0.0


def _best_epoch(rows: Sequence[EpochRecord], params: DualAutoencoderParams) -> int:
    return min(rows, key=lambda row: _key(row, params)).epoch


def _select(
    attempts: Sequence[AttemptRecord], params: DualAutoencoderParams
) -> AttemptRecord | None:
    """The attempt whose weights are kept (eq. 28); None if all diverged."""
    usable = [attempt for attempt in attempts if not attempt.diverged]
    return min(usable, key=lambda attempt: _key(attempt, params), default=None)
