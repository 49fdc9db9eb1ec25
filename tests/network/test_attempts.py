"""The loop of attempts: when it stops, what it keeps, and that kills do no harm."""

import dataclasses
import itertools
import logging
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from development import development_split

import dualad.network.attempts
from dualad.data.plan import Seeds
from dualad.design.parameters import DualAutoencoderParams
from dualad.errors import DualadError
from dualad.network.attempts import (
    AttemptRecord,
    EpochRecord,
    TrainingResult,
    _AttemptLoop,
    _finished,
    _Run,
    _select,
    train_attempts,
)
from dualad.network.checkpoint import CheckpointStore, Pace
from dualad.network.model import build_dual_autoencoder
from dualad.network.trainer import (
    DevelopmentPool,
    NetworkTrainer,
    TrainingDesign,
    mean_image_loss,
)

SIZE = 6
PARAMS = DualAutoencoderParams(
    encoder_widths=(6, 4),
    decoder_widths=(5,),
    learning_rate=1e-3,
    dropout=0.1,
    epochs=3,
    attempts=2,
    divergence_factor=1e3,
    attempt_rule="all",
)
RATES = [0.1, 0.1, 0.1]
N_NORMAL, N_ANOMALOUS = 20, 4
SPLIT = development_split(16, 4, N_ANOMALOUS)


def images_and_labels() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    normal = rng.uniform(0.2, 0.4, (N_NORMAL, SIZE, SIZE))
    anomalous = rng.uniform(0.5, 0.9, (N_ANOMALOUS, SIZE, SIZE))
    labels = np.repeat([0, 1], [N_NORMAL, N_ANOMALOUS]).astype(np.int8)
    return np.concatenate([normal, anomalous]).astype(np.float32), labels


def run(
    work: Path, params: DualAutoencoderParams = PARAMS, anomalous: bool = True
) -> tuple[TrainingResult, list[np.ndarray]]:
    images, labels = images_and_labels()
    model = build_dual_autoencoder(SIZE, params, seed=1)
    trainer = NetworkTrainer(model, images, batch_size=6, learning_rate=params.learning_rate)
    pool = DevelopmentPool(np.arange(len(images)), images, labels)
    split = SPLIT if anomalous else development_split(16, 4)
    design = TrainingDesign(split, Seeds.fixed(5), params)
    result = train_attempts(trainer, pool, design, RATES, work, "d")
    return result, model.get_weights()


def without_times(result: TrainingResult) -> list[object]:
    rows = [*result.epochs, *result.attempts]
    return [dataclasses.replace(row, seconds=0.0) for row in rows]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[object], list]:
    result, weights = run(tmp_path_factory.mktemp("work"))
    return without_times(result), weights


def test_training_lowers_the_loss_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    result, _ = run(tmp_path, dataclasses.replace(PARAMS, epochs=15, attempts=1))
    losses = [row.val_loss for row in result.epochs]
    assert losses[-1] < losses[0]
    assert result.selected.val_loss == min(losses)
    assert result.selected.best_epoch == 1 + int(np.argmin(losses))
    skill = 1 - result.selected.val_loss / result.selected.mean_image_loss
    assert result.selected.reconstruction_skill == pytest.approx(skill)


def test_the_selected_weights_are_in_the_model(tmp_path: Path) -> None:
    images, labels = images_and_labels()
    model = build_dual_autoencoder(SIZE, PARAMS, seed=1)
    trainer = NetworkTrainer(model, images, batch_size=6, learning_rate=PARAMS.learning_rate)
    pool = DevelopmentPool(np.arange(len(images)), images, labels)
    design = TrainingDesign(SPLIT, Seeds.fixed(5), PARAMS)
    result = train_attempts(trainer, pool, design, RATES, tmp_path, "d")
    held_out = result.validation[labels[result.validation] == 0]
    found = trainer.evaluate(held_out)[0].mean()
    assert found == pytest.approx(result.selected.val_loss, rel=1e-5)


def test_attempts_reshuffle_but_start_from_the_same_weights(
    uninterrupted: tuple[list[object], list],
) -> None:
    attempts = [row for row in uninterrupted[0] if isinstance(row, AttemptRecord)]
    assert [a.attempt for a in attempts] == [1, 2]
    assert attempts[0].mean_image_loss != attempts[1].mean_image_loss
    assert sum(a.selected for a in attempts) == 1


@pytest.mark.parametrize("between", [False, True])
@pytest.mark.parametrize(
    ("due", "epochs_kept"),
    [
        # Before which of the run's six epochs a checkpoint is due, and what the one after which, or
        # `between` writing which and committing it, the run is killed has of them. There is none
        # before the first epoch of an attempt, which begins with the initial weights.
        ([2], 1),
        ([3], 2),
        ([2, 3], 2),
        ([1, 2, 5], 4),
        ([6], 5),
        ([2, 3, 5, 6], 5),
    ],
)
def test_a_killed_run_ends_as_an_uninterrupted_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    uninterrupted: tuple[list[object], list],
    due: list[int],
    epochs_kept: int,
    between: bool,
) -> None:
    trained: list[int] = []
    epoch, commit = _AttemptLoop.epoch, CheckpointStore.commit
    monkeypatch.setattr(_AttemptLoop, "epoch", lambda *args: (trained.append(1), epoch(*args))[1])
    monkeypatch.setattr(Pace, "due", property(lambda _: len(trained) + 1 in due))

    def dying(self: CheckpointStore, *args: object) -> None:
        last = len(trained) + 1 == due[-1]
        if not (last and between):
            commit(self, *args)  # type: ignore[arg-type]
        if last:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "commit", dying)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)

    trained.clear()
    due = []
    result, weights = run(tmp_path)
    assert without_times(result) == uninterrupted[0]
    for found, expected in zip(weights, uninterrupted[1], strict=True):
        np.testing.assert_array_equal(found, expected)
    if not between:
        assert len(trained) == 2 * PARAMS.epochs - epochs_kept


def test_a_process_that_is_killed_leaves_what_the_next_one_needs(
    tmp_path: Path, uninterrupted: tuple[list[object], list], caplog: pytest.LogCaptureFixture
) -> None:
    code = (
        "import tensorflow_setup, test_attempts, time; from pathlib import Path;"
        "test_attempts.Pace.due = True; commit = test_attempts.CheckpointStore.commit;"
        "test_attempts.CheckpointStore.commit = lambda *args: (commit(*args), time.sleep(0.2));"
        f"test_attempts.run(Path({str(tmp_path)!r}))"
    )
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as process:
        journal = tmp_path / "journal.jsonl"
        while process.poll() is None and not (
            journal.exists() and journal.read_text().count("\n") >= 4
        ):
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    with caplog.at_level(logging.INFO, logger="dualad"):
        result, weights = run(tmp_path)
    assert "resuming at attempt" in caplog.text
    assert without_times(result) == uninterrupted[0]
    for found, expected in zip(weights, uninterrupted[1], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_training_of_seconds_writes_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()
    # A second passes each time that the clock is looked at, once before every epoch.
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    run(tmp_path)
    assert next(clock) < 10
    assert not list(tmp_path.glob("slot*")) and not (tmp_path / "state.json").exists()


def test_kept_weights_stay_as_they_are_while_training_goes_on() -> None:
    images, _ = images_and_labels()
    trainer = NetworkTrainer(build_dual_autoencoder(SIZE, PARAMS, 1), images, 6, 1e-2)
    trainer.reset(RATES, np.arange(16))
    rng = np.random.default_rng(0)
    trainer.train_epoch(np.arange(16), rng)
    before = trainer.model.get_weights()
    kept = trainer.weights()
    trainer.train_epoch(np.arange(16), rng)
    assert not np.array_equal(trainer.model.get_weights()[0], before[0])
    trainer.load_weights(kept)
    for found, expected in zip(trainer.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_diverged_attempts_are_recorded_and_never_selected(tmp_path: Path) -> None:
    params = dataclasses.replace(PARAMS, divergence_factor=1e-6)
    with pytest.raises(DualadError, match=r"all 2 training attempts diverged .* raise epochs"):
        run(tmp_path, params)


def test_a_validation_set_without_anomalies_stops_by_loss(tmp_path: Path) -> None:
    params = dataclasses.replace(PARAMS, epochs=40, attempts=1, patience=2, learning_rate=0.0)
    result, _ = run(tmp_path, params, anomalous=False)
    assert math.isnan(result.selected.detection_metric)
    assert result.selected.stopped == "early_stopping"
    assert result.selected.epochs == 3


def test_all_epochs_run_without_early_stopping(tmp_path: Path) -> None:
    params = dataclasses.replace(
        PARAMS, epochs=6, attempts=1, patience=1, learning_rate=0.0, early_stopping=False
    )
    result, _ = run(tmp_path, params)
    assert (result.selected.stopped, result.selected.epochs) == ("epochs", 6)


def test_the_smoothed_metric_is_eq_27(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The metric of so small a network hardly changes: values that do change show the weights.
    metrics = iter([1.0, 2.0, 0.5, 1.5])
    monkeypatch.setattr(dualad.network.attempts, "detection_metric", lambda *_: next(metrics))
    params = dataclasses.replace(PARAMS, epochs=4, attempts=1, ema_alpha=0.2, early_stopping=False)
    result, _ = run(tmp_path, params)
    # S_1 = M_1, S_t = 0.2 M_t + 0.8 S_(t-1).
    found = [row.smoothed_metric for row in result.epochs]
    assert found == pytest.approx([1.0, 1.2, 1.06, 1.148])
    assert [row.detection_metric for row in result.epochs] == [1.0, 2.0, 0.5, 1.5]


def test_identical_normal_images_are_refused(tmp_path: Path) -> None:
    images, labels = images_and_labels()
    images[labels == 0] = 0.5
    model = build_dual_autoencoder(SIZE, PARAMS, seed=1)
    trainer = NetworkTrainer(model, images, batch_size=6, learning_rate=PARAMS.learning_rate)
    pool = DevelopmentPool(np.arange(len(images)), images, labels)
    design = TrainingDesign(SPLIT, Seeds.fixed(5), PARAMS)
    with pytest.raises(DualadError, match=r"all normal images are identical.*check the dataset"):
        train_attempts(trainer, pool, design, RATES, tmp_path, "d")
    assert not list(tmp_path.rglob("*.csv"))


def attempt(number: int, metric: float, loss: float, diverged: bool = False) -> AttemptRecord:
    return AttemptRecord(
        attempt=number,
        epochs=1,
        best_epoch=1,
        train_loss=loss,
        val_loss=loss,
        final_val_loss=loss,
        detection_metric=metric,
        smoothed_metric=metric,
        mean_image_loss=1.0,
        reconstruction_skill=1 - loss,
        stopped="epochs",
        diverged=diverged,
        seconds=0.0,
    )


@pytest.mark.parametrize(
    ("metrics", "finished"),
    [
        ([1.0], False),
        ([1.2, 1.1], False),
        ([1.0, 1.2, 1.1], True),
        ([1.0, 1.1, 1.2], False),
        ([1.2, 1.1, 1.0], False),
        ([1.0, 1.0, 1.0], True),
    ],
)
def test_the_pseudocodes_rule_ends_the_loop(metrics: list[float], finished: bool) -> None:
    attempts = [attempt(i + 1, metric, 0.5) for i, metric in enumerate(metrics)]
    params = dataclasses.replace(PARAMS, attempts=10, attempt_rule="pseudocode")
    assert _finished(_Run(attempts=attempts), params) is finished
    assert not _finished(_Run(attempts=attempts), dataclasses.replace(params, attempt_rule="all"))
    at_limit = dataclasses.replace(params, attempts=len(metrics))
    assert _finished(_Run(attempts=attempts), at_limit)


def test_selection_by_loss_and_by_metric() -> None:
    attempts = [
        attempt(1, 1.5, 0.1, diverged=True),
        attempt(2, 1.4, 0.3),
        attempt(3, 1.1, 0.2),
        attempt(4, 1.4, 0.25),
    ]
    by_loss = _select(attempts, PARAMS)
    by_metric = _select(attempts, dataclasses.replace(PARAMS, select_by="detection_metric"))
    assert by_loss is attempts[2]
    assert by_metric is attempts[3]


def test_a_dead_network_stops_at_once() -> None:
    images, labels = images_and_labels()
    trainer = NetworkTrainer(build_dual_autoencoder(SIZE, PARAMS, 1), images, 6, 1e-3)
    pool = DevelopmentPool(np.arange(24), images, labels)
    loop = _AttemptLoop(trainer, pool, TrainingDesign(SPLIT, Seeds.fixed(5), PARAMS), RATES)
    loop.start(1, fresh=True)
    row = EpochRecord(1, 1, 0.1, 0.1, 1.0, 1.0, largest_gradient=0.0, seconds=0.0)
    assert loop.stop_reason([row]) == "zero_gradient"
    assert loop.stop_reason([dataclasses.replace(row, val_loss=math.nan)]) == "nan"
    assert loop.finish([row], "zero_gradient").diverged


@pytest.mark.parametrize(
    ("stop_on", "stale"),
    [
        # The smoothed metric last rose in epoch 2, by more than 1e-4 only in epoch 1 to 2.
        ("detection_metric", 2),
        # The loss last fell by more than a ten-thousandth of itself in epoch 3.
        ("validation_loss", 1),
    ],
)
def test_patience_counts_epochs_since_the_last_real_gain(stop_on: str, stale: int) -> None:
    images, labels = images_and_labels()
    params = dataclasses.replace(PARAMS, epochs=100, stop_on=stop_on, patience=stale)
    trainer = NetworkTrainer(build_dual_autoencoder(SIZE, params, 1), images, 6, 1e-3)
    pool = DevelopmentPool(np.arange(24), images, labels)
    design = TrainingDesign(SPLIT, Seeds.fixed(5), params)
    loop = _AttemptLoop(trainer, pool, design, RATES)
    loop.start(1, fresh=True)
    rows = [
        EpochRecord(1, 1 + i, 0.1, loss, 1.0, metric, largest_gradient=1.0, seconds=0.0)
        for i, (loss, metric) in enumerate(
            [(0.5, 1.0), (0.4, 1.1), (0.3, 1.10005), (0.29999, 1.10009)]
        )
    ]
    assert loop.stop_reason(rows) == "early_stopping"
    patient = TrainingDesign(SPLIT, Seeds.fixed(5), dataclasses.replace(params, patience=stale + 1))
    loop = _AttemptLoop(trainer, pool, patient, RATES)
    loop.start(1, fresh=True)
    assert loop.stop_reason(rows) is None


def test_an_attempt_diverges_above_the_factor_times_the_mean_images_loss() -> None:
    images, labels = images_and_labels()
    params = dataclasses.replace(PARAMS, divergence_factor=2.0)
    trainer = NetworkTrainer(build_dual_autoencoder(SIZE, params, 1), images, 6, 1e-3)
    pool = DevelopmentPool(np.arange(24), images, labels)
    loop = _AttemptLoop(trainer, pool, TrainingDesign(SPLIT, Seeds.fixed(5), params), RATES)
    loop.start(1, fresh=True)
    train, validation = SPLIT.attempt(1, 5)
    held_out = images[validation[validation < N_NORMAL]]
    limit = 2 * mean_image_loss(held_out, images[train].mean(axis=0, dtype=np.float64))

    def finished(loss: float) -> AttemptRecord:
        row = EpochRecord(1, 1, 0.1, loss, 1.0, 1.0, largest_gradient=1.0, seconds=0.0)
        return loop.finish([row], "epochs")

    assert not finished(0.999 * limit).diverged
    assert finished(1.001 * limit).diverged
    assert finished(0.25 * limit).reconstruction_skill == pytest.approx(0.5, rel=1e-5)
